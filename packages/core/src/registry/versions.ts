import { z } from 'zod';
import { checkOptions } from '../check-options.ts';
import type { Change } from '../contracts/metadata-store.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { assertText } from '../json.ts';
import { assertAllowed, decideAndCommit } from '../operations/decide-and-commit.ts';
import { everyRecord } from '../operations/every-record.ts';
import { emitOfModel } from './emit-of-model.ts';
import { is, lacks, readModel, readVersion, readVersionById } from './model-records.ts';
import { type ModelVersion, modelVersionFromRecord, versionFacets } from './model-version.ts';
import { assertTags } from './tags.ts';
import { resolveVersion } from './version-reference.ts';

/** What of a version may be changed; `null` takes a tag away. */
export interface VersionChanges {
  readonly description?: string;
  readonly tags?: Readonly<Record<string, string | null>>;
}

/** Reading versions, and what of them may change. */
export interface Versions {
  /** By model and semver. NOT_FOUND, with the remedy, for one that was deleted. */
  getVersion(model: string, version: string): Promise<ModelVersion>;
  /** A deleted one too: `deletedAt` says so. */
  getVersionById(id: string): Promise<ModelVersion>;
  /**
   * What `fraud@champion`, `fraud@1.4.0`, `fraud@3` (its number), `fraud@^1.2`, `fraud@latest`,
   * `fraud@production` or `fraud@staging` means now. A range is the greatest version in it that is neither
   * damaged nor deprecated (the greatest that is, where there is no other).
   */
  resolve(reference: string): Promise<ModelVersion>;
  /** By number ascending. */
  listVersions(model: string): Promise<readonly ModelVersion[]>;
  updateVersion(id: string, changes: VersionChanges): Promise<ModelVersion>;
  setVersionTags(id: string, tags: Readonly<Record<string, string>>): Promise<void>;
  /** Says that a version should no longer be used, and which one should be. */
  deprecate(
    model: string,
    version: string,
    options: { readonly reason: string; readonly replacement?: string },
  ): Promise<ModelVersion>;
  /** Takes {@link deprecate} back. */
  undeprecate(model: string, version: string): Promise<ModelVersion>;
}

const changesShape = z.strictObject({
  description: z.string().optional(),
  tags: z.record(z.string(), z.string().nullable()).optional(),
} satisfies Record<keyof VersionChanges, z.ZodType>);
const deprecationShape = z.strictObject({
  reason: z.string().min(1),
  replacement: z.string().optional(),
});
const maxTags = 50;

/** Versions, bound to a scope. */
export function createVersions(scope: Scope): Versions {
  async function update(id: string, changes: VersionChanges): Promise<ModelVersion> {
    checkOptions(changesShape, changes, 'updateVersion');
    const own = Object.keys(changes.tags ?? {}).find((key) => key.startsWith('keelson.mlflow.'));
    if (own !== undefined) {
      const message = `The tag ${own} says where the version came from, and never changes.`;
      throw new KeelsonError('INVALID', message);
    }
    await readVersionById(scope, id);
    await assertAllowed(scope, 'model.update', `version:${id}`);
    await decideAndCommit(scope, async () => ({
      changes: versionUpdated(await readVersionById(scope, id), changes),
      result: undefined,
    }));
    return await readVersionById(scope, id);
  }

  async function setDeprecation(
    model: string,
    version: string,
    given: { readonly reason: string; readonly replacement?: string } | undefined,
  ): Promise<ModelVersion> {
    const { id } = await readVersion(scope, model, version);
    await assertAllowed(scope, 'model.delete', `model:${model}`);
    await decideAndCommit(scope, async () => ({
      changes: await deprecation(scope, await readVersion(scope, model, version), given),
      result: undefined,
      ...(given === undefined ? {} : { reason: given.reason }),
    }));
    return await readVersionById(scope, id);
  }

  return {
    async getVersion(model, version) {
      await readModel(scope, model);
      return await readVersion(scope, model, version);
    },
    getVersionById: (id) => readVersionById(scope, id),
    resolve: (reference) => resolveVersion(scope, reference),

    async listVersions(model) {
      await readModel(scope, model);
      const all = everyRecord(scope, 'model_version', {
        where: { op: 'and', of: [is('modelName', model), lacks('deletedAt')] },
        orderBy: [{ by: { from: 'column', name: 'number' }, direction: 'asc' }],
        facets: versionFacets,
      });
      const versions: ModelVersion[] = [];
      for await (const record of all) versions.push(modelVersionFromRecord(record));
      return versions;
    },

    updateVersion: update,
    async setVersionTags(id, tags) {
      await update(id, { tags });
    },

    async deprecate(model, version, options) {
      checkOptions(deprecationShape, options, 'deprecate');
      assertText(options.reason, 'A reason', 2000);
      return await setDeprecation(model, version, options);
    },
    undeprecate: (model, version) => setDeprecation(model, version, undefined),
  };
}

function versionUpdated(version: ModelVersion, changes: VersionChanges): readonly Change[] {
  const { id, revision: expect } = version;
  const { description, tags = {} } = changes;
  if (version.deletedAt !== undefined) {
    const what = `Version ${version.version} of ${version.model}`;
    throw new KeelsonError('CONFLICT', `${what} was deleted; restore it first.`);
  }
  if (description !== undefined) assertText(description, 'A description', 1024);
  const set = Object.entries(tags).filter(([, value]) => value !== null) as [string, string][];
  const unset = Object.keys(tags).filter((key) => tags[key] === null);
  const kept = Object.entries(version.tags).filter(([key]) => !unset.includes(key));
  assertTags(Object.fromEntries([...kept, ...set]), maxTags);
  const merged = { set: { tags: Object.fromEntries(set) }, unset: { tags: unset } };
  return [
    ...(description === undefined
      ? []
      : [{ op: 'replace', kind: 'model_version', id, expect, columns: { description } } as const]),
    ...(set.length + unset.length === 0
      ? []
      : [{ op: 'merge', kind: 'model_version', id, ...merged } as const]),
  ];
}

async function deprecation(
  scope: Scope,
  version: ModelVersion,
  given: { readonly reason: string; readonly replacement?: string } | undefined,
): Promise<readonly Change[]> {
  const { id, revision: expect, model } = version;
  if (given === undefined) {
    const columns = {
      ...{ deprecatedAt: undefined, deprecation: undefined, replacementId: undefined },
    };
    if (version.deprecated === undefined) return [];
    return [{ op: 'replace', kind: 'model_version', id, expect, columns }];
  }
  const { reason, replacement } = given;
  const instead =
    replacement === undefined ? undefined : await readVersion(scope, model, replacement);
  if (instead?.id === id) {
    throw new KeelsonError('INVALID', `Version ${replacement} of ${model} cannot replace itself.`);
  }
  const columns = {
    ...{ deprecatedAt: scope.clock.now(), deprecation: reason, replacementId: instead?.id },
  };
  return [
    { op: 'replace', kind: 'model_version', id, expect, columns },
    emitOfModel(scope, 'model.deprecated', model, {
      ...{ versionId: id, version: version.version, reason },
      ...(instead === undefined ? {} : { replacementVersionId: instead.id }),
    }),
  ];
}
