import type { Model, ModelVersion, Services, Stage } from '@keelson/core';
import { set, toPairs } from './encoding.ts';
import { invalid, missing } from './errors.ts';

/** What MLflow's clients said of a version is kept in tags that are none to them. */
export const sourceTag = 'keelson.mlflow.source';
/** The logged model that a version is of. */
export const modelIdTag = 'keelson.mlflow.model_id';
export const linkTag = 'keelson.mlflow.run_link';
const hidden: readonly string[] = [sourceTag, modelIdTag, linkTag];

/** MLflow's stages → ours. */
const stages: Readonly<Record<string, Stage>> = {
  ...{ None: 'DEVELOPMENT', Staging: 'STAGING', Production: 'PRODUCTION', Archived: 'ARCHIVED' },
};
const wireStages: Readonly<Record<Stage, string>> = {
  ...{ DEVELOPMENT: 'None', STAGING: 'Staging', PRODUCTION: 'Production', ARCHIVED: 'Archived' },
};

/** Our stage of one of MLflow's, in any case. */
export function stageOf(given: string): Stage {
  const found = Object.keys(stages).find((name) => name.toLowerCase() === given.toLowerCase());
  if (found !== undefined) return stages[found] as Stage;
  throw invalid(
    `Invalid Model Version stage: ${given.slice(0, 100)}. Value must be one of None, Staging, Production, Archived.`,
  );
}

/** Where the files of a version lie, for clients: with the registry, where they never change. */
export function versionUri(version: ModelVersion): string {
  return externalSource(version) ?? `mlflow-artifacts:/registry/${version.id}`;
}

/** The name of the one file of versions whose files lie elsewhere. */
export const pointerFile = 'mlflow-source.json';

function externalSource({ files, tags }: ModelVersion): string | undefined {
  return files.length === 1 && files[0]?.path === pointerFile ? tags[sourceTag] : undefined;
}

/** A version as MLflow's clients know it. */
export function versionToWire(version: ModelVersion): object {
  const { tags } = version;
  const shown = Object.entries(tags).filter(([key]) => !hidden.includes(key));
  return set({
    name: version.model,
    version: String(version.number),
    creation_timestamp: version.createdAt,
    last_updated_timestamp: version.createdAt,
    user_id: version.createdBy,
    current_stage: wireStages[version.stage],
    description: version.description === '' ? undefined : version.description,
    source: tags[sourceTag] ?? versionUri(version),
    run_id: version.lineage.sourceRunId,
    run_link: tags[linkTag],
    status: version.status === 'READY' ? 'READY' : 'FAILED_REGISTRATION',
    status_message: version.failure,
    tags: toPairs(Object.fromEntries(shown)),
    aliases: version.aliases,
    model_id: tags[modelIdTag],
  });
}

/** The newest version of each stage, or of those that are named. */
export function newestOfStages(
  versions: readonly ModelVersion[],
  of: readonly Stage[] = ['DEVELOPMENT', 'STAGING', 'PRODUCTION', 'ARCHIVED'],
): readonly ModelVersion[] {
  return of.flatMap((stage) => versions.filter((each) => each.stage === stage).at(-1) ?? []);
}

/** A model as MLflow's clients know it, with its newest versions. */
export async function modelToWire({ registry }: Services, model: Model): Promise<object> {
  const versions = await registry.listVersions(model.name);
  const numbers = new Map(versions.map(({ id, number }) => [id, String(number)]));
  const aliases = Object.entries(model.aliases).map(([alias, id]) => ({
    alias,
    version: numbers.get(id),
  }));
  return set({
    name: model.name,
    creation_timestamp: model.createdAt,
    last_updated_timestamp: model.updatedAt,
    user_id: model.createdBy,
    description: model.description === '' ? undefined : model.description,
    latest_versions: newestOfStages(versions).map(versionToWire),
    tags: toPairs(model.tags),
    aliases,
  });
}

/** The model; RESOURCE_DOES_NOT_EXIST for none. */
export async function modelOf({ registry }: Services, name: string): Promise<Model> {
  const model = await registry.findModel(name);
  if (model !== undefined) return model;
  throw missing(`Registered Model with name=${name.slice(0, 300)} not found`);
}

/** The version of a number; RESOURCE_DOES_NOT_EXIST for none. */
export async function versionOf(
  services: Services,
  name: string,
  number: string,
): Promise<ModelVersion> {
  if (!/^\d{1,15}$/.test(number)) {
    throw invalid(`Parameter 'version' must be an integer, got '${number.slice(0, 100)}'.`);
  }
  const filter = `number = ${Number(number)}`;
  const model = await services.registry.findModel(name);
  const found =
    model &&
    (await services.registry.searchVersions({ model: name, filter, limit: 1 })).versions[0];
  if (found !== undefined) return found;
  throw missing(`Model Version (name=${name.slice(0, 300)}, version=${number}) not found`);
}
