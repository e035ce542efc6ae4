import type { MachineCapacity } from '../../contracts/executor.ts';
import type { Scope } from '../../contracts/scope.ts';
import { equals } from '../execution-records.ts';
import { stepFromRecord, stepLabel } from '../step-execution.ts';
import type { Allocated } from './admission.ts';
import type { Pools } from './pools.ts';
import type { Amounts } from './queue-order.ts';

/** A step that has something of a pool. */
export interface PoolHolder {
  readonly executionId: string;
  readonly step: string;
  readonly submittedBy?: string;
  readonly allocated: Allocated;
}

/** The machines of a pool: `cpuMilli` are thousandths of cores. */
export interface PoolUse {
  readonly pool: string;
  readonly executors: readonly string[];
  readonly machines: readonly MachineCapacity[];
  readonly total: Amounts;
  readonly used: Amounts;
  readonly heldDevices: readonly string[];
  readonly holders: readonly PoolHolder[];
  /** When a process last said what there is. */
  readonly seenAt: number;
}

/** All pools of machines, with who has what of them. */
export async function poolUses(scope: Scope, pools: Pools): Promise<readonly PoolUse[]> {
  const { metadata, workspace } = scope;
  const [all, holds, running] = await Promise.all([
    pools.list(),
    metadata.query(workspace, 'device_hold', { limit: 1000 }),
    metadata.query(workspace, 'step_execution', {
      where: equals('status', 'RUNNING'),
      limit: 1000,
    }),
  ]);
  const holders = running.records
    .map(stepFromRecord)
    .filter((state) => state.held.length > 0 && state.allocated !== undefined);
  return all
    .filter(({ machines }) => machines.length > 0)
    .map(({ pool, executors, machines, total, used, seenAt }) => ({
      ...{ pool, executors, machines, total, used, seenAt },
      heldDevices: holds.records
        .filter(({ columns }) => columns['pool'] === pool)
        .map(({ columns }) => String(columns['device'])),
      holders: holders
        .filter((state) => (state.allocated as Allocated).pool === pool)
        .map((state) => ({
          executionId: state.executionId,
          step: stepLabel(state),
          ...(state.submittedBy === undefined ? {} : { submittedBy: state.submittedBy }),
          allocated: state.allocated as Allocated,
        })),
    }));
}
