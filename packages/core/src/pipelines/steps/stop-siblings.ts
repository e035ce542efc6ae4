import type { Change } from '../../contracts/metadata-store.ts';
import type { Scope } from '../../contracts/scope.ts';
import { decideAndCommit } from '../../operations/decide-and-commit.ts';
import { countSteps } from '../changes/execution-changes.ts';
import { endStep } from '../changes/step-stop.ts';
import { column, type ExecutionRecords, equals } from '../execution-records.ts';
import { hasEnded } from '../execution-state.ts';
import type { Settling } from '../settling.ts';
import { replaceStep, type StepState, stepExecutionId, stepFromRecord } from '../step-execution.ts';

const atOnce = 200;

/**
 * Ends the items of a fan-out that have not ended, because one of them has found what was looked for. The
 * reason is written down first, so that whoever comes upon an item later ends it as well.
 */
export function createStopSiblings(
  scope: Scope,
  records: ExecutionRecords,
  settling: Settling,
): (item: StepState, reason: string) => Promise<void> {
  const { metadata, workspace } = scope;

  return async (item, reason) => {
    const parentId = stepExecutionId(item.executionId, item.step);
    await decideAndCommit(scope, async () => {
      const parent = await records.stepById(parentId);
      const late = parent === undefined || parent.status !== 'RUNNING';
      if (late || parent.stoppedEarly !== undefined) return { changes: [], result: undefined };
      const body = { ...parent.body, stoppedEarly: reason };
      // Items that were not made are not made any more.
      const unmade = parent.toRelease;
      const fewer: Change = {
        ...{ op: 'adjust', kind: 'step_execution', id: parent.id },
        ...{ column: 'pendingDeps', by: -unmade, min: 0 },
      };
      return {
        changes: [
          replaceStep(parent, { toRelease: undefined }, body),
          ...(unmade > 0 ? [fewer] : []),
        ],
        result: undefined,
      };
    });
    while (await endSome(item, parentId, reason));
    await settling.settle(item.executionId);
  };

  function endSome(item: StepState, parentId: string, reason: string): Promise<boolean> {
    return decideAndCommit<boolean>(scope, async () => {
      const [parent, execution, open] = await Promise.all([
        records.stepById(parentId),
        records.get(item.executionId),
        openItems(item),
      ]);
      const over = execution.phase === 'stopping' || hasEnded(execution.status);
      if (over || parent?.status !== 'RUNNING' || open.length === 0) {
        return { changes: [], result: false };
      }
      const fewer: Change = {
        ...{ op: 'adjust', kind: 'step_execution', id: parent.id },
        ...{ column: 'pendingDeps', by: -open.length, min: 0 },
      };
      return {
        changes: [
          ...open.flatMap((state) => endStep(scope, state, 'SKIPPED', reason, 'early')),
          fewer,
          ...countSteps(execution, -open.length),
        ],
        result: open.length === atOnce,
      };
    });
  }

  async function openItems({ executionId, step, id }: StepState): Promise<readonly StepState[]> {
    const { records: found } = await metadata.query(workspace, 'step_execution', {
      where: {
        op: 'and',
        of: [
          equals('executionId', executionId),
          equals('step', step),
          { op: 'in', left: column('status'), values: ['PENDING', 'RUNNING'] },
          { op: 'compare', left: column('mapKey'), cmp: '!=', value: '' },
          { op: 'compare', left: column('id'), cmp: '!=', value: id },
        ],
      },
      limit: atOnce,
    });
    return found.map(stepFromRecord);
  }
}
