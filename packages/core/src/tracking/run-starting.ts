import type { Change } from '../contracts/metadata-store.ts';
import type { MetricWriter } from '../contracts/metric-writer.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import type { Json, JsonObject } from '../json.ts';
import { assertAllowed, commitChanges, decideAndCommit } from '../operations/decide-and-commit.ts';
import { ownerState } from '../process-owner.ts';
import { ActiveRun, currentRun, type RunBackend, type RunIdentity } from './active-run.ts';
import type { ArtifactLog } from './artifacts.ts';
import { BesideTheLoop } from './beside-the-loop.ts';
import type { DatasetLog } from './datasets.ts';
import { emitOfRun } from './emit-of-run.ts';
import {
  captureEnvironment,
  type Environment,
  type EnvironmentOptions,
  patchPath,
} from './environment.ts';
import type { StoredExperiment } from './experiment.ts';
import type { StoredExperiments } from './experiments.ts';
import { takeHandedRun } from './handed-run.ts';
import { isPresumedDead, optional } from './run.ts';
import type { RunEnding } from './run-ending.ts';
import { gateOf, type RunGate } from './run-gate.ts';
import { healthOfRun } from './run-health.ts';
import { paramEntry, type RunLogging } from './run-logging.ts';
import { runNameFor } from './run-name.ts';
import { type RunRecords, replaceRun } from './run-records.ts';
import type { RunsInCommits } from './runs-in-commits.ts';
import { type CheckedStart, checkStart, type StartRunOptions } from './start-run-options.ts';
import { type SystemMetricsOption, sampleMs } from './system-metrics.ts';
import { thresholdsToJson } from './threshold.ts';

/** How this process comes to hold runs. */
export interface RunStarting {
  /**
   * A RUNNING run to log to; or, of an id that there is, the run of that id. `captured` is what is known of where it
   * runs, for one of another process.
   */
  start(options: StartRunOptions, captured?: Environment): Promise<ActiveRun>;
  /** A handle of a run, whoever began it. One that has ended for good takes nothing more. */
  join(record: StoredRecord, options?: JoinOptions): Promise<ActiveRun>;
  /** The run around this call, where it is one of this workspace. */
  surrounding(): Promise<string | undefined>;
  readonly inCommits: RunsInCommits;
}

/** What starting a run needs beside the scope. */
export interface RunStartingParts {
  readonly writer: () => MetricWriter;
  readonly experiments: Pick<StoredExperiments, 'reuse'>;
  readonly artifacts: ArtifactLog;
  readonly records: RunRecords;
  readonly logging: RunLogging;
  readonly datasets: DatasetLog;
  readonly ending: RunEnding;
  metricSeen(run: { readonly id: string; readonly experimentId: string }, key: string): void;
  report(runId: string): Promise<string>;
  /** For runs that do not say otherwise. */
  readonly systemMetrics?: SystemMetricsOption;
  readonly environment?: EnvironmentOptions | false;
}

/** What a process may choose of a run that another began. */
export type JoinOptions = Pick<StartRunOptions, 'systemMetrics'>;

/** How this process comes to hold runs of a scope. */
export function createRunStarting(scope: Scope, parts: RunStartingParts): RunStarting {
  const { workspace } = scope;
  const { records, logging, ending } = parts;
  const gates = new Map<string, RunGate>();
  /** Runs that were begun in commits of others, as they stand until they end. */
  const untouched = new Map<string, StoredRecord>();
  let environment: Promise<Environment> | undefined;
  const warn: RunBackend['warn'] = (message, fields) =>
    scope.logger.warn({ component: 'tracking', ...fields }, message);
  const beside = new BesideTheLoop(warn);

  /** Metric points are not asked about: whoever holds the handle was allowed to log when he got it. */
  const mayWrite = (runId: string): Promise<void> =>
    assertAllowed(scope, 'run.write', `run:${runId}`);

  const backend: RunBackend = {
    workspace,
    now: () => scope.clock.now(),
    writer: parts.writer,
    artifacts: {
      async log(runId, ...rest) {
        await mayWrite(runId);
        return parts.artifacts.log(runId, ...rest);
      },
    },
    async logParams(runId, params) {
      await mayWrite(runId);
      await logging.logParams(runId, params);
    },
    async setTags(runId, tags) {
      await mayWrite(runId);
      await logging.setTags(runId, tags);
    },
    async logDataset(runId, dataset) {
      await mayWrite(runId);
      return parts.datasets.logDataset(runId, dataset);
    },
    metricSeen: parts.metricSeen,
    warn,
    crossed(run, crossing, { step, timestamp }) {
      const { metric, bound, threshold, value, last } = crossing;
      const event = emitOfRun(scope, run.id, 'metric.threshold_exceeded', {
        experimentId: run.experimentId,
        metric,
        bound,
        value,
        timestamp,
        ...optional('threshold', threshold),
        ...optional('step', step),
        ...(last ? { last } : {}),
      });
      beside.add(`That ${metric} of run ${run.id} crossed a bound`, async () => {
        await commitChanges(scope, [event]);
      });
    },
    lateMetrics(runId) {
      const what = `That metrics were logged after the end of run ${runId}`;
      beside.add(what, () => records.noteLate(runId, 'metrics'));
    },
    settle: () => beside.settle(),
    report: (runId) => parts.report(runId),
    health: (runId) => healthOfRun(parts.writer().health(), workspace, runId),
    async finish(id, status, reason, endedAt) {
      await beside.settle();
      untouched.delete(id);
      await ending.finish(id, status, reason, endedAt);
      gates.delete(id);
    },
  };

  async function start(
    options: StartRunOptions,
    away?: Environment,
    fresh = false,
  ): Promise<ActiveRun> {
    const checked = checkStart(options);
    const existing = checked.id === undefined ? undefined : await records.find(checked.id);
    if (existing !== undefined) return join(existing, checked);
    if (checked.parentRunId !== undefined) await records.get(checked.parentRunId);
    const begun = await begin(checked, away, fresh);
    const { id } = begun;
    try {
      const counted = (await scope.quotas?.charge('runs', 1, { strict: true })) ?? [];
      await commitChanges(scope, [...starting(checked, begun), ...counted]);
    } catch (error) {
      // Others have taken the last place in between; what is said of that is said where it is looked for.
      if (isKeelsonError(error, 'CONFLICT', 'NOT_FOUND') && error.details['kind'] === 'quota') {
        await scope.quotas?.assertRoom('runs', { by: 1, fresh: true });
        return start(options, away);
      }
      // The experiment was edited, or deleted, in between.
      if (isKeelsonError(error, 'STALE')) return start(options, away, true);
      // Two processes may start the run of one id at once: the second takes what the first made.
      const raced = checked.id !== undefined && isKeelsonError(error, 'CONFLICT');
      const other = raced ? await records.find(id) : undefined;
      if (other === undefined) throw error;
      return join(other, checked);
    }
    const active = activate(begun, begun.body, checked);
    if (begun.captured.patch !== undefined) await keepPatch(id, begun.captured.patch);
    return active;
  }

  /** What a run begins with, once it may; the experiment as this process has read it, or `fresh`. */
  async function begin(
    checked: CheckedStart,
    away: Environment | undefined,
    fresh: boolean,
  ): Promise<NewRun> {
    const [experiment, captured] = await Promise.all([
      experimentFor(checked.experiment, fresh),
      away ?? capture(checked.environment),
    ]);
    await assertAllowed(scope, 'run.create', `experiment:${experiment.id}`);
    await scope.quotas?.assertRoom('runs', { by: 1 });
    await scope.quotas?.assertRoom('storage');
    const id = checked.id ?? scope.ids.next();
    const name = checked.name ?? runNameFor(id);
    const body = records.owned({
      description: checked.description ?? '',
      environment: captured.facts,
      ...optional('thresholds', thresholdsOf(experiment, checked)),
    });
    return { id, name, experimentId: experiment.id, experiment, captured, body };
  }

  const inCommits: RunsInCommits = {
    async start(options) {
      const checked = checkStart(options);
      const begun = await begin(checked, undefined, false);
      const counted = (await scope.quotas?.charge('runs', 1, { strict: true })) ?? [];
      if (begun.captured.patch !== undefined || counted.length > 0) return undefined;
      const changes = starting(checked, begun);
      return {
        changes,
        opened() {
          const made = changes.find((each) => each.op === 'create' && each.kind === 'run');
          if (made?.op === 'create') untouched.set(begun.id, recordOf(made, workspace));
          return activate(begun, begun.body, checked);
        },
      };
    },

    async finish(run, status) {
      const gate = gates.get(run.id);
      const closed = gate?.closed ?? false;
      if (gate !== undefined) gate.closed = true;
      const undo = (): void => {
        if (gate !== undefined) gate.closed = closed;
      };
      try {
        await beside.settle();
        const end = await ending.prepare(run.id, status, undefined);
        return {
          changes() {
            const known = untouched.get(run.id);
            untouched.delete(run.id);
            return end.changes(known);
          },
          done() {
            end.done();
            untouched.delete(run.id);
            gates.delete(run.id);
          },
          undo,
        };
      } catch (error) {
        undo();
        throw error;
      }
    },
  };

  /** Never a reason for a training not to start. */
  async function keepPatch(runId: string, patch: Uint8Array): Promise<void> {
    try {
      await parts.artifacts.log(runId, patchPath, patch, {
        type: 'OTHER',
        mimeType: 'text/x-diff',
      });
    } catch (error) {
      warn(`The patch of the uncommitted changes could not be kept for run ${runId}.`, {
        runId,
        error,
      });
    }
  }

  function starting(
    options: CheckedStart,
    { id, name, experiment, captured, body }: NewRun,
  ): Change[] {
    const { params, tags } = options;
    const columns = {
      experimentId: experiment.id,
      parentRunId: options.parentRunId,
      name,
      status: 'RUNNING',
      startedAt: options.startedAt ?? scope.clock.now(),
      sourceType: options.sourceType ?? 'SCRIPT',
      sourceName: captured.sourceName,
      sourceVersion: captured.gitCommit,
      userId: scope.principal.id,
      lifecycle: 'active',
    };
    return [
      { op: 'assert', kind: 'experiment', id: experiment.id, expect: experiment.revision },
      { op: 'create', kind: 'run', id, columns, body, facets: { tags, params } },
      ...paramEntry(scope, id, params),
      emitOfRun(scope, id, 'run.started', { experimentId: experiment.id, name }),
    ];
  }

  async function experimentFor(name: string, fresh: boolean): Promise<StoredExperiment> {
    const experiment = await parts.experiments.reuse(name, { fresh });
    if (experiment.lifecycle !== 'deleted') return experiment;
    throw new KeelsonError(
      'CONFLICT',
      `Experiment ${experiment.name} is deleted and takes no runs; restore it first, with restoreExperiment(id).`,
      { details: { experiment: experiment.id } },
    );
  }

  async function join(record: StoredRecord, options: JoinOptions = {}): Promise<ActiveRun> {
    if (isPresumedDead(record)) return handle(await records.loggable(record.id), options);
    if (record.columns['status'] !== 'RUNNING') {
      const closed = { closed: true, lateLogging: records.lateLogging };
      return new ActiveRun(identityOf(record), backend, gateOf(record.body, closed));
    }
    await decideAndCommit(scope, async () => {
      const current = await records.get(record.id);
      const adopted = ownerState(current.body['owner']) === 'dead';
      const change = replaceRun(current, {}, records.owned(current.body));
      return { changes: adopted ? [change] : [], result: undefined, reason: 'its process died' };
    });
    return handle(record, options);
  }

  function handle(record: StoredRecord, options: JoinOptions): ActiveRun {
    return activate(identityOf(record), record.body, options);
  }

  function activate(run: RunIdentity, body: JsonObject, options: JoinOptions): ActiveRun {
    const every = sampleMs(options.systemMetrics ?? parts.systemMetrics);
    parts.writer().openRun(workspace, run.id, { sampleMs: every });
    let gate = gates.get(run.id);
    if (gate === undefined || gate.closed) {
      gate = gateOf(body, { closed: false, lateLogging: records.lateLogging });
      gates.set(run.id, gate);
    }
    return new ActiveRun(run, backend, gate);
  }

  async function capture(own: StartRunOptions['environment']): Promise<Environment> {
    const options = own ?? parts.environment;
    if (options === false) return { facts: {} };
    if (options !== undefined) return captureEnvironment(options);
    environment ??= captureEnvironment();
    return environment;
  }

  async function surrounding(): Promise<string | undefined> {
    const id = currentRun()?.id;
    return id === undefined || (await records.find(id)) === undefined ? undefined : id;
  }

  return {
    // A run of another process is not the one that was handed to this one.
    start: (options, captured) =>
      start(captured === undefined ? takeHandedRun(options) : options, captured),
    join,
    surrounding,
    inCommits,
  };
}

/** A run that is about to be committed. */
interface NewRun extends RunIdentity {
  readonly experiment: StoredExperiment;
  readonly captured: Environment;
  readonly body: JsonObject;
}

/** The record that a creation makes, as far as the end of a run asks for it. */
function recordOf(
  { kind, id, columns, body = {}, facets = {} }: Extract<Change, { op: 'create' }>,
  workspace: string,
): StoredRecord {
  const startedAt = columns['startedAt'] as number;
  const times = { createdAt: startedAt, updatedAt: startedAt };
  return { kind, id, workspace, revision: 1, ...times, columns, body, facets };
}

function identityOf(record: StoredRecord): RunIdentity {
  const { name, experimentId } = record.columns as { name: string; experimentId: string };
  return { id: record.id, name, experimentId };
}

function thresholdsOf(experiment: StoredExperiment, options: CheckedStart): Json[] | undefined {
  const all = [...experiment.thresholds, ...(options.thresholds ?? [])];
  return all.length === 0 ? undefined : thresholdsToJson(all);
}
