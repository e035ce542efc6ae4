import type { Change } from '../../contracts/metadata-store.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError } from '../../errors.ts';
import { correlated } from '../../events/correlation.ts';
import { commitChanges } from '../../operations/decide-and-commit.ts';
import { recordLog } from '../changes/output-records.ts';
import type { StepResult } from '../changes/step-completion.ts';
import { derivedId, given } from '../execution.ts';
import { AttemptFailed, AttemptLost } from '../executors/external-work.ts';
import type { FurtherSteps } from '../further-steps.ts';
import { contentsTaken, newEdges } from '../lineage/new-edges.ts';
import { edgesIntoChild, edgesOfKept } from '../lineage/step-edges.ts';
import { newExecution } from '../start-execution.ts';
import type { ArtifactFacts } from '../step-artifact.ts';
import { type AttemptDetails, type StepState, stepLabel } from '../step-execution.ts';
import { artifactsOfFailure, classifyFailure, describeFailure } from '../step-policy.ts';
import type { AttemptParts, AttemptRun } from './attempt-parts.ts';
import type { AttemptWork } from './attempt-work.ts';
import type { OutputSink } from './output-sink.ts';
import type { LeasedStep } from './step-leases.ts';
import { type Begun, isExternal } from './turn.ts';

/** What attempts end in, each as a commit under the step's claim and what follows from it. */
export interface AttemptEnd {
  /** It has put something out: the step completes, or begins another iteration. */
  complete(
    leased: LeasedStep,
    begun: Begun,
    result: StepResult,
    tracked: AttemptRun,
  ): Promise<void>;
  /** It has asked for further steps, and waits for them. */
  continued(
    leased: LeasedStep,
    begun: Begun,
    further: FurtherSteps,
    tracked: AttemptRun,
    details: AttemptDetails | undefined,
  ): Promise<void>;
  /** It has thrown, or was aborted. */
  failed(
    leased: LeasedStep,
    begun: Begun,
    thrown: unknown,
    tracked: AttemptRun,
    outputs?: OutputSink,
  ): Promise<void>;
  /** For another process to go on. */
  giveBack(leased: LeasedStep, reason: string): Promise<void>;
}

/** Ends of attempts, for the scope's workspace. */
export function createAttemptEnd(
  scope: Scope,
  parts: AttemptParts,
  work: Pick<AttemptWork, 'hasSaved'>,
): AttemptEnd {
  const { commits, leases } = parts;

  return { complete, continued, failed, giveBack };

  async function complete(
    leased: LeasedStep,
    begun: Begun,
    result: StepResult,
    tracked: AttemptRun,
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
  async function abandoned(state: StepState, run: AttemptRun, why: string): Promise<void> {
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
    tracked: AttemptRun,
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
    tracked: AttemptRun,
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
      // Whoever goes on with a task finds its log too, and keeps it.
      if (thrown instanceof AttemptFailed && !goesOn) await recordEnded(begun, thrown.details);
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

  /** Those of a step that has completed, or begins another iteration, are of no use; a sweep would take them too. */
  async function forgetCheckpoints(begun: Begun): Promise<void> {
    if (begun.attempt === 1 && !begun.adopted && !work.hasSaved(begun)) return;
    try {
      await parts.checkpoints.forget(begun.state.id);
    } catch (error) {
      log('info', begun.state, 'Its checkpoints could not be removed; a sweep will.', error);
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
}

function sentence(text: string): string {
  return /[.!?…]$/.test(text) ? text : `${text}.`;
}

// Only tasks of executors are adopted, and those ask for no further steps.
const nothingKnown = { steps: [], contents: [], code: [] };
