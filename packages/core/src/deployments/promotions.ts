import type { Loop } from '../contracts/loop.ts';
import type { Scope } from '../contracts/scope.ts';
import type { Route } from '../contracts/traffic-router.ts';
import { isKeelsonError, type KeelsonError } from '../errors.ts';
import { withCorrelation } from '../events/correlation.ts';
import { storableText } from '../json.ts';
import { type Decision, decideAndCommit } from '../operations/decide-and-commit.ts';
import { columnIs, everyRecord } from '../operations/every-record.ts';
import { freezeOf, freezesOf } from '../operations/freezes.ts';
import { readVersionById } from '../registry/model-records.ts';
import { newestPromotion, type Promotion, toldOf } from '../registry/newest-promotion.ts';
import { type Deployment, mainTarget, nameOf } from './deployment.ts';
import type { DeploymentRecords } from './deployment-records.ts';
import { promotionTurnedBack } from './promotion-turned-back.ts';
import type { Strategy } from './revision.ts';
import {
  hasEnded,
  type Rollout,
  type RolloutDecision,
  type RolloutPromotion,
  rolloutFromRecord,
} from './rollout.ts';
import { rolloutChanges, rolloutSaved } from './rollout-acts.ts';
import type { RolloutStarts } from './rollout-start.ts';
import type { RolloutPolicy } from './strategy-policy.ts';

/** What stands in the way of a rollout for good. */
const lasting = ['CONFLICT', 'INVALID', 'NOT_FOUND'] as const;

/**
 * Follows promotions to Production where deployments say so. It looks at what is in production rather than at events,
 * and each commit says in the deployment's record how far it has come: told twice, out of order or after a crash, a
 * promotion starts one rollout, and the newest one counts.
 */
export function createPromotionLoop(
  scope: Scope,
  records: DeploymentRecords,
  starts: RolloutStarts,
): Loop {
  const { metadata, workspace } = scope;

  async function follow(id: string): Promise<void> {
    const deployment = await records.getById(id);
    const { onPromotion, status, model } = deployment;
    if (onPromotion === undefined || status === 'STOPPED' || status === 'TERMINATING') return;
    const promoted = await newestPromotion(scope, model);
    const active = await activeRollout(deployment);
    if (active?.promotion !== undefined && active.candidateVersionId !== promoted?.versionId) {
      await overtaken(active, promoted);
      return follow(id);
    }
    if (promoted === undefined || promoted.at < onPromotion.since) return;
    if (promoted.transitionId === onPromotion.transitionId) return;
    if (active?.candidateVersionId === promoted.versionId && active.onComplete === 'candidate')
      return adopt(deployment, active, promoted);
    // Another rollout or an A/B test goes first.
    if (deployment.activeRolloutId !== undefined) return;
    const { body } = await records.routeRecord(id);
    if (mainTarget(body as unknown as Route) === promoted.versionId)
      return followed(deployment, promoted);
    await start(deployment, promoted);
  }

  async function activeRollout({ activeRolloutId }: Deployment): Promise<Rollout | undefined> {
    if (activeRolloutId === undefined) return undefined;
    const record = await metadata.find(workspace, 'rollout', activeRolloutId);
    return record && rolloutFromRecord(record);
  }

  async function start(deployment: Deployment, promoted: Promotion): Promise<void> {
    const { strategy, policy, reason } = await howFor(deployment, promoted);
    const { promotion, correlationId = scope.ids.next() } = await linkOf(deployment, promoted);
    // It begins once what froze it was acknowledged.
    const freezes = await freezesOf(scope, deployment.model);
    if (freezeOf(freezes, 'rollouts', deployment.id, correlationId) !== undefined) return;
    const { versionId } = promoted;
    await withCorrelation({ correlationId }, async () => {
      try {
        await starts.follow(deployment.name, { versionId, strategy, policy, reason, promotion });
      } catch (error) {
        if (!isKeelsonError(error, ...lasting)) throw error;
        await notStarted(deployment.id, promotion, versionId, error);
      }
    });
  }

  /** A person's rollback in the registry is followed at once; all else as the deployment says. */
  async function howFor(
    { onPromotion }: Deployment,
    { emergency, versionId, reason: why }: Promotion,
  ): Promise<{
    readonly strategy: Strategy | 'suggested';
    readonly policy: RolloutPolicy;
    readonly reason: string;
  }> {
    const name = nameOf(await readVersionById(scope, versionId));
    const reason = storableText(`${name} was promoted to Production: ${why}`, 2000);
    const { strategy = 'canary', policy = {} } = onPromotion ?? {};
    if (!emergency) return { strategy, policy, reason };
    const { ready } = policy;
    return { strategy: 'immediate', policy: ready === undefined ? {} : { ready }, reason };
  }

  async function linkOf(
    { model }: Deployment,
    promoted: Promotion,
  ): Promise<{ readonly promotion: RolloutPromotion; readonly correlationId?: string }> {
    const { transitionId, emergency } = promoted;
    const { correlationId, supersededId } = await toldOf(scope, model, promoted);
    const before = supersededId === undefined ? {} : { supersededId };
    return {
      promotion: { transitionId, ...(emergency ? { emergency } : before) },
      ...(correlationId === undefined ? {} : { correlationId }),
    };
  }

  /** Whoever came first has changed what stands, and it is looked at anew; else the registry goes back. */
  async function notStarted(
    id: string,
    promotion: RolloutPromotion,
    versionId: string,
    error: KeelsonError,
  ): Promise<void> {
    await decideAndCommit(scope, async (): Promise<Decision<undefined>> => {
      const deployment = await records.getById(id);
      const { onPromotion, activeRolloutId, status, model } = deployment;
      const { transitionId } = promotion;
      const route = (await records.routeRecord(id)).body as unknown as Route;
      const newest = await newestPromotion(scope, model);
      const isOther =
        onPromotion === undefined ||
        onPromotion.transitionId === transitionId ||
        activeRolloutId !== undefined ||
        ['STOPPED', 'TERMINATING'].includes(status) ||
        mainTarget(route) === versionId ||
        newest?.transitionId !== transitionId;
      if (isOther) return { changes: [], result: undefined };
      const { message: reason } = error;
      const of = { promotion, candidateVersionId: versionId };
      const back = await promotionTurnedBack(scope, records, deployment, of, reason);
      const body = { onPromotion: { ...onPromotion, transitionId }, ...back.body };
      return {
        changes: [...back.changes, records.replaceDeployment(deployment, {}, body)],
        result: undefined,
        reason,
      };
    });
  }

  async function followed({ id }: Deployment, { transitionId }: Promotion): Promise<void> {
    await decideAndCommit(scope, async (): Promise<Decision<undefined>> => {
      const deployment = await records.getById(id);
      const { onPromotion } = deployment;
      if (onPromotion === undefined) return { changes: [], result: undefined };
      const body = { onPromotion: { ...onPromotion, transitionId } };
      return { changes: [records.replaceDeployment(deployment, {}, body)], result: undefined };
    });
  }

  /** A rollout that somebody began before the promotion goes on as the one that follows it. */
  async function adopt(
    { id }: Deployment,
    { id: rolloutId }: Rollout,
    promoted: Promotion,
  ): Promise<void> {
    await decideAndCommit(scope, async (): Promise<Decision<undefined>> => {
      const deployment = await records.getById(id);
      const active = await activeRollout(deployment);
      const { onPromotion } = deployment;
      if (onPromotion === undefined || active?.id !== rolloutId || hasEnded(active))
        return { changes: [], result: undefined };
      const { transitionId } = promoted;
      const { promotion } = await linkOf(deployment, promoted);
      const body = { onPromotion: { ...onPromotion, transitionId } };
      return {
        changes: [
          rolloutSaved({ ...active, promotion }, {}, {}),
          records.replaceDeployment(deployment, {}, body),
        ],
        result: undefined,
        reason: 'its version was promoted to Production',
      };
    });
  }

  /** Another version is in production now, or none: the rollout of the former has no point any more. */
  async function overtaken(
    { id, correlationId }: Rollout,
    promoted: Promotion | undefined,
  ): Promise<void> {
    const now =
      promoted === undefined
        ? 'its version is in production no longer'
        : `${nameOf(await readVersionById(scope, promoted.versionId))} was promoted meanwhile`;
    await withCorrelation({ correlationId }, () =>
      decideAndCommit(scope, async (): Promise<Decision<undefined>> => {
        const record = await metadata.find(workspace, 'rollout', id);
        const rollout = record && rolloutFromRecord(record);
        if (rollout === undefined || hasEnded(rollout)) return { changes: [], result: undefined };
        const { stepIndex, latest: verdicts } = rollout;
        const at = Math.max(scope.clock.now(), rollout.evaluatedAt);
        const decision: RolloutDecision = {
          ...{ action: 'rollback', reason: now, at, stepIndex, verdicts },
        };
        const changes = await rolloutChanges(scope, records, rollout, decision);
        return { changes, result: undefined, reason: now };
      }),
    );
  }

  return {
    name: 'promotions',
    idleMs: 2_000,
    async runOnce(signal) {
      const where = columnIs('followsPromotions', true);
      let fault: unknown;
      for await (const { id } of everyRecord(scope, 'deployment', { where, body: false })) {
        if (signal.aborted) return false;
        try {
          await follow(id);
        } catch (error) {
          // One that cannot be followed now keeps no other waiting.
          fault ??= error;
        }
      }
      if (fault !== undefined) throw fault;
      return false;
    },
  };
}
