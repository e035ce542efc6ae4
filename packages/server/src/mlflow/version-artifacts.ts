import type { ModelVersion, Services } from '@keelson/core';
import { isKeelsonError } from '@keelson/core';
import type { ServerAnswer, ServerRequest } from '../http/exchange.ts';
import { partsOfField } from './artifact-places.ts';
import { invalid, missing } from './errors.ts';
import { childrenOf, type FileInfo, sendFile } from './file-answers.ts';
import { versionOf } from './version-wire.ts';

/** The version of `registry/<id>/…`; RESOURCE_DOES_NOT_EXIST for none. */
async function versionIn({ registry }: Services, id: string): Promise<ModelVersion> {
  try {
    const version = await registry.getVersionById(id);
    if (version.deletedAt === undefined) return version;
  } catch (error) {
    if (!isKeelsonError(error, 'NOT_FOUND')) throw error;
  }
  throw missing(`There is no model version ${id.slice(0, 100)}.`);
}

/** What lies directly in a directory of a version. */
export async function versionFilesIn(
  services: Services,
  [, id = '', ...path]: readonly string[],
): Promise<readonly FileInfo[]> {
  const { files } = await versionIn(services, id);
  return childrenOf(files, path.join('/'));
}

/** A file of a version. */
export async function downloadOfVersion(
  services: Services,
  [, id = '', ...parts]: readonly string[],
  request: ServerRequest,
): Promise<ServerAnswer> {
  if (parts.length === 0) throw invalid('Invalid path');
  const path = parts.join('/');
  const version = await versionIn(services, id);
  const file = version.files.find((each) => each.path === path);
  if (file === undefined)
    throw missing(
      `Version ${version.version} of ${version.model} has no file ${JSON.stringify(path)}.`,
    );
  return sendFile({ ...file, mimeType: 'application/octet-stream' }, request, (range) =>
    services.registry.openFile(id, path, range),
  );
}

/** What the web pages of MLflow download of a version: `/model-versions/get-artifact?name=…&version=…&path=…`. */
export async function answerGetVersionArtifact(
  request: ServerRequest,
  query: URLSearchParams,
  services: Services,
): Promise<ServerAnswer> {
  const parts = partsOfField(query.get('path') ?? '');
  const { id } = await versionOf(services, query.get('name') ?? '', query.get('version') ?? '');
  return downloadOfVersion(services, ['registry', id, ...parts], request);
}
