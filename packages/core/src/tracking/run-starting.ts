import type { Change } from '../contracts/metadata-store.ts';
import type { MetricWriter } from '../contracts/metric-writer.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { assertAllowed, commitChanges, decideAndCommit } from '../operations/decide-and-commit.ts';
import { ownerState } from '../process-owner.ts';
import { ActiveRun, currentRun, type RunBackend, type RunGate } from './active-run.ts';
import type { ArtifactLog } from './artifacts.ts';
import type { DatasetLog } from './datasets.ts';
import { emitOfRun } from './emit-of-run.ts';
import { captureEnvironment, type Environment } from './environment.ts';
import type { Experiment } from './experiment.ts';
import type { Experiments } from './experiments.ts';
import { isPresumedDead } from './run.ts';
import type { RunEnding } from './run-ending.ts';
import { paramEntry, type RunLogging } from './run-logging.ts';
import { runNameFor } from './run-name.ts';
import { type RunRecords, replaceRun } from './run-records.ts';
import { type CheckedStart, checkStart, type StartRunOptions } from './start-run-options.ts';

/** How this process comes to hold runs. */
export interface RunStarting {
  /** A RUNNING run to log to; or, of an id that there is, the run of that id. */
  start(options: StartRunOptions): Promise<ActiveRun>;
  /** A handle of a run, whoever began it. One that has ended for good takes nothing more. */
  join(record: StoredRecord): Promise<ActiveRun>;
  /** The run around this call, where it is one of this workspace. */
  surrounding(): Promise<string | undefined>;
}

/** What starting a run needs beside the scope. */
export interface RunStartingParts {
  readonly writer: () => MetricWriter;
  readonly experiments: Pick<Experiments, 'createExperiment'>;
  readonly artifacts: ArtifactLog;
  readonly records: RunRecords;
  readonly logging: RunLogging;
  readonly datasets: DatasetLog;
  readonly ending: RunEnding;
  metricSeen(experimentId: string, key: string): void;
}

/** How this process comes to hold runs of a scope. */
export function createRunStarting(scope: Scope, parts: RunStartingParts): RunStarting {
  const { workspace } = scope;
  const { records, logging, ending } = parts;
  const gates = new Map<string, RunGate>();
  let environment: Promise<Environment> | undefined;

  const backend: RunBackend = {
    workspace,
    now: () => scope.clock.now(),
    writer: parts.writer,
    artifacts: parts.artifacts,
    logParams: logging.logParams,
    setTags: logging.setTags,
    logDataset: parts.datasets.logDataset,
    metricSeen: parts.metricSeen,
    warn: (message, fields) => scope.logger.warn({ component: 'tracking', ...fields }, message),
    async finish(id, status, reason) {
      await ending.finish(id, status, reason);
      gates.delete(id);
    },
  };

  async function start(options: StartRunOptions): Promise<ActiveRun> {
    const checked = checkStart(options);
    const existing = checked.id === undefined ? undefined : await records.find(checked.id);
    if (existing !== undefined) return join(existing);
    if (checked.parentRunId !== undefined) await records.get(checked.parentRunId);
    const [experiment, captured] = await Promise.all([
      experimentFor(checked.experiment),
      capture(checked.environment),
    ]);
    await assertAllowed(scope, 'run.create', `experiment:${experiment.id}`);
    const id = checked.id ?? scope.ids.next();
    const name = checked.name ?? runNameFor(id);
    try {
      await commitChanges(scope, starting(checked, { id, name, experiment, captured }));
    } catch (error) {
      // The experiment was edited, or deleted, in between.
      if (isKeelsonError(error, 'STALE')) return start(options);
      // Two processes may start the run of one id at once: the second takes what the first made.
      const raced = checked.id !== undefined && isKeelsonError(error, 'CONFLICT');
      const other = raced ? await records.find(id) : undefined;
      if (other === undefined) throw error;
      return join(other);
    }
    return activate({ id, name, experimentId: experiment.id });
  }

  function starting(
    options: CheckedStart,
    run: {
      readonly id: string;
      readonly name: string;
      readonly experiment: Experiment;
      readonly captured: Environment;
    },
  ): Change[] {
    const { id, name, experiment, captured } = run;
    const { params, tags } = options;
    const columns = {
      experimentId: experiment.id,
      parentRunId: options.parentRunId,
      name,
      status: 'RUNNING',
      startedAt: scope.clock.now(),
      sourceType: options.sourceType ?? 'SCRIPT',
      sourceName: captured.sourceName,
      sourceVersion: captured.gitCommit,
      userId: scope.principal.id,
      lifecycle: 'active',
    };
    const body = records.owned({
      description: options.description ?? '',
      environment: captured.facts,
    });
    return [
      { op: 'assert', kind: 'experiment', id: experiment.id, expect: experiment.revision },
      { op: 'create', kind: 'run', id, columns, body, facets: { tags, params } },
      ...paramEntry(scope, id, params),
      emitOfRun(scope, id, 'run.started', { experimentId: experiment.id, name }),
    ];
  }

  async function experimentFor(name: string): Promise<Experiment> {
    const experiment = await parts.experiments.createExperiment({ name, ifExists: 'reuse' });
    if (experiment.lifecycle !== 'deleted') return experiment;
    throw new KeelsonError(
      'CONFLICT',
      `Experiment ${experiment.name} is deleted and takes no runs; restore it first, with restoreExperiment(id).`,
      { details: { experiment: experiment.id } },
    );
  }

  async function join(record: StoredRecord): Promise<ActiveRun> {
    if (isPresumedDead(record)) return handle(await records.loggable(record.id));
    if (record.columns['status'] !== 'RUNNING') return handle(record, { closed: true });
    await decideAndCommit(scope, async () => {
      const current = await records.get(record.id);
      const adopted = ownerState(current.body['owner']) === 'dead';
      const change = replaceRun(current, {}, records.owned(current.body));
      return { changes: adopted ? [change] : [], result: undefined, reason: 'its process died' };
    });
    return handle(record);
  }

  function handle(record: StoredRecord, gate?: RunGate): ActiveRun {
    const { name, experimentId } = record.columns as { name: string; experimentId: string };
    const run = { id: record.id, name, experimentId };
    return gate === undefined ? activate(run) : new ActiveRun(run, backend, gate);
  }

  function activate(run: {
    readonly id: string;
    readonly name: string;
    readonly experimentId: string;
  }): ActiveRun {
    parts.writer().openRun(workspace, run.id);
    let gate = gates.get(run.id);
    if (gate === undefined || gate.closed) {
      gate = { closed: false };
      gates.set(run.id, gate);
    }
    return new ActiveRun(run, backend, gate);
  }

  async function capture(options: StartRunOptions['environment']): Promise<Environment> {
    if (options === false) return { facts: {} };
    if (options !== undefined) return captureEnvironment(options);
    environment ??= captureEnvironment();
    return environment;
  }

  async function surrounding(): Promise<string | undefined> {
    const id = currentRun()?.id;
    return id === undefined || (await records.find(id)) === undefined ? undefined : id;
  }

  return { start, join, surrounding };
}
