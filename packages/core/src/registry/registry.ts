import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { assertObject } from '../check-options.ts';
import type { Predicate } from '../contracts/query.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { asJson, assertText } from '../json.ts';
import { assertAllowed, decideAndCommit } from '../operations/decide-and-commit.ts';
import type { Tracking } from '../tracking/tracking.ts';
import { type LineageGraph, readLineage } from './lineage-graph.ts';
import {
  type Model,
  type ModelVersion,
  modelFromRecord,
  modelVersionFromRecord,
} from './model-version.ts';
import { findModel, type RegisterOptions, registerVersion } from './registration.ts';
import type { StagePolicy } from './stage-policy.ts';
import { createTransitions, type Transitions } from './transitions.ts';

/** What every trained model is, where it came from, and who let it into production. */
export interface Registry extends Transitions {
  /** A new version, its content verified; the same request again answers the same version. */
  register(options: RegisterOptions): Promise<ModelVersion>;
  getModel(name: string): Promise<Model>;
  findModel(name: string): Promise<Model | undefined>;
  listModels(): Promise<readonly Model[]>;
  /** Which transitions the model's versions may take, and what each asks. */
  setPolicy(model: string, policy: StagePolicy): Promise<Model>;
  /** By model and semver. */
  getVersion(model: string, version: string): Promise<ModelVersion>;
  getVersionById(id: string): Promise<ModelVersion>;
  /** By number ascending. */
  listVersions(model: string): Promise<readonly ModelVersion[]>;
  /** The version in production, if any. */
  productionVersion(model: string): Promise<ModelVersion | undefined>;
  setVersionTags(id: string, tags: Readonly<Record<string, string>>): Promise<void>;
  /** Writes the version's files under `directory`, verified while they stream; answers their paths. */
  download(id: string, directory: string): Promise<readonly string[]>;
  /** Data, runs, executions and versions that led here (backward) or came of it (forward). */
  lineage(
    id: string,
    options?: {
      readonly direction?: 'backward' | 'forward';
      readonly depth?: number;
      readonly limit?: number;
    },
  ): Promise<LineageGraph>;
}

const facets = ['tags', 'metrics'] as const;

/** The registry, bound to a scope. */
export function createRegistry(scope: Scope, tracking: Tracking): Registry {
  const { metadata, workspace } = scope;

  async function getModel(name: string): Promise<Model> {
    const record = await findModel(scope, assertText(name, 'A model name'));
    if (record !== undefined) return modelFromRecord(record);
    throw new KeelsonError(
      'NOT_FOUND',
      `There is no model ${JSON.stringify(name)}; register a version of it.`,
    );
  }

  async function getVersionById(id: string): Promise<ModelVersion> {
    const record = await metadata.find(workspace, 'model_version', id, { facets });
    if (record !== undefined) return modelVersionFromRecord(record);
    throw new KeelsonError('NOT_FOUND', `There is no model version ${id}.`);
  }

  async function getVersion(model: string, version: string): Promise<ModelVersion> {
    const of: Predicate[] = [equal('modelName', model), equal('version', version)];
    const where: Predicate = { op: 'and', of };
    const { records } = await metadata.query(workspace, 'model_version', {
      where,
      limit: 1,
      facets,
    });
    if (records[0] !== undefined) return modelVersionFromRecord(records[0]);
    throw new KeelsonError('NOT_FOUND', `Model ${model} has no version ${version}.`);
  }

  const transitions = createTransitions(scope, { getModel, getVersion, getVersionById });

  return {
    ...transitions,
    getModel,
    getVersion,
    getVersionById,
    register: (options) => registerVersion(scope, tracking, options),

    async findModel(name) {
      const record = await findModel(scope, name);
      return record && modelFromRecord(record);
    },

    async listModels() {
      const { records } = await metadata.query(workspace, 'model', {
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
        const record = await findModel(scope, name);
        if (record === undefined) throw new KeelsonError('NOT_FOUND', `There is no model ${name}.`);
        const body = { ...record.body, policy: asJson(policy) };
        return {
          changes: [{ op: 'replace', kind: 'model', id: record.id, expect: record.revision, body }],
          result: undefined,
        };
      });
      return getModel(name);
    },

    async listVersions(model) {
      const { records } = await metadata.query(workspace, 'model_version', {
        where: equal('modelName', model),
        orderBy: [{ by: { from: 'column', name: 'number' }, direction: 'asc' }],
        limit: 1000,
        facets,
      });
      return records.map(modelVersionFromRecord);
    },

    async productionVersion(model) {
      const { productionVersionId } = await getModel(model);
      return productionVersionId === undefined ? undefined : getVersionById(productionVersionId);
    },

    async setVersionTags(id, tags) {
      await getVersionById(id);
      await decideAndCommit(scope, async () => ({
        changes: [{ op: 'merge', kind: 'model_version', id, set: { tags } }],
        result: undefined,
      }));
    },

    async download(id, directory) {
      const version = await getVersionById(id);
      const written: string[] = [];
      for (const file of version.files) {
        const target = join(directory, file.path);
        await mkdir(dirname(target), { recursive: true });
        await writeVerified(await scope.artifacts.open(file.sha256), target, scope.ids.next());
        written.push(target);
      }
      return written;
    },

    async lineage(id, options = {}) {
      const { direction = 'backward', depth = 10, limit = 1000 } = assertObject(options, 'lineage');
      return readLineage(scope, id, { direction, depth, limit });
    },
  };
}

/** Written aside and renamed: content that turns out damaged never bears the file's name. */
async function writeVerified(
  stream: ReadableStream<Uint8Array>,
  target: string,
  unique: string,
): Promise<void> {
  const aside = `${target}.${unique}.part`;
  try {
    const handle = await open(aside, 'wx');
    try {
      for await (const part of stream) await handle.writeFile(part);
    } finally {
      await handle.close();
    }
    await rename(aside, target);
  } catch (error) {
    await rm(aside, { force: true });
    throw error;
  }
}

function equal(name: string, value: string): Predicate {
  return { op: 'compare', left: { from: 'column', name }, cmp: '=', value };
}
