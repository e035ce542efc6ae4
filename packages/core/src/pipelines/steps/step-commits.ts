import type { TaskHandle } from '../../contracts/executor.ts';
import type { Change, ClaimKey } from '../../contracts/metadata-store.ts';
import type { Scope } from '../../contracts/scope.ts';
import { KeelsonError } from '../../errors.ts';
import { decideAndCommit } from '../../operations/decide-and-commit.ts';
import type { StepCaching } from '../cache/step-caching.ts';
import { releaseSize } from '../changes/dependency-counts.ts';
import { isLastStep } from '../changes/execution-changes.ts';
import type { HeldStep } from '../changes/held-step.ts';
import { completeStep, type Following, type StepResult } from '../changes/step-completion.ts';
import { failStep, toleratedEnd } from '../changes/step-failure.ts';
import { awaitExecution, giveBackStep, repeatStep } from '../changes/step-return.ts';
import { leaveStep, submitStep } from '../changes/step-start.ts';
import type { Definitions } from '../definitions.ts';
import type { ExecutionState } from '../execution.ts';
import { type LastStep, readOutcome } from '../execution-outcome.ts';
import type { ExecutionRecords } from '../execution-records.ts';
import { stepHasEnded } from '../execution-state.ts';
import { newEdges } from '../lineage/new-edges.ts';
import { edgesOutOf } from '../lineage/step-edges.ts';
import { dependentsIn } from '../partial-run.ts';
import type { Settling } from '../settling.ts';
import type { ArtifactFacts } from '../step-artifact.ts';
import { type AttemptDetails, type StepState, stepLabel } from '../step-execution.ts';
import { afterFailure, type StepFailure } from '../step-policy.ts';
import type { Started } from './turn.ts';

/** How an attempt failed. */
export interface FailedHow {
  readonly failure: StepFailure;
  /** Whatever the retry policy says. */
  readonly final?: boolean;
  readonly details?: AttemptDetails;
  /** What is kept of it. */
  readonly artifacts?: readonly ArtifactFacts[];
  /** What goes into the same commit. */
  readonly changes?: readonly Change[];
}

/**
 * What happens to a step whose attempt has begun, each as one commit under `hold`: LOST when the claim is no
 * longer held, or somebody else has moved the step on.
 */
export interface StepCommits {
  /** The executor has taken it. */
  submitted(claim: () => ClaimKey, attempt: number, task: TaskHandle): Promise<void>;
  /**
   * `started`, what is known without reading, is good for one call: where somebody has changed it, or an
   * outcome is unknown, the next reads. So is what `ends`, a run of tracking say, puts into the commit.
   */
  complete(
    claim: () => ClaimKey,
    attempt: number,
    result: StepResult,
    using?: {
      readonly started?: Started | undefined;
      readonly ends?: (() => Promise<readonly Change[]>) | undefined;
    },
  ): Promise<void>;
  /** It runs once more with what it has put out. */
  repeat(claim: () => ClaimKey, attempt: number, result: StepResult, reason: string): Promise<void>;
  /** It waits for an execution that `create` makes in the same commit. */
  awaitChild(
    claim: () => ClaimKey,
    attempt: number,
    child: { readonly id: string; readonly changes: readonly Change[] },
  ): Promise<void>;
  /** Answers when it may be tried again; undefined when it will not be, as where it is `final`. */
  fail(
    claim: () => ClaimKey,
    attempt: number,
    how: FailedHow,
  ): Promise<{ readonly delayMs: number } | undefined>;
  /** Lets somebody else begin the next attempt at once, because this process stops or its task is gone. */
  giveBack(claim: () => ClaimKey, attempt: number, reason: string): Promise<void>;
  /** Its task goes on; another process may watch it at once. */
  leave(claim: () => ClaimKey, attempt: number): Promise<void>;
  /** What the end of a step leads to: whom to tell, and whether the execution ends with it. */
  following(execution: ExecutionState, last: LastStep): Promise<Following>;
  /** What follows once the end of a step is committed. */
  settled(state: StepState, execution: ExecutionState): Promise<void>;
}

/** The commits of steps, for the scope's workspace. */
export function createStepCommits(
  scope: Scope,
  records: ExecutionRecords,
  definitions: Definitions,
  settling: Settling,
  options: { readonly tracked: boolean; readonly caching?: StepCaching },
): StepCommits {
  const { caching, tracked } = options;

  /** The step as it stands, if `attempt` of it is still this process's to end. */
  async function running(id: string, attempt: number): Promise<StepState | 'ended'> {
    const state = await records.stepById(id);
    const mine = state?.attempt === attempt;
    if (mine && (state.status === 'COMPLETED' || state.status === 'FAILED')) return 'ended';
    if (mine && !stepHasEnded(state.status)) return state;
    throw new KeelsonError(
      'LOST',
      `Attempt ${attempt} of step ${state === undefined ? id : stepLabel(state)} was ended or taken over by somebody else (it is ${state?.status ?? 'gone'}, attempt ${state?.attempt ?? 0}).`,
    );
  }

  async function following(execution: ExecutionState, last: LastStep): Promise<Following> {
    const { state } = last;
    const { dependents } = await definitions.get(state.definition);
    const all = dependentsIn(execution, dependents.get(state.step) ?? []);
    const told = state.mapKey === '' ? all : [];
    // An item leaves its fan-out open, whatever was counted when the execution was read.
    if (state.mapKey !== '' || !isLastStep(execution)) return { dependents: told };
    const outcome = await readOutcome(scope, records, execution, last);
    const parent = await records.parentOf(execution);
    return { dependents: told, outcome, ...(parent === undefined ? {} : { parent }) };
  }

  async function settled(state: StepState, execution: ExecutionState): Promise<void> {
    const { dependents } = await definitions.get(state.definition);
    const many = (dependents.get(state.step) ?? []).length > releaseSize('missing');
    if (many && state.mapKey === '') await settling.release(state);
    // Two that end at once each see the other open: who comes second here sees neither.
    await settling.settle(execution.id);
  }

  /** One change of a step that is still this process's. */
  async function change(
    claim: () => ClaimKey,
    attempt: number,
    draw: (held: HeldStep, execution: ExecutionState) => Promise<readonly Change[]>,
  ): Promise<void> {
    await decideAndCommit(scope, async () => {
      const state = await running(claim().id, attempt);
      if (state === 'ended' || state.status !== 'RUNNING') {
        return { changes: [], result: undefined };
      }
      const execution = await records.get(state.executionId);
      return { changes: await draw({ state, claim: claim() }, execution), result: undefined };
    });
  }

  /** What came of it, for the lineage. */
  function edgesOf(state: StepState, result: StepResult): Promise<readonly Change[]> {
    const image = result.details?.image;
    // An earlier iteration may have put out the same; and an image may have been named by its digest.
    const fresh = (state.iteration ?? 1) === 1 && image === undefined;
    return newEdges(scope, edgesOutOf(state, { ...result, image }), fresh);
  }

  const abandon = async (state: StepState): Promise<readonly Change[]> =>
    state.cacheKey === undefined ? [] : ((await caching?.abandon(state)) ?? []);

  return {
    following,
    settled,

    submitted: (claim, attempt, task) =>
      change(claim, attempt, async (held) => submitStep(held, task)),

    leave: (claim, attempt) => change(claim, attempt, async (held) => leaveStep(held)),

    repeat: (claim, attempt, result, reason) =>
      change(claim, attempt, async (held, execution) => [
        ...repeatStep(
          ...([scope, held, execution] as const),
          { ...result, changes: await edgesOf(held.state, result) },
          reason,
        ),
        ...(await abandon(held.state)),
      ]),

    awaitChild: (claim, attempt, child) =>
      change(claim, attempt, async (held, execution) => [
        ...awaitExecution(held, execution, child),
        ...(await abandon(held.state)),
      ]),

    giveBack: (claim, attempt, reason) =>
      change(claim, attempt, async (held) => [
        ...giveBackStep(scope, held, reason),
        ...(await abandon(held.state)),
      ]),

    async complete(claim, attempt, result, { started, ends } = {}) {
      const { id } = claim();
      let known = started;
      const done = await decideAndCommit(scope, async () => {
        const at = known;
        known = undefined;
        const state = at?.state ?? (await running(id, attempt));
        if (state === 'ended') return { changes: [], result: undefined };
        const execution = at?.execution ?? (await records.get(state.executionId));
        const follows = await following(execution, { state, artifacts: result.artifacts });
        const filled =
          state.cacheKey === undefined ? [] : ((await caching?.fill(state, result)) ?? []);
        const edges = await edgesOf(state, result);
        const also = [...filled, ...edges, ...((await ends?.()) ?? [])];
        const whole = { ...result, changes: [...(result.changes ?? []), ...also] };
        const held = { state, claim: claim() };
        return {
          changes: completeStep(scope, held, execution, whole, follows, tracked),
          result: { state, execution },
        };
      });
      if (done !== undefined) await settled(done.state, done.execution);
    },

    async fail(claim, attempt, how) {
      const { id } = claim();
      const { ended, again } = await decideAndCommit(scope, async () => {
        const state = await running(id, attempt);
        if (state === 'ended') {
          return { changes: [], result: { ended: undefined, again: undefined } };
        }
        const execution = await records.get(state.executionId);
        const { steps } = await definitions.get(state.definition);
        const step = steps.get(state.step);
        const after =
          how.final || step === undefined
            ? ({ next: 'fail', exhausted: false } as const)
            : afterFailure(step.retry, how.failure.class, state.failures + 1, state.id);
        const again = after.next === 'retry' && execution.phase !== 'stopping' ? after : undefined;
        const tolerated = again === undefined && toleratedEnd(step ?? {}, state.mapKey);
        const follows = tolerated
          ? await following(execution, { state, artifacts: [] })
          : { dependents: [] };
        const changes = [...(how.changes ?? []), ...(await abandon(state))];
        const made = { ...how, after, changes };
        const held = { state, claim: claim() };
        return {
          changes: failStep(scope, held, execution, step ?? {}, made, follows),
          result: { ended: again === undefined ? { state, execution } : undefined, again },
        };
      });
      if (ended !== undefined) await settled(ended.state, ended.execution);
      return again;
    },
  };
}
