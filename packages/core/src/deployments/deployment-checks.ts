import type { HealthCheck, Recovery } from '../contracts/caretaker.ts';
import type { Loop } from '../contracts/loop.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import type { Route } from '../contracts/traffic-router.ts';
import { columnIs, everyRecord } from '../operations/every-record.ts';
import { schedules } from '../operations/health/check-schedules.ts';
import { faultsOfRoute, versionsOfRoute } from './route-faults.ts';

const stalledMs = 900_000;

/** The checks of deployments. */
export function deploymentChecks(scope: Scope): readonly HealthCheck[] {
  const base = { component: 'deployments', critical: false, kind: 'deep', shared: true } as const;
  return [
    {
      ...{ ...base, ...schedules.shallow },
      name: 'routes',
      async run(signal) {
        const faults: string[] = [];
        let routes = 0;
        for await (const { record, found } of routesWithFaults(scope, signal)) {
          routes += 1;
          for (const fault of found) faults.push(`${record.columns['deploymentName']}: ${fault}`);
        }
        const details = { routes, faults: faults.length };
        if (faults.length === 0)
          return { status: 'HEALTHY', message: 'All routes are valid.', details };
        return { status: 'UNHEALTHY', message: `${faults.slice(0, 5).join('; ')}.`, details };
      },
    },
    {
      ...{ ...base, ...schedules.deep, failureThreshold: 1 },
      name: 'stalled rollouts',
      async run() {
        const stalled = await stalledRollouts(scope);
        const details = { stalled: stalled.length };
        if (stalled.length === 0) {
          return { status: 'HEALTHY', message: 'Every rollout is evaluated.', details };
        }
        const message = `${stalled.length} rollouts have not been evaluated for a quarter of an hour, such as ${stalled[0]}.`;
        return { status: 'DEGRADED', message, details };
      },
    },
  ];
}

/** The recoveries of deployments. */
export function deploymentRecoveries(scope: Scope, loops: readonly Loop[]): readonly Recovery[] {
  return [
    {
      name: 'drive rollouts',
      priority: 50,
      canHandle: ({ check }) => check === 'stalled rollouts',
      async run(signal) {
        for (const loop of loops) await loop.runOnce(signal);
        const left = await stalledRollouts(scope);
        if (left.length === 0) return { outcome: 'SUCCESS', message: 'All were evaluated.' };
        return { outcome: 'FAILED', message: `${left.join(', ')} could not be evaluated.` };
      },
    },
  ];
}

/** Every route, with what keeps it from being followed. */
export async function* routesWithFaults(
  scope: Scope,
  signal: AbortSignal,
): AsyncGenerator<{ readonly record: StoredRecord; readonly found: readonly string[] }> {
  for await (const record of everyRecord(scope, 'route', { signal })) {
    const route = record.body as unknown as Route;
    const versions = await existing(scope, versionsOfRoute(route));
    yield { record, found: faultsOfRoute(route, versions) };
  }
}

/** Ids of rollouts that are under way and that nobody evaluates. */
async function stalledRollouts({ metadata, workspace, clock }: Scope): Promise<readonly string[]> {
  const where = columnIs('status', 'IN_PROGRESS');
  const { records } = await metadata.query(workspace, 'rollout', { where, limit: 1000 });
  const before = clock.now() - stalledMs;
  return records
    .filter(({ columns }) => (columns['evaluatedAt'] as number) < before)
    .map(({ id }) => id);
}

async function existing(scope: Scope, ids: readonly string[]): Promise<ReadonlySet<string>> {
  const found = await scope.metadata.findMany(scope.workspace, 'model_version', ids);
  return new Set(found.map(({ id }) => id));
}
