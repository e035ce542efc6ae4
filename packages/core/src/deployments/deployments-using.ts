import type { Predicate } from '../contracts/query.ts';
import type { Scope } from '../contracts/scope.ts';
import type { Route } from '../contracts/traffic-router.ts';
import { columnIs, everyRecord } from '../operations/every-record.ts';
import { versionsOfRoute } from './route-faults.ts';

/** From how many of its newest revisions the versions are kept where nothing else is said. */
const defaultKept = 10;

/**
 * The deployments whose routes lead to a version, to which a rollout brings it, or which may go back to it, as
 * `deployment fraud-api`.
 */
export async function deploymentsUsing(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  versionId: string,
): Promise<readonly string[]> {
  const { metadata, workspace } = scope;
  const version = await metadata.find(workspace, 'model_version', versionId);
  if (version === undefined) return [];
  const where = columnIs('modelName', String(version.columns['modelName']));
  const using: string[] = [];
  for await (const { id, columns, body } of everyRecord(scope, 'deployment', { where })) {
    const name = `deployment ${columns['name']}`;
    const route = await metadata.find(workspace, 'route', id);
    const routed =
      route !== undefined && versionsOfRoute(route.body as unknown as Route).includes(versionId);
    if (routed || (await isCandidate(scope, columns['activeRolloutId'], versionId))) {
      using.push(name);
      continue;
    }
    const kept = (body['keptRevisions'] ?? defaultKept) as number;
    if ((await rollbackTargets(scope, id, kept)).includes(versionId))
      using.push(`${name}, which may go back to it`);
  }
  return using;
}

/** The versions that a deployment's newest completed revisions brought, the newest first. */
async function rollbackTargets(
  { metadata, workspace }: Pick<Scope, 'metadata' | 'workspace'>,
  deploymentId: string,
  kept: number = defaultKept,
): Promise<readonly string[]> {
  const where: Predicate = {
    op: 'and',
    of: [columnIs('deploymentId', deploymentId), columnIs('rolloutStatus', 'COMPLETED')],
  };
  const { records } = await metadata.query(workspace, 'deployment_revision', {
    where,
    orderBy: [{ by: { from: 'column', name: 'number' }, direction: 'desc' }],
    limit: kept,
    body: false,
  });
  return [...new Set(records.map(({ columns }) => columns['versionId'] as string))];
}

async function isCandidate(
  { metadata, workspace }: Pick<Scope, 'metadata' | 'workspace'>,
  rolloutId: unknown,
  versionId: string,
): Promise<boolean> {
  if (typeof rolloutId !== 'string') return false;
  const rollout = await metadata.find(workspace, 'rollout', rolloutId);
  const { candidateVersionId, baselineVersionId } = rollout?.columns ?? {};
  return candidateVersionId === versionId || baselineVersionId === versionId;
}
