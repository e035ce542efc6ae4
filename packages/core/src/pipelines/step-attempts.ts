import type { Change } from '../contracts/metadata-store.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { correlated } from '../events/correlation.ts';
import { commitChanges } from '../operations/decide-and-commit.ts';
import { enterRun } from '../tracking/active-run.ts';
import { openCheckpoint } from './checkpoints/checkpoint.ts';
import type {
  KeptCheckpoint,
  NewCheckpoint,
  StepCheckpoints,
} from './checkpoints/step-checkpoints.ts';
import type { Definitions } from './definitions.ts';
import { derivedId, given } from './execution.ts';
import { AttemptFailed, AttemptLost, type ExternalSteps } from './executors/external-steps.ts';
import { keepLog } from './executors/log-store.ts';
import { attemptKey, FunctionLog } from './function-logs.ts';
import { FurtherSteps } from './further-steps.ts';
import { invokeStep } from './invoke-step.ts';
import { contentsTaken, newEdges } from './lineage/new-edges.ts';
import { edgesIntoChild, edgesOfKept } from './lineage/step-edges.ts';
import { checkOutputs } from './output-ports.ts';
import type { RunLink } from './run-link.ts';
import { newExecution } from './start-execution.ts';
import type { ArtifactFacts } from './step-artifact.ts';
import { recordLog, type StepResult } from './step-changes.ts';
import type { StepCommits } from './step-commits.ts';
import type { StepConditions } from './step-conditions.ts';
import {
  type AttemptDetails,
  type StepProgress,
  type StepState,
  stepLabel,
} from './step-execution.ts';
import type { StepFunctions } from './step-functions.ts';
import type { LeasedStep, StepLeases } from './step-leases.ts';
import {
  artifactsOfFailure,
  classifyFailure,
  describeFailure,
  readableThrow,
} from './step-policy.ts';
import { progressOf } from './step-progress.ts';
import { type Begun, isExternal } from './step-turn.ts';
import type { StepContext, StepFunction } from './step-types.ts';
import type { Finished, OutputSink, StepValues } from './step-values.ts';

/** What attempts need. */
export interface AttemptParts {
  readonly functions: StepFunctions;
  readonly definitions: Definitions;
  readonly leases: StepLeases;
  readonly commits: StepCommits;
  readonly values: StepValues;
  readonly conditions: StepConditions;
  readonly link: RunLink;
  /** What functions that run here log, by {@link attemptKey}. */
  readonly logs: Map<string, FunctionLog>;
  /** How far the attempts that run here say that they have come, by the step's id. */
  readonly progress: Map<string, StepProgress>;
  readonly external?: ExternalSteps;
  readonly checkpoints: StepCheckpoints;
  /** Ends the other items of a fan-out. */
  readonly stopSiblings: (item: StepState, reason: string) => Promise<void>;
  /** The function of a module's export. */
  readonly loadModule: (
    module: string,
    name: string,
  ) => Promise<StepFunction<never, never, unknown>>;
}

/** Runs attempts that have begun to their end, and commits that. */
export interface StepAttempts {
  run(leased: LeasedStep, begun: Begun): Promise<void>;
  /** For another process to go on. */
  giveBack(leased: LeasedStep, reason: string): Promise<void>;
  /** What steps are aborted with when this process closes. */
  closing(): KeelsonError;
}

interface Outcome {
  readonly value: unknown;
  readonly details?: AttemptDetails;
}

type Run = StepContext['run'];

/** Attempts of steps, for the scope's workspace. */
export function createStepAttempts(scope: Scope, parts: AttemptParts): StepAttempts {
  const { commits, leases, values } = parts;
  /** Attempts that have saved any. */
  const checkpointed = new WeakSet<Begun>();

  async function run(leased: LeasedStep, begun: Begun): Promise<void> {
    try {
      await runToEnd(leased, begun);
    } finally {
      // Whoever follows what a function logs has it to the end by now, and others find it kept.
      const key = attemptKey(leased.state, begun.attempt);
      parts.logs.get(key)?.end();
      parts.logs.delete(key);
    }
  }

  async function runToEnd(leased: LeasedStep, begun: Begun): Promise<void> {
    const { state, controller } = leased;
    const beganAt = performance.now();
    let tracked: Run;
    let outcome: Outcome;
    let finished: Finished | FurtherSteps;
    const outputs = values.sink(state, controller.signal);
    const siblings = new Siblings();
    try {
      tracked =
        begun.run ??
        (await parts.link.attempt(begun.execution, state, begun.attempt, begun.adopted));
      outcome = await work(leased, begun, outputs, tracked, siblings);
      finished =
        outcome.value instanceof FurtherSteps
          ? outcome.value
          : await outputs.finish(checkOutputs(begun.step, outcome.value));
    } catch (thrown) {
      const error = readableThrow(thrown);
      // Of a task it is another supervisor's word that it has it by now: nothing has failed.
      if (isExternal(state) && isKeelsonError(error, 'LOST')) controller.abort(error);
      await count(beganAt);
      await failed(leased, begun, error, tracked, outputs);
      return;
    }
    await count(beganAt);
    if (finished instanceof FurtherSteps) {
      await continued(leased, begun, finished, tracked, outcome.details);
    } else {
      const taken = begun.origins?.contents ?? (await contentsTaken(scope, state.id));
      const result = { ...finished, taken, ...given('details', outcome.details) };
      await complete(leased, begun, result, tracked);
    }
    if (siblings.reason !== undefined) await parts.stopSiblings(state, siblings.reason);
  }

  /** What was computed is used up, whatever becomes of it. */
  async function count(beganAt: number): Promise<void> {
    await scope.quotas?.count('compute', Math.ceil(performance.now() - beganAt));
  }

  async function work(
    leased: LeasedStep,
    begun: Begun,
    outputs: OutputSink,
    tracked: Run,
    siblings: Siblings,
  ): Promise<Outcome> {
    const { state, controller } = leased;
    if (!isExternal(state)) {
      const log = new FunctionLog();
      parts.logs.set(attemptKey(state, begun.attempt), log);
      const keep = () => keepLog(scope, log.gathered, state, begun.attempt);
      let value: unknown;
      try {
        value = await invoke(leased, begun, { outputs, tracked, siblings, log });
      } catch (error) {
        if (log.gathered === undefined || isKeelsonError(controller.signal.reason, 'LOST'))
          throw error;
        throw new AttemptFailed(error, await keep());
      }
      return { value, details: await keep() };
    }
    const { external } = parts;
    if (external === undefined) {
      throw new KeelsonError('UNSUPPORTED', 'This process has no executors.');
    }
    const { devices } = begun.allocated;
    const bounded = invokeStep(
      (signal) =>
        external.run({
          ...{ execution: begun.execution, state, step: begun.step, attempt: begun.attempt },
          ...{ inputs: begun.inputs, outputs, signal, resources: begun.allocated },
          ...given('run', tracked),
          ...given('devices', devices),
          adopted: begun.adopted,
          ...given('handle', begun.adopted ? state.task : undefined),
          saveCheckpoint: (made) => save(leased, begun, made),
          submitted: (handle) =>
            leases.held(leased, () => commits.submitted(() => leased.claim, begun.attempt, handle)),
        }),
      {
        step: stepLabel(state),
        signal: controller.signal,
        graceMs: 60_000,
        ...given('timeoutMs', timeLeft(begun)),
      },
    );
    const { stopSiblings, ...outcome } = await bounded;
    if (stopSiblings !== undefined) siblings.stop(stopSiblings);
    return outcome;
  }

  function save(leased: LeasedStep, begun: Begun, made: NewCheckpoint): Promise<KeptCheckpoint> {
    checkpointed.add(begun);
    return leases.held(leased, () =>
      parts.checkpoints.save(() => leased.claim, begun.attempt, made),
    );
  }

  /** Those of a step that has completed, or begins another iteration, are of no use; a sweep would take them too. */
  async function forgetCheckpoints(begun: Begun): Promise<void> {
    if (begun.attempt === 1 && !begun.adopted && !checkpointed.has(begun)) return;
    try {
      await parts.checkpoints.forget(begun.state.id);
    } catch (error) {
      log('info', begun.state, 'Its checkpoints could not be removed; a sweep will.', error);
    }
  }

  function timeLeft({ step, state, adopted }: Begun): number | undefined {
    if (step.timeoutMs === undefined || !adopted) return step.timeoutMs;
    return Math.max(1, (state.startedAt ?? 0) + step.timeoutMs - scope.clock.now());
  }

  async function functionOf({ step, state }: Begun): Promise<StepFunction<never, never, unknown>> {
    if (step.run.type === 'module') return parts.loadModule(step.run.module, step.run.export);
    const found = parts.functions.get(state.definition)?.functions.get(state.step);
    if (found !== undefined) return found as unknown as StepFunction<never, never, unknown>;
    const where = `${state.pipeline}, step ${state.step}`;
    throw new KeelsonError('NOT_FOUND', `This process has no function for ${where}.`);
  }

  async function invoke(
    leased: LeasedStep,
    begun: Begun,
    use: {
      readonly outputs: OutputSink;
      readonly tracked: Run;
      readonly siblings: Siblings;
      readonly log: FunctionLog;
    },
  ): Promise<unknown> {
    const { outputs, tracked, siblings } = use;
    const { state, controller } = leased;
    const { execution, step, attempt } = begun;
    const call = await functionOf(begun);
    const checkpoint = openCheckpoint({
      ...{ space: scope.artifacts, checkpoints: parts.checkpoints, stepExecution: state.id },
      signal: controller.signal,
      save: (made) => save(leased, begun, made),
    });
    const inputs = await begun.inputs();
    const work = (signal: AbortSignal): unknown => {
      const context: StepContext<never, never> = {
        inputs: inputs.values as never,
        outputs,
        parameters: execution.parameters as never,
        signal,
        attempt,
        executionId: state.executionId,
        step: state.step,
        correlationId: state.correlationId,
        logger: use.log.logger(scope.logger),
        ...given('run', tracked),
        ...given('item', state.mapKey === '' ? undefined : Number(state.mapKey)),
        ...given('iteration', step.repeat === undefined ? undefined : (state.iteration ?? 1)),
        checkpoint,
        stopSiblings: (reason) => siblings.stop(reason),
        progress: (share, message) => {
          if (!signal.aborted) parts.progress.set(state.id, progressOf(share, message));
        },
      };
      return tracked === undefined ? call(context) : enterRun(tracked, () => call(context));
    };
    try {
      return await invokeStep(work, {
        step: stepLabel(state),
        signal: controller.signal,
        ...given('timeoutMs', step.timeoutMs),
      });
    } finally {
      parts.progress.delete(state.id);
    }
  }

  async function complete(
    leased: LeasedStep,
    begun: Begun,
    result: StepResult,
    tracked: Run,
  ): Promise<void> {
    const { state } = leased;
    const { attempt } = begun;
    // What the step has logged is durable once it counts as completed: its run ends in that commit, or before.
    const together = begun.step.repeat === undefined ? await parts.link.ending(tracked) : undefined;
    if (together === undefined) await tracked?.finish('COMPLETED');
    const claim = () => leased.claim;
    let repeats = false;
    let { started } = begun;
    try {
      const again = await parts.conditions.repeats(begun, result.output);
      if (again !== undefined) {
        // Before it begins again, which may be at once and elsewhere.
        repeats = true;
        await forgetCheckpoints(begun);
        await leases.held(leased, () => commits.repeat(claim, attempt, result, again));
      } else {
        await leases.held(leased, () => {
          const using = { started, ends: together?.changes };
          started = undefined;
          return commits.complete(claim, attempt, result, using);
        });
        leased.completed = true;
        together?.done();
        const enough = await stopCondition(begun, result.output);
        if (enough) {
          await parts.stopSiblings(state, `item ${Number(state.mapKey)} met: ${enough}`);
        }
      }
    } catch (error) {
      if (!leased.completed) together?.undo();
      const open = leased.completed || together === undefined ? undefined : tracked;
      if (isKeelsonError(error, 'LOST')) {
        log('info', state, 'Its result is discarded: it was ended elsewhere.', error);
        // The run of a task goes on with the task.
        const why = 'Its result was discarded: the step was ended or taken over by somebody else.';
        if (!isExternal(state)) await abandoned(state, open, why);
        return;
      }
      if (leased.completed || classifyFailure(error) === 'transient') {
        await abandoned(state, open, describeFailure(error).message);
        throw error;
      }
      await failed(leased, begun, error, open);
      return;
    }
    if (leased.completed) await forgetCheckpoints(begun);
    if (isExternal(state)) await release(begun, leased.completed || repeats);
  }

  /** Another attempt will have another run. */
  async function abandoned(state: StepState, run: Run, why: string): Promise<void> {
    try {
      await run?.finish('KILLED', why);
    } catch (error) {
      log('debug', state, 'Its run could not be ended; a reaper will.', error);
    }
  }

  /** The condition by which the other items are ended; one that cannot be told of this item ends nothing. */
  async function stopCondition(
    begun: Begun,
    output: StepResult['output'],
  ): Promise<string | undefined> {
    try {
      return await parts.conditions.stops(begun, output);
    } catch (error) {
      if (!isKeelsonError(error, 'INVALID')) throw error;
      log('warn', begun.state, `${error.message} The other items go on.`);
      return undefined;
    }
  }

  /** An execution of what the step has returned, made in the commit by which the step waits for it. */
  async function continued(
    leased: LeasedStep,
    begun: Begun,
    further: FurtherSteps,
    tracked: Run,
    details: AttemptDetails | undefined,
  ): Promise<void> {
    const { state } = leased;
    await tracked?.finish('COMPLETED');
    try {
      parts.functions.add(further.pipeline as never);
      const { definition, digest } = further.pipeline;
      const loaded = await parts.definitions.put(definition, digest);
      const id = derivedId(state.executionId, 'child', state.step, state.mapKey, begun.attempt);
      const child = await correlated(async () =>
        newExecution(scope, loaded, further.parameters, {
          id,
          trigger: begun.execution.trigger,
          correlationId: state.correlationId,
          priority: begun.execution.priority,
          parentStep: state.id,
          parentExecutionId: state.executionId,
        }),
      );
      const edges = edgesIntoChild(state, id, begun.origins ?? nothingKnown);
      const logged = recordLog({ ...state, attempt: begun.attempt }, details);
      const changes = [...child, ...logged, ...(await newEdges(scope, edges, true))];
      await leases.held(leased, () =>
        commits.awaitChild(() => leased.claim, begun.attempt, { id, changes }),
      );
    } catch (error) {
      if (classifyFailure(error) === 'transient') throw error;
      await failed(leased, begun, error, undefined);
    }
  }

  async function failed(
    leased: LeasedStep,
    begun: Begun,
    thrown: unknown,
    tracked: Run,
    outputs?: OutputSink,
  ): Promise<void> {
    const { state, controller } = leased;
    const external = isExternal(state);
    if (controller.signal.aborted) {
      const { reason } = controller.signal;
      const closing = isKeelsonError(reason, 'CLOSED');
      // A task that goes on without this process has a run that goes on too, and is another supervisor's.
      const goesOn = external && (closing || isKeelsonError(reason, 'LOST'));
      if (!goesOn) await tracked?.finish('KILLED', String(reason?.message ?? ''));
      if (thrown instanceof AttemptFailed) await recordEnded(begun, thrown.details);
      if (closing && !external) await giveBack(leased, 'its process stopped');
      if (closing && external) await leave(leased, begun);
      if (external && !goesOn) await release(begun, false);
      return;
    }
    if (thrown instanceof AttemptLost) {
      await tracked?.finish('FAILED', thrown.message);
      log('warn', state, `${thrown.message} Another attempt will begin.`);
      await leases.held(leased, () =>
        commits.giveBack(() => leased.claim, begun.attempt, thrown.message),
      );
      await release(begun, false);
      return;
    }
    const details = thrown instanceof AttemptFailed ? thrown.details : undefined;
    const error = thrown instanceof AttemptFailed ? thrown.cause : thrown;
    const failure = describeFailure(error);
    const kept = await outputs?.kept(begun.attempt, artifactsOfFailure(error));
    const changes = await edgesTo(begun, kept ?? []);
    await tracked?.finish('FAILED', failure.message);
    try {
      const again = await leases.held(leased, () =>
        commits.fail(() => leased.claim, begun.attempt, {
          failure,
          ...given('details', details),
          ...given('artifacts', kept),
          changes,
        }),
      );
      const next =
        again === undefined ? 'It will not be tried again.' : `Again in ${again.delayMs} ms.`;
      log('warn', state, `It failed (${failure.class}): ${sentence(failure.message)} ${next}`);
      if (external) await release(begun, false);
    } catch (late) {
      if (!isKeelsonError(late, 'LOST')) throw late;
      log('info', state, 'Its failure is discarded: another process has gone on with it.', late);
    }
  }

  /** Of the lineage: from the step to what is kept of its attempt. */
  async function edgesTo(
    { state, attempt, origins }: Begun,
    artifacts: readonly ArtifactFacts[],
  ): Promise<readonly Change[]> {
    if (artifacts.length === 0) return [];
    const taken = origins?.contents ?? (await contentsTaken(scope, state.id));
    return newEdges(scope, edgesOfKept(state, { artifacts, taken }), attempt === 1);
  }

  /** What an attempt has written that was ended from outside; its step has been moved on by whoever did that. */
  async function recordEnded(begun: Begun, details: AttemptDetails): Promise<void> {
    try {
      await commitChanges(scope, recordLog({ ...begun.state, attempt: begun.attempt }, details));
    } catch (error) {
      log('info', begun.state, 'Its log could not be kept.', error);
    }
  }

  async function release({ state, attempt }: Begun, whole: boolean): Promise<void> {
    try {
      await parts.external?.release(state, attempt, whole);
    } catch (error) {
      log('info', state, 'What its attempt left could not be removed; a sweep will.', error);
    }
  }

  async function leave(leased: LeasedStep, { attempt, state }: Begun): Promise<void> {
    try {
      await commits.leave(() => leased.claim, attempt);
    } catch (error) {
      log('debug', state, 'It could not be left to others.', error);
    }
  }

  async function giveBack(leased: LeasedStep, reason: string): Promise<void> {
    const { attempt, state } = leased;
    // The task of an executor may still run: whoever claims the step adopts it.
    if (attempt === undefined || isExternal(state)) return;
    try {
      await commits.giveBack(() => leased.claim, attempt, reason);
    } catch (error) {
      log('debug', state, 'It could not be given back.', error);
    }
  }

  function log(
    level: 'debug' | 'info' | 'warn',
    state: StepState,
    message: string,
    error?: unknown,
  ): void {
    const { executionId, step, pipeline } = state;
    scope.logger[level](
      { component: 'pipelines', pipeline, executionId, step, ...given('error', error) },
      `Pipeline ${pipeline}, step ${stepLabel(state)}: ${message}`,
    );
  }

  return {
    run,
    giveBack,
    closing: () =>
      new KeelsonError('CLOSED', 'The platform is closing; the step will go on elsewhere.'),
  };
}

function sentence(text: string): string {
  return /[.!?…]$/.test(text) ? text : `${text}.`;
}

/** Whether an item has asked for the end of the others. */
class Siblings {
  reason: string | undefined;

  stop(reason: string): void {
    this.reason ??= String(reason).slice(0, 2000);
  }
}

// Only tasks of executors are adopted, and those ask for no further steps.
const nothingKnown = { steps: [], contents: [], code: [] };
