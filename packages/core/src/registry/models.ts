import type { Scope } from '../contracts/scope.ts';
import { asJson, assertText } from '../json.ts';
import { assertAllowed, decideAndCommit } from '../operations/decide-and-commit.ts';
import { findModel, getModelRecord, lacks, readModel, readVersionById } from './model-records.ts';
import { type Model, type ModelVersion, modelFromRecord } from './model-version.ts';
import type { StagePolicy } from './stage-policy.ts';

/** The named lines of versions. */
export interface Models {
  getModel(name: string): Promise<Model>;
  findModel(name: string): Promise<Model | undefined>;
  listModels(): Promise<readonly Model[]>;
  /** Which transitions the model's versions may take, and what each asks. */
  setPolicy(model: string, policy: StagePolicy): Promise<Model>;
  /** The version in production, if any. */
  productionVersion(model: string): Promise<ModelVersion | undefined>;
}

/** Models, bound to a scope. */
export function createModels(scope: Scope): Models {
  const { metadata, workspace } = scope;
  return {
    getModel: (name) => readModel(scope, name),

    async findModel(name) {
      const record = await findModel(scope, assertText(name, 'A model name'));
      if (record?.columns['deletedAt'] !== undefined) return undefined;
      return record && modelFromRecord(record);
    },

    async listModels() {
      const { records } = await metadata.query(workspace, 'model', {
        where: lacks('deletedAt'),
        orderBy: [{ by: { from: 'column', name: 'name' }, direction: 'asc' }],
        limit: 1000,
        facets: ['tags'],
      });
      return records.map(modelFromRecord);
    },

    async setPolicy(name, policy) {
      assertText(name, 'A model name');
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
  };
}
