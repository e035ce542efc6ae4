import type { ClaimKey } from '../contracts/metadata-store.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import type { JsonObject } from '../json.ts';
import { decideAndCommit } from '../operations/decide-and-commit.ts';
import type { Definitions } from './definitions.ts';
import type { ExecutionState } from './execution.ts';
import { readOutcome } from './execution-outcome.ts';
import type { ExecutionRecords } from './execution-records.ts';
import { hasEnded, stepHasEnded } from './execution-state.ts';
import type { Settling } from './settling.ts';
import type { ArtifactFacts } from './step-artifact.ts';
import type { StepState, StoredOutput } from './step-execution.ts';
import { afterFailure, type StepFailure } from './step-policy.ts';
import {
  completeStep,
  countSteps,
  endStep,
  failStep,
  giveBackStep,
  type HeldStep,
  isLastStep,
  releaseSize,
  startStep,
} from './transitions.ts';

/** An attempt that has begun. */
export interface Begun {
  readonly execution: ExecutionState;
  /** As it stands with the attempt. */
  readonly step: string;
  readonly attempt: number;
  readonly startedAt: number;
}

/** How the commits of steps are made. */
export interface StepCommitsOptions {
  /** Who runs the attempts, for the record. */
  readonly owner: JsonObject;
  /** Whether runs of tracking stand for executions. */
  readonly tracked: boolean;
  /** Deaths of the process around one step in one round, after which it counts as failed. */
  readonly lossLimit: number;
}

/**
 * What happens to a claimed step, each as one commit under `hold`: LOST when the claim is no longer
 * held, or somebody else has moved the step on.
 */
export interface StepCommits {
  /**
   * Begins the next attempt. Undefined when there is nothing to run: the execution or the step has
   * ended, or is ending.
   */
  begin(claim: () => ClaimKey, first: StepState): Promise<Begun | undefined>;
  complete(
    claim: () => ClaimKey,
    attempt: number,
    result: { readonly output: StoredOutput; readonly artifacts: readonly ArtifactFacts[] },
  ): Promise<void>;
  /** Answers when it may be tried again; undefined when it will not be, as where it is `final`. */
  fail(
    claim: () => ClaimKey,
    attempt: number,
    how: { readonly failure: StepFailure; readonly final?: boolean },
  ): Promise<{ readonly delayMs: number } | undefined>;
  /** Lets somebody else begin the next attempt at once, because this process stops. */
  giveBack(claim: () => ClaimKey, attempt: number, reason: string): Promise<void>;
}

/** The commits of steps, for the scope's workspace. */
export function createStepCommits(
  scope: Scope,
  records: ExecutionRecords,
  definitions: Definitions,
  settling: Settling,
  options: StepCommitsOptions,
): StepCommits {
  /** The step as it stands, if `attempt` of it is still this process's to end. */
  async function running(id: string, attempt: number): Promise<StepState | 'ended'> {
    const state = await records.stepById(id);
    const mine = state?.attempt === attempt;
    if (mine && (state.status === 'COMPLETED' || state.status === 'FAILED')) return 'ended';
    if (mine && !stepHasEnded(state.status)) return state;
    throw new KeelsonError(
      'LOST',
      `Attempt ${attempt} of step ${state?.step ?? id} was ended or taken over by somebody else (it is ${state?.status ?? 'gone'}, attempt ${state?.attempt ?? 0}).`,
    );
  }

  /** What a claim finds besides a step to run: an execution that is over, or a step that kills. */
  async function decline(held: HeldStep, execution: ExecutionState): Promise<boolean> {
    const { state } = held;
    if (execution.phase === 'stopping' || hasEnded(execution.status)) {
      // A RUNNING one of a dead supervisor would keep a failed execution from its end.
      if (state.status === 'RUNNING') await skip(held);
      await settling.settle(execution.id);
      return true;
    }
    if (state.status !== 'RUNNING' || state.losses < options.lossLimit) return false;
    const message = `The process around step ${state.step} died ${state.losses + 1} times while it ran.`;
    await end(() => held.claim, state.attempt, {
      failure: { class: 'permanent', name: 'Lost', message },
      final: true,
    });
    return true;
  }

  async function skip({ state, claim }: HeldStep): Promise<void> {
    await decideAndCommit(scope, async () => {
      const [current, execution] = await Promise.all([
        records.stepById(state.id),
        records.get(state.executionId),
      ]);
      if (current === undefined || stepHasEnded(current.status)) {
        return { changes: [], result: undefined };
      }
      const hold = { op: 'hold', kind: 'step_execution', ...only(claim) } as const;
      const ended = endStep(scope, current, 'SKIPPED', 'the execution ended when its process died');
      return { changes: [hold, ended, ...countSteps(execution, -1)], result: undefined };
    });
  }

  async function end(
    claim: () => ClaimKey,
    attempt: number,
    how: { readonly failure: StepFailure; readonly final?: boolean },
  ): Promise<{ readonly delayMs: number } | undefined> {
    const { id } = claim();
    const { executionId, again } = await decideAndCommit(scope, async () => {
      const state = await running(id, attempt);
      if (state === 'ended')
        return { changes: [], result: { executionId: undefined, again: undefined } };
      const execution = await records.get(state.executionId);
      const { steps } = await definitions.get(state.definition);
      const policy = steps.get(state.step)?.retry;
      const after =
        how.final || policy === undefined
          ? ({ next: 'fail', exhausted: false } as const)
          : afterFailure(policy, how.failure.class, state.failures + 1, state.id);
      const again = after.next === 'retry' && execution.phase !== 'stopping' ? after : undefined;
      return {
        changes: failStep(scope, { state, claim: claim() }, execution, how.failure, after),
        result: { executionId: again === undefined ? execution.id : undefined, again },
      };
    });
    if (executionId !== undefined) await settling.settle(executionId);
    return again;
  }

  return {
    async begin(claim, first) {
      let latest: StepState | undefined = first;
      return decideAndCommit(scope, async () => {
        const state = latest ?? (await records.stepById(first.id));
        latest = undefined;
        if (state === undefined || stepHasEnded(state.status) || state.pendingDeps > 0) {
          return { changes: [], result: undefined };
        }
        const execution = await records.get(state.executionId);
        const held = { state, claim: claim() };
        if (await decline(held, execution)) return { changes: [], result: undefined };
        const begun: Begun = {
          execution,
          step: state.step,
          attempt: state.attempt + 1,
          startedAt: scope.clock.now(),
        };
        return { changes: startStep(scope, held, execution, options), result: begun };
      });
    },

    async complete(claim, attempt, { output, artifacts }) {
      const { id } = claim();
      const done = await decideAndCommit(scope, async () => {
        const state = await running(id, attempt);
        if (state === 'ended') return { changes: [], result: undefined };
        const execution = await records.get(state.executionId);
        const { dependents } = await definitions.get(state.definition);
        const waiting = dependents.get(state.step) ?? [];
        const held = { state, claim: claim() };
        const outcome = isLastStep(execution)
          ? await readOutcome(scope, records, execution, { state, artifacts })
          : undefined;
        return {
          changes: completeStep(scope, held, execution, output, artifacts, waiting, outcome),
          result: { state, many: waiting.length > releaseSize },
        };
      });
      if (done === undefined) return;
      if (done.many) await settling.release(done.state);
      // Two that end at once each see the other open: who comes second here sees neither.
      await settling.settle(done.state.executionId);
    },

    fail: end,

    giveBack: (claim, attempt, reason) =>
      decideAndCommit(scope, async () => {
        const state = await running(claim().id, attempt);
        const changes =
          state === 'ended' || state.status !== 'RUNNING'
            ? []
            : giveBackStep(scope, { state, claim: claim() }, reason);
        return { changes, result: undefined };
      }),
  };
}

function only(claim: ClaimKey): {
  readonly id: string;
  readonly owner: string;
  readonly fence: number;
} {
  return { id: claim.id, owner: claim.owner, fence: claim.fence };
}
