/** Words of shared memory that main thread and writer thread talk through; see {@link PointRing}. */
const word = {
  /** Points logged, modulo 2^32. Written by the main thread, as `flushTo` and `final`. */
  head: 0,
  /** A flush shall reach this position. */
  flushTo: 1,
  /** Not 0: the writer ends. For how many ms to try the store; what is left then goes to the spool. */
  final: 2,
  /** Counted up to wake the thread. */
  wake: 3,
  /** Reports of the thread that the main thread has read. */
  reportsRead: 4,
  /** Points taken off the ring. Written by the thread, as all below. */
  tail: 16,
  /** Everything before this position is in the store, or was dropped and counted. */
  durable: 17,
  /** Everything before this position is in the store, in the spool, or was dropped. */
  safe: 18,
  /** Points in the spool. */
  spooled: 19,
  /** 0 until the thread runs, 1 while it does, 2 when it has ended. */
  state: 20,
  /** 1 while the store fails. */
  failing: 21,
  /** Points that the thread has dropped. */
  dropped: 22,
} as const;

const controlBytes = 256;
const clockAt = 128;
const recordBytes = 32;
const recordsPerPage = 128;

/** What `log` hands over. An automatic step has the ordinal of the point among those of its series. */
export interface RingRecord {
  readonly index: number;
  readonly step: number;
  readonly automatic: boolean;
  readonly timestamp: number;
  readonly value: number;
}

/**
 * A ring of metric points in shared memory, between one thread that logs and one that stores: works
 * though the first never yields to its event loop. Positions count points modulo 2^32.
 */
export class PointRing {
  readonly buffer: SharedArrayBuffer;
  readonly capacity: number;
  readonly #control: Int32Array<SharedArrayBuffer>;
  readonly #clock: BigInt64Array<SharedArrayBuffer>;
  /** Four numbers a record: step, timestamp, value, and index, or −1 − index where the step is automatic. */
  readonly #records: Float64Array<SharedArrayBuffer>;
  readonly #mask: number;
  /** The whole memory, for touching; and how many records were touched. */
  readonly #words: Int32Array<SharedArrayBuffer>;
  #touched = 0;

  /** On the memory of another thread's ring. */
  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.capacity = (buffer.byteLength - controlBytes) / recordBytes;
    this.#mask = this.capacity - 1;
    this.#control = new Int32Array(buffer, 0, controlBytes / 4);
    this.#clock = new BigInt64Array(buffer, clockAt, 1);
    this.#records = new Float64Array(buffer, controlBytes);
    this.#words = new Int32Array(buffer);
  }

  /** A new ring that takes at most `bytes`, and has room for 1,024 points at least. */
  static create(bytes: number): PointRing {
    const points = 2 ** Math.max(10, Math.floor(Math.log2(bytes / recordBytes)));
    return new PointRing(new SharedArrayBuffer(controlBytes + points * recordBytes));
  }

  get head(): number {
    return Atomics.load(this.#control, word.head);
  }

  get tail(): number {
    return Atomics.load(this.#control, word.tail);
  }

  get durable(): number {
    return Atomics.load(this.#control, word.durable);
  }

  get safe(): number {
    return Atomics.load(this.#control, word.safe);
  }

  get flushTo(): number {
    return Atomics.load(this.#control, word.flushTo);
  }

  /** For how many ms to try the store before the writer ends; 0 while it goes on. */
  get finalMs(): number {
    return Atomics.load(this.#control, word.final);
  }

  /** Whether the thread has begun to work. */
  get started(): boolean {
    return Atomics.load(this.#control, word.state) > 0;
  }

  get ended(): boolean {
    return Atomics.load(this.#control, word.state) === 2;
  }

  get spooled(): number {
    return Atomics.load(this.#control, word.spooled);
  }

  get failing(): boolean {
    return Atomics.load(this.#control, word.failing) === 1;
  }

  get dropped(): number {
    return Atomics.load(this.#control, word.dropped);
  }

  get reportsRead(): number {
    return Atomics.load(this.#control, word.reportsRead);
  }

  /** Epoch ms; 0 when nothing has been stored yet. */
  get lastFlushAt(): number {
    return Number(Atomics.load(this.#clock, 0));
  }

  /** Points in the ring. */
  get used(): number {
    return distance(this.tail, this.head);
  }

  /** Puts a point at `position`, which must be free, and shows it to the thread. */
  put(position: number, index: number, step: number, timestamp: number, value: number): void {
    const at = (position & this.#mask) << 2;
    const records = this.#records;
    records[at] = step;
    records[at + 1] = timestamp;
    records[at + 2] = value;
    records[at + 3] = index;
    Atomics.store(this.#control, word.head, (position + 1) | 0);
  }

  /** The point at a position between tail and head. */
  get(position: number): RingRecord {
    const at = (position & this.#mask) << 2;
    const index = this.#records[at + 3] as number;
    return {
      step: this.#records[at] as number,
      timestamp: this.#records[at + 1] as number,
      value: this.#records[at + 2] as number,
      index: index < 0 ? -1 - index : index,
      automatic: index < 0,
    };
  }

  /** Moves the point at `from` to `to`; both are between tail and head, where only the thread writes. */
  move(from: number, to: number): void {
    const source = (from & this.#mask) << 2;
    this.#records.copyWithin((to & this.#mask) << 2, source, source + 4);
  }

  /**
   * Has the system provide the memory of the next `count` records, once in the life of the ring: the
   * logger would otherwise meet a page fault every 128 points.
   */
  touchAhead(count: number): void {
    const until = Math.min(this.capacity, (this.head >>> 0) + count);
    for (; this.#touched < until; this.#touched += recordsPerPage) {
      // Adding nothing: the logger may be writing there.
      Atomics.add(this.#words, (controlBytes + this.#touched * recordBytes) / 4, 0);
    }
  }

  /** Frees all places before `position`, and wakes a logger that waits for one. */
  release(position: number): void {
    Atomics.store(this.#control, word.tail, position);
    Atomics.notify(this.#control, word.tail);
  }

  /** Says how far points are in the store, and how far in the store or the spool. */
  settle(durable: number, safe: number, spooled: number): void {
    Atomics.store(this.#control, word.spooled, spooled);
    Atomics.store(this.#control, word.durable, durable);
    Atomics.store(this.#control, word.safe, safe);
    Atomics.notify(this.#control, word.durable);
    Atomics.notify(this.#control, word.safe);
  }

  stored(at: number): void {
    Atomics.store(this.#clock, 0, BigInt(Math.floor(at)));
  }

  fail(failing: boolean): void {
    Atomics.store(this.#control, word.failing, failing ? 1 : 0);
  }

  drop(points: number): void {
    Atomics.add(this.#control, word.dropped, points);
  }

  start(): void {
    Atomics.store(this.#control, word.state, 1);
  }

  /** The thread is gone: nobody must wait for it any longer. */
  end(): void {
    Atomics.store(this.#control, word.state, 2);
    for (const place of [word.tail, word.durable, word.safe]) Atomics.notify(this.#control, place);
  }

  askFlush(position: number): void {
    Atomics.store(this.#control, word.flushTo, position);
    this.wake();
  }

  askEnd(patienceMs: number): void {
    Atomics.store(this.#control, word.final, Math.max(1, Math.floor(patienceMs)));
    this.wake();
  }

  readReport(): void {
    Atomics.add(this.#control, word.reportsRead, 1);
    this.wake();
  }

  wake(): void {
    Atomics.add(this.#control, word.wake, 1);
    Atomics.notify(this.#control, word.wake);
  }

  /** Counts the wake-ups; for {@link waitForWake}. */
  get wakes(): number {
    return Atomics.load(this.#control, word.wake);
  }

  /** Blocks the thread until it is woken, had been since `wakes` was read, or time runs out. */
  waitForWake(wakes: number, timeoutMs: number): void {
    Atomics.wait(this.#control, word.wake, wakes, timeoutMs);
  }

  /** Blocks while `tail` is what it was. */
  waitForRoom(tail: number, timeoutMs: number): void {
    Atomics.wait(this.#control, word.tail, tail, timeoutMs);
  }

  /** Blocks while `safe` is what it was. */
  waitForSafe(safe: number, timeoutMs: number): void {
    Atomics.wait(this.#control, word.safe, safe, timeoutMs);
  }

  /** Resolves when `durable` is no longer what it was, or time runs out. Keeps no process alive. */
  async durableChanged(durable: number, timeoutMs: number): Promise<void> {
    const waited = waitAsync(this.#control, word.durable, durable, timeoutMs);
    await waited.value;
  }

  async safeChanged(safe: number, timeoutMs: number): Promise<void> {
    const waited = waitAsync(this.#control, word.safe, safe, timeoutMs);
    await waited.value;
  }
}

/** How many points lie between two positions, of which `to` is the later. */
export function distance(from: number, to: number): number {
  return (to - from) >>> 0;
}

/** Whether a position has been reached: `now` is at it or behind it. */
export function reached(now: number, position: number): boolean {
  return ((now - position) | 0) >= 0;
}

// ES2024; the library's types are those of ES2023.
const waitAsync = (
  Atomics as unknown as {
    waitAsync(
      array: Int32Array<SharedArrayBuffer>,
      index: number,
      value: number,
      timeoutMs: number,
    ): { readonly value: string | Promise<string> };
  }
).waitAsync;
