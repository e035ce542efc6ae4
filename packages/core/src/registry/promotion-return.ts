import type { Change } from '../contracts/metadata-store.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError } from '../errors.ts';
import { storableText } from '../json.ts';
import { readModel, readVersionById } from './model-records.ts';
import type { Model, ModelVersion } from './model-version.ts';
import { type Promotion, promotionOf } from './newest-promotion.ts';
import { emergencyMove, whyNot } from './rollback.ts';
import { modelChanged, versionsInProduction } from './stage-moves.ts';

/** A promotion that is put back, or stays. */
export interface PromotionReturn {
  /** For the commit of whoever puts it back; none where it stays. */
  readonly changes: readonly Change[];
  /** What is in production again. */
  readonly reinstated?: { readonly versionId: string; readonly transitionId: string };
  /** Why the version stays in production, or nothing takes its place. */
  readonly problem?: string;
}

/**
 * The changes that put a promotion to production back: the version to Staging, and what it superseded to Production
 * again, as an emergency. None where the version was promoted anew or has left production meanwhile. What it
 * superseded comes back only where it is whole and nobody has moved it since.
 */
export async function promotionReturn(
  scope: Scope,
  promotion: Pick<Promotion, 'transitionId' | 'versionId'>,
  how: { readonly supersededId?: string; readonly reason: string },
): Promise<PromotionReturn> {
  const found = await readBoth(scope, promotion.versionId);
  if (found === undefined) return { changes: [], problem: 'its model was deleted' };
  const { model, version } = found;
  const newest = await promotionOf(scope, version.id);
  if (version.stage !== 'PRODUCTION' || newest?.transitionId !== promotion.transitionId) {
    return { changes: [], problem: 'something newer was promoted, or it has left production' };
  }
  const reason = storableText(how.reason, 2000);
  const leaving = emergencyMove(scope, model, version, {
    ...{ from: 'PRODUCTION', to: 'STAGING', reason },
  });
  const { coming, problem } = await comingOf(scope, how.supersededId);
  const others = (await versionsInProduction(scope, model.id)).filter(
    ({ id }) => id !== version.id,
  );
  const productionVersionId = coming?.id ?? others[0]?.id;
  const left = [modelChanged(model, { productionVersionId }), ...leaving];
  if (coming === undefined) return { changes: left, ...(problem === undefined ? {} : { problem }) };
  const id = scope.ids.next();
  const back = { from: 'ARCHIVED', to: 'PRODUCTION', reason, id } as const;
  return {
    changes: [...left, ...emergencyMove(scope, model, coming, back)],
    reinstated: { versionId: coming.id, transitionId: id },
  };
}

async function readBoth(
  scope: Scope,
  versionId: string,
): Promise<{ readonly model: Model; readonly version: ModelVersion } | undefined> {
  try {
    const version = await readVersionById(scope, versionId);
    return { version, model: await readModel(scope, version.model) };
  } catch (error) {
    if (isKeelsonError(error, 'NOT_FOUND')) return undefined;
    throw error;
  }
}

async function comingOf(
  scope: Scope,
  id: string | undefined,
): Promise<{ readonly coming?: ModelVersion; readonly problem?: string }> {
  if (id === undefined) return {};
  const coming = await readVersionById(scope, id);
  const problem = await whyNot(scope, coming);
  if (problem === undefined) return { coming };
  return { problem: `version ${coming.version}, which was there before, ${problem}` };
}
