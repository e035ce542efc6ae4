import type { Logger } from '../../contracts/ports.ts';
import { type LogGiven, logGiven, logLine } from '../../log-line.ts';
import { LogGatherer, type StepLogChunk } from '../executors/log-store.ts';

type Level = keyof Logger;

/** What tells attempts of all steps apart. */
export function attemptKey({ id }: { readonly id: string }, attempt: number): string {
  return `${id}:${attempt}`;
}

/** Whoever follows a log has what it does not take yet in memory, up to so many pieces. */
const waitingAtMost = 10_000;

/** What one attempt of a function logs: for whoever follows it, and to be kept at its end. */
export class FunctionLog {
  readonly #followers = new Set<(chunk: StepLogChunk | 'end') => void>();
  #gatherer: LogGatherer | undefined;

  /** A logger that hands on to `inner`, and keeps as JSON lines (warnings and errors as stderr). */
  logger(inner: Logger): Logger {
    const level =
      (of: Level): Logger[Level] =>
      (fields, message) => {
        const given = logGiven(fields, message);
        inner[of](given.fields, given.message);
        this.#add(of, given);
      };
    return {
      debug: level('debug'),
      info: level('info'),
      warn: level('warn'),
      error: level('error'),
    };
  }

  /** What has been logged; undefined where nothing was. */
  get gathered(): LogGatherer | undefined {
    return this.#gatherer;
  }

  /** All so far; with `follow` also what comes, until the attempt ends. */
  async *read(
    follow: boolean,
    signal?: AbortSignal,
  ): AsyncGenerator<StepLogChunk, void, undefined> {
    const waiting: (StepLogChunk | 'end')[] = [...(this.#gatherer?.chunks() ?? [])];
    if (!follow) {
      for (const chunk of waiting) if (chunk !== 'end') yield chunk;
      return;
    }
    let wake: () => void = () => undefined;
    const take = (chunk: StepLogChunk | 'end'): void => {
      if (waiting.length >= waitingAtMost) waiting.shift();
      waiting.push(chunk);
      wake();
    };
    const stop = (): void => take('end');
    this.#followers.add(take);
    signal?.addEventListener('abort', stop);
    try {
      for (;;) {
        signal?.throwIfAborted();
        const next = waiting.shift();
        if (next === 'end') return;
        if (next !== undefined) yield next;
        else {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }
    } finally {
      this.#followers.delete(take);
      signal?.removeEventListener('abort', stop);
    }
  }

  end(): void {
    for (const take of this.#followers) take('end');
  }

  #add(level: Level, given: LogGiven): void {
    const stream = level === 'warn' || level === 'error' ? 'stderr' : 'stdout';
    const chunk = { stream, at: Date.now(), text: `${logLine(level, given)}\n` } as const;
    this.#gatherer ??= new LogGatherer();
    this.#gatherer.add(chunk);
    for (const take of this.#followers) take(chunk);
  }
}
