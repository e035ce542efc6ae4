import type { LogChunk } from '../contracts/executor.ts';

/**
 * What a task has written, kept in memory up to a bound: of a longer one the end is kept. Readers may
 * follow it as it grows.
 */
export class TaskLog {
  readonly #maxLength: number;
  readonly #chunks: LogChunk[] = [];
  #dropped = 0;
  #length = 0;
  #ended = false;
  #grown: PromiseWithResolvers<void> = Promise.withResolvers();

  constructor(maxLength: number) {
    this.#maxLength = maxLength;
  }

  /** Appends a piece; nothing once the log has ended. */
  append(stream: LogChunk['stream'], text: string, at: number): void {
    if (this.#ended || text === '') return;
    const kept = text.length > this.#maxLength ? text.slice(-this.#maxLength) : text;
    const cursor = String(this.#dropped + this.#chunks.length + 1);
    this.#chunks.push({ stream, at, text: kept, cursor });
    this.#length += kept.length;
    while (this.#length > this.#maxLength) {
      this.#length -= this.#chunks.shift()?.text.length ?? this.#length;
      this.#dropped += 1;
    }
    this.#wake();
  }

  /** Lets those who follow come to their end. */
  end(): void {
    this.#ended = true;
    this.#wake();
  }

  /** The pieces behind `after` that are still there; with `follow` those to come too, until the end. */
  async *read(
    after: number,
    follow: boolean,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<LogChunk, void, undefined> {
    let seen = after;
    for (;;) {
      const grown = this.#grown.promise;
      for (;;) {
        signal?.throwIfAborted();
        seen = Math.max(seen, this.#dropped);
        const chunk = this.#chunks[seen - this.#dropped];
        if (chunk === undefined) break;
        seen += 1;
        yield chunk;
      }
      if (!follow || this.#ended) return;
      await untilAborted(grown, signal);
    }
  }

  #wake(): void {
    this.#grown.resolve();
    this.#grown = Promise.withResolvers();
  }
}

async function untilAborted(waited: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) {
    await waited;
    return;
  }
  const { promise, reject } = Promise.withResolvers<never>();
  const stop = (): void => reject(signal.reason);
  if (signal.aborted) stop();
  signal.addEventListener('abort', stop, { once: true });
  try {
    await Promise.race([waited, promise]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
