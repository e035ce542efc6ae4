import type { Scope } from '../contracts/scope.ts';
import type { Route } from '../contracts/traffic-router.ts';
import { columnIs, everyRecord } from '../operations/every-record.ts';

/** The deployments whose routes lead to a version, or to which a rollout brings it, as `deployment fraud-api`. */
export async function deploymentsUsing(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  versionId: string,
): Promise<readonly string[]> {
  const { metadata, workspace } = scope;
  const version = await metadata.find(workspace, 'model_version', versionId);
  if (version === undefined) return [];
  const where = columnIs('modelName', String(version.columns['modelName']));
  const using: string[] = [];
  for await (const { id, columns } of everyRecord(scope, 'deployment', { where })) {
    const route = await metadata.find(workspace, 'route', id);
    const routed = route !== undefined && leadsTo(route.body as unknown as Route, versionId);
    if (routed || (await isCandidate(scope, columns['activeRolloutId'], versionId))) {
      using.push(`deployment ${columns['name']}`);
    }
  }
  return using;
}

function leadsTo({ targets, shadows, rules }: Route, versionId: string): boolean {
  return JSON.stringify([targets, shadows, rules]).includes(JSON.stringify(versionId));
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
