import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { withCorrelation } from '../events/correlation.ts';
import { assertText } from '../json.ts';
import { assertAllowed, decideAndCommit } from '../operations/decide-and-commit.ts';
import { replaceExecution, stopExecution } from './changes/execution-changes.ts';
import type { StepEngine } from './engine.ts';
import type { Execution, ExecutionState } from './execution.ts';
import type { ExecutionRecords } from './execution-records.ts';
import { assertExecutionMove, hasEnded } from './execution-state.ts';
import type { ExternalSteps } from './executors/external-work.ts';
import type { Pipelines } from './pipelines-types.ts';
import type { Settling } from './settling.ts';
import type { RunLink } from './steps/run-link.ts';

/** What is done to executions that were started. */
type ExecutionControl = Pick<Pipelines, 'cancel' | 'pause' | 'resume' | 'retry'>;

/** What that needs. */
export interface ControlParts {
  readonly records: ExecutionRecords;
  readonly settling: Settling;
  readonly engine: StepEngine;
  readonly link: RunLink;
  readonly external: ExternalSteps | undefined;
}

/** Control of the executions of the scope's workspace. */
export function createExecutionControl(
  scope: Scope,
  { records, settling, engine, link, external }: ControlParts,
): {
  readonly control: ExecutionControl;
  /** Resolves when the tasks of what was cancelled have ended. */
  ended(): Promise<void>;
} {
  const endings = new Set<Promise<unknown>>();

  /** Reads, checks and changes an execution as a whole, then settles what follows. */
  async function change(
    id: string,
    decide: (execution: ExecutionState) => ReturnType<typeof replaceExecution> | undefined,
  ): Promise<Execution> {
    const { pipeline, correlationId } = await records.get(assertText(id, 'An execution id'));
    await assertAllowed(scope, 'pipeline.run', `pipeline:${pipeline}`);
    await withCorrelation({ correlationId }, () =>
      decideAndCommit(scope, async () => {
        const made = decide(await records.get(id));
        return { changes: made === undefined ? [] : [made], result: undefined };
      }),
    );
    await settling.settle(id);
    return (await records.get(id)).facts;
  }

  /** Ends what runs of an execution that is over and whose supervisors have died, while the caller goes on. */
  function endTasksOf(executionId: string): void {
    if (external === undefined) return;
    const ending = external
      .collectLeftovers({ executionId })
      .catch((error: unknown) => {
        const fields = { component: 'pipelines', executionId, error };
        scope.logger.warn(fields, 'What runs of a cancelled execution is ended by the next sweep.');
      })
      .finally(() => endings.delete(ending));
    endings.add(ending);
  }

  const control: ExecutionControl = {
    async cancel(id, reason) {
      const why =
        reason === undefined ? {} : { cancelReason: assertText(reason, 'A reason', 2000) };
      const cancelled = await change(id, (execution) => {
        if (execution.status === 'CANCELLED' || execution.stop === 'CANCELLED') return undefined;
        if (hasEnded(execution.status)) assertExecutionMove(id, execution.status, 'CANCELLED');
        return stopExecution(execution, { status: 'CANCELLED', facts: why, aborts: true });
      });
      engine.abort(id, new KeelsonError('ABORTED', `Execution ${id} was cancelled.`));
      endTasksOf(id);
      await link.close(await records.get(id));
      return cancelled;
    },

    pause: (id) =>
      change(id, (execution) => {
        assertGoing(execution, 'paused');
        if (execution.paused) return undefined;
        return replaceExecution(execution, { paused: true });
      }),

    resume: (id) =>
      change(id, (execution) => {
        assertGoing(execution, 'resumed');
        if (!execution.paused) return undefined;
        return replaceExecution(execution, { paused: undefined, phase: 'resuming' });
      }),

    retry: (id) =>
      change(id, (execution) => {
        assertExecutionMove(id, execution.status, 'PENDING');
        const { failure: _, cancelReason: __, ...rest } = execution.body;
        const { stop: ___, aborts: ____, ...body } = rest;
        const columns = {
          status: 'PENDING',
          phase: 'reopening',
          paused: undefined,
          endedAt: undefined,
          round: execution.round + 1,
        };
        return replaceExecution(execution, columns, body);
      }),
  };

  return {
    control,
    async ended() {
      await Promise.all(endings);
    },
  };
}

function assertGoing(execution: ExecutionState, what: string): void {
  const { status, phase } = execution;
  if (!hasEnded(status) && phase !== 'stopping') return;
  const stopping = phase === 'stopping' ? ' and stopping' : '';
  const remedy =
    status === 'FAILED' || status === 'CANCELLED'
      ? '; pipelines.retry(id) runs what of it did not complete'
      : '';
  throw new KeelsonError(
    'CONFLICT',
    `Execution ${execution.id} is ${status}${stopping} and cannot be ${what}${remedy}.`,
    { details: { executionId: execution.id } },
  );
}
