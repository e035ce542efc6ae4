import { z } from 'zod';
import { checkOptions } from '../check-options.ts';
import type { Change } from '../contracts/metadata-store.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { assertText, type JsonObject } from '../json.ts';
import { assertAllowed, type Decision, decideAndCommit } from '../operations/decide-and-commit.ts';
import { everyRecord } from '../operations/every-record.ts';
import { aliasMoves } from './aliases.ts';
import { emitOfModel } from './emit-of-model.ts';
import { findModel, findVersion, getModelRecord, is, lacks, readModel } from './model-records.ts';
import { assertTies } from './model-tie.ts';
import { type Model, type ModelVersion, modelFromRecord } from './model-version.ts';
import type { RegistryParts } from './registry-parts.ts';
import { assertFree, versionsInProduction } from './stage-moves.ts';

/** Why something goes. */
export interface DeleteOptions {
  readonly reason: string;
  /** Also where it is deployed, in production, or the parent of a version that stays; audited as forced. */
  readonly force?: boolean;
}

/** The end of versions and models, and the way back. */
export interface Deletion {
  /**
   * Deletes a version: its content stays until retention purges it, its number and semver are never used
   * again. CONFLICT, naming what is in the way, where it is used; `force` deletes it all the same.
   */
  deleteVersion(model: string, version: string, options: DeleteOptions): Promise<void>;
  /** Brings a version back as it was, without its aliases. CONFLICT once it is purged. */
  restoreVersion(model: string, version: string): Promise<ModelVersion>;
  /** Deletes a model with all its versions; its name stays taken. */
  deleteModel(name: string, options: DeleteOptions): Promise<void>;
  /** With its versions; once they are purged, without: their numbers are never used again. */
  restoreModel(name: string): Promise<Model>;
}

const shape = z.strictObject({
  reason: z.string().min(1),
  force: z.boolean().optional(),
} satisfies Record<keyof DeleteOptions, z.ZodType>);

/** Deletion, bound to a scope. */
export function createDeletion(scope: Scope, parts: RegistryParts): Deletion {
  async function allow(model: string): Promise<void> {
    assertText(model, 'A model name');
    await assertAllowed(scope, 'model.delete', `model:${model}`);
  }

  return {
    async deleteVersion(model, version, options) {
      assertText(version, 'A version');
      assertReason(options);
      await allow(model);
      await decideAndCommit(scope, () => versionDeleted(scope, parts, model, version, options));
    },

    async restoreVersion(model, version) {
      assertText(version, 'A version');
      await allow(model);
      await decideAndCommit(scope, () => versionRestored(scope, model, version));
      const restored = await findVersion(scope, model, version);
      if (restored !== undefined) return restored;
      throw new KeelsonError('NOT_FOUND', `Model ${model} has no version ${version}.`);
    },

    async deleteModel(name, options) {
      assertReason(options);
      await allow(name);
      await decideAndCommit(scope, () => modelDeleted(scope, parts, name, options));
    },

    async restoreModel(name) {
      await allow(name);
      await decideAndCommit(scope, async () => {
        const record = await findModel(scope, name);
        if (record === undefined) {
          throw new KeelsonError('NOT_FOUND', `There is no model ${JSON.stringify(name)}.`);
        }
        const { id, revision: expect } = record;
        if (record.columns['deletedAt'] === undefined) return { changes: [], result: undefined };
        if (record.columns['purgedAt'] !== undefined) await assertPurged(scope, record);
        const columns = { deletedAt: undefined, purgedAt: undefined };
        return {
          changes: [
            { op: 'replace', kind: 'model', id, expect, columns },
            emitOfModel(scope, 'model.restored', name, {}),
          ],
          result: undefined,
        };
      });
      return await readModel(scope, name);
    },
  };
}

function assertReason(options: DeleteOptions): void {
  checkOptions(shape, options, 'Deleting');
  assertText(options.reason, 'A reason', 2000);
}

/** What retention has begun with it ends: a model comes back with all of its versions, or with none. */
async function assertPurged(scope: Scope, { id, columns }: StoredRecord): Promise<void> {
  const { records } = await scope.metadata.query(scope.workspace, 'model_version', {
    where: { op: 'and', of: [is('modelId', id), lacks('purgedAt')] },
    limit: 1,
  });
  if (records.length === 0) return;
  throw new KeelsonError(
    'CONFLICT',
    `Model ${columns['name']} is being purged; operations.collectGarbage() ends that, and it comes back without versions.`,
  );
}

async function versionDeleted(
  scope: Scope,
  parts: RegistryParts,
  name: string,
  semver: string,
  { reason, force = false }: DeleteOptions,
): Promise<Decision<undefined>> {
  const record = await getModelRecord(scope, name);
  const model = modelFromRecord(record);
  const version = await findVersion(scope, name, semver);
  if (version === undefined) {
    throw new KeelsonError('NOT_FOUND', `Model ${name} has no version ${semver}.`);
  }
  if (version.deletedAt !== undefined) return { changes: [], result: undefined };
  assertFree(model);
  const tie = await assertTies(scope, model.id);
  const ways = await inTheWay(scope, parts, version);
  if (ways.length > 0 && !force) throw stillUsed(`Version ${semver} of ${name}`, ways);
  const { id, revision: expect, stage } = version;
  const pointing = Object.keys(model.aliases).filter((alias) => model.aliases[alias] === id);
  const moves = pointing.map((alias) => ({ alias, to: undefined }));
  const aliased = aliasMoves(scope, name, model.aliases, moves);
  const body: JsonObject = { ...record.body, aliases: aliased.aliases };
  const columns = { ...(await pointersWithout(scope, model, id)) };
  return {
    changes: [
      tie,
      // What leaves production by force is archived: brought back, it does not stand beside another.
      {
        ...({ op: 'replace', kind: 'model_version', id, expect } as const),
        columns: {
          deletedAt: scope.clock.now(),
          ...(stage === 'PRODUCTION' ? { stage: 'ARCHIVED' } : {}),
        },
      },
      { op: 'replace', kind: 'model', id: model.id, expect: model.revision, columns, body },
      ...aliased.changes,
      emitOfModel(scope, 'model.deleted', name, {
        ...{ version: semver, reason },
        ...(ways.length > 0 ? { forced: true } : {}),
      }),
    ],
    result: undefined,
    reason: ways.length > 0 ? `${reason} (forced, although ${ways.join(', ')})` : reason,
  };
}

/** What a model points to once a version is gone. */
async function pointersWithout(
  scope: Scope,
  model: Model,
  id: string,
): Promise<Readonly<Record<string, string | undefined>>> {
  const { metadata, workspace } = scope;
  const { records } = await metadata.query(workspace, 'model_version', {
    where: { op: 'and', of: [is('modelId', model.id), lacks('deletedAt')] },
    orderBy: [{ by: { from: 'column', name: 'number' }, direction: 'desc' }],
    limit: 2,
  });
  const present = await versionsInProduction(scope, model.id);
  const others = present.filter((each) => each.id !== id);
  return {
    latestVersionId: records.find((each) => each.id !== id)?.id,
    productionVersionId:
      model.productionVersionId === id ? others[0]?.id : model.productionVersionId,
  };
}

async function inTheWay(
  scope: Scope,
  parts: RegistryParts,
  version: ModelVersion,
): Promise<readonly string[]> {
  const ways = (await parts.uses(version.id)).map((use) => `it is used by ${use}`);
  if (version.stage === 'PRODUCTION') ways.push('it is in production');
  const children = await liveChildren(scope, version.id);
  return [...ways, ...children.map((child) => `${child} was made from it`)];
}

async function liveChildren(scope: Scope, id: string): Promise<readonly string[]> {
  const { metadata, workspace } = scope;
  const how = { direction: 'forward', depth: 1, limit: 1000, roles: ['parent'] } as const;
  const { nodes } = await metadata.reach(workspace, [id], how);
  const ids = nodes.filter(({ depth }) => depth === 1).map((node) => node.id);
  const children = await metadata.findMany(workspace, 'model_version', ids.slice(0, 1000));
  return children
    .filter(({ columns }) => columns['deletedAt'] === undefined)
    .map(({ columns }) => `${columns['modelName']}@${columns['version']}`);
}

async function versionRestored(
  scope: Scope,
  name: string,
  semver: string,
): Promise<Decision<undefined>> {
  const model = await readModel(scope, name);
  const version = await findVersion(scope, name, semver);
  if (version === undefined) {
    throw new KeelsonError('NOT_FOUND', `Model ${name} has no version ${semver}.`);
  }
  if (version.purgedAt !== undefined) {
    throw new KeelsonError(
      'CONFLICT',
      `Version ${semver} of ${name} was purged: its content is given up. Register it anew under another version.`,
    );
  }
  if (version.deletedAt === undefined) return { changes: [], result: undefined };
  const { id, revision: expect } = version;
  const { latestVersionId } = model;
  const latest =
    latestVersionId === undefined
      ? undefined
      : await scope.metadata.find(scope.workspace, 'model_version', latestVersionId);
  const isNewest = ((latest?.columns['number'] ?? 0) as number) < version.number;
  const columns = isNewest ? { latestVersionId: id } : {};
  const changes: Change[] = [
    { op: 'replace', kind: 'model_version', id, expect, columns: { deletedAt: undefined } },
    { op: 'replace', kind: 'model', id: model.id, expect: model.revision, columns },
    emitOfModel(scope, 'model.restored', name, { version: semver }),
  ];
  return { changes, result: undefined };
}

async function modelDeleted(
  scope: Scope,
  parts: RegistryParts,
  name: string,
  { reason, force = false }: DeleteOptions,
): Promise<Decision<undefined>> {
  const model = await readModel(scope, name);
  assertFree(model);
  const tie = await assertTies(scope, model.id);
  const ways: string[] = [];
  const ofIt = everyRecord(scope, 'model_version', {
    where: { op: 'and', of: [is('modelId', model.id), lacks('deletedAt')] },
  });
  for await (const { id, columns } of ofIt) {
    const version = `${columns['version']}`;
    for (const use of await parts.uses(id)) ways.push(`${version} is used by ${use}`);
    if (columns['stage'] === 'PRODUCTION') ways.push(`${version} is in production`);
    for (const child of await liveChildren(scope, id)) {
      if (!child.startsWith(`${name}@`)) ways.push(`${child} was made from ${version}`);
    }
    if (ways.length > 0 && !force) throw stillUsed(`Model ${name}`, ways);
  }
  const { id, revision: expect } = model;
  const forced = ways.length > 0;
  return {
    changes: [
      tie,
      { op: 'replace', kind: 'model', id, expect, columns: { deletedAt: scope.clock.now() } },
      emitOfModel(scope, 'model.deleted', name, { reason, ...(forced ? { forced: true } : {}) }),
    ],
    result: undefined,
    reason: forced ? `${reason} (forced, although ${ways.slice(0, 10).join(', ')})` : reason,
  };
}

function stillUsed(what: string, ways: readonly string[]): KeelsonError {
  return new KeelsonError(
    'CONFLICT',
    `${what} cannot be deleted: ${ways.slice(0, 10).join(', ')}. Mend that, or delete it with force: true.`,
    { details: { ways: ways.slice(0, 100) } },
  );
}
