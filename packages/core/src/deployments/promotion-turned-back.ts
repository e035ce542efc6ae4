import type { Change } from '../contracts/metadata-store.ts';
import type { Scope } from '../contracts/scope.ts';
import { promotionReturn } from '../registry/promotion-return.ts';
import type { Deployment } from './deployment.ts';
import type { BodyChange, DeploymentRecords } from './deployment-records.ts';
import type { Rollout } from './rollout.ts';

/** What goes back with a rollout: changes of the registry, and of the deployment's body. */
export interface TurnedBack {
  readonly changes: readonly Change[];
  readonly body: BodyChange;
}

/**
 * Puts the promotion that a rollout follows back, in the commit that ends it: registry, route and monitor are together
 * before and after, whenever a process dies. Nothing where it follows none, or what a person's rollback promoted.
 */
export async function promotionTurnedBack(
  scope: Scope,
  records: DeploymentRecords,
  deployment: Deployment,
  of: Pick<Rollout, 'promotion' | 'candidateVersionId'> & { readonly id?: string },
  reason: string,
): Promise<TurnedBack> {
  const { promotion, candidateVersionId: versionId, id: rolloutId } = of;
  if (promotion === undefined || promotion.emergency === true) return { changes: [], body: {} };
  const { transitionId, supersededId } = promotion;
  const back = await promotionReturn(
    scope,
    { transitionId, versionId },
    {
      ...(supersededId === undefined ? {} : { supersededId }),
      reason: `Deployment ${deployment.name} turned it back: ${reason}`,
    },
  );
  const { reinstated, problem, changes } = back;
  const { onPromotion } = deployment;
  return {
    changes: [
      ...changes,
      records.emit('deployment.promotion_turned_back', deployment.name, {
        ...{ deploymentId: deployment.id, transitionId, versionId, reason },
        ...(rolloutId === undefined ? {} : { rolloutId }),
        ...(reinstated === undefined ? {} : { reinstatedVersionId: reinstated.versionId }),
        ...(problem === undefined ? {} : { problem }),
      }),
    ],
    // It stays with what answered before.
    body:
      reinstated === undefined || onPromotion === undefined
        ? {}
        : { onPromotion: { ...onPromotion, transitionId: reinstated.transitionId } },
  };
}
