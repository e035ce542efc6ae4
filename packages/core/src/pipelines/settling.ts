import type { Change } from '../contracts/metadata-store.ts';
import type { Scope } from '../contracts/scope.ts';
import { withCorrelation } from '../events/correlation.ts';
import { type Decision, decideAndCommit } from '../operations/decide-and-commit.ts';
import type { Definitions } from './definitions.ts';
import type { ExecutionState, StopStatus } from './execution.ts';
import { readOutcome } from './execution-outcome.ts';
import { type ExecutionRecords, equals } from './execution-records.ts';
import { hasEnded, openDependencies, stepHasEnded } from './execution-state.ts';
import { replaceStep, type StepState } from './step-execution.ts';
import { topologicalOrder } from './step-graph.ts';
import {
  assertExecution,
  chunkSize,
  countSteps,
  createStep,
  creationOrder,
  endExecution,
  endStep,
  releaseSize,
  releaseStep,
  reopenStep,
  replaceExecution,
  statusesOf,
} from './transitions.ts';

/** Brings to its end what concerns an execution as a whole and may take several commits. */
export interface Settling {
  /**
   * Goes on with what has begun: creating the steps of a large execution, ending one that is stopping,
   * reopening one. Any process may do it, any number at once; answers whether there was anything.
   */
  settle(executionId: string): Promise<boolean>;
  /** Tells the dependents of a completed step that were too many for its own commit. */
  release(step: StepState): Promise<void>;
  /** Settles what a process that died has left; answers whether there was anything. */
  sweep(): Promise<boolean>;
}

type Verdict = 'more' | 'done' | 'nothing';

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
    if (execution.phase === 'reopening') return reopen(execution);
    if (execution.status === 'RUNNING' && execution.openSteps === 0) {
      const outcome = await readOutcome(scope, records, execution);
      const end = { status: 'COMPLETED', outcome } as const;
      return { changes: endExecution(scope, execution, end), result: 'done' };
    }
    return { changes: [], result: 'nothing' };
  }

  /** Creates the next steps; in an execution that is stopping, as what will never run. */
  async function open(execution: ExecutionState): Promise<Decision<Verdict>> {
    const { definition } = await definitions.get(execution.definition);
    const next = creationOrder(definition).slice(
      execution.createdSteps,
      execution.createdSteps + chunkSize,
    );
    const status = stoppedStatus(execution);
    const createdSteps = execution.createdSteps + next.length;
    const phase = execution.phase === 'opening' && createdSteps === execution.totalSteps;
    return {
      changes: [
        ...next.map((step) => createStep(execution, step, status)),
        ...(status === undefined ? [] : countSteps(execution, -next.length, 'after')),
        replaceExecution(execution, { createdSteps, ...(phase ? { phase: undefined } : {}) }),
      ],
      result: phase ? 'done' : 'more',
    };
  }

  /** Ends what has not begun; a cancel also what runs. When nothing is left, the execution. */
  async function stop(execution: ExecutionState): Promise<Decision<Verdict>> {
    if (execution.createdSteps < execution.totalSteps) return open(execution);
    const cancelled = execution.stop === 'CANCELLED';
    const unended = await records.steps(execution.id, {
      statuses: ['PENDING', 'RUNNING'],
      limit: 1000,
    });
    const ending = unended
      .filter((state) => state.status === 'PENDING' || cancelled)
      .slice(0, chunkSize);
    const changes: Change[] = ending.map((state) =>
      cancelled
        ? endStep(scope, state, 'CANCELLED', 'the execution was cancelled')
        : endStep(scope, state, 'SKIPPED', 'another step failed'),
    );
    if (unended.length === ending.length) {
      const rest = countSteps(execution, -ending.length, 'after');
      const ended = endExecution(scope, execution, { status: execution.stop ?? 'FAILED' });
      return { changes: [...changes, ...rest, ...ended], result: 'done' };
    }
    // What runs ends by itself; its completion or the claim on its dead owner's leavings comes back here.
    if (ending.length === 0) return { changes: [], result: 'nothing' };
    return { changes: [...changes, ...countSteps(execution, -ending.length)], result: 'more' };
  }

  /** Puts what did not complete back to PENDING, dependents first, so that nothing starts too early. */
  async function reopen(execution: ExecutionState): Promise<Decision<Verdict>> {
    const { definition, steps } = await definitions.get(execution.definition);
    const states = await records.steps(execution.id);
    const byName = new Map(states.map((state) => [state.step, state]));
    const statuses = statusesOf(states);
    const closed = topologicalOrder(definition.steps)
      .toReversed()
      .map((name) => byName.get(name))
      .filter((state) => state !== undefined)
      .filter((state) => stepHasEnded(state.status) && state.status !== 'COMPLETED');
    const changes = closed.slice(0, chunkSize).map((state) => {
      const step = steps.get(state.step);
      return reopenStep(state, step === undefined ? 0 : openDependencies(step, statuses));
    });
    const owing = states.filter((state) => state.toRelease > 0);
    const done = closed.length <= chunkSize && owing.length <= 50;
    return {
      changes: [
        ...changes,
        // Their dependents have been counted anew.
        ...owing.slice(0, 50).map((state) => replaceStep(state, { toRelease: undefined })),
        ...countSteps(execution, changes.length, 'after'),
        done ? replaceExecution(execution, { phase: undefined }) : assertExecution(execution),
      ],
      result: done ? 'done' : 'more',
    };
  }

  async function settle(executionId: string): Promise<boolean> {
    const execution = await records.find(executionId);
    if (execution === undefined || !isUnsettled(execution)) return false;
    return withCorrelation({ correlationId: execution.correlationId }, async () => {
      for (let any = false; ; any = true) {
        const verdict = await decideAndCommit(scope, () => settleOnce(executionId));
        if (verdict === 'nothing') return any;
        if (verdict === 'done') return true;
      }
    });
  }

  async function releaseOnce(id: string): Promise<Decision<Verdict>> {
    const state = await records.stepById(id);
    const execution = state && (await records.find(state.executionId));
    if (state === undefined || state.toRelease === 0 || execution === undefined) {
      return { changes: [], result: 'nothing' };
    }
    if (execution.phase === 'reopening') return { changes: [], result: 'nothing' };
    const { dependents } = await definitions.get(execution.definition);
    const all = dependents.get(state.step) ?? [];
    const over = execution.phase === 'stopping' || hasEnded(execution.status);
    const next = over ? [] : all.slice(all.length - state.toRelease).slice(0, releaseSize);
    const toRelease = over ? 0 : state.toRelease - next.length;
    return {
      changes: [
        replaceStep(state, { toRelease: toRelease > 0 ? toRelease : undefined }),
        ...next.map((step) => releaseStep(state.executionId, step)),
        assertExecution(execution),
      ],
      result: toRelease > 0 ? 'more' : 'done',
    };
  }

  async function release(state: StepState): Promise<void> {
    while ((await decideAndCommit(scope, () => releaseOnce(state.id))) === 'more');
  }

  async function sweep(): Promise<boolean> {
    const phases = await metadata.query(workspace, 'execution', {
      where: {
        op: 'or',
        of: [
          { op: 'present', left: { from: 'column', name: 'phase' } },
          { op: 'and', of: [equals('status', 'RUNNING'), equals('openSteps', 0)] },
        ],
      },
      limit: 100,
    });
    let any = false;
    for (const { id } of phases.records) any = (await settle(id)) || any;
    const owing = await metadata.query(workspace, 'step_execution', {
      where: { op: 'compare', left: { from: 'column', name: 'toRelease' }, cmp: '>', value: 0 },
      limit: 100,
    });
    for (const record of owing.records) {
      const state = await records.stepById(record.id);
      if (state !== undefined && state.toRelease > 0) {
        await release(state);
        any = true;
      }
    }
    return any;
  }

  return { settle, release, sweep };
}

function isUnsettled(execution: ExecutionState): boolean {
  const ended = execution.status === 'RUNNING' && execution.openSteps === 0;
  return ended || execution.phase !== undefined;
}

function stoppedStatus(execution: ExecutionState): 'SKIPPED' | 'CANCELLED' | undefined {
  if (execution.phase !== 'stopping') return undefined;
  const status: StopStatus = execution.stop ?? 'FAILED';
  return status === 'CANCELLED' ? 'CANCELLED' : 'SKIPPED';
}
