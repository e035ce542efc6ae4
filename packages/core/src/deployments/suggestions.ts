import type { Scope } from '../contracts/scope.ts';
import type { Route } from '../contracts/traffic-router.ts';
import { assertText } from '../json.ts';
import { columnIs, everyRecord } from '../operations/every-record.ts';
import type { Registry } from '../registry/registry.ts';
import { type Deployment, mainTarget } from './deployment.ts';
import type { DeploymentRecords } from './deployment-records.ts';
import { revisionFromRecord } from './revision.ts';
import { type RiskInputs, type StrategySuggestion, suggestStrategy } from './risk.ts';

/** How many of a deployment's revisions are looked through for what became of a version. */
const mostRevisions = 200;

/** Suggests strategies. */
export interface Suggestions {
  /** See `Deployments.suggestStrategy`. */
  of(name: string, versionId: string): Promise<StrategySuggestion>;
}

/** {@link Suggestions} of a scope. */
export function createSuggestions(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  registry: Pick<Registry, 'getVersionById'>,
  records: DeploymentRecords,
): Suggestions {
  async function beforeOf({ id }: Deployment, versionId: string): Promise<RiskInputs['before']> {
    const by = { from: 'column', name: 'number' } as const;
    const orderBy = [{ by, direction: 'desc' } as const];
    const where = columnIs('deploymentId', id);
    let looked = 0;
    for await (const record of everyRecord(scope, 'deployment_revision', { where, orderBy })) {
      looked += 1;
      if (looked > mostRevisions) return undefined;
      const { before, after, rollbackTo, rolloutStatus } = revisionFromRecord(record);
      if (rollbackTo !== undefined && before?.versionId === versionId) return 'turned back';
      if (after.versionId !== versionId) continue;
      if (rolloutStatus === 'COMPLETED') return 'good';
      if (rolloutStatus === 'ROLLED_BACK' || rolloutStatus === 'FAILED') return 'turned back';
    }
    return undefined;
  }

  return {
    async of(name, versionId) {
      const deployment = await records.get(name);
      assertText(versionId, 'A version id');
      const candidate = await registry.getVersionById(versionId);
      const route = (await records.routeRecord(deployment.id)).body as unknown as Route;
      const baseline = await registry.getVersionById(mainTarget(route));
      const before = await beforeOf(deployment, versionId);
      return suggestStrategy({
        ...{ candidate, baseline, environment: deployment.environment },
        ...(before === undefined ? {} : { before }),
      });
    },
  };
}
