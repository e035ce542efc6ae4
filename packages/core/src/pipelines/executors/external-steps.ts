import { basename, join } from 'node:path';
import type {
  Executor,
  TaskHandle,
  TaskObservation,
  TaskProgress,
  TaskSpec,
} from '../../contracts/executor.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../../errors.ts';
import type { JsonObject } from '../../json.ts';
import { commitChanges } from '../../operations/decide-and-commit.ts';
import { ownerState } from '../../process-owner.ts';
import { recordLog } from '../changes/output-records.ts';
import { packCheckpoint, unpackCheckpoint } from '../checkpoints/checkpoint-pack.ts';
import { CheckpointUploader } from '../checkpoints/checkpoint-uploader.ts';
import type { StepDefinition } from '../definition.ts';
import { given } from '../execution.ts';
import type { ArtifactFacts } from '../step-artifact.ts';
import { type AttemptDetails, type StepState, stepLabel } from '../step-execution.ts';
import { StepError } from '../step-policy.ts';
import { progressOf } from '../steps/step-progress.ts';
import { lastCheckpoint } from './checkpoint-directory.ts';
import { collectOutputs } from './collect-outputs.ts';
import { exitFailure } from './exit-failure.ts';
import {
  AttemptFailed,
  AttemptLost,
  type ExternalParts,
  type ExternalResult,
  type ExternalSteps,
  type ExternalWork,
} from './external-work.ts';
import { keepLog, LogGatherer } from './log-store.ts';
import { MetricsFollower } from './metrics-follower.ts';
import { moduleArtifacts, moduleValue } from './module-values.ts';
import { createTaskSpecs, graceMs, taskKey } from './task-spec.ts';
import {
  makeWorkDirectory,
  removeWorkDirectory,
  type WorkDirectory,
  workDirectory,
} from './work-directory.ts';

/** External steps of the scope's workspace. */
export function createExternalSteps(scope: Scope, parts: ExternalParts): ExternalSteps {
  const { executors, workRoot } = parts;
  const handles = new Map<string, TaskHandle>();
  const { progress } = parts;
  const specOf = createTaskSpecs(scope, parts);

  function executorOf(state: Pick<StepState, 'runsOn' | 'step'>): Executor {
    const name = state.runsOn.slice('executor:'.length);
    const executor = executors.find(name);
    if (executor !== undefined) return executor;
    throw new KeelsonError(
      'NOT_FOUND',
      `Step ${state.step} runs on the executor ${name}, which this process does not have; it has ${executors.names.join(', ')}.`,
    );
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
    const { workspace, executionId, stepId } = taskKey(scope.workspace, state, attempt);
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
