import { AsyncLocalStorage } from 'node:async_hooks';
import { z } from 'zod';
import { checkOptions } from '../check-options.ts';
import type { ByteSource } from '../contracts/artifact-store.ts';
import type { Heartbeats, MetricWriter } from '../contracts/metric-writer.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { assertText, type Json, type JsonObject } from '../json.ts';
import { commitChanges, decideAndCommit } from '../operations/decide-and-commit.ts';
import type { ActiveRun } from './active-run.ts';
import { type Artifact, createArtifacts, type LogArtifactOptions } from './artifacts.ts';
import type { DatasetInput } from './dataset.ts';
import { createDatasets } from './datasets.ts';
import { emitOfRun } from './emit-of-run.ts';
import type { StoredExperiments } from './experiments.ts';
import { flattenParams } from './params.ts';
import { type AwayPoints, appendAway } from './points-elsewhere.ts';
import { isPresumedDead, optional, type RunStatus } from './run.ts';
import { createRunEnding } from './run-ending.ts';
import { withLost } from './run-health.ts';
import { createRunLogging } from './run-logging.ts';
import { createRunRecords, reopen, replaceRun } from './run-records.ts';
import { createRunStarting } from './run-starting.ts';
import type { StartRunOptions } from './start-run-options.ts';

/** How a run begins in a process elsewhere, which captures itself where it runs. */
export interface StartElsewhere
  extends Omit<StartRunOptions, 'environment' | 'systemMetrics' | 'signal'> {
  readonly environment?: JsonObject;
  readonly sourceName?: string;
  readonly sourceVersion?: string;
}

/** A run, as the process that logs to it has to know it. */
export interface RunElsewhere {
  readonly id: string;
  readonly name: string;
  readonly experimentId: string;
  readonly status: RunStatus;
  /** There was none of that id before. */
  readonly created?: boolean;
  /** The bounds that the process is to watch. */
  readonly thresholds?: Json;
}

/** A warning that is for whoever logs. */
export interface Warning {
  readonly message: string;
  readonly fields: JsonObject;
}

/** What was done, and what its caller is to be warned of. */
export interface Told<T> {
  readonly value: T;
  readonly warnings: readonly Warning[];
}

/** How a run ends elsewhere, with the points that its process has lost of it by metric. */
export interface FinishElsewhere {
  readonly status: 'COMPLETED' | 'FAILED' | 'KILLED';
  readonly reason?: string;
  readonly endedAt?: number;
}

/** What a process elsewhere has to have written down of a run, beside what it logs. */
export interface RunNote {
  /** The payload of `metric.threshold_exceeded`, without the run. */
  readonly crossing?: JsonObject;
  /** Metrics were logged after the end. */
  readonly late?: boolean;
  /** Points that the process has lost of the run so far, by metric. */
  readonly lost?: { readonly process: string; readonly points: Readonly<Record<string, number>> };
}

/**
 * Runs of processes that reach this platform over a wire (`openPlatform({ url })`): no process here holds them, and
 * their heartbeats are what they tell. Each call may be repeated after an answer that was lost, and doubles nothing.
 */
export interface RunsElsewhere {
  /** Whether runs that have ended take params, metrics, artifacts and datasets all the same. */
  readonly lateLogging: boolean;
  /** Runs that are silent for this long are dead: heartbeats come six times as often. */
  readonly heartbeatTimeoutMs: number;
  start(options: StartElsewhere): Promise<RunElsewhere>;
  /** As `joinRun`, or with `resume` as `resumeRun`. */
  join(runId: string, options?: { readonly resume?: boolean }): Promise<RunElsewhere>;
  /** As `run.logParams`. */
  logParams(runId: string, params: object): Promise<Told<null>>;
  /** As `run.logDataset`. */
  logDataset(runId: string, dataset: DatasetInput): Promise<string>;
  /** As `run.logArtifact`. */
  logArtifact(
    runId: string,
    path: string,
    source: ByteSource,
    options?: LogArtifactOptions,
  ): Promise<Told<Artifact>>;
  /**
   * Stores a batch of points; resolves when they are durable. One of a writer and sequence that there was is
   * acknowledged and ignored. Points that were logged before the end of a run, and come after it, are taken. NOT_FOUND,
   * with `details.runIds`, where a run is not there: then none is stored.
   */
  appendPoints(batch: AwayPoints): Promise<void>;
  /** The runs are alive now. What others took for dead reads RUNNING again; what is not there is passed over. */
  beat(runIds: readonly string[]): Promise<void>;
  note(runId: string, note: RunNote): Promise<void>;
  finish(runId: string, end: FinishElsewhere): Promise<void>;
}

const startFacts = {
  environment: z.record(z.string(), z.unknown()).optional(),
  sourceName: z.string().max(1000).optional(),
  sourceVersion: z.string().max(1000).optional(),
};
const noteShape = z.strictObject({
  crossing: z.record(z.string(), z.unknown()).optional(),
  late: z.boolean().optional(),
  lost: z
    .strictObject({
      process: z.string().min(1).max(255),
      points: z.record(z.string(), z.number().int().min(0)),
    })
    .optional(),
} satisfies Record<keyof RunNote, z.ZodType>);
const finishShape = z.strictObject({
  status: z.enum(['COMPLETED', 'FAILED', 'KILLED']),
  reason: z.string().optional(),
  endedAt: z.number().optional(),
} satisfies Record<keyof FinishElsewhere, z.ZodType>);
const joinShape = z.strictObject({ resume: z.boolean().optional() });
const beaten = z.strictObject({ runIds: z.array(z.string().min(1).max(1000)).max(10_000) });

/** Runs elsewhere, bound to a scope. */
export function createRunsElsewhere(
  scope: Scope,
  parts: {
    readonly experiments: Pick<StoredExperiments, 'reuse'>;
    readonly heartbeats: Heartbeats;
    readonly heartbeatTimeoutMs: number;
    readonly lateLogging: boolean;
  },
): RunsElsewhere {
  const { workspace } = scope;
  const { heartbeats } = parts;
  const warnings = new AsyncLocalStorage<Warning[]>();
  const warn = (message: string, fields: object): void => {
    warnings.getStore()?.push({ message, fields: fields as JsonObject });
  };
  const records = createRunRecords(scope, { ...parts, elsewhere: true });
  const artifacts = createArtifacts(scope, records, warn);
  const datasets = createDatasets(scope, records);
  const logging = createRunLogging(scope, records, warn);
  const writer = (): MetricWriter => absentWriter;
  const ending = createRunEnding(scope, { records, artifacts, writer, warn });
  const starting = createRunStarting(scope, {
    ...{ records, artifacts, datasets, logging, ending, writer },
    experiments: parts.experiments,
    metricSeen: () => undefined,
    report: async () => '',
    systemMetrics: false,
  });

  async function telling<T>(work: () => Promise<T>): Promise<Told<T>> {
    const told: Warning[] = [];
    const value = await warnings.run(told, work);
    return { value, warnings: told };
  }

  async function described({ id }: Pick<ActiveRun, 'id'>): Promise<RunElsewhere> {
    const record = await records.get(id);
    const { name, experimentId, status } = record.columns as Record<string, string>;
    const known = { id, name, experimentId, status } as RunElsewhere;
    return { ...known, ...optional('thresholds', record.body['thresholds']) };
  }

  return {
    lateLogging: parts.lateLogging,
    heartbeatTimeoutMs: parts.heartbeatTimeoutMs,

    async start(options) {
      const { environment, sourceName, sourceVersion, ...rest } = asOptions(options);
      checkOptions(
        z.strictObject(startFacts),
        { environment, sourceName, sourceVersion },
        'A run of a process elsewhere',
      );
      const captured = {
        facts: environment ?? {},
        ...optional('sourceName', sourceName),
        ...optional('gitCommit', sourceVersion),
      };
      const before = rest.id === undefined ? undefined : await records.find(rest.id);
      const started = await starting.start(rest as StartRunOptions, captured);
      const run = { ...(await described(started)), created: before === undefined };
      if (run.status === 'RUNNING') await heartbeats.beat(workspace, [run.id], Date.now());
      return run;
    },

    async join(runId, options = {}) {
      const { resume } = checkOptions(joinShape, options, 'join') as { resume?: boolean };
      const record = await records.get(runId);
      if (resume === true) await resumed(record);
      else await starting.join(record, { systemMetrics: false });
      const run = await described({ id: runId });
      if (run.status === 'RUNNING') await heartbeats.beat(workspace, [runId], Date.now());
      return run;
    },

    logParams: (runId, params) =>
      telling(async () => {
        await logging.logParams(assertText(runId, 'A run id'), flattenParams(params));
        return null;
      }),

    logDataset: (runId, dataset) => datasets.logDataset(assertText(runId, 'A run id'), dataset),

    logArtifact: (runId, path, source, options = {}) =>
      telling(() => artifacts.log(assertText(runId, 'A run id'), path, source, options)),

    appendPoints: (batch) => appendAway(scope, records, batch),

    async beat(runIds) {
      checkOptions(beaten, { runIds }, 'A heartbeat');
      const alive: string[] = [];
      for (const id of runIds) {
        const record = await records.find(id);
        if (record === undefined) continue;
        const living = isPresumedDead(record) ? await records.loggable(id) : record;
        if (living.columns['status'] === 'RUNNING') alive.push(id);
      }
      if (alive.length > 0) await heartbeats.beat(workspace, alive, Date.now());
    },

    async note(runId, note) {
      const { crossing, late, lost } = checkOptions(noteShape, note, 'A note of a run') as RunNote;
      const record = await records.get(runId);
      if (crossing !== undefined) {
        const payload = { ...crossing, experimentId: record.columns['experimentId'] };
        const event = emitOfRun(scope, runId, 'metric.threshold_exceeded', payload as never);
        await commitChanges(scope, [event]);
      }
      if (late === true) await records.noteLate(runId, 'metrics');
      if (lost !== undefined) await noteLost(runId, lost);
    },

    async finish(runId, end) {
      const { status, reason, endedAt } = checkOptions(
        finishShape,
        end,
        'The end of a run',
      ) as FinishElsewhere;
      await ending.finish(assertText(runId, 'A run id'), status, reason, endedAt);
      await heartbeats.end(workspace, [runId]);
    },
  };

  async function resumed(record: StoredRecord): Promise<void> {
    await decideAndCommit(scope, async () => {
      const current = await records.get(record.id);
      const changes =
        current.columns['status'] === 'RUNNING'
          ? []
          : [reopen(current, records.owned(current.body))];
      return { changes, result: undefined, reason: 'resumed' };
    });
  }

  async function noteLost(runId: string, lost: NonNullable<RunNote['lost']>): Promise<void> {
    await decideAndCommit(scope, async () => {
      const record = await records.get(runId);
      const facts = withLost(record.body, lost.points, lost.process);
      if (Object.keys(facts).length === 0) return { changes: [], result: undefined };
      const change = replaceRun(record, {}, { ...record.body, ...facts });
      return { changes: [change], result: undefined, reason: 'metric points were lost' };
    });
  }
}

function asOptions(options: StartElsewhere): StartElsewhere {
  if (typeof options === 'object' && options !== null) return options;
  throw new KeelsonError('INVALID', 'A run takes an object of options.');
}

const nothing = (): void => undefined;

/** Where nobody here logs points. */
const absentWriter: MetricWriter = {
  seriesIndex() {
    throw new KeelsonError('INTERNAL', 'Points of a run elsewhere come in batches.');
  },
  log: nothing,
  openRun: nothing,
  closeRun: nothing,
  flush: async () => undefined,
  health: () => ({ loggedPoints: 0, pendingPoints: 0, dropped: [], spooledPoints: 0 }),
  close: async () => undefined,
  [Symbol.asyncDispose]: async () => undefined,
};
