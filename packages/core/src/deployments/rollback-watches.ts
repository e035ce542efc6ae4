import type { Loop } from '../contracts/loop.ts';
import type { Change } from '../contracts/metadata-store.ts';
import type { Scope } from '../contracts/scope.ts';
import type { Route } from '../contracts/traffic-router.ts';
import { withCorrelation } from '../events/correlation.ts';
import { draftEvent } from '../events/draft-event.ts';
import { type Decision, decideAndCommit } from '../operations/decide-and-commit.ts';
import { columnIs, everyRecord } from '../operations/every-record.ts';
import { readVersionById } from '../registry/model-records.ts';
import type { Registry } from '../registry/registry.ts';
import { type Deployment, mainTarget, nameOf, stateOf } from './deployment.ts';
import type { DeploymentRecords } from './deployment-records.ts';
import type { GateVerdict } from './gate.ts';
import { monitorWindowMoved } from './monitor-window.ts';
import { nextRevision } from './revision.ts';
import { knownGood } from './rollback-targets.ts';
import { type RollbackWatch, watchChanged, watchFromRecord } from './rollback-watch.ts';
import type { RolloutEvidence } from './rollout-evidence.ts';
import { moveTraffic } from './traffic-move.ts';

/** Watches the versions that were gone back to, and goes further back where one fails. */
export interface RollbackWatches {
  /** Looks at a watch as of `at`; one that has ended is left alone. */
  evaluateWatch(id: string, at: number): Promise<void>;
  readonly loop: Loop;
}

/** {@link RollbackWatches} of a scope. */
export function createRollbackWatches(
  scope: Scope,
  registry: Registry,
  records: DeploymentRecords,
  evidence: RolloutEvidence,
): RollbackWatches {
  const { metadata, workspace } = scope;

  async function read(id: string): Promise<RollbackWatch | undefined> {
    const record = await metadata.find(workspace, 'rollback_watch', id);
    return record && watchFromRecord(record);
  }

  async function evaluateWatch(id: string, at: number): Promise<void> {
    const first = await read(id);
    if (first === undefined) return;
    await withCorrelation({ correlationId: first.correlationId }, () =>
      decideAndCommit(scope, async (): Promise<Decision<undefined>> => {
        const watch = await read(id);
        if (watch?.status !== 'WATCHING') return { changes: [], result: undefined };
        return { changes: await decide(watch, at), result: undefined, reason: watch.reason };
      }),
    );
  }

  async function decide(watch: RollbackWatch, at: number): Promise<readonly Change[]> {
    const deployment = await records.getById(watch.deploymentId);
    const route = (await records.routeRecord(deployment.id)).body as unknown as Route;
    const isOver =
      deployment.activeRolloutId !== undefined ||
      deployment.status === 'TERMINATING' ||
      mainTarget(route) !== watch.toVersionId;
    if (isOver) return ended(watch, 'SUPERSEDED', at);
    const latest = await asked(watch, at);
    const failed = latest.filter(({ outcome }) => outcome === 'FAIL');
    if (failed.length > 0) return further({ ...watch, latest }, deployment, failed, at);
    if (at < watch.watchUntil) return [];
    const { toVersionId, fromVersionId, rolloutId, reason } = watch;
    return [
      ...(await ended({ ...watch, latest }, 'DONE', at)),
      records.emit('deployment.rolled_back', deployment.name, {
        ...{ candidateVersionId: fromVersionId, baselineVersionId: toVersionId, reason },
        ...(rolloutId === undefined ? {} : { rolloutId }),
        rollbackId: watch.id,
      }),
    ];
  }

  async function asked(watch: RollbackWatch, at: number): Promise<readonly GateVerdict[]> {
    const { deploymentId, toVersionId, fromVersionId, beganAt: from, gates, frozen } = watch;
    const query = {
      ...{ deploymentId, from, to: at, windowMs: 60_000 },
      ...{ candidateVersionId: toVersionId, baselineVersionId: fromVersionId },
    };
    return Promise.all(gates.map((gate) => evidence.verdict(gate, query, frozen)));
  }

  /** To the next known-good version; none is tried twice, so this comes to an end. */
  async function further(
    watch: RollbackWatch,
    deployment: Deployment,
    failed: readonly GateVerdict[],
    at: number,
  ): Promise<readonly Change[]> {
    const why = `${await nameOfVersion(watch.toVersionId)} failed: ${failed.map(({ gate }) => gate.gate).join(', ')}`;
    const target = await knownGood(scope, registry, deployment, new Set(watch.tried));
    if (target === undefined) return givenUp(watch, deployment, why, at);
    const toVersionId = target.version.id;
    const to = { versionId: toVersionId, key: nameOf(target.version) };
    return [
      ...target.changes,
      ...(await moved(deployment, to, { at, reason: why, rollbackTo: target.revision.number })),
      watchChanged({
        ...{ ...watch, toVersionId, beganAt: at, watchUntil: at + watch.watchMs },
        tried: [...watch.tried, toVersionId],
      }),
      ...(await monitorWindowMoved(scope, deployment.id, watch.id, at + watch.watchMs)),
    ];
  }

  /** A watch at its end, and the rules of the monitor in force again. */
  async function ended(
    watch: RollbackWatch,
    status: RollbackWatch['status'],
    at: number,
  ): Promise<readonly Change[]> {
    const { deploymentId, id, watchUntil } = watch;
    const until = Math.min(at, watchUntil);
    return [
      watchChanged({ ...watch, status }),
      ...(await monitorWindowMoved(scope, deploymentId, id, until)),
    ];
  }

  /** The fallback, where one is configured and was not tried, and a call for help either way. */
  async function givenUp(
    watch: RollbackWatch,
    deployment: Deployment,
    why: string,
    at: number,
  ): Promise<readonly Change[]> {
    const { fallbackVersionId } = deployment;
    const fallback =
      fallbackVersionId === undefined || watch.tried.includes(fallbackVersionId)
        ? undefined
        : { versionId: fallbackVersionId, key: await nameOfVersion(fallbackVersionId) };
    const now =
      fallback === undefined
        ? 'there is no other to go back to'
        : `${fallback.key} answers instead`;
    const summary = `${why}; ${now}`;
    return [
      ...(await ended(watch, 'FAILED', at)),
      ...(fallback === undefined ? [] : await moved(deployment, fallback, { at, reason: summary })),
      ...(await emergency(deployment, watch, summary, at)),
    ];
  }

  async function moved(
    deployment: Deployment,
    to: { readonly versionId: string; readonly key: string },
    how: { readonly at: number; readonly reason: string; readonly rollbackTo?: number },
  ): Promise<readonly Change[]> {
    const record = await records.routeRecord(deployment.id);
    const before = stateOf(deployment, record.body as unknown as Route);
    const { rollbackTo, ...facts } = how;
    const move = moveTraffic(records, deployment, record, {
      ...{ ...to, ...facts, cold: [before.versionId] },
    });
    const revision = nextRevision(scope.ids.next(), deployment, {
      ...{ before, after: { ...before, versionId: to.versionId, version: to.key }, ...facts },
      ...{ strategy: 'immediate', rolloutStatus: 'COMPLETED', createdBy: scope.principal.id },
      ...(rollbackTo === undefined ? {} : { rollbackTo }),
    });
    return [
      records.replaceDeployment(deployment, { ...move.columns, ...revision.columns }, move.body),
      revision.create,
      ...move.changes,
    ];
  }

  /** An alert, unless one of the kind is open. */
  async function emergency(
    { id: deploymentId, name: deployment }: Deployment,
    { latest, correlationId, id: watchId }: RollbackWatch,
    summary: string,
    at: number,
  ): Promise<readonly Change[]> {
    const fingerprint = `${deploymentId}:rollback`;
    const where = columnIs('openKey', fingerprint);
    if ((await metadata.query(workspace, 'alert', { where, limit: 1 })).records.length > 0)
      return [];
    const id = scope.ids.next();
    const rule = 'rollback';
    const severity = 'EMERGENCY';
    const event = draftEvent(scope, {
      type: 'alert.triggered',
      subject: `deployment:${deployment}`,
      source: 'deployments',
      payload: { alertId: id, deploymentId, deployment, rule, severity, summary, at },
    });
    return [
      {
        ...({ op: 'create', kind: 'alert', id } as const),
        columns: {
          ...{ deploymentId, rule, fingerprint, openKey: fingerprint, severity },
          ...{ state: 'FIRING', firstAt: at, lastAt: at },
        },
        body: {
          ...{ deployment, summary, eventId: event.id, correlationId },
          evidence: JSON.parse(JSON.stringify({ watchId, verdicts: latest })),
        },
      },
      { op: 'emit', event },
    ];
  }

  async function nameOfVersion(versionId: string): Promise<string> {
    return nameOf(await readVersionById(scope, versionId));
  }

  return {
    evaluateWatch,
    loop: {
      name: 'rollbacks',
      idleMs: 5_000,
      async runOnce(signal) {
        const where = columnIs('status', 'WATCHING');
        for await (const { id } of everyRecord(scope, 'rollback_watch', { where, body: false })) {
          if (signal.aborted) return false;
          await evaluateWatch(id, scope.clock.now());
        }
        return false;
      },
    },
  };
}
