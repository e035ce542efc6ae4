import { assertObject } from '../../check-options.ts';
import type {
  PredictionRow,
  PredictionSink,
  RefusedRequest,
} from '../../contracts/prediction-sink.ts';
import type { Scope } from '../../contracts/scope.ts';
import type { RowColumn } from '../../contracts/series-store.ts';
import { isKeelsonError, KeelsonError } from '../../errors.ts';
import { encodeJson } from '../../json.ts';
import { assertAllowed } from '../../operations/decide-and-commit.ts';
import { uuidV7 } from '../../uuid.ts';
import type { CountedWindows } from '../windows/counted-windows.ts';
import { predictionStream } from './prediction-stream.ts';

/** How predictions are buffered. */
export interface PredictionLogOptions {
  /** A flush begins when so many rows wait; 1,000 when left out. */
  readonly flushRows?: number;
  /** A row waits at most so long; 1,000 when left out. */
  readonly flushMs?: number;
  /** More than this many rows waiting: the oldest are dropped and counted. 100,000 when left out. */
  readonly maxRows?: number;
}

const lookEveryMs = 1000;

type LogScope = Pick<
  Scope,
  'series' | 'workspace' | 'logger' | 'authorizer' | 'principal' | 'quotas'
>;

/**
 * Buffers predictions off the request path and appends them by whole batches. Rows that a store refuses
 * are kept and tried again; memory is bounded.
 */
export class PredictionLog implements PredictionSink {
  readonly #scope: LogScope;
  readonly #options: Required<PredictionLogOptions>;
  readonly #windows: CountedWindows | undefined;
  readonly #writer = uuidV7();
  readonly #sequences = new Map<string, number>();
  #waiting: PredictionRow[] = [];
  #timer: NodeJS.Timeout | undefined;
  #flushing: Promise<void> = Promise.resolve();
  #dropped = 0;
  #full: KeelsonError | undefined;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #lastError: string | undefined;

  constructor(scope: LogScope, options: PredictionLogOptions = {}, windows?: CountedWindows) {
    this.#scope = scope;
    this.#windows = windows;
    this.#options = { flushRows: 1_000, flushMs: 1_000, maxRows: 100_000, ...options };
  }

  record(row: PredictionRow): void {
    // It never throws; a row of no deployment or no time would keep the others from being stored.
    if (typeof row?.deploymentId !== 'string' || !Number.isFinite(row.at)) {
      this.#dropped += 1;
      return;
    }
    this.#waiting.push(row);
    if (this.#waiting.length > this.#options.maxRows) {
      this.#waiting.shift();
      this.#dropped += 1;
    }
    if (this.#waiting.length >= this.#options.flushRows) this.#flushSoon(0);
    else this.#flushSoon(this.#options.flushMs);
  }

  refused(request: RefusedRequest): void {
    if (typeof request?.deploymentId !== 'string' || !Number.isFinite(request.at)) return;
    this.#windows?.refused(request);
  }

  async flush(options: { readonly timeoutMs?: number } = {}): Promise<void> {
    const { timeoutMs } = assertObject(options, 'predictions.flush');
    const work = this.#flushAll().then(() => this.#windows?.put({ all: true }));
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

  health(): { readonly pending: number; readonly dropped: number; readonly lastError?: string } {
    const health = { pending: this.#waiting.length, dropped: this.#dropped };
    return this.#lastError === undefined ? health : { ...health, lastError: this.#lastError };
  }

  full(): KeelsonError | undefined {
    const again = this.#full !== undefined && performance.now() - this.#lookedAt > lookEveryMs;
    if (again) void this.#lookForRoom();
    return this.#full;
  }

  /** Whether more may be answered: looked at after each flush, and while not, once a second. */
  async #lookForRoom(): Promise<void> {
    this.#lookedAt = performance.now();
    try {
      await this.#scope.quotas?.assertRoom('requests');
      this.#full = undefined;
    } catch (error) {
      // Where the store is away nobody knows, and what was known goes on.
      if (isKeelsonError(error, 'EXHAUSTED')) this.#full = error;
    }
  }

  #flushSoon(ms: number): void {
    if (this.#timer !== undefined) return;
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
    // One flush after another, each taking what waits when it begins.
    this.#flushing = this.#flushing.catch(() => undefined).then(() => this.#flushNow());
    return this.#flushing;
  }

  async #flushNow(): Promise<void> {
    const rows = this.#waiting;
    this.#waiting = [];
    if (rows.length === 0) return;
    const byDeployment = Map.groupBy(rows, (row) => row.deploymentId);
    for (const [deploymentId, part] of byDeployment) {
      // A new number for every try: one that failed may be stored all the same, and other rows under
      // its number would be ignored. Readers drop repeats.
      const sequence = (this.#sequences.get(deploymentId) ?? 0) + 1;
      this.#sequences.set(deploymentId, sequence);
      try {
        await assertAllowed(this.#scope, 'prediction.write', `deployment-id:${deploymentId}`);
        await this.#scope.series.appendRows({
          writer: this.#writer,
          sequence,
          stream: predictionStream(this.#scope.workspace, deploymentId),
          at: Float64Array.from(part, (row) => row.at),
          columns: columnsOf(part),
        });
        byDeployment.delete(deploymentId);
        this.#lastError = undefined;
        // Stored rows alone: one that is tried again would be counted twice.
        await this.#countStored(deploymentId, part);
        const answered = part.filter(({ role }) => role === 'primary').length;
        await this.#scope.quotas?.count('requests', answered);
      } catch (error) {
        this.#lastError = error instanceof Error ? error.message : String(error);
        // What may not be written will not be allowed by waiting.
        if (isKeelsonError(error, 'FORBIDDEN')) {
          this.#dropped += part.length;
          byDeployment.delete(deploymentId);
        }
        // Rows of this and the deployments not yet reached go back in front, under a new flush.
        this.#waiting = [...[...byDeployment.values()].flat(), ...this.#waiting];
        throw error;
      }
    }
    await this.#lookForRoom();
  }

  /** Counts are advice beside the rows, which are stored: a fault of theirs is told and stops nothing. */
  async #countStored(deploymentId: string, rows: readonly PredictionRow[]): Promise<void> {
    try {
      await this.#windows?.count(deploymentId, rows);
      await this.#windows?.put({ all: false });
    } catch (error) {
      const fields = { component: 'monitoring', deploymentId, error };
      this.#scope.logger.warn(fields, 'Predictions could not be counted for drift.');
    }
  }
}

function columnsOf(rows: readonly PredictionRow[]): Record<string, RowColumn> {
  const text = (of: (row: PredictionRow) => string | undefined): RowColumn => ({
    type: 'text',
    values: rows.map((row) => of(row) ?? null),
  });
  const json = (of: (row: PredictionRow) => unknown): RowColumn => ({
    type: 'json',
    values: rows.map((row) => (of(row) === undefined ? null : encodeJson(of(row)))),
  });
  const number = (of: (row: PredictionRow) => number | undefined): RowColumn => ({
    type: 'number',
    values: Float64Array.from(rows, (row) => of(row) ?? Number.NaN),
    missing: Uint8Array.from(rows, (row) => (of(row) === undefined ? 1 : 0)),
  });
  return {
    versionId: text((row) => row.versionId),
    requestId: text((row) => row.requestId),
    role: text((row) => row.role),
    key: text((row) => row.key),
    features: json((row) => row.features),
    prediction: json((row) => row.prediction),
    probabilities: json((row) => row.probabilities),
    latencyMs: number((row) => row.latencyMs),
    queueMs: number((row) => row.queueMs),
    inferenceMs: number((row) => row.inferenceMs),
    replica: text((row) => row.replica),
    error: text((row) => row.error),
    correlationId: text((row) => row.correlationId),
    flags: text((row) => row.flags?.join(',')),
  };
}
