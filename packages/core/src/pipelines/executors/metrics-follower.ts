import { constants, watch } from 'node:fs';
import { open, readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { decodeJson, type JsonObject } from '../../json.ts';
import type { ActiveRun } from '../../tracking/active-run.ts';
import type { StepProgress } from '../step-execution.ts';
import { progressOf } from '../steps/step-progress.ts';

/** What following needs. */
export interface FollowOptions {
  readonly path: string;
  /** Where it is kept how much has been read, for whoever follows next. */
  readonly offsetPath: string;
  readonly run: ActiveRun | undefined;
  readonly warn: (message: string) => void;
  readonly onProgress: (progress: StepProgress) => void;
}

const pollMs = 250;
/** Points are durable by then. */
const settledMs = 1000;
const pieceBytes = 262_144;
const longestLine = 1_048_576;
/** A link that its task has put there shows the files of whoever follows it. */
const ownFile = constants.O_RDONLY | constants.O_NOFOLLOW;

/**
 * Follows the file of JSON lines that a task writes: `{"metric","value","step","timestamp"}`, `{"param","value"}`,
 * `{"tag","value"}`, `{"progress","message"}`, each into the run. Whoever goes on after a death begins where all
 * was durable, so that nothing is lost; points of the second before may then be there twice.
 */
export class MetricsFollower {
  readonly #options: FollowOptions;
  readonly #settled: { readonly at: number; readonly offset: number }[] = [];
  #offset = 0;
  #line = 0;
  #rest = '';
  #warned = false;
  #ended = false;
  #wake: () => void = () => undefined;
  #following: Promise<void> | undefined;

  constructor(options: FollowOptions) {
    this.#options = options;
  }

  start(): void {
    this.#following = this.#follow();
  }

  /** Resolves when all that the task has written is in the run. */
  async end(): Promise<void> {
    this.#ended = true;
    this.#wake();
    await this.#following;
  }

  async #follow(): Promise<void> {
    const kept = await readFile(this.#options.offsetPath, 'utf8').catch(() => '0');
    this.#offset = Number.parseInt(kept, 10) || 0;
    const watcher = watch(dirname(this.#options.path), () => this.#wake());
    watcher.on('error', () => undefined);
    try {
      for (;;) {
        const last = this.#ended;
        while (await this.#piece());
        if (last) {
          if (this.#rest !== '') await this.#take(this.#rest);
          return;
        }
        await this.#keep();
        await this.#pause();
      }
    } finally {
      watcher.close();
    }
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#ended) return resolve();
      const timer = setTimeout(resolve, pollMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  async #piece(): Promise<boolean> {
    let file: Awaited<ReturnType<typeof open>>;
    try {
      file = await open(this.#options.path, ownFile);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ELOOP') this.#complain('is in a file that a link leads to');
      if (code === 'ENOENT' || code === 'ELOOP') return false;
      throw error;
    }
    try {
      const buffer = Buffer.alloc(pieceBytes);
      const { bytesRead } = await file.read(buffer, 0, pieceBytes, this.#offset);
      const end = buffer.lastIndexOf(0x0a, bytesRead - 1) + 1;
      if (bytesRead === 0) return false;
      if (end === 0) {
        // A line that has not ended; one without an end would never be read.
        if (bytesRead < pieceBytes) {
          this.#rest = buffer.toString('utf8', 0, bytesRead);
          return false;
        }
        this.#complain(`is longer than ${longestLine} characters`);
        this.#offset += bytesRead;
        return true;
      }
      this.#rest = buffer.toString('utf8', end, bytesRead);
      this.#offset += end;
      for (const line of buffer.toString('utf8', 0, end - 1).split('\n')) await this.#take(line);
      return true;
    } finally {
      await file.close();
    }
  }

  async #take(line: string): Promise<void> {
    this.#line += 1;
    if (line.trim() === '') return;
    let fields: JsonObject;
    try {
      fields = decodeJson(line) as JsonObject;
      await this.#log(fields);
    } catch (error) {
      this.#complain((error as Error).message);
    }
  }

  async #log(fields: JsonObject): Promise<void> {
    const { run } = this.#options;
    const { metric, param, tag, progress, value, step, timestamp } = fields;
    if (typeof progress === 'number') {
      const { message } = fields;
      this.#options.onProgress(progressOf(progress, message));
    } else if (typeof metric === 'string') {
      run?.logMetric(metric, asNumber(value), {
        ...(typeof step === 'number' ? { step } : {}),
        ...(typeof timestamp === 'number' ? { timestamp } : {}),
      });
    } else if (typeof param === 'string') await run?.logParam(param, value);
    else if (typeof tag === 'string') await run?.setTag(tag, String(value));
    else throw new Error('it has none of metric, param, tag, progress');
  }

  #complain(why: string): void {
    if (this.#warned) return;
    this.#warned = true;
    this.#options.warn(
      `Line ${this.#line} of its metrics file cannot be taken: ${why}. Others that cannot are passed over in silence.`,
    );
  }

  async #keep(): Promise<void> {
    const now = Date.now();
    if (this.#settled.at(-1)?.offset !== this.#offset) {
      this.#settled.push({ at: now, offset: this.#offset });
    }
    let done: number | undefined;
    while (this.#settled[0] !== undefined && this.#settled[0].at <= now - settledMs) {
      done = this.#settled.shift()?.offset;
    }
    if (done !== undefined) await writeFile(this.#options.offsetPath, String(done));
  }
}

/** Numbers, and the words by which other languages write those that JSON has no letters for. */
function asNumber(value: unknown): number {
  if (typeof value === 'number') return value;
  const words: Readonly<Record<string, number>> = {
    NaN: Number.NaN,
    Infinity: Number.POSITIVE_INFINITY,
    '-Infinity': Number.NEGATIVE_INFINITY,
  };
  const known = typeof value === 'string' ? words[value] : undefined;
  if (known !== undefined) return known;
  throw new Error(`its value is no number: ${JSON.stringify(value)}`);
}
