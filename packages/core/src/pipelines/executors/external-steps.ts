import { basename, join } from 'node:path';
import type { DownloadCache } from '../../contracts/download-cache.ts';
import type {
  Executor,
  Resources,
  TaskHandle,
  TaskObservation,
  TaskProgress,
  TaskSpec,
} from '../../contracts/executor.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../../errors.ts';
import { encodeJson, type JsonObject } from '../../json.ts';
import { commitChanges } from '../../operations/decide-and-commit.ts';
import { ownerState } from '../../process-owner.ts';
import type { ActiveRun } from '../../tracking/active-run.ts';
import { recordLog } from '../changes/output-records.ts';
import { packCheckpoint, unpackCheckpoint } from '../checkpoints/checkpoint-pack.ts';
import { CheckpointUploader } from '../checkpoints/checkpoint-uploader.ts';
import type { NewCheckpoint, StepCheckpoints } from '../checkpoints/step-checkpoints.ts';
import type { StepDefinition } from '../definition.ts';
import { type ExecutionState, given } from '../execution.ts';
import type { ExecutionRecords } from '../execution-records.ts';
import type { ArtifactFacts } from '../step-artifact.ts';
import {
  type AttemptDetails,
  type StepProgress,
  type StepState,
  stepLabel,
} from '../step-execution.ts';
import { StepError } from '../step-policy.ts';
import { moduleLocation } from '../steps/module-loader.ts';
import type { OutputSink } from '../steps/output-sink.ts';
import { progressOf } from '../steps/step-progress.ts';
import type { InputsGiven } from '../steps/step-values.ts';
import { lastCheckpoint } from './checkpoint-directory.ts';
import { collectOutputs } from './collect-outputs.ts';
import type { ExecutorsHere } from './executors-here.ts';
import { exitFailure } from './exit-failure.ts';
import { keepLog, LogGatherer, type StepLogChunk } from './log-store.ts';
import { MetricsFollower } from './metrics-follower.ts';
import { moduleArtifacts, moduleTask, moduleValue } from './module-values.ts';
import { stageInputs } from './stage-inputs.ts';
import { StagedFiles } from './staged-files.ts';
import { TaskVariables, variableName } from './task-names.ts';
import {
  makeWorkDirectory,
  removeWorkDirectory,
  type WorkDirectory,
  workDirectory,
} from './work-directory.ts';

/** An attempt whose work an executor does. */
export interface ExternalWork {
  readonly execution: ExecutionState;
  readonly state: StepState;
  readonly step: StepDefinition;
  readonly attempt: number;
  /** JSON values and artifacts; asked for when a task is to be made. */
  readonly inputs: () => Promise<Pick<InputsGiven, 'values'>>;
  readonly outputs: OutputSink;
  /** The attempt's run of tracking. */
  readonly run?: ActiveRun;
  /** Aborted by a cancel, a timeout, a close (CLOSED) or when another supervisor has the step (LOST). */
  readonly signal: AbortSignal;
  readonly resources: Resources;
  readonly devices?: readonly string[];
  /** Whether its task may be there already, though no handle is known. */
  readonly adopted: boolean;
  /** Of an attempt that is adopted. */
  readonly handle?: TaskHandle;
  /** Commits the handle, so that whoever comes next finds the task. */
  readonly submitted: (handle: TaskHandle) => Promise<void>;
  /** Told what is known of an attempt that was ended from outside, before `run` rejects with the signal's reason. */
  readonly stopped: (details: AttemptDetails) => void;
  /** Commits a checkpoint, under the claim. */
  readonly saveCheckpoint: (made: NewCheckpoint) => Promise<unknown>;
}

/** What an executor's attempt has come to. */
export interface ExternalResult {
  /** An object of the declared outputs, or what a module's function returned. */
  readonly value: unknown;
  readonly details: AttemptDetails;
  /** Why a module's function wants the other items of its fan-out to end. */
  readonly stopSiblings?: string;
}

/** The executor has no record of the attempt any more, or its machine is gone: another one must begin. */
export class AttemptLost extends Error {
  override readonly name = 'AttemptLost';
}

/** An attempt that failed, with what its executor tells of it. */
export class AttemptFailed extends Error {
  override readonly name = 'AttemptFailed';
  readonly details: AttemptDetails;

  /** `cause` says how it failed. */
  constructor(cause: unknown, details: AttemptDetails) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.details = details;
  }
}

/** Runs attempts through executors. */
export interface ExternalSteps {
  /** The names of the executors that this process has. */
  readonly executors: readonly string[];
  /**
   * Runs or adopts the attempt. Rejects with a StepError by class (in an {@link AttemptFailed} where there is
   * more to tell), with {@link AttemptLost}, or with the signal's reason.
   */
  run(work: ExternalWork): Promise<ExternalResult>;
  /**
   * After the commit of the end: the executor's record and the work directory go; with `whole` the step's
   * checkpoints too.
   */
  release(state: StepState, attempt: number, whole: boolean): Promise<void>;
  /** What is written by an attempt that runs, by any process that has its executor. */
  logs(
    state: StepState,
    options: { readonly follow: boolean; readonly signal?: AbortSignal },
  ): AsyncIterable<StepLogChunk> | undefined;
  /**
   * Ends and forgets tasks whose attempt is over; answers how many. Of one execution, where it is named, only those
   * that nobody alive supervises: others end theirs themselves.
   */
  collectLeftovers(of: {
    readonly executionId?: string;
    readonly signal?: AbortSignal;
  }): Promise<number>;
}

/** What running through executors needs. */
export interface ExternalParts {
  readonly executors: ExecutorsHere;
  readonly records: Pick<ExecutionRecords, 'step'>;
  /** What inputs are staged through; they come out of the store each time when left out. */
  readonly downloads?: DownloadCache;
  readonly checkpoints: StepCheckpoints;
  /** Where work directories and staged inputs lie, unless an executor says otherwise. */
  readonly workRoot: string;
  /** Where relative paths of modules begin. */
  readonly modulesRoot?: string;
  /** How far the attempts that this process watches say that they have come, by the step's id. */
  readonly progress: Map<string, StepProgress>;
  /** Where a server answers, for tasks that want to call it. */
  readonly url?: string;
}

const graceMs = 10_000;

/** External steps of the scope's workspace. */
export function createExternalSteps(scope: Scope, parts: ExternalParts): ExternalSteps {
  const { executors, workRoot } = parts;
  const source = { artifacts: scope.artifacts, ...given('downloads', parts.downloads) };
  const handles = new Map<string, TaskHandle>();
  const { progress } = parts;

  function executorOf(state: Pick<StepState, 'runsOn' | 'step'>): Executor {
    const name = state.runsOn.slice('executor:'.length);
    const executor = executors.find(name);
    if (executor !== undefined) return executor;
    throw new KeelsonError(
      'NOT_FOUND',
      `Step ${state.step} runs on the executor ${name}, which this process does not have; it has ${executors.names.join(', ')}.`,
    );
  }

  async function specOf(work: ExternalWork, dirs: WorkDirectory): Promise<TaskSpec> {
    const { step, state, execution, attempt } = work;
    const variables = new TaskVariables(step.name);
    const { values } = await work.inputs();
    // A directory of its own: what another staging of the attempt has left may be in use.
    const files = new StagedFiles(join(dirs.inputs, scope.ids.next()), source, work.signal);
    const inputs = await stageInputs(values, step.name, files, variables);
    for (const name of Object.keys(step.outputs ?? {})) {
      variables.setPath(`KEELSON_OUTPUT_${variableName(name)}_PATH`, join(dirs.outputs, name));
    }
    for (const [name, value] of Object.entries(execution.parameters)) {
      const text = typeof value === 'string' ? value : encodeJson(value, name);
      variables.set(`KEELSON_PARAM_${variableName(name)}`, text);
    }
    variables.set('KEELSON_EXECUTION_ID', state.executionId);
    variables.set('KEELSON_PIPELINE', state.pipeline);
    variables.set('KEELSON_STEP', state.step);
    if (state.mapKey !== '') variables.set('KEELSON_ITEM', String(Number(state.mapKey)));
    variables.set('KEELSON_ATTEMPT', String(attempt));
    variables.set('KEELSON_CORRELATION_ID', state.correlationId);
    if (work.run !== undefined) variables.set('KEELSON_RUN_ID', work.run.id);
    if (parts.url !== undefined) variables.set('KEELSON_URL', parts.url);
    variables.setPath('KEELSON_WORK_DIR', dirs.dir);
    variables.setPath('KEELSON_METRICS_PATH', dirs.metricsPath);
    variables.setPath('KEELSON_CHECKPOINT_DIR', dirs.checkpoints);
    const checkpoint = await lastCheckpoint(dirs.checkpoints);
    if (checkpoint !== undefined) variables.setPath('KEELSON_CHECKPOINT_PATH', checkpoint);
    const { distributed } = step;
    return {
      key: keyOf(scope.workspace, state, attempt),
      entry: entryOf(step, parts.modulesRoot),
      env: { ...variables.values, ...step.env },
      pathEnv: variables.paths,
      files: { workDir: dirs.dir, inputs, checkpointDir: dirs.checkpoints },
      input:
        step.run.type === 'module'
          ? ({
              ...(await moduleTask(work, values, dirs, await made(work, checkpoint), files)),
            } as unknown as JsonObject)
          : {},
      resources: work.resources,
      ...(work.devices === undefined ? {} : { devices: work.devices }),
      ...(distributed === undefined
        ? {}
        : { gang: { nodes: distributed.nodes, processesPerNode: distributed.processesPerNode } }),
      graceMs,
      labels: { 'keelson.pipeline': state.pipeline },
    };
  }

  /** The checkpoint, with which attempt made it where the store knows. */
  async function made({ state, attempt }: ExternalWork, path: string | undefined) {
    if (path === undefined) return undefined;
    const kept = attempt === 1 ? [] : await parts.checkpoints.list(state.id);
    const known = kept.find(({ sequence }) => basename(path) === `v${sequence}`);
    return { path, ...given('attempt', known?.attempt) };
  }

  async function run(work: ExternalWork): Promise<ExternalResult> {
    const { state, step, attempt, signal } = work;
    const executor = executorOf(state);
    const root = executor.workRoot ?? workRoot;
    const dirs = workDirectory(root, scope.workspace, state, attempt);
    await makeWorkDirectory(dirs);
    const newest = await restoreCheckpoint(work, dirs);
    const handle = await taskOf(work, executor, dirs);
    handles.set(`${state.id}:${attempt}`, handle);
    const follower = new MetricsFollower({
      path: dirs.metricsPath,
      offsetPath: dirs.offsetPath,
      run: work.run,
      warn: (message) => warn(state, message),
      onProgress: (at) => progress.set(state.id, at),
    });
    follower.start();
    const uploader = uploaderOf(work, dirs, newest);
    uploader.start();
    let succeeded = false;
    const gatherer = new LogGatherer();
    const gathering = gather(executor, handle, gatherer, signal);
    try {
      const end = await watched(executor, handle, signal);
      await gathering;
      await follower.end();
      const details = await detailsOf(executor, handle, end, gatherer, state, attempt);
      if (end.state !== 'succeeded') {
        const kept = await moduleArtifacts(end.error, dirs, work.outputs, scope.artifacts);
        throw failureOf(step, end, { lastLines: gatherer.lastLines, details, kept });
      }
      const value =
        step.run.type === 'module'
          ? await moduleValue(end.output, dirs, work.outputs, scope.artifacts)
          : await collectOutputs(step, dirs.outputs, work.outputs);
      const stop = step.run.type === 'module' ? end.output?.['stopSiblings'] : undefined;
      succeeded = true;
      return { value, details, ...(typeof stop === 'string' ? { stopSiblings: stop } : {}) };
    } catch (error) {
      if (signal.aborted && !isKeelsonError(signal.reason, 'CLOSED', 'LOST')) {
        await gathering;
        const details = await stoppedDetails(executor, handle, gatherer, state, attempt);
        if (details !== undefined) work.stopped(details);
      }
      throw error;
    } finally {
      await follower.end();
      // What completed needs none; whoever closes or cancels does not wait for one.
      await uploader.end(!succeeded && !signal.aborted);
      progress.delete(state.id);
    }
  }

  /** Fetches the newest checkpoint of the store, where this machine has an older one or none; answers its number. */
  async function restoreCheckpoint(work: ExternalWork, dirs: WorkDirectory): Promise<number> {
    if (work.attempt === 1 && work.handle === undefined) return 0;
    const kept = await parts.checkpoints.list(work.state.id);
    const here = await lastCheckpoint(dirs.checkpoints);
    const local = here === undefined ? 0 : Number(basename(here).slice(1));
    for (const { sequence, sha256 } of work.handle === undefined ? kept : []) {
      if (sequence <= local) break;
      try {
        const packed = await scope.artifacts.open(sha256, undefined, work.signal);
        await unpackCheckpoint(packed, join(dirs.checkpoints, `v${sequence}`));
        break;
      } catch (error) {
        if (!isKeelsonError(error, 'CORRUPT', 'NOT_FOUND')) throw error;
        const message = `Its checkpoint v${sequence} is damaged; the one before it is taken.`;
        warn(work.state, message, error);
      }
    }
    return kept[0]?.sequence ?? 0;
  }

  function uploaderOf(
    { state, saveCheckpoint }: ExternalWork,
    dirs: WorkDirectory,
    newest: number,
  ): CheckpointUploader {
    return new CheckpointUploader({
      dir: dirs.checkpoints,
      newest,
      warn: (message, error) => warn(state, message, error),
      async upload(path, sequence) {
        const { sha256, sizeBytes } = await scope.artifacts.put(packCheckpoint(path));
        await saveCheckpoint({ sha256, sizeBytes, sequence });
      },
    });
  }

  /** The task of the attempt: the one that is there, or a new one. */
  async function taskOf(
    work: ExternalWork,
    executor: Executor,
    dirs: WorkDirectory,
  ): Promise<TaskHandle> {
    const { handle, submitted } = work;
    if (handle !== undefined) {
      if ((await executor.attach(handle)) !== undefined) return handle;
      throw new AttemptLost(
        `The executor ${executor.name} has no record of attempt ${work.attempt} any more.`,
      );
    }
    const there = work.adopted ? await taskThere(work, executor) : undefined;
    const made = there ?? (await submit(work, executor, await specOf(work, dirs)));
    try {
      await submitted(made);
    } catch (error) {
      // A step that was ended meanwhile: whoever waits for the task ends it.
      if (!work.signal.aborted) throw error;
    }
    return made;
  }

  async function submit(
    { state, signal }: ExternalWork,
    executor: Executor,
    spec: TaskSpec,
  ): Promise<TaskHandle> {
    const onProgress = ({ share, message }: TaskProgress): void => {
      progress.set(state.id, progressOf(share, message));
    };
    try {
      return await executor.submit(spec, { signal, onProgress });
    } finally {
      progress.delete(state.id);
    }
  }

  /** The task of an attempt whose supervisor died before he could note it down. */
  async function taskThere(
    { state, attempt }: ExternalWork,
    executor: Executor,
  ): Promise<TaskHandle | undefined> {
    const { workspace, executionId, stepId } = keyOf(scope.workspace, state, attempt);
    for await (const { key, ...handle } of executor.list({ workspace, executionId })) {
      if (key.stepId !== stepId || key.attempt !== attempt) continue;
      // One that never began is made anew, out of its inputs.
      const observed = await executor.attach(handle);
      if (observed !== undefined && observed.state !== 'lost') return handle;
    }
    return undefined;
  }

  /** Its end; a task whose step was ended is ended too, unless it is to go on without this process. */
  async function watched(
    executor: Executor,
    handle: TaskHandle,
    signal: AbortSignal,
  ): Promise<TaskObservation> {
    try {
      return await executor.wait(handle, { signal });
    } catch (error) {
      if (!signal.aborted) throw error;
      const { survivesOrchestrator } = await executor.capabilities();
      const leaves = isKeelsonError(signal.reason, 'CLOSED') && survivesOrchestrator;
      if (!leaves && !isKeelsonError(signal.reason, 'LOST')) {
        await executor.cancel(handle, { graceMs });
      }
      throw signal.reason;
    }
  }

  async function gather(
    executor: Executor,
    handle: TaskHandle,
    gatherer: LogGatherer,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      for await (const chunk of executor.logs(handle, { follow: true, signal }))
        gatherer.add(chunk, chunk.cursor);
    } catch (error) {
      if (signal.aborted) return;
      const fields = { component: 'pipelines', error };
      scope.logger.warn(fields, `The log of task ${handle.id} could not be read to its end.`);
    }
  }

  /** Of a task that was ended: what it had written until then, the last words included. */
  async function stoppedDetails(
    executor: Executor,
    handle: TaskHandle,
    gatherer: LogGatherer,
    state: StepState,
    attempt: number,
  ): Promise<AttemptDetails | undefined> {
    try {
      const rest = executor.logs(handle, given('after', gatherer.cursor));
      for await (const chunk of rest) gatherer.add(chunk, chunk.cursor);
      const end = await executor.attach(handle);
      return await detailsOf(executor, handle, end ?? { state: 'lost' }, gatherer, state, attempt);
    } catch (error) {
      warn(state, 'The log of its task could not be kept.', error);
      return undefined;
    }
  }

  async function detailsOf(
    executor: Executor,
    handle: TaskHandle,
    end: TaskObservation,
    gatherer: LogGatherer,
    state: StepState,
    attempt: number,
  ): Promise<AttemptDetails> {
    const usage = await executor.usage(handle).catch(() => undefined);
    return {
      executor: executor.name,
      externalId: handle.id,
      ...given('exitCode', end.exitCode),
      ...given('node', end.node),
      ...given('image', end.image),
      ...given('usage', usage && ({ ...usage } as unknown as JsonObject)),
      ...(await keepLog(scope, gatherer, state, attempt)),
    };
  }

  async function release(state: StepState, attempt: number, whole: boolean): Promise<void> {
    const id = `${state.id}:${attempt}`;
    const handle = handles.get(id) ?? state.task;
    const executor = executorOf(state);
    if (handle !== undefined) await executor.release(handle);
    handles.delete(id);
    const root = executor.workRoot ?? workRoot;
    await removeWorkDirectory(workDirectory(root, scope.workspace, state, attempt), whole);
  }

  async function collectLeftovers({
    executionId: only,
    signal,
  }: Parameters<ExternalSteps['collectLeftovers']>[0]): Promise<number> {
    const query = { workspace: scope.workspace, ...given('executionId', only) };
    let collected = 0;
    for (const name of executors.names) {
      const executor = executors.find(name);
      if (executor === undefined) continue;
      for await (const task of executor.list(query)) {
        if (signal?.aborted) return collected;
        const { executionId, stepId, attempt } = task.key;
        const [step = '', mapKey = ''] = stepId.split('/');
        const state = await parts.records.step(executionId, step, mapKey);
        if (state === undefined && executor.shared === true) continue;
        const goesOn = state?.status === 'RUNNING' && state.attempt === attempt;
        if (goesOn || handles.has(`${state?.id}:${attempt}`)) continue;
        if (only !== undefined && isSupervised(state)) continue;
        await executor.cancel(task, { graceMs });
        if (state?.attempt === attempt) await keepLeftLog(executor, task, state);
        await executor.release(task);
        const where = state ?? { executionId, step, mapKey };
        const root = executor.workRoot ?? workRoot;
        const dirs = workDirectory(root, scope.workspace, where, attempt);
        await removeWorkDirectory(dirs, state === undefined || state.status === 'COMPLETED');
        collected += 1;
      }
    }
    return collected;
  }

  /** What a task has written whose supervisor died before it was ended; nothing where that is kept already. */
  async function keepLeftLog(
    executor: Executor,
    task: TaskHandle,
    state: StepState,
  ): Promise<void> {
    const gatherer = new LogGatherer();
    const { attempt } = state;
    const details = await stoppedDetails(executor, task, gatherer, state, attempt);
    const changes = recordLog(state, details);
    if (changes.length === 0) return;
    try {
      await commitChanges(scope, changes);
    } catch (error) {
      if (!isKeelsonError(error, 'CONFLICT')) warn(state, 'Its log could not be kept.', error);
    }
  }

  function warn(state: StepState, message: string, error?: unknown): void {
    const { executionId, step } = state;
    const fields = { component: 'pipelines', executionId, step, ...given('error', error) };
    scope.logger.warn(fields, `Step ${stepLabel(state)}: ${message}`);
  }

  return {
    executors: executors.names,
    run,
    release,
    collectLeftovers,

    logs(state, { follow, signal }) {
      const handle = handles.get(`${state.id}:${state.attempt}`) ?? state.task;
      const executor = executors.find(state.runsOn.slice('executor:'.length));
      if (handle === undefined || executor === undefined) return undefined;
      return executor.logs(handle, { follow, ...given('signal', signal) });
    },
  };
}

/** Whether somebody else may still be with the step; nobody is where the last one has left it to others. */
function isSupervised(state: StepState | undefined): boolean {
  return state?.owner !== undefined && ownerState(state.owner) !== 'dead';
}

function keyOf(workspace: string, state: StepState, attempt: number): TaskSpec['key'] {
  const { executionId, step, mapKey } = state;
  return { workspace, executionId, stepId: mapKey === '' ? step : `${step}/${mapKey}`, attempt };
}

function entryOf({ run }: StepDefinition, modulesRoot: string | undefined): TaskSpec['entry'] {
  switch (run.type) {
    case 'command':
      return { type: 'command', command: run.command, ...given('cwd', run.cwd) };
    case 'image': {
      const { image, command, network } = run;
      return { type: 'image', image, ...given('command', command), ...given('network', network) };
    }
    case 'module':
      return {
        type: 'module',
        module: moduleLocation(run.module, modulesRoot),
        export: run.export,
      };
    case 'function':
      throw new KeelsonError('UNSUPPORTED', 'Functions of this process need no executor.');
  }
}

function failureOf(
  step: StepDefinition,
  end: TaskObservation,
  told: {
    readonly lastLines: string;
    readonly details: AttemptDetails;
    readonly kept: readonly ArtifactFacts[];
  },
): Error {
  if (end.state === 'lost') return new AttemptLost(end.message ?? 'Its task is gone.');
  const cause =
    end.state === 'cancelled'
      ? new StepError('transient', `The task of step ${step.name} was ended by somebody else.`)
      : exitFailure(step, end, told.lastLines, told.kept);
  return new AttemptFailed(cause, told.details);
}
