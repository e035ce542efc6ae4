import type { Change } from '../contracts/metadata-store.ts';
import type { Predicate } from '../contracts/query.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { columnIs, everyRecord } from '../operations/every-record.ts';
import type { ModelVersion } from '../registry/model-version.ts';
import type { Registry } from '../registry/registry.ts';
import { deployable } from './deployable.ts';
import type { Deployment } from './deployment.ts';
import { type Revision, revisionFromRecord } from './revision.ts';

/** A revision that can be gone back to, with what the commit that does so has to have. */
export interface RollbackTarget {
  readonly revision: Revision;
  readonly version: ModelVersion;
  readonly changes: readonly Change[];
}

/**
 * The version of a revision as it may answer again: there, whole, and not given up. CONFLICT, saying what it
 * lacks, otherwise.
 */
export async function verifiedTarget(
  scope: Scope,
  registry: Pick<Registry, 'getVersionById'>,
  revision: Revision,
): Promise<RollbackTarget> {
  const { version, changes } = await deployable(scope, registry, revision.after.versionId);
  // Its content is only looked for: who loads it verifies it.
  for (const { path, sha256 } of version.files) {
    if ((await scope.artifacts.find(sha256)) !== undefined) continue;
    throw new KeelsonError(
      'CONFLICT',
      `Version ${version.version} of ${version.model} has lost the content of ${path}; go back to another revision.`,
    );
  }
  return { revision, version, changes };
}

/**
 * Revisions that came into force, one for each version but those in `without`, the newest first. What was gone back
 * from since is not among them.
 */
export async function* candidatesForRollback(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  { id }: Pick<Deployment, 'id'>,
  without: ReadonlySet<string>,
): AsyncGenerator<Revision, void, undefined> {
  const where: Predicate = {
    op: 'and',
    of: [columnIs('deploymentId', id), columnIs('rolloutStatus', 'COMPLETED')],
  };
  const by = { from: 'column', name: 'number' } as const;
  const orderBy = [{ by, direction: 'desc' } as const];
  const seen = new Set(without);
  for await (const record of everyRecord(scope, 'deployment_revision', { where, orderBy })) {
    const revision = revisionFromRecord(record);
    // What was gone back from since was not good.
    if (revision.rollbackTo !== undefined && revision.before !== undefined)
      seen.add(revision.before.versionId);
    if (seen.has(revision.after.versionId)) continue;
    seen.add(revision.after.versionId);
    yield revision;
  }
}

/** The newest revision that came into force and whose version is whole; none of `without`. */
export async function knownGood(
  scope: Scope,
  registry: Pick<Registry, 'getVersionById'>,
  deployment: Pick<Deployment, 'id'>,
  without: ReadonlySet<string>,
): Promise<RollbackTarget | undefined> {
  for await (const revision of candidatesForRollback(scope, deployment, without)) {
    try {
      return await verifiedTarget(scope, registry, revision);
    } catch (error) {
      if (!isKeelsonError(error, 'CONFLICT', 'NOT_FOUND')) throw error;
    }
  }
  return undefined;
}
