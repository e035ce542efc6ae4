import { z } from 'zod';
import { checkOptions } from '../check-options.ts';
import type { Change } from '../contracts/metadata-store.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { asJson, assertText, type JsonObject } from '../json.ts';
import { assertAllowed, commitChanges, decideAndCommit } from '../operations/decide-and-commit.ts';
import { everyRecord } from '../operations/every-record.ts';
import {
  findModel,
  getModelRecord,
  is,
  lacks,
  readModel,
  readVersionById,
} from './model-records.ts';
import {
  type Model,
  type ModelOrigin,
  type ModelVersion,
  modelFromRecord,
  type Stage,
} from './model-version.ts';
import { assertPolicy } from './policy-shape.ts';
import { defaultStagePolicy, type StagePolicy } from './stage-policy.ts';
import { assertTags } from './tags.ts';

/** A model that is made before its first version. */
export interface NewModel {
  /** 1 to 255 characters. */
  readonly name: string;
  readonly description?: string;
  readonly tags?: Readonly<Record<string, string>>;
  /** `IMPORT` when left out; a model that is made by registering a run's artifacts has `EXPERIMENT`. */
  readonly source?: ModelOrigin;
  readonly policy?: StagePolicy;
}

/** What of a model may be changed; `null` takes a tag away. */
export interface ModelChanges {
  readonly description?: string;
  readonly tags?: Readonly<Record<string, string | null>>;
}

/** The named lines of versions. */
export interface Models {
  /** CONFLICT for a name that is taken, also by a deleted model. */
  createModel(model: NewModel): Promise<Model>;
  getModel(name: string): Promise<Model>;
  findModel(name: string): Promise<Model | undefined>;
  /** By name. */
  listModels(): Promise<readonly Model[]>;
  updateModel(name: string, changes: ModelChanges): Promise<Model>;
  /** Which transitions the model's versions may take, and what each asks. INVALID for one that cannot be meant. */
  setPolicy(model: string, policy: StagePolicy): Promise<Model>;
  /** The version in production, if any; of several, the one that came last. */
  productionVersion(model: string): Promise<ModelVersion | undefined>;
  /** Semver texts by stage, newest first; the 1,000 newest of each. */
  stageVersions(model: string): Promise<Readonly<Record<Stage, readonly string[]>>>;
}

const newShape = z.strictObject({
  name: z.string(),
  description: z.string().optional(),
  tags: z.record(z.string(), z.string()).optional(),
  source: z.enum(['EXPERIMENT', 'IMPORT', 'PIPELINE']).optional(),
  policy: z.unknown().optional(),
} satisfies Record<keyof NewModel, z.ZodType>);
const changesShape = z.strictObject({
  description: z.string().optional(),
  tags: z.record(z.string(), z.string().nullable()).optional(),
} satisfies Record<keyof ModelChanges, z.ZodType>);
const maxTags = 20;

/** Models, bound to a scope. */
export function createModels(scope: Scope): Models {
  const { metadata, workspace } = scope;
  return {
    async createModel(model) {
      checkOptions(newShape, model, 'createModel');
      const name = assertModelName(model.name);
      await assertAllowed(scope, 'model.register', `model:${name}`);
      try {
        await commitChanges(scope, [modelCreated(scope, scope.ids.next(), model)]);
      } catch (error) {
        if (!isKeelsonError(error, 'CONFLICT')) throw error;
        throw nameTaken(name, await findModel(scope, name));
      }
      return await readModel(scope, name);
    },

    getModel: (name) => readModel(scope, name),

    async findModel(name) {
      const record = await findModel(scope, assertText(name, 'A model name'));
      if (record?.columns['deletedAt'] !== undefined) return undefined;
      return record && modelFromRecord(record);
    },

    async listModels() {
      const all = everyRecord(scope, 'model', {
        where: lacks('deletedAt'),
        orderBy: [{ by: { from: 'column', name: 'name' }, direction: 'asc' }],
        facets: ['tags'],
      });
      const models: Model[] = [];
      for await (const record of all) models.push(modelFromRecord(record));
      return models;
    },

    async updateModel(name, changes) {
      assertText(name, 'A model name');
      checkOptions(changesShape, changes, 'updateModel');
      await assertAllowed(scope, 'model.update', `model:${name}`);
      await decideAndCommit(scope, async () => ({
        changes: modelUpdated(await getModelRecord(scope, name), changes),
        result: undefined,
      }));
      return await readModel(scope, name);
    },

    async setPolicy(name, policy) {
      assertText(name, 'A model name');
      assertPolicy(policy);
      await assertAllowed(scope, 'model.policy', `model:${name}`);
      await decideAndCommit(scope, async () => {
        const record = await getModelRecord(scope, name);
        const body = { ...record.body, policy: asJson(policy) };
        return {
          changes: [{ op: 'replace', kind: 'model', id: record.id, expect: record.revision, body }],
          result: undefined,
        };
      });
      return await readModel(scope, name);
    },

    async productionVersion(model) {
      const { productionVersionId } = await readModel(scope, model);
      if (productionVersionId === undefined) return undefined;
      return await readVersionById(scope, productionVersionId);
    },

    async stageVersions(name) {
      const { id } = await readModel(scope, name);
      const inStage = async (stage: Stage): Promise<readonly string[]> => {
        const of = [is('modelId', id), is('stage', stage), lacks('deletedAt')];
        const { records } = await metadata.query(workspace, 'model_version', {
          where: { op: 'and', of },
          orderBy: [{ by: { from: 'column', name: 'number' }, direction: 'desc' }],
          limit: 1000,
        });
        return records.map(({ columns }) => columns['version'] as string);
      };
      const stages = ['DEVELOPMENT', 'STAGING', 'PRODUCTION', 'ARCHIVED'] as const;
      const [development, staging, production, archived] = await Promise.all(stages.map(inStage));
      return {
        DEVELOPMENT: development ?? [],
        STAGING: staging ?? [],
        PRODUCTION: production ?? [],
        ARCHIVED: archived ?? [],
      };
    },
  };
}

/** The change that makes a model; `more` are the columns and the part of the body that its first version fills. */
export function modelCreated(
  scope: Pick<Scope, 'principal'>,
  id: string,
  model: NewModel,
  more: {
    readonly columns?: Readonly<Record<string, string | number>>;
    readonly body?: JsonObject;
  } = {},
): Change {
  const { name, description = '', tags = {}, source = 'IMPORT', policy } = model;
  assertText(description, 'A description', 2048);
  return {
    op: 'create',
    kind: 'model',
    id,
    columns: { lastNumber: 0, ...more.columns, name, source, createdBy: scope.principal.id },
    body: {
      description,
      policy: asJson(assertPolicy(policy ?? defaultStagePolicy)),
      aliases: {},
      ...more.body,
    },
    facets: { tags: assertTags(tags, maxTags) },
  };
}

function modelUpdated(record: StoredRecord, changes: ModelChanges): readonly Change[] {
  const { id, revision: expect, body, facets } = record;
  const { description, tags = {} } = changes;
  const all: Change[] = [];
  if (description !== undefined) {
    assertText(description, 'A description', 2048);
    all.push({ op: 'replace', kind: 'model', id, expect, body: { ...body, description } });
  } else {
    // The limit of tags is of the model as it is: two who add at once do not both pass it.
    all.push({ op: 'replace', kind: 'model', id, expect });
  }
  const set = Object.entries(tags).filter(([, value]) => value !== null) as [string, string][];
  const unset = Object.keys(tags).filter((key) => tags[key] === null);
  const kept = Object.entries((facets['tags'] ?? {}) as Record<string, string>).filter(
    ([key]) => !unset.includes(key),
  );
  assertTags(Object.fromEntries([...kept, ...set]), maxTags);
  if (set.length > 0 || unset.length > 0) {
    const merged = { tags: Object.fromEntries(set) };
    all.push({ op: 'merge', kind: 'model', id, set: merged, unset: { tags: unset } });
  }
  return all;
}

/** CONFLICT that names who has the name. */
export function nameTaken(name: string, holder: StoredRecord | undefined): KeelsonError {
  const deleted = holder?.columns['deletedAt'] !== undefined;
  const remedy = deleted
    ? 'it was deleted; registry.restoreModel() brings it back'
    : 'register versions of it, or take another name';
  return new KeelsonError(
    'CONFLICT',
    `There is a model ${JSON.stringify(name)} already: ${remedy}.`,
  );
}

/** Refuses names that are none. */
export function assertModelName(name: string): string {
  assertText(name, 'A model name', 255);
  if (name.trim() === '') throw new KeelsonError('INVALID', 'A model needs a name.');
  return name;
}
