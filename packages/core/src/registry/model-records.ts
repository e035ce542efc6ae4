import semver from 'semver';
import type { Predicate } from '../contracts/query.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { assertText } from '../json.ts';
import {
  type Model,
  type ModelVersion,
  modelFromRecord,
  modelVersionFromRecord,
  versionFacets,
} from './model-version.ts';

type ReadScope = Pick<Scope, 'metadata' | 'workspace'>;

/** The record of a model by its name, a deleted one's too. */
export async function findModel(scope: ReadScope, name: string): Promise<StoredRecord | undefined> {
  const where = is('name', name);
  const facets = ['tags'];
  return (await scope.metadata.query(scope.workspace, 'model', { where, limit: 1, facets }))
    .records[0];
}

/** The record of a model that is not deleted; NOT_FOUND with what can be done. */
export async function getModelRecord(scope: ReadScope, name: string): Promise<StoredRecord> {
  const record = await findModel(scope, assertText(name, 'A model name'));
  if (record === undefined) {
    throw new KeelsonError(
      'NOT_FOUND',
      `There is no model ${JSON.stringify(name)}; register a version of it.`,
    );
  }
  if (record.columns['deletedAt'] === undefined) return record;
  throw new KeelsonError(
    'NOT_FOUND',
    `Model ${JSON.stringify(name)} was deleted; registry.restoreModel() brings it back.`,
  );
}

/** As {@link getModelRecord}. */
export async function readModel(scope: ReadScope, name: string): Promise<Model> {
  return modelFromRecord(await getModelRecord(scope, name));
}

/** A version by its id, a deleted one too. */
export async function readVersionById(scope: ReadScope, id: string): Promise<ModelVersion> {
  const facets = versionFacets;
  assertText(id, 'The id of a model version');
  const record = await scope.metadata.find(scope.workspace, 'model_version', id, { facets });
  if (record !== undefined) return modelVersionFromRecord(record);
  const hint = id.includes('@') ? ` It is named by its id here: registry.resolve('${id}').` : '';
  throw new KeelsonError('NOT_FOUND', `There is no model version with the id ${id}.${hint}`);
}

/** A version by model and semver, a deleted one too. */
export async function findVersion(
  scope: ReadScope,
  model: string,
  version: string,
): Promise<ModelVersion | undefined> {
  const where: Predicate = { op: 'and', of: [is('modelName', model), is('version', version)] };
  const facets = versionFacets;
  const { records } = await scope.metadata.query(scope.workspace, 'model_version', {
    ...{ where, facets, limit: 1 },
  });
  return records[0] && modelVersionFromRecord(records[0]);
}

/** A version by model and semver; NOT_FOUND, with what can be done, for a deleted one. */
export async function readVersion(
  scope: ReadScope,
  model: string,
  version: string,
): Promise<ModelVersion> {
  assertText(model, 'A model name');
  const found = await findVersion(scope, model, assertText(version, 'A version'));
  if (found === undefined) {
    // Words and numbers are for references: what is changed under them must not move meanwhile.
    const hint =
      semver.valid(version) === null
        ? ` Its semver is asked here: registry.resolve('${model}@${version}') knows it.`
        : '';
    throw new KeelsonError('NOT_FOUND', `Model ${model} has no version ${version}.${hint}`);
  }
  if (found.deletedAt === undefined) return found;
  const remedy =
    found.purgedAt === undefined
      ? 'registry.restoreVersion() brings it back'
      : 'and its content is gone; register it under a new version';
  throw new KeelsonError('NOT_FOUND', `Version ${version} of ${model} was deleted; ${remedy}.`);
}

/** A column that has a value. */
export function is(name: string, value: string | number): Predicate {
  return { op: 'compare', left: { from: 'column', name }, cmp: '=', value };
}

/** A column that has none. */
export function lacks(name: string): Predicate {
  return { op: 'not', of: { op: 'present', left: { from: 'column', name } } };
}
