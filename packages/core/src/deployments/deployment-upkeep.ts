import type { Loop } from '../contracts/loop.ts';
import type { Change } from '../contracts/metadata-store.ts';
import type { Predicate } from '../contracts/query.ts';
import type { Scope } from '../contracts/scope.ts';
import type { Route } from '../contracts/traffic-router.ts';
import { commitChanges, type Decision, decideAndCommit } from '../operations/decide-and-commit.ts';
import { columnIs } from '../operations/every-record.ts';
import type { Deployment } from './deployment.ts';
import type { DeploymentRecords } from './deployment-records.ts';
import { releasedEvent } from './traffic-move.ts';
import { firstRelease } from './warm.ts';

/** What is a deployment's and goes with it, the dependent parts first. */
const dependents = ['deployment_revision', 'rollback_watch', 'ab_test', 'rollout'] as const;
const atOnce = 200;

/** Releases versions whose time of being warm is over, and removes deployments that are TERMINATING. */
export function createUpkeepLoop(scope: Scope, records: DeploymentRecords): Loop {
  const { metadata, workspace } = scope;

  async function due(column: string, now: number): Promise<readonly string[]> {
    const left = { from: 'column', name: column } as const;
    const where: Predicate = { op: 'compare', left, cmp: '<=', value: now };
    const query = { where, limit: 100, body: false };
    return (await metadata.query(workspace, 'deployment', query)).records.map(({ id }) => id);
  }

  /** While a rollout is under way nothing is released: it may want to go back. */
  async function release(id: string): Promise<void> {
    await decideAndCommit(scope, async (): Promise<Decision<undefined>> => {
      const now = scope.clock.now();
      const deployment = await records.getById(id);
      const over = deployment.warm.filter(({ until }) => until <= now);
      if (over.length === 0 || deployment.activeRolloutId !== undefined) {
        return { changes: [], result: undefined };
      }
      const warm = deployment.warm.filter((each) => !over.includes(each));
      const changes = await withoutWarm(deployment, warm);
      const released = over.map(({ versionId }) => releasedEvent(records, deployment, versionId));
      const reason = 'the time of being kept warm is over';
      return { changes: [...changes, ...released], result: undefined, reason };
    });
  }

  async function withoutWarm(
    deployment: Deployment,
    warm: Deployment['warm'],
  ): Promise<readonly Change[]> {
    const { id, revision: expect, body } = await records.routeRecord(deployment.id);
    const { warmVersionIds: _, ...route } = body as unknown as Route;
    const ids = warm.map(({ versionId }) => versionId);
    const next = ids.length === 0 ? route : { ...route, warmVersionIds: ids };
    return [
      records.replaceDeployment(deployment, { warmUntil: firstRelease(warm) }, { warm }),
      { op: 'replace', kind: 'route', id, expect, body: next as unknown as typeof body },
    ];
  }

  async function remove(deploymentId: string): Promise<void> {
    for (const kind of dependents) {
      for (;;) {
        const where = columnIs('deploymentId', deploymentId);
        const query = { where, limit: atOnce, body: false };
        const found = (await metadata.query(workspace, kind, query)).records;
        if (found.length === 0) break;
        await commitChanges(
          scope,
          found.map(({ id, revision: expect }) => ({ op: 'remove', kind, id, expect })),
          'the deployment was removed',
        );
      }
    }
    const rest: Change[] = [];
    for (const kind of ['monitor', 'deployment_health', 'route', 'deployment']) {
      const record = await metadata.find(workspace, kind, deploymentId);
      if (record === undefined) continue;
      rest.push({ op: 'remove', kind, id: deploymentId, expect: record.revision });
    }
    await commitChanges(scope, rest, 'the deployment was removed');
  }

  return {
    name: 'deployments',
    idleMs: 15_000,
    async runOnce(signal) {
      const now = scope.clock.now();
      for (const id of await due('warmUntil', now)) {
        if (signal.aborted) return false;
        await release(id);
      }
      for (const id of await due('removeAt', now)) {
        if (signal.aborted) return false;
        await remove(id);
      }
      return false;
    },
  };
}
