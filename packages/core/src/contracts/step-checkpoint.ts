import type { Json } from '../json.ts';
import type { ByteSource } from './artifact-store.ts';

/** A checkpoint that a function has saved; reading it verifies it. */
export interface Checkpoint {
  /** 1 for the first of the step; higher is newer. */
  readonly version: number;
  /** Which attempt made it. */
  readonly attempt: number;
  readonly sizeBytes: number;
  /** A stream that fails with CORRUPT rather than hand over what does not match. */
  open(): Promise<ReadableStream<Uint8Array>>;
  /** All of it, in memory. */
  bytes(): Promise<Uint8Array>;
  json<T = Json>(): Promise<T>;
}

/** What a function has for going on where an earlier attempt was. */
export interface StepCheckpoint {
  /** The last one that was saved by any attempt of this step; undefined when there is none. */
  last(): Promise<Checkpoint | undefined>;
  /**
   * Saves bytes, a Blob, a stream or `{ path }`, and answers once they survive whatever happens to this process: all
   * of it or nothing. One at a time, in the order of the calls. LOST when another process has taken the step over. In
   * a thread or process they are on the disk of its machine then, and in the artifact store soon after.
   */
  save(source: ByteSource): Promise<Checkpoint>;
}
