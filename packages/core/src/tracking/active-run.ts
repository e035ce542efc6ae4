import { AsyncLocalStorage } from 'node:async_hooks';
import type { ByteSource } from '../contracts/artifact-store.ts';
import type { MetricWriter } from '../contracts/metric-writer.ts';
import { KeelsonError } from '../errors.ts';
import { assertText, encodeJson, type Json } from '../json.ts';
import { mimeTypeOf } from './artifact-path.ts';
import type { Artifact, ArtifactLog, LogArtifactOptions } from './artifacts.ts';
import type { DatasetInput } from './dataset.ts';
import { figureContent } from './figure.ts';
import { filesBelow } from './local-files.ts';
import { assertParamKey, flattenParams } from './params.ts';
import type { RunStatus } from './run.ts';
import type { RunGate } from './run-gate.ts';
import type { RunHealth } from './run-health.ts';
import type { Crossing } from './threshold.ts';

/** How one metric point is placed; left out, the step goes on from the last one. */
export interface MetricOptions {
  /** A safe integer. */
  readonly step?: number;
  /** When it was measured; now when left out. */
  readonly timestamp?: number | Date;
}

/** What a run's handle needs of the service that made it. */
export interface RunBackend {
  readonly workspace: string;
  now(): number;
  writer(): MetricWriter;
  logParams(runId: string, params: ReadonlyMap<string, Json>): Promise<void>;
  setTags(runId: string, tags: Readonly<Record<string, string>>): Promise<void>;
  logDataset(runId: string, dataset: DatasetInput): Promise<string>;
  /** Told of each key that a handle logs for the first time. */
  metricSeen(run: { readonly id: string; readonly experimentId: string }, key: string): void;
  /** Told of a metric that crosses a bound. Returns at once. */
  crossed(run: RunIdentity, crossing: Crossing, place: PointPlace): void;
  /** Told, once, of metrics that are logged after the end. Returns at once. */
  lateMetrics(runId: string): void;
  /** Resolves when what was told above is written down. */
  settle(): Promise<void>;
  health(runId: string): RunHealth;
  report(runId: string): Promise<string>;
  finish(
    runId: string,
    status: RunStatus,
    reason: string | undefined,
    endedAt: number | undefined,
  ): Promise<void>;
  warn(message: string, fields: object): void;
  readonly artifacts: Pick<ArtifactLog, 'log'>;
}

/** What a handle knows of its run. */
export interface RunIdentity {
  readonly id: string;
  readonly name: string;
  readonly experimentId: string;
}

/** Where a point lies. */
export interface PointPlace {
  readonly step: number | undefined;
  readonly timestamp: number;
}

/**
 * A run that this process logs to. Metric calls return at once and never throw for a fault of the
 * store; what they refuse (a key that is not text, a value that is not a number, a run that has ended)
 * they refuse at once. Everything else resolves when it is durable.
 */
export class ActiveRun {
  readonly id: string;
  readonly name: string;
  readonly experimentId: string;
  readonly #backend: RunBackend;
  readonly #gate: RunGate;
  readonly #series = new Map<string, number>();

  constructor(run: RunIdentity, backend: RunBackend, gate: RunGate) {
    this.id = run.id;
    this.name = run.name;
    this.experimentId = run.experimentId;
    this.#backend = backend;
    this.#gate = gate;
  }

  /** Whether the run has ended, as far as this process knows. */
  get finished(): boolean {
    return this.#gate.closed;
  }

  /** Logs one point of one metric. */
  logMetric(key: string, value: number, options: MetricOptions = {}): void {
    this.#assertOpen();
    assertPlace(options);
    assertValue(key, value);
    this.#log(key, value, options.step, this.#timestamp(options.timestamp));
  }

  /** Logs one point of each metric, at one step and time; all of them, or none when one is refused. */
  logMetrics(values: Readonly<Record<string, number>>, options: MetricOptions = {}): void {
    this.#assertOpen();
    assertPlace(options);
    if (typeof values !== 'object' || values === null) {
      throw new KeelsonError(
        'INVALID',
        'logMetrics takes an object of numbers, such as { loss: 0.1 }.',
      );
    }
    const entries = Object.entries(values);
    for (const [key, value] of entries) {
      assertMetricKey(key);
      assertValue(key, value);
    }
    const timestamp = this.#timestamp(options.timestamp);
    for (const [key, value] of entries) this.#log(key, value, options.step, timestamp);
  }

  /** Logs one param under a dotted key. */
  async logParam(key: string, value: unknown): Promise<void> {
    await this.logParams({ [assertParamKey(key)]: value });
  }

  /**
   * Logs params, nested ones under dotted keys; all or none of a call. An overwritten one keeps its
   * history and warns.
   */
  async logParams(params: object): Promise<void> {
    this.#assertOpen();
    await this.#backend.logParams(this.id, flattenParams(params));
  }

  /** Tags stay open after the end. */
  async setTag(key: string, value: string): Promise<void> {
    await this.setTags({ [assertText(key, 'A tag key')]: value });
  }

  async setTags(tags: Readonly<Record<string, string>>): Promise<void> {
    await this.#backend.setTags(this.id, tags);
  }

  /** Stores bytes, a stream, a Blob or `{ path }` under a logical path; equal bytes are stored once. */
  async logArtifact(
    path: string,
    source: ByteSource,
    options: LogArtifactOptions = {},
  ): Promise<Artifact> {
    this.#assertOpen();
    return this.#backend.artifacts.log(this.id, path, source, options);
  }

  /**
   * Stores every file of a local directory, below `prefix`, by path ascending. NOT_FOUND without one. Links
   * (also those that lead to files within), pipes, sockets and devices are left out, and a warning says
   * so: nothing outside the directory is read.
   */
  async logArtifacts(
    directory: string,
    options: LogArtifactOptions & { readonly prefix?: string } = {},
  ): Promise<readonly Artifact[]> {
    this.#assertOpen();
    assertText(directory, 'A directory of artifacts');
    const { prefix, ...rest } = assertOptions(options, 'logArtifacts');
    const logged: Artifact[] = [];
    const { files, leftOut } = await filesBelow(directory);
    if (leftOut.length > 0) this.#backend.warn(leftOutText(directory, leftOut), { runId: this.id });
    for (const { file, relative } of files) {
      const path = prefix === undefined ? relative : `${prefix.replace(/\/$/, '')}/${relative}`;
      logged.push(await this.logArtifact(path, { path: file }, rest));
    }
    return logged;
  }

  async logText(path: string, text: string, options: LogArtifactOptions = {}): Promise<Artifact> {
    const known = mimeTypeOf(assertText(path, 'An artifact path'));
    const mimeType = known === 'application/octet-stream' ? 'text/plain' : known;
    const bytes = Buffer.from(assertText(text, `The text of ${path}`));
    return this.logArtifact(path, bytes, { mimeType, ...options });
  }

  /** Stores a JSON value; NaN and its like are kept as `{"$number": …}`. */
  async logJson(path: string, value: unknown, options: LogArtifactOptions = {}): Promise<Artifact> {
    const text = encodeJson(value, assertText(path, 'An artifact path'));
    return this.logArtifact(path, Buffer.from(text), {
      mimeType: 'application/json',
      ...options,
    });
  }

  /**
   * Stores a figure: SVG text, PNG or JPEG bytes, or a Vega-Lite specification. The run's page shows
   * the images.
   */
  async logFigure(
    path: string,
    figure: string | Uint8Array | object,
    options: LogArtifactOptions = {},
  ): Promise<Artifact> {
    const { bytes, mimeType } = figureContent(assertText(path, 'An artifact path'), figure);
    return this.logArtifact(path, bytes, { type: 'PLOT', mimeType, ...options });
  }

  /** Links a dataset, known by name and digest, to this run; answers its id in the lineage. */
  async logDataset(dataset: DatasetInput): Promise<string> {
    this.#assertOpen();
    return this.#backend.logDataset(this.id, dataset);
  }

  /**
   * Resolves when every point logged before is durable, and every crossing of a bound told. TIMEOUT after
   * `timeoutMs` (30,000 when left out).
   */
  async flush(options: { readonly timeoutMs?: number } = {}): Promise<void> {
    await this.#backend.writer().flush(assertOptions(options, 'flush'));
    await this.#backend.settle();
  }

  /** What waits to be durable, which of this run's points were lost, and the last fault. */
  get health(): RunHealth {
    return this.#backend.health(this.id);
  }

  /** A self-contained HTML page of the run, as far as it has got: `tracking.runPage`. */
  async report(): Promise<string> {
    await this.flush();
    return await this.#backend.report(this.id);
  }

  /**
   * Flushes and ends the run; from the call on it takes nothing more. Again with the same status does
   * nothing; with another one it rejects with CONFLICT. It ended at `endedAt` (epoch ms); now when left out.
   */
  async finish(
    status: 'COMPLETED' | 'FAILED' | 'KILLED' = 'COMPLETED',
    reason?: string,
    options: { readonly endedAt?: number } = {},
  ): Promise<void> {
    const { endedAt } = assertOptions(options, 'finish');
    if (endedAt !== undefined) this.#timestamp(endedAt);
    const { closed } = this.#gate;
    this.#gate.closed = true;
    try {
      await this.#backend.finish(this.id, status, reason, endedAt);
    } catch (error) {
      this.#gate.closed = closed;
      throw error;
    }
  }

  #log(key: string, value: number, step: number | undefined, timestamp: number): void {
    const index = this.#series.get(key) ?? this.#addSeries(key);
    this.#backend.writer().log(index, step, timestamp, value);
    const gate = this.#gate;
    if (gate.closed) this.#tellLate();
    const crossings = gate.watches?.get(key)?.look(value);
    if (crossings === undefined) return;
    for (const each of crossings) this.#backend.crossed(this, each, { step, timestamp });
  }

  /** Reached only where late logging is allowed. */
  #tellLate(): void {
    if (this.#gate.lateTold) return;
    this.#gate.lateTold = true;
    this.#backend.lateMetrics(this.id);
  }

  #addSeries(key: string): number {
    assertMetricKey(key);
    const { workspace } = this.#backend;
    const index = this.#backend.writer().seriesIndex({ workspace, owner: this.id, key });
    this.#series.set(key, index);
    this.#backend.metricSeen(this, key);
    return index;
  }

  #timestamp(at: number | Date | undefined): number {
    if (at === undefined) return this.#backend.now();
    const ms = at instanceof Date ? at.getTime() : at;
    if (typeof ms === 'number' && Number.isFinite(ms)) return ms;
    throw new KeelsonError(
      'INVALID',
      `Timestamp ${shown(ms)} is no time; pass epoch milliseconds or a Date.`,
    );
  }

  #assertOpen(): void {
    if (!this.#gate.closed || this.#gate.lateLogging) return;
    throw new KeelsonError(
      'CONFLICT',
      `Run ${this.id} is finished; log before it ends, or reopen it with tracking.resumeRun(id).`,
      { details: { runId: this.id } },
    );
  }
}

function leftOutText(directory: string, paths: readonly string[]): string {
  const some = paths.slice(0, 5).join(', ');
  const more = paths.length > 5 ? ` and ${paths.length - 5} more` : '';
  return `Left out of ${directory}, being links or no plain files: ${some}${more}. Log what they lead to by its own path.`;
}

// Each check is a few nanoseconds: logMetric runs in the innermost loop of a training.
function assertPlace(options: MetricOptions): void {
  if (typeof options !== 'object' || options === null) throw notOptions('A metric point');
  for (const name in options) {
    if (name === 'step' || name === 'timestamp') continue;
    throw new KeelsonError(
      'INVALID',
      `A metric point has no option ${JSON.stringify(name)}; there are step and timestamp.`,
    );
  }
  const { step } = options;
  if (step !== undefined && !Number.isSafeInteger(step)) {
    throw new KeelsonError(
      'INVALID',
      `Step ${shown(step)} is not a safe integer (at most 9007199254740991 either way).`,
    );
  }
}

function assertOptions<T extends object>(options: T, of: string): T {
  if (typeof options !== 'object' || options === null) throw notOptions(of);
  return options;
}

function notOptions(of: string): KeelsonError {
  return new KeelsonError('INVALID', `${of} takes an object of options, or none.`);
}

function assertValue(key: string, value: unknown): void {
  if (typeof value === 'number') return;
  throw new KeelsonError(
    'INVALID',
    `Metric ${typeof key === 'string' ? key : `(${typeof key})`} must be a number, not a ${typeof value}.`,
  );
}

function assertMetricKey(key: string): void {
  if (assertText(key, 'A metric key', 255) === '') {
    throw new KeelsonError('INVALID', 'A metric key is empty.');
  }
}

const storage = new AsyncLocalStorage<ActiveRun>();

/** The run of the innermost `withRun` around this call, if any. */
export function currentRun(): ActiveRun | undefined {
  return storage.getStore();
}

/** Runs `work` with `run` as {@link currentRun}. */
export function enterRun<T>(run: ActiveRun, work: () => T): T {
  return storage.run(run, work);
}

// An object may throw when it is made text.
function shown(value: unknown): string {
  const isObject = typeof value === 'object' || typeof value === 'function';
  return isObject ? `of type ${typeof value}` : String(value);
}
