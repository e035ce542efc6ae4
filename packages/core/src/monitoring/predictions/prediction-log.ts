import { assertObject } from '../../check-options.ts';
import type {
  PredictionRow,
  PredictionSink,
  PredictionSinkHealth,
  RefusedRequest,
} from '../../contracts/prediction-sink.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../../errors.ts';
import { assertAllowed } from '../../operations/decide-and-commit.ts';
import { uuidV7 } from '../../uuid.ts';
import { BatchMaking, type MadeBatch, noAnonymiser } from './batch-making.ts';
import type { PredictionLogOptions, PredictionLogParts } from './prediction-log-parts.ts';
import { PredictionLosses } from './prediction-losses.ts';
import { predictionStream } from './prediction-stream.ts';
import { usableRow } from './usable-row.ts';
import { bytesOf, WaitingRows } from './waiting-rows.ts';
import type { WriterCounts } from './writer-counts.ts';

const lookEveryMs = 1000;
/** Rows that are made and stored in one turn of the event loop. */
const batchRows = 4096;
/** The features of a row that takes more are left out. */
const maxRowBytes = 1_000_000;
const everything = new BatchMaking({});

type LogScope = Pick<
  Scope,
  'series' | 'workspace' | 'logger' | 'authorizer' | 'principal' | 'quotas' | 'clock'
>;

/** Under which numbers the batches of a deployment are appended. */
interface Numbers {
  readonly writer: string;
  sequence: number;
}

/** Rows of one deployment that were taken out of the line, and are not stored yet. */
interface PendingBatch {
  readonly deploymentId: string;
  readonly rows: readonly PredictionRow[];
  /** Its share of what was reckoned for the rows that were taken with it. */
  readonly bytes: number;
  /** Within which they came. */
  readonly ms: number;
  /** No later than the first of them was recorded, epoch ms. */
  readonly since: number;
  /** The sample is drawn once, however often it is tried. */
  made: MadeBatch | undefined;
  sequence: number | undefined;
}

/**
 * Buffers predictions off the request path, draws the sample of them and appends it by whole batches. Rows that a store refuses
 * are kept and tried again; memory is bounded, and what is lost is counted.
 */
export class PredictionLog implements PredictionSink {
  readonly #scope: LogScope;
  readonly #options: Required<PredictionLogOptions>;
  readonly #parts: PredictionLogParts;
  readonly #numbers = new Map<string, Numbers>();
  readonly #waiting = new WaitingRows();
  readonly #losses = new PredictionLosses();
  readonly #unstorable = { count: 0 };
  readonly #pending: PendingBatch[] = [];
  /** Taken out of the line and not stored yet. */
  #held = 0;
  #heldBytes = 0;
  #counts: WriterCounts | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isSoon = false;
  #flushing: Promise<void> = Promise.resolve();
  #takenAt = performance.now();
  /** When the first was recorded of those that wait. */
  #since = Number.POSITIVE_INFINITY;
  #stored = 0;
  #sampledOut = 0;
  #full: KeelsonError | undefined;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #isLooking = false;
  #lastError: string | undefined;
  #isClosed = false;

  constructor(scope: LogScope, options: PredictionLogOptions = {}, parts: PredictionLogParts = {}) {
    this.#scope = scope;
    this.#parts = parts;
    this.#options = {
      ...{ flushRows: 1_000, flushMs: 1_000, maxRows: 100_000, maxBytes: 64 * 1024 * 1024 },
      ...options,
    };
  }

  record(given: PredictionRow): void {
    try {
      const row = usableRow(given);
      if (row === undefined) {
        this.#losses.add('unknown', 'unusable');
        return;
      }
      if (this.#isClosed) {
        this.#lose(row);
        return;
      }
      this.#counts ??= this.#parts.counts?.open();
      this.#counts?.accept();
      this.#push(row);
    } catch {
      // A getter that throws. It never throws; what cannot be read is lost, and counted.
      this.#losses.add('unknown', 'unusable');
    }
  }

  #push(row: PredictionRow): void {
    let bytes = bytesOf(row);
    if (bytes > maxRowBytes) {
      this.#unstorable.count += 1;
      bytes = maxRowBytes / 1000;
      const { probabilities: _, ...kept } = row;
      this.#waiting.push({ ...kept, features: {}, prediction: null }, bytes);
    } else {
      this.#waiting.push(row, bytes);
    }
    if (this.#since === Number.POSITIVE_INFINITY) this.#since = this.#scope.clock.now();
    const { maxRows, maxBytes, flushRows, flushMs } = this.#options;
    while (
      this.#waiting.length > 0 &&
      (this.#waiting.length + this.#held > maxRows ||
        this.#waiting.bytes + this.#heldBytes > maxBytes)
    ) {
      const dropped = this.#waiting.drop();
      if (dropped !== undefined) this.#lose(dropped);
    }
    const isMuch = this.#waiting.length >= flushRows && this.#held === 0;
    if (isMuch && !this.#isSoon) this.#flushSoon(0);
    else if (this.#timer === undefined) this.#flushSoon(flushMs);
  }

  #lose(row: PredictionRow): void {
    const making = this.#parts.settings?.lastOf(row.deploymentId) ?? everything;
    this.#losses.add(row.deploymentId, making.sampler.stratumOf(row));
    // Its counts stay unsettled: whoever opens next is to know of it, however this process ends.
  }

  refused(request: RefusedRequest): void {
    if (typeof request?.deploymentId !== 'string' || !Number.isFinite(request.at)) return;
    this.#parts.windows?.refused(request);
  }

  async flush(options: { readonly timeoutMs?: number } = {}): Promise<void> {
    const { timeoutMs } = assertObject(options, 'predictions.flush');
    const work = this.#flushAll().then(() => this.#parts.windows?.put({ all: true }));
    if (timeoutMs === undefined) return work;
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<never>((_, reject) => {
      const message = `Predictions are not durable after ${timeoutMs} ms.`;
      timer = setTimeout(() => reject(new KeelsonError('TIMEOUT', message)), timeoutMs);
    });
    try {
      await Promise.race([work, timeout]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Stores what waits; what cannot be stored by then is told by the counts that are left behind. */
  async close(options: { readonly timeoutMs: number }): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    try {
      await this.flush(options);
    } finally {
      clearTimeout(this.#timer);
      this.#counts?.close();
    }
  }

  health(): PredictionSinkHealth {
    const lastError = this.#lastError;
    const before = this.#parts.counts?.lost ?? [];
    return {
      pending: this.#waiting.length + this.#held,
      dropped: this.#losses.total,
      losses: this.#losses.list(),
      ...{ stored: this.#stored, sampledOut: this.#sampledOut },
      unstorable: this.#unstorable.count,
      lostBefore: before.reduce((sum, { atLeast }) => sum + atLeast, 0),
      ...(lastError === undefined ? {} : { lastError }),
    };
  }

  full(): KeelsonError | undefined {
    const again = this.#full !== undefined && performance.now() - this.#lookedAt > lookEveryMs;
    if (again) void this.#lookForRoom();
    return this.#full;
  }

  /** Whether more may be answered: looked at after each flush, and while not, once a second. */
  async #lookForRoom(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    this.#lookedAt = performance.now();
    try {
      await this.#scope.quotas?.assertRoom('requests');
      this.#full = undefined;
    } catch (error) {
      // Where the store is away nobody knows, and what was known goes on.
      if (isKeelsonError(error, 'EXHAUSTED')) this.#full = error;
    } finally {
      this.#isLooking = false;
    }
  }

  /** The log as others see it. */
  sink(): PredictionSink {
    return {
      record: (row) => this.record(row),
      refused: (request) => this.refused(request),
      flush: (options) => this.flush(options),
      full: () => this.full(),
      health: () => this.health(),
    };
  }

  #flushSoon(ms: number): void {
    clearTimeout(this.#timer);
    this.#isSoon = ms === 0;
    this.#timer = setTimeout(() => {
      this.#flushAll().catch((error: unknown) => {
        this.#scope.logger.warn(
          { component: 'monitoring', error },
          'Predictions could not be stored yet.',
        );
      });
    }, ms);
    this.#timer.unref();
  }

  #flushAll(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#isSoon = false;
    // One flush after another, each taking what waits when it begins.
    this.#flushing = this.#flushing.catch(() => undefined).then(() => this.#flushNow());
    // Beside it: to make room, retention flushes what waits here.
    return this.#flushing.then(() => this.#lookForRoom());
  }

  async #flushNow(): Promise<void> {
    let fault: unknown;
    try {
      fault = await this.#storePending();
      const elapsed = performance.now() - this.#takenAt;
      this.#takenAt = performance.now();
      const round = this.#waiting.length;
      const since = this.#since;
      for (let left = round; left > 0; ) {
        const { rows, bytes } = this.#take(Math.min(left, batchRows));
        if (rows.length === 0) break;
        left -= rows.length;
        for (const [deploymentId, part] of Map.groupBy(rows, (row) => row.deploymentId)) {
          // Its share of the time in which all of them came.
          const ms = (elapsed * rows.length) / round;
          this.#pending.push({
            ...{ deploymentId, rows: part, bytes: (bytes * part.length) / rows.length, ms, since },
            ...{ made: undefined, sequence: undefined },
          });
        }
        fault = (await this.#storePending()) ?? fault;
        // Requests come between two batches.
        if (left > 0) await new Promise((resolve) => setImmediate(resolve));
      }
      if (fault !== undefined) throw fault;
    } finally {
      if (this.#waiting.length > 0 || this.#pending.length > 0) this.#comeAgain();
    }
  }

  #comeAgain(): void {
    const { flushRows, flushMs } = this.#options;
    const isMuch = this.#pending.length === 0 && this.#waiting.length >= flushRows;
    if (!this.#isClosed) this.#flushSoon(isMuch ? 0 : flushMs);
  }

  #take(count: number): { readonly rows: readonly PredictionRow[]; readonly bytes: number } {
    if (count === this.#waiting.length) this.#since = Number.POSITIVE_INFINITY;
    const before = this.#waiting.bytes;
    const rows = this.#waiting.take(count);
    this.#held += rows.length;
    const bytes = before - this.#waiting.bytes;
    this.#heldBytes += bytes;
    return { rows, bytes };
  }

  /**
   * Stores what was taken; answers what one deployment was refused, which keeps no other waiting. Rejects where the store
   * is away, which keeps all.
   */
  async #storePending(): Promise<unknown> {
    let fault: unknown;
    for (const batch of [...this.#pending]) {
      try {
        await this.#storeBatch(batch);
        this.#lastError = undefined;
      } catch (error) {
        this.#lastError = error instanceof Error ? error.message : String(error);
        fault ??= error;
        // What may not be written will not be allowed by waiting, nor what is refused become valid.
        if (isKeelsonError(error, 'FORBIDDEN', 'INVALID')) this.#giveUp(batch);
        else if (!isKeelsonError(error, 'NOT_FOUND')) throw error;
      }
    }
    this.#boundPending();
    return fault;
  }

  async #storeBatch(batch: PendingBatch): Promise<void> {
    const { deploymentId, rows } = batch;
    await assertAllowed(this.#scope, 'prediction.write', `deployment-id:${deploymentId}`);
    batch.made ??= await this.#make(batch);
    const { stored, counted } = batch.made;
    if (stored !== undefined) {
      const numbers = this.#numbersOf(deploymentId);
      // One number for all tries: one that failed may be stored all the same.
      batch.sequence ??= numbers.sequence += 1;
      const stream = predictionStream(this.#scope.workspace, deploymentId);
      const { writer } = numbers;
      const { sequence } = batch;
      this.#counts?.begin(rows.length);
      await this.#scope.series.appendRows({ writer, sequence, stream, ...stored });
      await this.#parts.erasures?.settleBatch(stream, stored, batch.since);
    }
    this.#finish(batch);
    const count = stored?.at.length ?? 0;
    this.#stored += count;
    this.#sampledOut += rows.length - count;
    this.#counts?.settle(rows.length);
    await this.#count(deploymentId, counted);
    const answered = rows.filter(({ role }) => role === 'primary').length;
    await this.#scope.quotas?.count('requests', answered);
  }

  async #make({ deploymentId, rows, ms }: PendingBatch): Promise<MadeBatch> {
    const { settings, keys } = this.#parts;
    const making = (await settings?.of(deploymentId)) ?? everything;
    const anonymiser =
      keys !== undefined && making.needsKeys(rows) ? await keys.current() : noAnonymiser;
    return making.make(rows, ms, anonymiser, this.#unstorable);
  }

  #numbersOf(deploymentId: string): Numbers {
    let numbers = this.#numbers.get(deploymentId);
    if (numbers === undefined) {
      numbers = { writer: uuidV7(), sequence: 0 };
      this.#numbers.set(deploymentId, numbers);
    }
    return numbers;
  }

  #finish(batch: PendingBatch): void {
    this.#pending.splice(this.#pending.indexOf(batch), 1);
    this.#held -= batch.rows.length;
    this.#heldBytes = this.#pending.length === 0 ? 0 : this.#heldBytes - batch.bytes;
  }

  #giveUp(batch: PendingBatch): void {
    this.#finish(batch);
    for (const row of batch.rows) this.#lose(row);
    // Its number would be missing for ever.
    if (batch.sequence !== undefined) this.#numbers.delete(batch.deploymentId);
  }

  /** What one deployment is refused for long takes half of the room at most. */
  #boundPending(): void {
    while (this.#held * 2 > this.#options.maxRows) {
      const [oldest] = this.#pending;
      if (oldest === undefined) return;
      this.#giveUp(oldest);
    }
  }

  /** Counts are advice beside the rows, which are stored: a fault of theirs is told and stops nothing. */
  async #count(deploymentId: string, rows: readonly PredictionRow[]): Promise<void> {
    try {
      await this.#parts.windows?.count(deploymentId, rows);
      await this.#parts.windows?.put({ all: false });
    } catch (error) {
      const fields = { component: 'monitoring', deploymentId, error };
      this.#scope.logger.warn(fields, 'Predictions could not be counted for drift.');
    }
  }
}
