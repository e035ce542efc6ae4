import type { Scope } from '../contracts/scope.ts';
import { decideAndCommit } from '../operations/decide-and-commit.ts';
import { is, lacks, readVersion, readVersionById } from './model-records.ts';
import { type ModelVersion, modelVersionFromRecord, versionFacets } from './model-version.ts';

/** Reading versions, and what of them may change. */
export interface Versions {
  /** By model and semver. */
  getVersion(model: string, version: string): Promise<ModelVersion>;
  /** A deleted one too: `deletedAt` says so. */
  getVersionById(id: string): Promise<ModelVersion>;
  /** By number ascending. */
  listVersions(model: string): Promise<readonly ModelVersion[]>;
  setVersionTags(id: string, tags: Readonly<Record<string, string>>): Promise<void>;
}

/** Versions, bound to a scope. */
export function createVersions(scope: Scope): Versions {
  const { metadata, workspace } = scope;
  return {
    getVersion: (model, version) => readVersion(scope, model, version),
    getVersionById: (id) => readVersionById(scope, id),

    async listVersions(model) {
      const { records } = await metadata.query(workspace, 'model_version', {
        where: { op: 'and', of: [is('modelName', model), lacks('deletedAt')] },
        orderBy: [{ by: { from: 'column', name: 'number' }, direction: 'asc' }],
        limit: 1000,
        facets: versionFacets,
      });
      return records.map(modelVersionFromRecord);
    },

    async setVersionTags(id, tags) {
      await readVersionById(scope, id);
      await decideAndCommit(scope, async () => ({
        changes: [{ op: 'merge', kind: 'model_version', id, set: { tags } }],
        result: undefined,
      }));
    },
  };
}
