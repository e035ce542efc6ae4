import type { LogChunk } from '../../contracts/executor.ts';
import type { Scope } from '../../contracts/scope.ts';
import { decodeJson, type JsonObject } from '../../json.ts';
import { redactText } from '../../redaction.ts';

/** A piece of what a step has written. */
export interface StepLogChunk {
  readonly stream: 'stdout' | 'stderr';
  readonly at: number;
  readonly text: string;
}

/** Beyond this a log keeps its beginning and its end. */
const keptBytes = 32 * 2 ** 20;
const lastLinesKept = 20;

/** Gathers what a task writes, for the artifact that is kept of it. */
export class LogGatherer {
  readonly #lines: string[] = [];
  #bytes = 0;
  #cut = 0;
  #tail = '';

  add({ stream, at, text }: LogChunk): void {
    const clean = redactText(text);
    this.#tail = `${this.#tail}${stream === 'stderr' ? clean : ''}`.slice(-8192);
    const line = JSON.stringify({ stream, at, text: clean });
    this.#bytes += line.length;
    this.#lines.push(line);
    // The beginning tells how it was started; of the rest the end tells more than the middle.
    while (this.#bytes > keptBytes && this.#lines.length > 2) {
      const [removed] = this.#lines.splice(Math.floor(this.#lines.length / 2), 1);
      this.#bytes -= removed?.length ?? 0;
      this.#cut += 1;
    }
  }

  /** The end of what went to stderr. */
  get lastLines(): string {
    return this.#tail.trimEnd().split('\n').slice(-lastLinesKept).join('\n').slice(-2000);
  }

  /** JSON lines; undefined when nothing was written. */
  bytes(): Uint8Array | undefined {
    if (this.#lines.length === 0) return undefined;
    const half = Math.floor(this.#lines.length / 2);
    const note = JSON.stringify({
      stream: 'stderr',
      at: 0,
      text: `[${this.#cut} pieces left out]\n`,
    });
    const lines =
      this.#cut === 0
        ? this.#lines
        : [...this.#lines.slice(0, half), note, ...this.#lines.slice(half)];
    return Buffer.from(`${lines.join('\n')}\n`);
  }
}

/** The log that is kept of an attempt. */
export async function* readKeptLog(
  scope: Pick<Scope, 'artifacts'>,
  sha256: string,
  signal?: AbortSignal,
): AsyncGenerator<StepLogChunk, void, undefined> {
  const stream = await scope.artifacts.open(sha256, undefined, signal);
  let rest = '';
  const decoder = new TextDecoder();
  for await (const bytes of stream) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) yield decodeJson(line) as JsonObject as unknown as StepLogChunk;
  }
}
