import type { Scope } from '../../contracts/scope.ts';
import { decodeJson, type JsonObject } from '../../json.ts';
import { redactText } from '../../redaction.ts';
import { type AttemptDetails, outputPath } from '../step-execution.ts';

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
  #cursor: string | undefined;

  /** Where to read on. */
  get cursor(): string | undefined {
    return this.#cursor;
  }

  add({ stream, at, text }: StepLogChunk, cursor?: string): void {
    this.#cursor = cursor;
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

  /** What is kept of it so far. */
  chunks(): readonly StepLogChunk[] {
    return this.#lines.map((line) => decodeJson(line) as JsonObject as unknown as StepLogChunk);
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

/** Keeps what an attempt has written, for its record; nothing where it has written nothing. */
export async function keepLog(
  scope: Pick<Scope, 'artifacts' | 'artifactUri'>,
  gatherer: LogGatherer | undefined,
  state: Parameters<typeof outputPath>[0],
  attempt: number,
): Promise<Pick<AttemptDetails, 'log' | 'logsUri'>> {
  const bytes = gatherer?.bytes();
  if (bytes === undefined) return {};
  const name = `logs/a${attempt}.jsonl`;
  const { sha256, sizeBytes } = await scope.artifacts.put(bytes);
  const path = outputPath(state, name);
  const log = { name, path, mimeType: 'application/jsonl', sha256, sizeBytes };
  return { log, logsUri: scope.artifactUri(sha256) };
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
