import { dirname, join } from 'node:path';
import process from 'node:process';
import {
  MessageChannel,
  type MessagePort,
  receiveMessageOnPort,
  Worker,
} from 'node:worker_threads';
import type { MetricWriter, MetricWriterHealth } from '../contracts/metric-writer.ts';
import type { PointTargetDescription } from '../contracts/point-target.ts';
import type { SeriesKey } from '../contracts/series-store.ts';
import { KeelsonError } from '../errors.ts';
import { assertSeriesKey } from '../sql/series-input.ts';
import { uuidV7 } from '../uuid.ts';
import type { DrainMessage } from './point-drain.ts';
import type { DrainReport } from './point-faults.ts';
import { distance, PointRing, reached } from './point-ring.ts';
import { PointSpool } from './point-spool.ts';
import type { PointThreadData } from './point-writer-thread.ts';

/** How a {@link PointWriter} works. */
export interface PointWriterOptions {
  readonly target: PointTargetDescription;
  /** The longest time that a point waits before it is stored; 250 when left out. */
  readonly flushMs?: number;
  /** Memory for points that are not stored yet; 32 MiB (1,048,576 points) when left out. */
  readonly ringBytes?: number;
  /**
   * When memory and spool are full. `drop`: the oldest points of each series are thinned and the loss
   * counted. `block`: `log` waits until there is room. `drop` when left out.
   */
  readonly onFull?: 'drop' | 'block';
  /** Where points wait while the store is away; `spool` beside a SQLite file when left out. */
  readonly spoolDir?: string;
  /** The largest spool file; 1 GiB when left out. */
  readonly spoolBytes?: number;
  /** How often open runs are marked as alive; 5,000 when left out. */
  readonly heartbeatMs?: number;
  /** So many series of open runs at most; 100,000 when left out. */
  readonly maxSeries?: number;
  /** A random id, new for each writer; made when left out. */
  readonly writerId?: string;
  /** Is told, once each, what somebody has to know of: points set aside or refused, heartbeats that fail. */
  readonly notice?: (message: string) => void;
  /** How long leaving the process may wait for the store; 5,000 when left out. */
  readonly exitTimeoutMs?: number;
}

/** So many points are logged between two looks at how far the thread is. */
const stride = 8_192;
/**
 * How long `log` waits, once, for a thread that does not get on at all (a disk that hangs) before points
 * are dropped here. A thread that is merely behind frees places in milliseconds, and one whose store is away
 * does so by spooling and thinning.
 */
const patienceMs = 30_000;
/** The same for a thread that has not begun yet: on a busy machine that takes seconds. */
const startPatienceMs = 60_000;

/**
 * The {@link MetricWriter} of this process: a ring in shared memory that a thread empties into the
 * store. The thread starts with the first series or open run, keeps no process alive, and ends with
 * `close`. Leaving the process flushes, for `exitTimeoutMs` at most.
 */
export class PointWriter implements MetricWriter {
  readonly #options: PointWriterOptions;
  readonly #writer: string;
  readonly #series: SeriesKey[] = [];
  readonly #indexes = new Map<string, Map<string, Map<string, number>>>();
  /** For each series the number of points logged without a step. */
  readonly #ordinals: number[] = [];
  readonly #dropped = new Map<number, number>();
  readonly #onExit: () => void;
  #ring: PointRing | undefined;
  #worker: Worker | undefined;
  #port: MessagePort | undefined;
  #ended: Promise<void> | undefined;
  #head = 0;
  /** How many points may be logged before the next look at the thread. */
  #room = 0;
  /** The thread does not make room: do not wait for it again until it does. */
  #givenUp = false;
  #report: DrainReport = { dropped: [], error: undefined, notices: [] };
  #threadError: string | undefined;
  #closed = false;
  /** Owners whose runs are over: their series do not count. */
  readonly #over = new Set<string>();
  #openSeries = 0;

  private constructor(options: PointWriterOptions) {
    this.#options = options;
    this.#writer = options.writerId ?? uuidV7();
    this.#onExit = () => this.#leave();
  }

  /** Does no I/O and starts no thread yet. */
  static open(options: PointWriterOptions): PointWriter {
    return new PointWriter(options);
  }

  /**
   * Has the thread carry spools that processes which died have left to the store; starts it if need be.
   * Answers whether there are any spools.
   */
  adoptSpools(): boolean {
    const { spoolDir } = this.#drainOptions();
    if (this.#closed || !PointSpool.isIn(spoolDir)) return false;
    this.#send({ do: 'adopt-spools' });
    return true;
  }

  /** EXHAUSTED for one more series of runs that are open than `maxSeries`. */
  seriesIndex(key: SeriesKey): number {
    const { workspace, owner } = key;
    const owners = this.#indexes.get(workspace);
    const index = owners?.get(owner)?.get(key.key);
    return index ?? this.#addSeries(key);
  }

  /** INVALID for a step that is no safe integer, or a timestamp that is no time; CLOSED after `close`. */
  log(index: number, step: number | undefined, timestamp: number, value: number): void {
    if (
      !(index >= 0 && index < this.#series.length) ||
      !(step === undefined || Number.isSafeInteger(step)) ||
      !Number.isFinite(timestamp)
    ) {
      throw badPoint(index, step, timestamp);
    }
    if (this.#room === 0 && !this.#makeRoom(index)) return;
    this.#room--;
    const head = this.#head;
    this.#head = (head + 1) | 0;
    const ring = this.#ring as PointRing;
    if (step !== undefined) ring.put(head, index, step, timestamp, value);
    else ring.put(head, -1 - index, this.#nextOrdinal(index), timestamp, value);
  }

  openRun(
    workspace: string,
    runId: string,
    options: { readonly sampleMs?: number | undefined } = {},
  ): void {
    const { sampleMs } = options;
    const sampled = sampleMs === undefined ? {} : { sampleMs };
    if (this.#over.delete(ownerName(workspace, runId))) {
      this.#openSeries += this.#seriesOf(workspace, runId);
    }
    this.#send({ do: 'open-run', run: { workspace, runId }, ...sampled });
  }

  closeRun(workspace: string, runId: string): void {
    this.#send({ do: 'close-run', run: { workspace, runId } });
    const series = this.#seriesOf(workspace, runId);
    const owner = ownerName(workspace, runId);
    if (series === 0 || this.#over.has(owner)) return;
    this.#over.add(owner);
    this.#openSeries -= series;
  }

  async flush(
    options: { readonly timeoutMs?: number; readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    if (this.#closed) throw closedError();
    const ring = this.#ring;
    if (ring === undefined) return;
    const { timeoutMs = 30_000, signal } = options;
    const target = this.#head;
    const deadline = performance.now() + timeoutMs;
    ring.askFlush(target);
    // The wait below keeps no process alive; whoever awaits a flush wants it to end.
    const alive = setInterval(() => undefined, 60_000);
    try {
      for (let at = ring.durable; !reached(at, target); at = ring.durable) {
        if (signal?.aborted === true) {
          throw new KeelsonError('ABORTED', 'The flush was aborted.', { cause: signal.reason });
        }
        const leftMs = deadline - performance.now();
        if (leftMs <= 0 || ring.ended) throw this.#notDurable(timeoutMs);
        await ring.durableChanged(at, Math.min(leftMs, 50));
      }
      // Behind a flush, `health` knows of all that was dropped before it.
      while (!this.#knowsDrops(ring) && !ring.ended && performance.now() < deadline) {
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    } finally {
      clearInterval(alive);
    }
  }

  /**
   * Blocks until all points logged before are in the store or, when it is away, in the spool, or time
   * runs out: whether they are.
   */
  flushSync(timeoutMs: number): boolean {
    const ring = this.#ring;
    if (ring === undefined) return true;
    const target = this.#head;
    const deadline = performance.now() + timeoutMs;
    ring.askFlush(target);
    for (let at = ring.safe; !reached(at, target); at = ring.safe) {
      const leftMs = deadline - performance.now();
      if (leftMs <= 0 || ring.ended) return false;
      ring.waitForSafe(at, leftMs);
    }
    return true;
  }

  health(): MetricWriterHealth {
    this.#readReports();
    const ring = this.#ring;
    const dropped = new Map(this.#dropped);
    for (const [index, points] of this.#report.dropped) {
      dropped.set(index, (dropped.get(index) ?? 0) + points);
    }
    const error = this.#threadError ?? (ring?.failing === true ? this.#report.error : undefined);
    const lastFlushAt = ring?.lastFlushAt ?? 0;
    return {
      loggedPoints: this.#head >>> 0,
      pendingPoints: ring === undefined ? 0 : distance(ring.durable, this.#head),
      spooledPoints: ring?.spooled ?? 0,
      dropped: [...dropped].map(([index, points]) => ({
        series: this.#series[index] as SeriesKey,
        points,
      })),
      ...(error === undefined ? {} : { lastError: error }),
      ...(lastFlushAt === 0 ? {} : { lastFlushAt }),
    };
  }

  /**
   * Stores what is left, or spools it when the store is away, and ends the thread. TIMEOUT when neither
   * succeeded in time (10,000 ms when left out): then points were lost.
   */
  async close(options: { readonly timeoutMs?: number } = {}): Promise<void> {
    if (this.#closed) return await this.#ended;
    this.#closed = true;
    this.#room = 0;
    process.off('exit', this.#onExit);
    const { timeoutMs = 10_000 } = options;
    const ring = this.#ring;
    if (ring === undefined) return;
    this.#ended = this.#end(ring, timeoutMs);
    await this.#ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #end(ring: PointRing, timeoutMs: number): Promise<void> {
    const worker = this.#worker as Worker;
    ring.askEnd(timeoutMs / 2);
    worker.ref();
    const timer = setTimeout(() => void worker.terminate(), timeoutMs);
    // −1: it has ended already.
    if (worker.threadId !== -1) await exitOf(worker);
    clearTimeout(timer);
    this.#readReports();
    this.#port?.close();
    if (!reached(ring.safe, this.#head)) throw this.#notDurable(timeoutMs);
  }

  /** On exit: the last chance, and no event loop any more. */
  #leave(): void {
    const { exitTimeoutMs = 5_000 } = this.#options;
    this.#ring?.askEnd(exitTimeoutMs / 2);
    const kept = this.flushSync(exitTimeoutMs);
    this.#readReports();
    if (!kept)
      this.#options.notice?.(`On leaving the process: ${this.#notDurable(exitTimeoutMs).message}`);
  }

  /** Whether there is room for a point of the series; the point counts as dropped if not. */
  #makeRoom(index: number): boolean {
    if (this.#closed) throw closedError();
    const ring = this.#ring ?? this.#start();
    ring.wake();
    let tail = ring.tail;
    let free = ring.capacity - distance(tail, this.#head);
    const block = this.#options.onFull === 'block';
    const waitingSince = performance.now();
    while (free === 0 && !ring.ended && (block || !this.#givenUp)) {
      const limitMs = ring.started ? patienceMs : startPatienceMs;
      const leftMs = block ? patienceMs : waitingSince + limitMs - performance.now();
      if (leftMs <= 0) this.#givenUp = true;
      else ring.waitForRoom(tail, Math.min(leftMs, 1_000));
      tail = ring.tail;
      free = ring.capacity - distance(tail, this.#head);
    }
    if (free === 0) {
      this.#dropped.set(index, (this.#dropped.get(index) ?? 0) + 1);
      return false;
    }
    this.#givenUp = false;
    this.#room = Math.min(free, stride);
    return true;
  }

  #nextOrdinal(index: number): number {
    const ordinal = this.#ordinals[index] as number;
    this.#ordinals[index] = ordinal + 1;
    return ordinal;
  }

  #addSeries(key: SeriesKey): number {
    assertSeriesKey(key);
    const open = !this.#over.has(ownerName(key.workspace, key.owner));
    const { maxSeries = 100_000 } = this.#options;
    if (open && this.#openSeries >= maxSeries) throw tooManySeries(key, maxSeries);
    const series = { workspace: key.workspace, owner: key.owner, key: key.key };
    const index = this.#series.length;
    this.#send({ do: 'series', index, series });
    this.#series.push(series);
    this.#ordinals.push(0);
    if (open) this.#openSeries += 1;
    const owners = this.#indexes.get(key.workspace) ?? new Map<string, Map<string, number>>();
    this.#indexes.set(key.workspace, owners);
    const keys = owners.get(key.owner) ?? new Map<string, number>();
    owners.set(key.owner, keys);
    keys.set(key.key, index);
    return index;
  }

  #seriesOf(workspace: string, owner: string): number {
    return this.#indexes.get(workspace)?.get(owner)?.size ?? 0;
  }

  #send(message: DrainMessage): void {
    if (this.#closed) throw closedError();
    if (this.#ring === undefined) this.#start();
    this.#port?.postMessage(message);
    if (message.do !== 'series') this.#ring?.wake();
  }

  #start(): PointRing {
    const { ringBytes = 32 * 2 ** 20 } = this.#options;
    const ring = PointRing.create(ringBytes);
    const { port1, port2 } = new MessageChannel();
    const url = new URL(
      import.meta.url.endsWith('.ts') ? './point-writer-thread.ts' : './point-writer-thread.js',
      import.meta.url,
    );
    const data: PointThreadData = {
      buffer: ring.buffer,
      port: port2,
      target: this.#options.target,
      options: this.#drainOptions(),
    };
    const worker = new Worker(url, {
      name: 'keelson-points',
      workerData: data,
      transferList: [port2],
    });
    worker.on('error', (error: unknown) => {
      this.#threadError = `The writer thread failed: ${String(error)}`;
      ring.end();
    });
    // Read when somebody asks, too; in a loop that yields, notices need nobody who asks.
    port1.on('message', (report: DrainReport) => this.#readReport(report));
    worker.unref();
    port1.unref();
    process.on('exit', this.#onExit);
    this.#port = port1;
    this.#worker = worker;
    this.#ring = ring;
    return ring;
  }

  #drainOptions(): PointThreadData['options'] {
    const { target, flushMs, onFull, spoolDir, spoolBytes, heartbeatMs } = this.#options;
    const beside = target.kind === 'sqlite' ? dirname(target.path) : process.cwd();
    return {
      writer: this.#writer,
      flushMs: flushMs ?? 250,
      heartbeatMs: heartbeatMs ?? 5_000,
      onFull: onFull ?? 'drop',
      spoolDir: spoolDir ?? join(beside, 'spool'),
      spoolBytes: spoolBytes ?? 2 ** 30,
    };
  }

  #readReports(): void {
    if (this.#port === undefined) return;
    for (
      let received = receiveMessageOnPort(this.#port);
      received !== undefined;
      received = receiveMessageOnPort(this.#port)
    ) {
      this.#readReport(received.message as DrainReport);
    }
  }

  #readReport(report: DrainReport): void {
    const told = this.#report.notices.length;
    this.#report = report;
    this.#ring?.readReport();
    for (const notice of report.notices.slice(told)) this.#options.notice?.(notice);
  }

  #knowsDrops(ring: PointRing): boolean {
    this.#readReports();
    const known = this.#report.dropped.reduce((sum, [, points]) => sum + points, 0);
    return (known | 0) === ring.dropped;
  }

  #notDurable(timeoutMs: number): KeelsonError {
    const health = this.health();
    return new KeelsonError(
      'TIMEOUT',
      `${health.pendingPoints} metric points are not durable after ${timeoutMs} ms, ` +
        `${health.spooledPoints} of them in the spool${health.lastError === undefined ? '' : `: ${health.lastError}`}`,
      { details: { ...health } },
    );
  }
}

function exitOf(worker: Worker): Promise<void> {
  return new Promise((resolve) => {
    worker.once('exit', () => resolve());
  });
}

function ownerName(workspace: string, owner: string): string {
  return `${workspace}\u0000${owner}`;
}

function tooManySeries({ key, owner }: SeriesKey, most: number): KeelsonError {
  return new KeelsonError(
    'EXHAUSTED',
    `Metric ${key} of run ${owner} would be one more than the ${most} metrics that the open runs of a process may have. Log what differs by point as step, or as a param, not as part of the name; or finish runs that are done.`,
    { details: { runId: owner, limit: most } },
  );
}

function badPoint(index: number, step: number | undefined, timestamp: number): KeelsonError {
  if (step !== undefined && !Number.isSafeInteger(step)) {
    return new KeelsonError('INVALID', `Step ${step} is not a safe integer.`);
  }
  return Number.isFinite(timestamp)
    ? new KeelsonError('INVALID', `There is no series ${index}; ask seriesIndex for one.`)
    : new KeelsonError('INVALID', `Timestamp ${timestamp} is not a time; give epoch milliseconds.`);
}

function closedError(): KeelsonError {
  return new KeelsonError('CLOSED', 'The metric writer has been closed.');
}
