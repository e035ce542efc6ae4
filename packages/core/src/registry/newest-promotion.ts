import type { Predicate } from '../contracts/query.ts';
import type { Scope } from '../contracts/scope.ts';
import { eachEvent } from '../events/read-events.ts';
import { findModel, is } from './model-records.ts';
import { modelFromRecord } from './model-version.ts';
import { transitionFromRecord } from './transition.ts';

/** How the version that is in production got there. */
export interface Promotion {
  readonly transitionId: string;
  readonly versionId: string;
  /** When, by the store's clock. */
  readonly at: number;
  /** By a rollback of the registry. */
  readonly emergency: boolean;
  readonly reason: string;
}

type ReadScope = Pick<Scope, 'metadata' | 'workspace'>;

/** The promotion of what is in production; of several versions, of the one that came last. */
export async function newestPromotion(
  scope: ReadScope,
  modelName: string,
): Promise<Promotion | undefined> {
  const record = await findModel(scope, modelName);
  if (record === undefined || record.columns['deletedAt'] !== undefined) return undefined;
  const { productionVersionId } = modelFromRecord(record);
  return productionVersionId === undefined
    ? undefined
    : await promotionOf(scope, productionVersionId);
}

/** The last time that a version got into production. */
export async function promotionOf(
  { metadata, workspace }: ReadScope,
  versionId: string,
): Promise<Promotion | undefined> {
  const of: readonly Predicate[] = [
    is('versionId', versionId),
    is('status', 'DONE'),
    is('toStage', 'PRODUCTION'),
  ];
  const { records } = await metadata.query(workspace, 'stage_transition', {
    where: { op: 'and', of },
    orderBy: [
      { by: { from: 'column', name: 'updatedAt' }, direction: 'desc' },
      { by: { from: 'column', name: 'id' }, direction: 'desc' },
    ],
    limit: 1,
  });
  const [record] = records;
  if (record === undefined) return undefined;
  const { id: transitionId, emergency, reason } = transitionFromRecord(record);
  return { transitionId, versionId, at: record.updatedAt, emergency, reason };
}

/** What was told of a promotion: under which correlation, and which version it took the place of. */
export async function toldOf(
  scope: Scope,
  model: string,
  { transitionId }: Pick<Promotion, 'transitionId'>,
): Promise<{ readonly correlationId?: string; readonly supersededId?: string }> {
  const filter = { types: ['model.promoted'], subjects: [`model:${model}`] };
  for await (const { payload, correlationId } of eachEvent(scope, filter)) {
    if (payload['transitionId'] !== transitionId) continue;
    const supersededId = payload['supersededVersionId'];
    return { correlationId, ...(typeof supersededId === 'string' ? { supersededId } : {}) };
  }
  return {};
}
