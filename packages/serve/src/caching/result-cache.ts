import {
  isKeelsonError,
  type Json,
  KeelsonError,
  type ResultCacheConfig,
  type Tensor,
} from '@keelson/core';
import type { JobAnswer } from '../replicas/job.ts';
import { resultKey } from './result-key.ts';

/** How a cache did. */
export interface ResultCacheCounts {
  /** Answered from what was kept. */
  readonly hits: number;
  /** Answered with another's call that was under way. */
  readonly joined: number;
  /** Asked the model. */
  readonly misses: number;
  readonly evicted: number;
  readonly entries: number;
  readonly bytes: number;
}

/** What is asked of a cache. */
export interface CachedCall {
  readonly inputs: readonly Tensor[];
  readonly parameters: Readonly<Record<string, Json>>;
  readonly timeoutMs: number;
}

interface Entry {
  readonly outputs: readonly Tensor[];
  readonly bytes: number;
  readonly until: number;
}

/** What an entry costs beside its data. */
const entryBytes = 400;

/**
 * Answers of one model version by their inputs, bounded by bytes: what was used longest ago goes first. Equal requests
 * at one time make one call. It belongs to the loaded version, so nothing crosses versions or workspaces.
 */
export class ResultCache {
  readonly #config: ResultCacheConfig;
  readonly #now: () => number;
  // Map keeps the order of insertion: the first one was used longest ago.
  readonly #entries = new Map<string, Entry>();
  readonly #running = new Map<string, Promise<JobAnswer>>();
  #bytes = 0;
  #hits = 0;
  #joined = 0;
  #misses = 0;
  #evicted = 0;

  /** `now` is a clock in ms that never goes back; the process's own when left out. */
  constructor(config: ResultCacheConfig, now: () => number = () => performance.now()) {
    this.#config = config;
    this.#now = now;
  }

  counts(): ResultCacheCounts {
    return {
      hits: this.#hits,
      joined: this.#joined,
      misses: this.#misses,
      evicted: this.#evicted,
      entries: this.#entries.size,
      bytes: this.#bytes,
    };
  }

  /**
   * The answer that is kept, that of an equal request under way, or that of `run`. Who joins another's call keeps its
   * own deadline (TIMEOUT), and asks the model itself when the other gave up rather than failed.
   */
  async predict(call: CachedCall, run: () => Promise<JobAnswer>): Promise<JobAnswer> {
    const key = resultKey(call.inputs, call.parameters, this.#config.decimals);
    const entry = this.#find(key);
    if (entry !== undefined) {
      this.#hits += 1;
      return answerOf(entry);
    }
    const running = this.#running.get(key);
    if (running !== undefined) {
      this.#joined += 1;
      const startedAt = performance.now();
      try {
        return await within(running, call.timeoutMs);
      } catch (error) {
        const isOwn = isKeelsonError(error, 'FAILED', 'INVALID');
        if (isOwn || performance.now() - startedAt >= call.timeoutMs) throw error;
        return run();
      }
    }
    this.#misses += 1;
    const answer = run();
    this.#running.set(key, answer);
    try {
      const done = await answer;
      this.#keep(key, done.outputs);
      return done;
    } finally {
      this.#running.delete(key);
    }
  }

  #find(key: string): Entry | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#entries.delete(key);
    if (this.#now() >= entry.until) {
      this.#bytes -= entry.bytes;
      return undefined;
    }
    this.#entries.set(key, entry);
    return entry;
  }

  #keep(key: string, outputs: readonly Tensor[]): void {
    const { maxBytes, ttlMs = Number.POSITIVE_INFINITY } = this.#config;
    let bytes = entryBytes;
    for (const { data } of outputs) bytes += bytesOf(data);
    if (bytes > maxBytes) return;
    // Copies: what is kept must not hold the whole batch that it was cut from.
    const copies = outputs.map((tensor) => ({ ...tensor, data: tensor.data.slice() }) as Tensor);
    this.#entries.set(key, { outputs: copies, bytes, until: this.#now() + ttlMs });
    this.#bytes += bytes;
    for (const [oldest, { bytes: freed }] of this.#entries) {
      if (this.#bytes <= maxBytes) break;
      this.#entries.delete(oldest);
      this.#bytes -= freed;
      this.#evicted += 1;
    }
  }
}

function answerOf({ outputs }: Entry): JobAnswer {
  return { outputs, replica: 'cache', queueMs: 0, inferenceMs: 0, attempts: 0, batchRows: 0 };
}

function bytesOf(data: Tensor['data']): number {
  if (ArrayBuffer.isView(data)) return data.byteLength;
  return data.reduce(
    (sum, element) =>
      sum + 16 + (typeof element === 'string' ? 2 * element.length : element.length),
    0,
  );
}

async function within<T>(promise: Promise<T>, timeoutMs: number): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    const limitMs = Math.round(timeoutMs);
    reject(
      new KeelsonError('TIMEOUT', `The model did not answer within ${limitMs} ms.`, {
        details: { limitMs, where: 'model' },
      }),
    );
  }, timeoutMs);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
