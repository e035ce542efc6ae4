import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../../errors.ts';
import { given } from '../execution.ts';
import { FurtherSteps } from '../further-steps.ts';
import { contentsTaken } from '../lineage/new-edges.ts';
import { readableThrow } from '../step-policy.ts';
import { createAttemptEnd } from './attempt-end.ts';
import { type AttemptParts, type AttemptRun, type Outcome, Siblings } from './attempt-parts.ts';
import { createAttemptWork } from './attempt-work.ts';
import { attemptKey } from './function-logs.ts';
import { checkOutputs } from './output-ports.ts';
import type { Finished } from './output-sink.ts';
import type { LeasedStep } from './step-leases.ts';
import { type Begun, isExternal } from './turn.ts';

/** Runs attempts that have begun to their end, and commits that. */
export interface StepAttempts {
  run(leased: LeasedStep, begun: Begun): Promise<void>;
  /** For another process to go on. */
  giveBack(leased: LeasedStep, reason: string): Promise<void>;
  /** What steps are aborted with when this process closes. */
  closing(): KeelsonError;
}

/** Attempts of steps, for the scope's workspace. */
export function createStepAttempts(scope: Scope, parts: AttemptParts): StepAttempts {
  const { values } = parts;
  const work = createAttemptWork(scope, parts);
  const end = createAttemptEnd(scope, parts, work);

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
    let tracked: AttemptRun;
    let outcome: Outcome;
    let finished: Finished | FurtherSteps;
    const outputs = values.sink(state, controller.signal);
    const siblings = new Siblings();
    try {
      tracked =
        begun.run ??
        (await parts.link.attempt(begun.execution, state, begun.attempt, begun.adopted));
      outcome = await work.run(leased, begun, outputs, tracked, siblings);
      finished =
        outcome.value instanceof FurtherSteps
          ? outcome.value
          : await outputs.finish(checkOutputs(begun.step, outcome.value));
    } catch (thrown) {
      const error = readableThrow(thrown);
      // Of a task it is another supervisor's word that it has it by now: nothing has failed.
      if (isExternal(state) && isKeelsonError(error, 'LOST')) controller.abort(error);
      await count(beganAt);
      await end.failed(leased, begun, error, tracked, outputs);
      return;
    }
    await count(beganAt);
    if (finished instanceof FurtherSteps) {
      await end.continued(leased, begun, finished, tracked, outcome.details);
    } else {
      const taken = begun.origins?.contents ?? (await contentsTaken(scope, state.id));
      const result = { ...finished, taken, ...given('details', outcome.details) };
      await end.complete(leased, begun, result, tracked);
    }
    if (siblings.reason !== undefined) await parts.stopSiblings(state, siblings.reason);
  }

  /** What was computed is used up, whatever becomes of it. */
  async function count(beganAt: number): Promise<void> {
    await scope.quotas?.count('compute', Math.ceil(performance.now() - beganAt));
  }

  return {
    run,
    giveBack: end.giveBack,
    closing: () =>
      new KeelsonError('CLOSED', 'The platform is closing; the step will go on elsewhere.'),
  };
}
