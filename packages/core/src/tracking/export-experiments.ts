import { z } from 'zod';
import { type ArchiveTarget, ArchiveWriter, type MemberSink } from '../archive/archive-writer.ts';
import { encodeRecordLine } from '../archive/record-lines.ts';
import { checkOptions, signalOption } from '../check-options.ts';
import type { Predicate } from '../contracts/query.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { assertAllowed } from '../operations/decide-and-commit.ts';
import { columnIs, everyRecord } from '../operations/every-record.ts';
import { moved, withHistory } from '../operations/moving-records.ts';
import type { Experiments } from './experiments.ts';
import {
  contentPath,
  datasetsPath,
  experimentPaths,
  exportHolds,
  metricNamesPath,
} from './export-layout.ts';
import { exportRun, type RunSinks } from './export-run.ts';
import { emptyTally, type MovedCounts } from './moved-counts.ts';

/** What to export, and where to. */
export interface ExportOptions {
  /**
   * A directory, a `.tar` or `.tar.gz` file (nothing may be there yet), or a stream that gets a tar. The
   * export is there as a whole or not at all.
   */
  readonly to: ArchiveTarget;
  /** Names or ids; all that are not deleted when left out. */
  readonly experiments?: readonly string[];
  /** Also experiments and runs that are deleted, as such; left out otherwise. */
  readonly includeDeleted?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: ExportProgress) => void;
}

/** How far an export is. */
export interface ExportProgress {
  readonly phase: 'records' | 'content';
  readonly runs: number;
  readonly points: number;
  /** Of the content phase. */
  readonly writtenBytes: number;
  readonly totalBytes: number;
}

/** What was exported. */
export interface ExportReport extends MovedCounts {
  /** Of all files of the export together. */
  readonly sizeBytes: number;
  /** Runs that were left out because they had not ended: how many, and the first 1,000 of them. */
  readonly running: { readonly count: number; readonly runIds: readonly string[] };
}

/** Takes experiments out of a platform. */
export interface ExperimentExports {
  /**
   * Writes experiments with their runs, params and their history, points, artifacts with moved paths,
   * datasets and agreed metric names, as `docs/export-format.md` describes: what is stored alike gives
   * equal bytes. Runs that have not ended are left out and told of. CONFLICT when there is something at
   * the target, STALE when a run is resumed meanwhile.
   */
  exportExperiments(options: ExportOptions): Promise<ExportReport>;
}

const shape = z.strictObject({
  to: z.custom(
    (value) => (typeof value === 'string' && value !== '') || value instanceof WritableStream,
    'must be a path or a WritableStream',
  ),
  experiments: z.array(z.string()).min(1).optional(),
  includeDeleted: z.boolean().optional(),
  signal: signalOption.optional(),
  onProgress: z.custom((value) => typeof value === 'function', 'must be a function').optional(),
} satisfies Record<keyof ExportOptions, z.ZodType>);

const namedRuns = 1_000;
const tellEveryMs = 200;

/** Exports, bound to a scope. */
export function createExperimentExports(
  scope: Scope,
  parts: {
    readonly experiments: Pick<Experiments, 'getExperiment'>;
    /** Marks runs whose process died: they have ended. */
    reap(limit: number): Promise<number>;
  },
): ExperimentExports {
  async function selected(names: readonly string[]): Promise<readonly string[]> {
    const ids = new Set<string>();
    for (const name of names) ids.add((await parts.experiments.getExperiment(name)).id);
    for (const id of ids) await assertAllowed(scope, 'experiment.export', `experiment:${id}`);
    return [...ids];
  }

  return {
    async exportExperiments(options) {
      checkOptions(shape, options, 'exportExperiments');
      const { to, includeDeleted = false, signal = new AbortController().signal } = options;
      const ids = options.experiments && (await selected(options.experiments));
      if (ids === undefined) {
        await assertAllowed(scope, 'experiment.export', `workspace:${scope.workspace}`);
      }
      while ((await parts.reap(1_000)) > 0) signal.throwIfAborted();
      try {
        await scope.series.fold({ signal });
        const writer = await ArchiveWriter.begin(to, exportHolds);
        try {
          const work = { includeDeleted, signal, all: ids === undefined };
          const exporting = new Exporting(scope, writer, work, options.onProgress);
          for await (const experiment of experimentsOf(scope, ids, includeDeleted, signal)) {
            await exporting.experiment(experiment);
          }
          return await exporting.finish();
        } finally {
          await writer[Symbol.asyncDispose]();
        }
      } catch (error) {
        if (!signal.aborted) throw error;
        throw new KeelsonError('ABORTED', 'The export was aborted; nothing was left behind.', {
          cause: error,
        });
      }
    },
  };
}

/** By id ascending. */
function experimentsOf(
  scope: Scope,
  ids: readonly string[] | undefined,
  includeDeleted: boolean,
  signal: AbortSignal,
): AsyncIterable<StoredRecord> {
  const left = { from: 'column', name: 'lifecycle' } as const;
  const deleted = ids !== undefined || includeDeleted ? ['deleted'] : [];
  const lifecycle: Predicate = { op: 'in', left, values: ['active', 'archived', ...deleted] };
  const of: Predicate[] = [lifecycle];
  if (ids !== undefined) of.push({ op: 'in', left: { from: 'column', name: 'id' }, values: ids });
  return everyRecord(scope, 'experiment', {
    where: { op: 'and', of },
    facets: ['tags'],
    signal,
  });
}

class Exporting {
  readonly #scope: Scope;
  readonly #writer: ArchiveWriter;
  readonly #work: {
    readonly includeDeleted: boolean;
    readonly signal: AbortSignal;
    readonly all: boolean;
  };
  readonly #tell: ((progress: ExportProgress) => void) | undefined;
  readonly #datasets = new Map<string, StoredRecord>();
  readonly #contents = new Set<string>();
  readonly #metrics = new Set<string>();
  readonly #counts = emptyTally();
  readonly #running: string[] = [];
  #runningCount = 0;
  #toldAt = 0;

  constructor(
    scope: Scope,
    writer: ArchiveWriter,
    work: { readonly includeDeleted: boolean; readonly signal: AbortSignal; readonly all: boolean },
    tell: ((progress: ExportProgress) => void) | undefined,
  ) {
    this.#scope = scope;
    this.#writer = writer;
    this.#work = work;
    this.#tell = tell;
  }

  async experiment(found: StoredRecord): Promise<void> {
    const line = await withHistory(this.#scope, found);
    if (line === undefined) return;
    const paths = experimentPaths(found.id);
    const records = await this.#writer.member(paths.records);
    let points: MemberSink | undefined;
    await records.write(Buffer.from(encodeRecordLine(line)));
    const sinks: RunSinks = {
      records,
      points: async () => {
        points ??= await this.#writer.member(paths.points);
        return points;
      },
      content: (sha256, sizeBytes) => this.#content(sha256, sizeBytes),
      dataset: (record) => this.#datasets.set(record.id, record),
      metric: (key) => this.#metrics.add(key),
      counted: (kind, count) => {
        this.#counts[kind] += count;
        this.#progress('records', 0, 0);
      },
    };
    for await (const run of this.#runsOf(found.id)) {
      if (await exportRun(this.#scope, run, sinks, this.#work.signal)) this.#counts.runs += 1;
      else this.#leftOut(run.id);
    }
    await records.close();
    await points?.close();
    this.#counts.experiments += 1;
  }

  /** In order of their start, so that a nested run follows what it is nested in. */
  #runsOf(experimentId: string): AsyncIterable<StoredRecord> {
    const { includeDeleted, signal } = this.#work;
    const left = { from: 'column', name: 'lifecycle' } as const;
    const lifecycles = includeDeleted ? ['active', 'deleted'] : ['active'];
    const of: Predicate[] = [
      columnIs('experimentId', experimentId),
      { op: 'in', left, values: lifecycles },
    ];
    return everyRecord(this.#scope, 'run', {
      where: { op: 'and', of },
      orderBy: [{ by: { from: 'column', name: 'startedAt' }, direction: 'asc' }],
      facets: ['params', 'tags'],
      limit: 200,
      signal,
    });
  }

  #content(sha256: string, sizeBytes: number): void {
    if (this.#contents.has(sha256)) return;
    this.#contents.add(sha256);
    const { artifacts } = this.#scope;
    this.#writer.content({
      path: contentPath(sha256),
      sizeBytes,
      sha256,
      async *open(signal) {
        yield* await artifacts.open(sha256, undefined, signal);
      },
    });
  }

  #leftOut(runId: string): void {
    this.#runningCount += 1;
    if (this.#running.length < namedRuns) this.#running.push(runId);
  }

  async finish(): Promise<ExportReport> {
    const datasets = [...this.#datasets.values()].map((record) => ({ record: moved(record) }));
    await this.#recordsMember(datasetsPath, datasets);
    const names = await this.#metricNames();
    await this.#recordsMember(metricNamesPath, names);
    const { sizeBytes } = await this.#writer.finish(this.#work.signal, (done, total) =>
      this.#progress('content', done, total),
    );
    return {
      ...this.#counts,
      datasets: datasets.length,
      metricNames: names.length,
      contents: this.#contents.size,
      sizeBytes,
      running: { count: this.#runningCount, runIds: this.#running },
    };
  }

  async #recordsMember(
    path: string,
    lines: readonly Parameters<typeof encodeRecordLine>[0][],
  ): Promise<void> {
    if (lines.length === 0) return;
    const sink = await this.#writer.member(path);
    for (const line of lines.toSorted((a, b) => (a.record.id < b.record.id ? -1 : 1))) {
      await sink.write(Buffer.from(encodeRecordLine(line)));
    }
    await sink.close();
  }

  /** All names of a whole workspace; else those of metrics that the runs have, with their aliases. */
  async #metricNames(): Promise<readonly Parameters<typeof encodeRecordLine>[0][]> {
    const all: StoredRecord[] = [];
    const used = new Set<string>();
    for await (const record of everyRecord(this.#scope, 'metric_name')) {
      const { spelling, canonical } = record.columns;
      all.push(record);
      if (this.#work.all || this.#metrics.has(String(spelling))) used.add(String(canonical));
    }
    const lines = [];
    for (const record of all) {
      if (!used.has(String(record.columns['canonical']))) continue;
      const line = await withHistory(this.#scope, record);
      if (line !== undefined) lines.push(line);
    }
    return lines;
  }

  #progress(phase: ExportProgress['phase'], writtenBytes: number, totalBytes: number): void {
    if (this.#tell === undefined) return;
    const now = performance.now();
    const last = phase === 'content' && writtenBytes === totalBytes;
    if (!last && now - this.#toldAt < tellEveryMs) return;
    this.#toldAt = now;
    const { runs, points } = this.#counts;
    this.#tell({ phase, runs, points, writtenBytes, totalBytes });
  }
}
