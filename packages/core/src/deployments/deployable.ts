import type { Change } from '../contracts/metadata-store.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { raiseTies } from '../registry/model-tie.ts';
import type { ModelVersion } from '../registry/model-version.ts';
import type { Registry } from '../registry/registry.ts';

/**
 * A version as it may be deployed, with what the commit that does so has to have: whoever is about to delete it
 * at the same moment looks again. CONFLICT where it is deleted or damaged already.
 */
export async function deployable(
  scope: Scope,
  registry: Pick<Registry, 'getVersionById'>,
  versionId: string,
): Promise<{ readonly version: ModelVersion; readonly changes: readonly Change[] }> {
  const version = await registry.getVersionById(versionId);
  const { id, modelId, revision: expect } = version;
  const model = await scope.metadata.find(scope.workspace, 'model', modelId);
  const what = `Version ${version.version} of ${version.model}`;
  if (version.deletedAt !== undefined) {
    throw new KeelsonError('CONFLICT', `${what} was deleted; restore it, or deploy another one.`);
  }
  if (model === undefined || model.columns['deletedAt'] !== undefined) {
    throw new KeelsonError(
      'CONFLICT',
      `Model ${version.model} was deleted; restore it, or deploy another one.`,
    );
  }
  if (version.status === 'FAILED') {
    const why = version.failure ?? 'its content does not match its hash';
    throw new KeelsonError('CONFLICT', `${what} is damaged: ${why}. Deploy another one.`);
  }
  return {
    version,
    changes: [
      { op: 'assert', kind: 'model_version', id, expect },
      { op: 'assert', kind: 'model', id: modelId, expect: model.revision },
      ...(await raiseTies(scope, [modelId])),
    ],
  };
}

/** {@link deployable} of several: they share the ties of their models. */
export async function deployables(
  scope: Scope,
  registry: Pick<Registry, 'getVersionById'>,
  versionIds: readonly string[],
): Promise<{ readonly versions: readonly ModelVersion[]; readonly changes: readonly Change[] }> {
  const versions: ModelVersion[] = [];
  const changes = new Map<string, Change>();
  for (const versionId of new Set(versionIds)) {
    const each = await deployable(scope, registry, versionId);
    versions.push(each.version);
    for (const change of each.changes) {
      const { op, kind, id } = change as { op: string; kind: string; id: string };
      changes.set(`${op} ${kind} ${id}`, change);
    }
  }
  return { versions, changes: [...changes.values()] };
}
