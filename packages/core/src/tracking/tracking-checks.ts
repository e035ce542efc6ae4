import type { HealthCheck, Recovery } from '../contracts/caretaker.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { columnIs } from '../operations/every-record.ts';
import { baselineWatch } from '../operations/health/baseline.ts';
import { schedules } from '../operations/health/check-schedules.ts';
import type { Death } from './run.ts';
import { faultsOfRun } from './run-faults.ts';

const recent = 100;
const looked = 500;

/** What the care for runs needs. */
export interface RunCare {
  /** Which of the runs read RUNNING and are dead. */
  deaths(records: readonly StoredRecord[]): Promise<ReadonlyMap<string, Death>>;
  reap(limit: number): Promise<number>;
}

/** The checks of tracking. */
export function trackingChecks(scope: Scope, runs: RunCare): readonly HealthCheck[] {
  const { metadata, workspace } = scope;
  const base = { component: 'tracking', critical: false, shared: true } as const;
  const judgeTime = baselineWatch('A search for the newest runs');
  const newest = {
    orderBy: [{ by: { from: 'column', name: 'startedAt' }, direction: 'desc' }],
    limit: recent,
  } as const;
  return [
    {
      ...{ ...base, ...schedules.deep, failureThreshold: 3 },
      name: 'stuck runs',
      kind: 'deep',
      async run() {
        const stuck = await stuckRuns(scope, runs);
        const details = { stuck: stuck.length };
        // Whoever lists runs, and the reaper, marks them within seconds: those that stay are stuck.
        if (stuck.length === 0) {
          return { status: 'HEALTHY', message: 'Every open run has a living process.', details };
        }
        const message = `${stuck.length} runs are open and their process is gone, such as ${stuck[0]}.`;
        return { status: 'DEGRADED', message, details };
      },
    },
    {
      ...{ ...base, ...schedules.performance, failureThreshold: 1 },
      name: 'recent runs',
      kind: 'deep',
      async run() {
        const { records } = await metadata.query(workspace, 'run', newest);
        const now = scope.clock.now();
        const wrong = records.flatMap((record) =>
          faultsOfRun(record, now).map((fault) => `run ${record.id}: ${fault}`),
        );
        const details = { looked: records.length, wrong: wrong.length };
        if (wrong.length === 0) {
          return { status: 'HEALTHY', message: 'The newest runs are consistent.', details };
        }
        const message = `${wrong.slice(0, 5).join('; ')}. operations.reconcile() lists all.`;
        return { status: 'DEGRADED', message, details };
      },
    },
    {
      ...{ ...base, ...schedules.performance, shared: false },
      name: 'query time',
      kind: 'performance',
      async run(signal) {
        const startedAt = performance.now();
        await metadata.query(
          workspace,
          'run',
          { ...newest, facets: ['params', 'tags'] },
          { signal },
        );
        return judgeTime(performance.now() - startedAt);
      },
    },
  ];
}

/** The recoveries of tracking. */
export function trackingRecoveries(scope: Scope, runs: RunCare): readonly Recovery[] {
  return [
    {
      name: 'end stuck runs',
      priority: 50,
      canHandle: ({ check }) => check === 'stuck runs',
      async run() {
        const reaped = await runs.reap(10_000);
        const left = await stuckRuns(scope, runs);
        const message = `${reaped} runs of dead processes were marked as FAILED.`;
        if (left.length === 0) return { outcome: 'SUCCESS', message };
        return { outcome: 'PARTIAL', message: `${message} ${left.length} are left.` };
      },
    },
  ];
}

/** Ids of the oldest open runs whose process is dead. */
async function stuckRuns(scope: Scope, runs: RunCare): Promise<readonly string[]> {
  const { records } = await scope.metadata.query(scope.workspace, 'run', {
    where: columnIs('status', 'RUNNING'),
    orderBy: [{ by: { from: 'column', name: 'startedAt' }, direction: 'asc' }],
    limit: looked,
  });
  return [...(await runs.deaths(records)).keys()];
}
