import type { Change } from '../contracts/metadata-store.ts';
import type { Scope } from '../contracts/scope.ts';
import { withCorrelation } from '../events/correlation.ts';
import { type Decision, decideAndCommit } from '../operations/decide-and-commit.ts';
import { releaseSize, tellDependent } from './changes/dependency-counts.ts';
import {
  assertExecution,
  countSteps,
  endExecution,
  replaceExecution,
  stopExecution,
} from './changes/execution-changes.ts';
import { chunkSize, createItems, createStep, creationOrder } from './changes/step-creation.ts';
import { toleratedEnd } from './changes/step-failure.ts';
import { endStep, failFanOut } from './changes/step-stop.ts';
import type { Definitions } from './definitions.ts';
import type { ExecutionState, StopStatus } from './execution.ts';
import { readOutcome } from './execution-outcome.ts';
import { column, type ExecutionRecords, equals } from './execution-records.ts';
import { hasEnded, stepHasEnded } from './execution-state.ts';
import { dependentsIn, newSteps } from './partial-run.ts';
import { reopening } from './reopening.ts';
import { parkedAt, replaceStep, type StepState } from './step-execution.ts';

/** Brings to its end what concerns an execution as a whole and may take several commits. */
export interface Settling {
  /**
   * Goes on with what has begun: creating the steps of a large execution, ending one that is stopping or
   * whose time is up, reopening or resuming one. Any process may do it, any number at once; answers
   * whether there was anything.
   */
  settle(executionId: string): Promise<boolean>;
  /** Tells the dependents of an ended step, or makes items of a fan-out, that were too many for its own commit. */
  release(step: Pick<StepState, 'id'>): Promise<void>;
  /** Settles what a process that died has left; answers whether there was anything. */
  sweep(): Promise<boolean>;
}

type Verdict = 'more' | 'done' | 'nothing';

/** As many changes as one commit takes, less what goes with them. */
const roomForSteps = 480;

/** Settling, for the scope's workspace. */
export function createSettling(
  scope: Scope,
  records: ExecutionRecords,
  definitions: Definitions,
): Settling {
  const { metadata, workspace } = scope;

  async function settleOnce(executionId: string): Promise<Decision<Verdict>> {
    const execution = await records.find(executionId);
    if (execution === undefined) return { changes: [], result: 'nothing' };
    if (execution.phase === 'stopping') return stop(execution);
    if (execution.phase === 'opening') return open(execution);
    if (execution.phase === 'reopening') return reopening(records, definitions, execution);
    if (isOverdue(scope, execution)) return expire(execution);
    if (execution.phase === 'resuming') return resume(execution);
    if (execution.status === 'RUNNING' && execution.openSteps === 0) {
      const outcome = await readOutcome(scope, records, execution);
      const end = { status: 'COMPLETED', outcome } as const;
      const parent = await records.parentOf(execution);
      return { changes: endExecution(scope, execution, end, parent), result: 'done' };
    }
    return { changes: [], result: 'nothing' };
  }

  function expire(execution: ExecutionState): Decision<Verdict> {
    const ms = (execution.deadlineAt ?? 0) - (execution.startedAt ?? 0);
    const message = `The execution took longer than its ${ms} ms.`;
    const failure = { class: 'transient', name: 'Timeout', message };
    const stop = { status: 'FAILED', facts: { failure }, aborts: true } as const;
    return { changes: [stopExecution(execution, stop)], result: 'more' };
  }

  /** Creates the next steps; in an execution that is stopping, as what will never run. */
  async function open(execution: ExecutionState): Promise<Decision<Verdict>> {
    const { definition } = await definitions.get(execution.definition);
    const next = creationOrder(definition).slice(
      execution.createdSteps,
      execution.createdSteps + chunkSize,
    );
    const status = stoppedStatus(execution);
    const made = await newSteps(records, definition, execution.partial);
    const createdSteps = execution.createdSteps + next.length;
    const phase = execution.phase === 'opening' && createdSteps === execution.totalSteps;
    const never = next.filter((step) => made(step).status === undefined && status !== undefined);
    return {
      changes: [
        ...next.map((step) =>
          createStep(
            execution,
            step,
            never.includes(step) && status !== undefined ? { status, skip: 'stopped' } : made(step),
          ),
        ),
        ...(never.length === 0 ? [] : countSteps(execution, -never.length, 'after')),
        replaceExecution(execution, { createdSteps, ...(phase ? { phase: undefined } : {}) }),
      ],
      result: phase ? 'done' : 'more',
    };
  }

  /** Ends what has not begun; where that is asked for also what runs. When nothing is left, the execution. */
  async function stop(execution: ExecutionState): Promise<Decision<Verdict>> {
    if (execution.createdSteps < execution.totalSteps) return open(execution);
    const cancelled = execution.stop === 'CANCELLED';
    const unended = await records.steps(execution.id, {
      statuses: ['PENDING', 'RUNNING'],
      limit: 1000,
    });
    const goOn = execution.aborts ? [] : unended.filter(runs);
    const busy = new Set(goOn.filter(({ mapKey }) => mapKey !== '').map(({ step }) => step));
    const failures = cancelled ? [] : await itemFailures(execution, unended);
    const changes: Change[] = [];
    let ended = 0;
    for (const state of unended) {
      // A fan-out ends after its items.
      if (goOn.includes(state) || (isFanOut(state) && busy.has(state.step))) continue;
      if (changes.length + state.held.length + 2 > roomForSteps - 10) break;
      const failed = isFanOut(state) ? failures.find(({ step }) => step === state.step) : undefined;
      if (failed !== undefined) {
        changes.push(failFanOut(scope, state, failed));
        ended += 1;
        continue;
      }
      const reason = cancelled ? 'the execution was cancelled' : stopReason(execution);
      const status = cancelled || runs(state) ? 'CANCELLED' : 'SKIPPED';
      changes.push(...endStep(scope, state, status, reason), ...(await endChild(state, reason)));
      ended += 1;
    }
    if (unended.length === ended) {
      const rest = countSteps(execution, -ended, 'after');
      const end = { status: execution.stop ?? 'FAILED' } as const;
      const parent = await records.parentOf(execution);
      const over = endExecution(scope, execution, end, parent);
      return { changes: [...changes, ...rest, ...over], result: 'done' };
    }
    // What runs ends by itself; its completion or the claim on its dead owner's leavings comes back here.
    if (ended === 0) return { changes: [], result: 'nothing' };
    return { changes: [...changes, ...countSteps(execution, -ended)], result: 'more' };
  }

  /** Items of the fan-outs among `unended` that failed in a way that nothing tolerates. */
  async function itemFailures(
    execution: ExecutionState,
    unended: readonly StepState[],
  ): Promise<readonly StepState[]> {
    if (!unended.some(isFanOut)) return [];
    const failed = await records.steps(execution.id, { statuses: ['FAILED'] });
    return failed.filter(({ mapKey, tolerated }) => mapKey !== '' && tolerated !== true);
  }

  /** What a step has asked for ends with it. */
  async function endChild(state: StepState, reason: string): Promise<readonly Change[]> {
    const child = state.childExecutionId && (await records.find(state.childExecutionId));
    if (!child || hasEnded(child.status) || child.stop === 'CANCELLED') return [];
    const facts = { cancelReason: reason };
    return [stopExecution(child, { status: 'CANCELLED', facts, aborts: true })];
  }

  /** Brings back what has waited for the end of a pause. */
  async function resume(execution: ExecutionState): Promise<Decision<Verdict>> {
    const { records: parked } = await metadata.query(workspace, 'step_execution', {
      where: {
        op: 'and',
        of: [
          equals('executionId', execution.id),
          equals('status', 'PENDING'),
          equals('readyAt', parkedAt),
        ],
      },
      limit: chunkSize,
    });
    const states = await Promise.all(parked.map(({ id }) => records.stepById(id)));
    const changes = states
      .filter((state) => state !== undefined)
      .map((state) => {
        const { waitsFor: _, ...body } = state.body;
        return replaceStep(state, { readyAt: 0 }, body);
      });
    const done = parked.length < chunkSize;
    return {
      changes: [
        ...changes,
        done ? replaceExecution(execution, { phase: undefined }) : assertExecution(execution),
      ],
      result: done ? 'done' : 'more',
    };
  }

  async function settle(executionId: string): Promise<boolean> {
    const execution = await records.find(executionId);
    if (execution === undefined || !isUnsettled(scope, execution)) return false;
    return withCorrelation({ correlationId: execution.correlationId }, async () => {
      for (let any = false; ; any = true) {
        const verdict = await decideAndCommit(scope, () => settleOnce(executionId));
        if (verdict === 'nothing') return any;
        if (verdict === 'done') {
          await settleChildren(executionId);
          return true;
        }
      }
    });
  }

  /** Executions that were ended because the step that asked for them was. */
  async function settleChildren(executionId: string): Promise<void> {
    const ended = await records.steps(executionId, { statuses: ['CANCELLED', 'SKIPPED'] });
    for (const { childExecutionId } of ended) {
      if (childExecutionId !== undefined) await settle(childExecutionId);
    }
  }

  async function releaseOnce(id: string): Promise<Decision<Verdict>> {
    const state = await records.stepById(id);
    const execution = state && (await records.find(state.executionId));
    if (state === undefined || state.toRelease === 0 || execution === undefined) {
      return { changes: [], result: 'nothing' };
    }
    if (execution.phase === 'reopening') return { changes: [], result: 'nothing' };
    const over = execution.phase === 'stopping' || hasEnded(execution.status);
    return stepHasEnded(state.status)
      ? tellMore(state, execution, over)
      : expandMore(state, execution, over);
  }

  async function tellMore(
    state: StepState,
    execution: ExecutionState,
    over: boolean,
  ): Promise<Decision<Verdict>> {
    const { dependents, steps } = await definitions.get(execution.definition);
    const all = dependentsIn(execution, dependents.get(state.step) ?? []);
    const tolerated = toleratedEnd(steps.get(state.step) ?? {});
    const end = state.status === 'FAILED' ? tolerated : undefined;
    const told = end ?? (state.status === 'COMPLETED' ? 'value' : 'missing');
    const next = over ? [] : all.slice(all.length - state.toRelease).slice(0, releaseSize(told));
    const toRelease = over ? 0 : state.toRelease - next.length;
    return {
      changes: [
        replaceStep(state, { toRelease: toRelease > 0 ? toRelease : undefined }),
        ...next.flatMap((step) => tellDependent(state.executionId, step, told)),
        assertExecution(execution),
      ],
      result: toRelease > 0 ? 'more' : 'done',
    };
  }

  /** Makes the next items of a fan-out; those of one that was ended stay unmade until it is reopened. */
  async function expandMore(
    state: StepState,
    execution: ExecutionState,
    over: boolean,
  ): Promise<Decision<Verdict>> {
    const { steps } = await definitions.get(execution.definition);
    const step = steps.get(state.step);
    const items = state.items ?? 0;
    if (over || step === undefined) return { changes: [], result: 'nothing' };
    const from = items - state.toRelease;
    const to = Math.min(items, from + chunkSize);
    return {
      changes: [
        replaceStep(state, { toRelease: items > to ? items - to : undefined }),
        ...createItems(execution, step, from, to),
        ...countSteps(execution, to - from),
      ],
      result: items > to ? 'more' : 'done',
    };
  }

  async function release({ id }: Pick<StepState, 'id'>): Promise<void> {
    while ((await decideAndCommit(scope, () => releaseOnce(id))) === 'more');
  }

  async function sweep(): Promise<boolean> {
    const phases = await metadata.query(workspace, 'execution', {
      where: {
        op: 'or',
        of: [
          { op: 'present', left: column('phase') },
          { op: 'and', of: [equals('status', 'RUNNING'), equals('openSteps', 0)] },
          { op: 'compare', left: column('deadlineAt'), cmp: '<=', value: scope.clock.now() },
        ],
      },
      limit: 100,
    });
    let any = false;
    for (const { id } of phases.records) any = (await settle(id)) || any;
    const owing = await metadata.query(workspace, 'step_execution', {
      where: { op: 'compare', left: column('toRelease'), cmp: '>', value: 0 },
      limit: 100,
    });
    for (const record of owing.records) {
      const state = await records.stepById(record.id);
      if (state === undefined || state.toRelease === 0) continue;
      await release(state);
      any = true;
    }
    return any;
  }

  return { settle, release, sweep };
}

/** Whether somebody works on it; a fan-out and a step that waits for an execution only wait. */
function runs(state: StepState): boolean {
  return state.status === 'RUNNING' && !(state.pendingDeps > 0);
}

/** Whether it waits for items of its own. */
function isFanOut(state: StepState): boolean {
  return state.mapKey === '' && state.status === 'RUNNING' && state.items !== undefined;
}

function stopReason(execution: ExecutionState): string {
  return execution.failure?.name === 'Timeout' && execution.failure.step === undefined
    ? 'the time of the execution was up'
    : 'another step failed';
}

function isOverdue(scope: Pick<Scope, 'clock'>, execution: ExecutionState): boolean {
  const { deadlineAt, status } = execution;
  return status === 'RUNNING' && deadlineAt !== undefined && deadlineAt <= scope.clock.now();
}

/** Whether there is something to go on with, as far as the execution is known. */
export function isUnsettled(scope: Pick<Scope, 'clock'>, execution: ExecutionState): boolean {
  const ended = execution.status === 'RUNNING' && execution.openSteps === 0;
  return ended || execution.phase !== undefined || isOverdue(scope, execution);
}

function stoppedStatus(execution: ExecutionState): 'SKIPPED' | 'CANCELLED' | undefined {
  if (execution.phase !== 'stopping') return undefined;
  const status: StopStatus = execution.stop ?? 'FAILED';
  return status === 'CANCELLED' ? 'CANCELLED' : 'SKIPPED';
}
