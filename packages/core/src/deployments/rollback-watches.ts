import type { Loop } from '../contracts/loop.ts';
import type { Change } from '../contracts/metadata-store.ts';
import type { Scope } from '../contracts/scope.ts';
import type { Route } from '../contracts/traffic-router.ts';
import { withCorrelation } from '../events/correlation.ts';
import { type Decision, decideAndCommit } from '../operations/decide-and-commit.ts';
import { columnIs, everyRecord } from '../operations/every-record.ts';
import { readVersionById } from '../registry/model-records.ts';
import type { Registry } from '../registry/registry.ts';
import { type Deployment, mainTarget, nameOf, stateOf } from './deployment.ts';
import { alertRaised } from './deployment-alerts.ts';
import type { DeploymentRecords } from './deployment-records.ts';
import type { GateVerdict } from './gate.ts';
import { monitorWindowMoved } from './monitor-window.ts';
import { nextRevision } from './revision.ts';
import { knownGood } from './rollback-targets.ts';
import {
  type RollbackWatch,
  watchChanged,
  watchFromRecord,
  watchGates,
  watchGatesFor,
} from './rollback-watch.ts';
import { breaksBetween } from './rollbacks.ts';
import type { RolloutEvidence } from './rollout-evidence.ts';
import { moveTraffic } from './traffic-move.ts';

/** Watches the versions that were gone back to, and goes further back where one fails. */
export interface RollbackWatches {
  /** Looks at a watch as of `at`; one that has ended is left alone. */
  evaluateWatch(id: string, at: number): Promise<void>;
  readonly loop: Loop;
}

const dayMs = 86_400_000;

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
    return watch.prepared === true ? looked(watch, deployment, at) : prepare(watch, deployment, at);
  }

  /**
   * Before the first look: what the version did before, and which callers it refuses. The rollback itself does not wait
   * for that.
   */
  async function prepare(
    watch: RollbackWatch,
    deployment: Deployment,
    at: number,
  ): Promise<readonly Change[]> {
    const { deploymentId, toVersionId, beganAt } = watch;
    const of = { deploymentId, candidateVersionId: toVersionId, baselineVersionId: toVersionId };
    const [known, before, callers] = await Promise.all([
      evidence.frozen({ ...of, frozen: watch.frozen }, watch.gates, beganAt, dayMs),
      evidence.accuracyBefore(deploymentId, toVersionId, beganAt, 7 * dayMs),
      refused(watch, deployment),
    ]);
    const prepared: RollbackWatch = {
      ...{ ...watch, prepared: true, gates: watchGatesFor(before) },
      frozen: { ...watch.frozen, ...known },
    };
    const [change, ...rest] = await looked(prepared, deployment, at);
    return [change ?? watchChanged(prepared), ...rest, ...callers];
  }

  /** Names the callers whom the version that is gone back to refuses. */
  async function refused(
    { id: rollbackId, fromVersionId: leftId, toVersionId: versionId, beganAt }: RollbackWatch,
    { id: deploymentId, name }: Deployment,
  ): Promise<readonly Change[]> {
    if ((await breaksBetween(scope, leftId, versionId)).length === 0) return [];
    const found = await evidence.refusedCallers({ deploymentId, leftId, versionId }, beganAt);
    if (found === undefined || found.refused === 0) return [];
    const { requests, refused: count, callers, unnamed } = found;
    const why = [...callers, unnamed].map((each) => each.why).filter((each) => each !== '');
    return [
      records.emit('deployment.callers_refused', name, {
        ...{ deploymentId, rollbackId, versionId, requests, refused: count },
        ...{ callers: callers.map(({ key }) => key), unnamed: unnamed.refused },
        reasons: [...new Set(why)].slice(0, 20),
      }),
    ];
  }

  async function looked(
    watch: RollbackWatch,
    deployment: Deployment,
    at: number,
  ): Promise<readonly Change[]> {
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
    const { prepared: _, ...forgotten } = watch;
    const to = { versionId: toVersionId, key: nameOf(target.version) };
    return [
      ...target.changes,
      ...(await moved(deployment, to, { at, reason: why, rollbackTo: target.revision.number })),
      watchChanged({
        ...{ ...forgotten, toVersionId, beganAt: at, watchUntil: at + watch.watchMs },
        ...{ gates: watchGates, frozen: {} },
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
  function emergency(
    deployment: Deployment,
    { latest, correlationId, id: watchId }: RollbackWatch,
    summary: string,
    at: number,
  ): Promise<readonly Change[]> {
    const evidence = JSON.parse(JSON.stringify({ watchId, verdicts: latest }));
    const about = { rule: 'rollback', severity: 'EMERGENCY', summary, at } as const;
    return alertRaised(scope, deployment, { ...about, evidence, correlationId });
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
