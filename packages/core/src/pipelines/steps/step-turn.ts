import type { SubmitOptions } from '../../contracts/executor.ts';
import type { ClaimKey } from '../../contracts/metadata-store.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../../errors.ts';
import { commitChanges, jitter } from '../../operations/decide-and-commit.ts';
import type { Allocated } from '../admission/admission.ts';
import { countSteps } from '../changes/execution-changes.ts';
import { type HeldStep, hold } from '../changes/held-step.ts';
import { skipStep } from '../changes/step-completion.ts';
import { parkStep } from '../changes/step-return.ts';
import { adoptStep } from '../changes/step-start.ts';
import { endStep } from '../changes/step-stop.ts';
import type { StepDefinition } from '../definition.ts';
import type { LoadedDefinition } from '../definitions.ts';
import type { ExecutionState } from '../execution.ts';
import { hasEnded, stepHasEnded } from '../execution-state.ts';
import { type StepState, stepLabel } from '../step-execution.ts';
import { classifyFailure, describeFailure } from '../step-policy.ts';
import { joinStep } from './join-step.ts';
import { createAttemptStart } from './start-attempt.ts';
import { isExternal, nothing, type Turn, type TurnParts } from './turn.ts';

/** Decides what is due of a claimed step, and commits it. */
export interface StepTurns {
  /** Rejects with the signal's reason, where that is aborted before the step has begun. */
  take(claim: () => ClaimKey, first: StepState, options?: SubmitOptions): Promise<Turn>;
}

const tries = 30;
/** Turns of steps, for the scope's workspace. */
export function createStepTurns(scope: Scope, parts: TurnParts): StepTurns {
  const { records, settling, commits, values, owner, tracked } = parts;
  const start = createAttemptStart(scope, parts);

  return {
    async take(claim, first, options = {}) {
      let latest: StepState | undefined = first;
      for (let attempt = 1; ; attempt += 1) {
        const state: StepState | undefined = latest ?? (await records.stepById(first.id));
        latest = undefined;
        if (state === undefined || stepHasEnded(state.status) || state.pendingDeps > 0) {
          return { do: 'nothing' };
        }
        try {
          return await turn({ state, claim: claim() }, claim, { first: attempt === 1, options });
        } catch (error) {
          // Somebody else was quicker with the step, its execution, a pool or a key: look again.
          if (!isKeelsonError(error, 'STALE', 'CONFLICT') || attempt === tries) throw error;
          await jitter(attempt);
        }
      }
    },
  };

  /** At the `first` try by what this process knows: a commit that finds it otherwise is STALE or CONFLICT. */
  async function turn(
    held: HeldStep,
    claim: () => ClaimKey,
    { first, options }: { readonly first: boolean; readonly options: SubmitOptions },
  ): Promise<Turn> {
    const { state } = held;
    const known = first ? records.remembered(state.executionId) : undefined;
    const execution = known && goesOn(known) ? known : await records.get(state.executionId);
    const loaded = await parts.definitions.get(state.definition);
    const step = loaded.steps.get(state.step);
    if (step === undefined) {
      throw new KeelsonError('INTERNAL', `Step ${state.step} is not in its definition.`);
    }
    if (await decline(held, claim, execution)) return nothing;
    if (state.status === 'RUNNING' && waitsForOthers(state)) {
      await joinStep(scope, { records, values, commits }, held, claim, step);
      return nothing;
    }
    if (state.status === 'RUNNING' && isExternal(state))
      return adopt(held, execution, loaded, step);
    if (execution.paused) {
      await commitChanges(scope, parkStep(held, execution, 'the execution is paused'));
      return nothing;
    }
    if (state.status === 'PENDING' && state.failures === 0 && state.losses === 0) {
      let why: Awaited<ReturnType<typeof skipReason>>;
      try {
        why = await skipReason(held, execution, step);
      } catch (error) {
        if (classifyFailure(error) === 'transient') throw error;
        await commits.fail(claim, state.attempt, { failure: describeFailure(error), final: true });
        return nothing;
      }
      if (why !== undefined) {
        const follows = await commits.following(execution, { state, artifacts: [] });
        await commitChanges(scope, skipStep(scope, held, execution, why, follows, tracked));
        await commits.settled(state, execution);
        return nothing;
      }
    }
    return start({ held, execution, loaded, step, options }, claim, first);
  }

  async function adopt(
    held: HeldStep,
    execution: ExecutionState,
    loaded: LoadedDefinition,
    step: StepDefinition,
  ): Promise<Turn> {
    const { state } = held;
    const inputs = () => values.inputs({ state, loaded, execution });
    await commitChanges(scope, adoptStep(held, execution, owner));
    const { executionId, attempt } = state;
    scope.logger.info(
      { component: 'pipelines', executionId, step: state.step },
      `Step ${stepLabel(state)}: attempt ${attempt} goes on under this process; the one before has died or closed.`,
    );
    const allocated = (state.allocated as Allocated | undefined) ?? {};
    return {
      do: 'run',
      begun: { execution, state, step, attempt, inputs, adopted: true, allocated },
    };
  }

  /** What a claim finds besides a step to run: an execution that is over, or a step that kills. */
  async function decline(
    held: HeldStep,
    claim: () => ClaimKey,
    execution: ExecutionState,
  ): Promise<boolean> {
    const { state } = held;
    if (execution.phase === 'stopping' || hasEnded(execution.status)) {
      // A RUNNING one of a dead supervisor would keep a failed execution from its end.
      if (state.status === 'RUNNING' && !isExternal(state)) {
        const ended = endStep(scope, state, 'SKIPPED', 'the execution ended when its process died');
        await commitChanges(scope, [hold(held.claim), ...ended, ...countSteps(execution, -1)]);
      }
      await settling.settle(execution.id);
      const left = state.status === 'RUNNING' && isExternal(state) && !hasEnded(execution.status);
      return !left || execution.aborts;
    }
    if (state.status !== 'RUNNING' || state.losses < parts.lossLimit) return false;
    const message = `The process around step ${stepLabel(state)} died ${state.losses + 1} times while it ran.`;
    const failure = { class: 'permanent', name: 'Lost', message } as const;
    await commits.fail(claim, state.attempt, { failure, final: true });
    return true;
  }

  async function skipReason({ state }: HeldStep, execution: ExecutionState, step: StepDefinition) {
    if (state.mapKey !== '') {
      const reason = (await records.stepById(state.fanOut))?.stoppedEarly;
      return reason === undefined ? undefined : ({ kind: 'early', reason } as const);
    }
    if (state.missingDeps > 0 && step.join !== 'ended') {
      return { kind: 'upstream', reason: 'a step that it depends on has no value for it' } as const;
    }
    if (step.when === undefined) return undefined;
    if (await parts.conditions.holds(step.when, state, execution)) return undefined;
    return { kind: 'condition', reason: `its condition is false: ${step.when}` } as const;
  }
}

function waitsForOthers(state: StepState): boolean {
  return (state.items !== undefined && state.mapKey === '') || state.childExecutionId !== undefined;
}

/** Whether steps of it may start, as far as it is known. */
function goesOn({ status, phase, paused }: ExecutionState): boolean {
  return !hasEnded(status) && phase === undefined && !paused;
}
