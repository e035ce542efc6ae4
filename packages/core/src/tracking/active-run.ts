import { AsyncLocalStorage } from 'node:async_hooks';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ByteSource } from '../contracts/artifact-store.ts';
import type { MetricWriter, MetricWriterHealth } from '../contracts/metric-writer.ts';
import { KeelsonError } from '../errors.ts';
import { assertText, encodeJson, type Json } from '../json.ts';
import type { Artifact, ArtifactLog, LogArtifactOptions } from './artifacts.ts';
import type { DatasetInput } from './dataset.ts';
import { assertParamKey, flattenParams } from './params.ts';
import type { RunStatus } from './run.ts';

/** How one metric point is placed; left out, the step goes on from the last one. */
export interface MetricOptions {
  /** A safe integer. */
  readonly step?: number;
  readonly timestamp?: number | Date;
}

/** What a run's handle needs of the service that made it. */
export interface RunBackend {
  readonly workspace: string;
  now(): number;
  writer(): MetricWriter;
  warn(message: string, fields: object): void;
  logParams(runId: string, params: ReadonlyMap<string, Json>): Promise<void>;
  setTags(runId: string, tags: Readonly<Record<string, string>>): Promise<void>;
  logDataset(runId: string, dataset: DatasetInput): Promise<string>;
  finish(runId: string, status: RunStatus, reason: string | undefined): Promise<void>;
  readonly artifacts: ArtifactLog;
}

/**
 * A run that this process logs to. Metric calls return at once and never throw for a fault of the
 * store; what they refuse (a key that is not text, a value that is not a number) they refuse at once.
 * Everything else resolves when it is durable.
 */
export class ActiveRun {
  readonly id: string;
  readonly name: string;
  readonly experimentId: string;
  readonly #backend: RunBackend;
  readonly #series = new Map<string, number>();
  #finished = false;

  constructor(
    run: { readonly id: string; readonly name: string; readonly experimentId: string },
    backend: RunBackend,
  ) {
    this.id = run.id;
    this.name = run.name;
    this.experimentId = run.experimentId;
    this.#backend = backend;
  }

  /** Logs one point of one metric. */
  logMetric(key: string, value: number, options: MetricOptions = {}): void {
    this.#assertOpen();
    if (typeof value !== 'number') {
      throw new KeelsonError('INVALID', `Metric ${key} must be a number, not ${typeof value}.`);
    }
    const step = options.step;
    if (step !== undefined && !Number.isSafeInteger(step)) {
      throw new KeelsonError('INVALID', `Step ${step} of metric ${key} is not a safe integer.`);
    }
    this.#backend.writer().log(this.#seriesOf(key), step, this.#timestamp(options.timestamp), value);
  }

  /** Logs one point of each metric, at one step and time. */
  logMetrics(values: Readonly<Record<string, number>>, options: MetricOptions = {}): void {
    const at = { ...options, timestamp: this.#timestamp(options.timestamp) };
    for (const [key, value] of Object.entries(values)) this.logMetric(key, value, at);
  }

  /** Logs one param under a dotted key. */
  logParam(key: string, value: unknown): Promise<void> {
    return this.logParams({ [assertParamKey(key)]: value });
  }

  /**
   * Logs params, nested ones under dotted keys; all or none of a call. An overwritten one keeps its
   * history and warns.
   */
  async logParams(params: object): Promise<void> {
    this.#assertOpen();
    await this.#backend.logParams(this.id, flattenParams(params));
  }

  setTag(key: string, value: string): Promise<void> {
    return this.setTags({ [key]: value });
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

  /** Stores every file of a local directory, below `prefix`. */
  async logArtifacts(
    directory: string,
    options: LogArtifactOptions & { readonly prefix?: string } = {},
  ): Promise<readonly Artifact[]> {
    this.#assertOpen();
    const { prefix, ...rest } = options;
    const entries = await readdir(directory, { recursive: true, withFileTypes: true });
    const logged: Artifact[] = [];
    for (const entry of entries.filter((each) => each.isFile())) {
      const file = join(entry.parentPath, entry.name);
      const relative = file.slice(directory.length).replace(/^[\\/]+/, '').replaceAll('\\', '/');
      const path = prefix === undefined ? relative : `${prefix}/${relative}`;
      logged.push(await this.#backend.artifacts.log(this.id, path, { path: file }, rest));
    }
    return logged;
  }

  logText(path: string, text: string, options: LogArtifactOptions = {}): Promise<Artifact> {
    return this.logArtifact(path, Buffer.from(assertText(text, path)), {
      mimeType: 'text/plain',
      ...options,
    });
  }

  /** Stores a JSON value; NaN and its like are kept as `{"$number": …}`. */
  logJson(path: string, value: unknown, options: LogArtifactOptions = {}): Promise<Artifact> {
    return this.logArtifact(path, Buffer.from(encodeJson(value, path)), {
      mimeType: 'application/json',
      ...options,
    });
  }

  /** Stores a figure: SVG text, PNG bytes, or a Vega-Lite specification. The run's page shows it. */
  logFigure(
    path: string,
    figure: string | Uint8Array | object,
    options: LogArtifactOptions = {},
  ): Promise<Artifact> {
    if (typeof figure === 'string') {
      if (!/^\s*(<\?xml[^>]*>\s*)?<svg[\s>]/.test(figure)) {
        throw new KeelsonError(
          'INVALID',
          `Figure ${path} is text, but no SVG; pass SVG text, PNG bytes or a Vega-Lite object.`,
        );
      }
      const svg = { type: 'PLOT', mimeType: 'image/svg+xml', ...options } as const;
      return this.logArtifact(path, Buffer.from(figure), svg);
    }
    if (figure instanceof Uint8Array) {
      return this.logArtifact(path, figure, { type: 'PLOT', mimeType: 'image/png', ...options });
    }
    return this.logJson(path, figure, {
      type: 'PLOT',
      mimeType: 'application/vnd.vegalite.v6+json',
      ...options,
    });
  }

  /** Links a dataset, known by name and digest, to this run; answers its id in the lineage. */
  async logDataset(dataset: DatasetInput): Promise<string> {
    this.#assertOpen();
    return this.#backend.logDataset(this.id, dataset);
  }

  /** Resolves when every point logged before is durable. */
  flush(options: { readonly timeoutMs?: number } = {}): Promise<void> {
    return this.#backend.writer().flush(options);
  }

  /** What is pending, what was lost, and the last error of the metric writer. */
  get health(): MetricWriterHealth {
    return this.#backend.writer().health();
  }

  /** Flushes and ends the run; a second call with the same status does nothing. */
  async finish(status: 'COMPLETED' | 'FAILED' | 'KILLED' = 'COMPLETED', reason?: string): Promise<void> {
    if (this.#finished) return;
    await this.#backend.finish(this.id, status, reason);
    this.#finished = true;
  }

  #seriesOf(key: string): number {
    let index = this.#series.get(key);
    if (index === undefined) {
      assertText(key, 'A metric key', 255);
      if (key === '') throw new KeelsonError('INVALID', 'A metric key is empty.');
      const { workspace } = this.#backend;
      index = this.#backend.writer().seriesIndex({ workspace, owner: this.id, key });
      this.#series.set(key, index);
    }
    return index;
  }

  #timestamp(at: number | Date | undefined): number {
    return at === undefined ? this.#backend.now() : Number(at);
  }

  #assertOpen(): void {
    if (!this.#finished) return;
    throw new KeelsonError(
      'CONFLICT',
      `Run ${this.id} is finished; log before it ends, or reopen it with tracking.resumeRun(id).`,
    );
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
