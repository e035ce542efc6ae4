import type { FilesOrigin, Services } from '@keelson/core';
import { partsOfField, placeOf, placeOfModel } from './artifact-places.ts';
import { artifactsBelow } from './artifacts.ts';
import { invalid, missing } from './errors.ts';
import { quoted } from './search.ts';
import { pointerFile, sourceTag, versionOf } from './version-wire.ts';

/** Where the files of a version to be come from. */
export interface VersionSource {
  readonly from: FilesOrigin;
  /** The logged model that they are of. */
  readonly modelId?: string;
  /** Of versions whose files stay elsewhere: the version holds where. */
  readonly isPointer?: boolean;
}

/**
 * What a source means: `runs:/<run>/<path>`, `models:/<logged model>`, `models:/<name>/<version>` (the source of that)
 * and `mlflow-artifacts:/…` are files that are here, and become the version's; an address of another store stays what
 * it is. A path of this machine is refused: whoever can register could read any file.
 */
export async function sourceOf(
  services: Services,
  source: string,
  hops = 0,
): Promise<VersionSource> {
  const [, scheme = '', rest = ''] = /^([a-z][a-z0-9+.-]*):(.*)$/is.exec(source) ?? [];
  const parts = (): readonly string[] => partsOfField(rest.replace(/^\/\/[^/]*/, ''));
  switch (scheme.toLowerCase()) {
    case 'runs': {
      const [runId = '', ...path] = parts();
      return ofRun(services, runId, path);
    }
    case 'models':
      return ofModel(services, parts(), hops);
    case 'mlflow-artifacts':
      return ofArtifacts(services, parts());
    case '':
    case 'file':
      throw invalid(
        `Invalid model version source: '${source.slice(0, 300)}'. To use a local path as a model version source, the run_id request parameter has to be specified and the local path has to be contained within the artifact directory of the run specified by the run_id.`,
      );
    default: {
      const bytes = Buffer.from(`${JSON.stringify({ source })}\n`);
      return { from: { files: { [pointerFile]: bytes } }, isPointer: true };
    }
  }
}

/** Versions that are copies of versions that are copies. */
const maxHops = 10;

async function ofRun(
  services: Services,
  runId: string,
  path: readonly string[],
): Promise<VersionSource> {
  const place = { runId, path: path.join('/') };
  if (await hasFiles(services, place)) return { from: place };
  const [name = ''] = path;
  const filter = `name = ${quoted(name)} AND source_run_id = ${quoted(runId)}`;
  const { models } = await services.tracking.searchLoggedModels({ filter, limit: 1 });
  const [model] = models;
  if (model === undefined) throw nothingThere(place);
  return ofLoggedModel(services, model.id, path.slice(1));
}

async function ofModel(
  services: Services,
  parts: readonly string[],
  hops: number,
): Promise<VersionSource> {
  const [name = '', version, ...rest] = parts;
  if (version === undefined) return ofLoggedModel(services, name, []);
  const found = await versionOf(services, name, version);
  const source = found.tags[sourceTag];
  if (source === undefined || rest.length > 0) {
    throw invalid(
      `Version ${version} of ${name} was not registered by a client of MLflow: copy it with registry.register().`,
    );
  }
  if (hops === maxHops) throw invalid(`The source of version ${version} of ${name} is a circle.`);
  return sourceOf(services, source, hops + 1);
}

async function ofLoggedModel(
  services: Services,
  modelId: string,
  path: readonly string[],
): Promise<VersionSource> {
  const root = await placeOfModel(services, modelId);
  const place = { runId: root.runId, path: [root.path, ...path].join('/') };
  if (!(await hasFiles(services, place))) throw nothingThere(place);
  return { from: place, modelId };
}

async function ofArtifacts(services: Services, parts: readonly string[]): Promise<VersionSource> {
  if (parts[1] === 'models') return ofLoggedModel(services, parts[2] ?? '', parts.slice(4));
  const place = await placeOf(services, parts);
  if (!(await hasFiles(services, place))) throw nothingThere(place);
  return { from: place };
}

type Place = Parameters<typeof artifactsBelow>[1];

async function hasFiles(services: Services, place: Place): Promise<boolean> {
  const found = await services.tracking.findRun(place.runId);
  if (found === undefined) throw missing(`Run with id=${place.runId} not found`);
  for await (const _ of artifactsBelow(services, place)) return true;
  return false;
}

function nothingThere({ runId, path }: Place): Error {
  return missing(`Run ${runId} has no artifacts at ${JSON.stringify(path)}: log the model first.`);
}
