import type { HealthCheck, Recovery } from '../contracts/caretaker.ts';
import type { Loop } from '../contracts/loop.ts';
import type { Predicate } from '../contracts/query.ts';
import type { Scope } from '../contracts/scope.ts';
import { schedules } from '../operations/health/check-schedules.ts';
import { ownerFromText, ownerState } from '../process-owner.ts';
import { column, equals } from './execution-records.ts';

const overdueMs = 600_000;
const kind = 'step_execution';

/** Steps that are due and wait for a process, and owners of claims that are gone. */
interface Overdue {
  readonly steps: number;
  readonly pipelines: readonly string[];
  readonly deadOwners: number;
}

/** The checks of pipelines. */
export function pipelineChecks(scope: Scope): readonly HealthCheck[] {
  return [
    {
      ...{ ...schedules.deep, failureThreshold: 2 },
      ...{ component: 'pipelines', critical: false, kind: 'deep', shared: true },
      name: 'overdue steps',
      async run() {
        const { steps, pipelines, deadOwners } = await overdue(scope);
        const details = { steps, deadOwners };
        if (steps === 0 && deadOwners === 0) {
          return { status: 'HEALTHY', message: 'Steps that are due are taken.', details };
        }
        const parts = [
          ...(steps === 0
            ? []
            : [`${steps} steps of ${pipelines.join(', ')} have been due for ten minutes`]),
          ...(deadOwners === 0 ? [] : [`${deadOwners} processes that are gone hold steps`]),
        ];
        return { status: 'DEGRADED', message: `${parts.join('; ')}.`, details };
      },
    },
  ];
}

/** The recoveries of pipelines. */
export function pipelineRecoveries(scope: Scope, loops: readonly Loop[]): readonly Recovery[] {
  return [
    {
      name: 'take over steps',
      priority: 50,
      canHandle: ({ check }) => check === 'overdue steps',
      async run(signal) {
        const before = await overdue(scope);
        for (const loop of loops) await loop.runOnce(signal);
        const after = await overdue(scope);
        if (after.steps === 0 && after.deadOwners === 0) {
          return { outcome: 'SUCCESS', message: 'No step waits any more.' };
        }
        const left = `${after.steps} steps of ${after.pipelines.join(', ')} wait still.`;
        if (after.steps < before.steps || after.deadOwners < before.deadOwners) {
          return { outcome: 'PARTIAL', message: left };
        }
        return {
          outcome: 'MANUAL_REQUIRED',
          message: left,
          steps: [
            `Start a process that adds ${after.pipelines.join(', ')} (pipelines.add) and calls platform.start().`,
          ],
        };
      },
    },
  ];
}

async function overdue(scope: Scope): Promise<Overdue> {
  const { metadata, workspace, clock } = scope;
  const where: Predicate = {
    op: 'and',
    of: [
      equals('pendingDeps', 0),
      equals('status', 'PENDING'),
      { op: 'compare', left: column('readyAt'), cmp: '<=', value: clock.now() - overdueMs },
    ],
  };
  const { records } = await metadata.query(workspace, kind, { where, limit: 100 });
  const old = records.filter(({ createdAt }) => createdAt <= clock.now() - overdueMs);
  const owners = await metadata.claimOwners(kind, workspace);
  const dead = owners.filter((owner) => ownerState(ownerFromText(owner)) === 'dead');
  return {
    steps: old.length,
    pipelines: [...new Set(old.map(({ columns }) => String(columns['pipeline'])))],
    deadOwners: dead.length,
  };
}
