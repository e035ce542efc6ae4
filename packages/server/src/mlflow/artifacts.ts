import { type Artifact, isKeelsonError, type Services } from '@keelson/core';
import { jsonAnswer, type ServerAnswer, type ServerRequest } from '../http/exchange.ts';
import { sentBytes } from '../http/request-body.ts';
import { type ArtifactPlace, partsOfField, partsOfUrl, placeOf } from './artifact-places.ts';
import { type Call, call } from './call.ts';
import { message, set, text } from './encoding.ts';
import { invalid, missing, refusal } from './errors.ts';
import { childrenOf, type FileInfo, sendFile } from './file-answers.ts';
import type { RunHandles } from './run-handles.ts';
import { artifactUri, experimentIds } from './run-wire.ts';
import { ofRun, runOf } from './runs.ts';
import { downloadOfVersion, versionFilesIn } from './version-artifacts.ts';

/** All artifacts of a place, page after page. */
export async function* artifactsBelow(
  { tracking }: Services,
  { runId, path }: ArtifactPlace,
): AsyncGenerator<Artifact, void, undefined> {
  let cursor: string | undefined;
  do {
    const page = await tracking.listArtifacts(runId, {
      ...(path === '' ? {} : { prefix: path }),
      ...(cursor === undefined ? {} : { cursor }),
    });
    yield* page.artifacts;
    cursor = page.cursor;
  } while (cursor !== undefined);
}

/** What lies directly in a directory; nothing in a file. */
export async function filesIn(
  services: Services,
  place: ArtifactPlace,
): Promise<readonly FileInfo[]> {
  const all: Artifact[] = [];
  for await (const artifact of artifactsBelow(services, place)) all.push(artifact);
  return childrenOf(all, place.path);
}

/** An artifact's bytes. */
async function download(
  { tracking }: Services,
  { runId, path }: ArtifactPlace,
  request: ServerRequest,
): Promise<ServerAnswer> {
  const artifact = await tracking.getArtifact(runId, path);
  return sendFile(artifact, request, (range) => tracking.openArtifact(runId, path, range));
}

const isArtifact = 'mlflow-artifacts/artifacts';

/** The artifact proxy: what lies below `/api/2.0/mlflow-artifacts/`. Undefined for paths that are not its own. */
export async function answerArtifacts(
  request: ServerRequest,
  asked: { readonly path: string; readonly query: URLSearchParams },
  { services, runs }: { readonly services: Services; readonly runs: RunHandles },
): Promise<ServerAnswer | undefined> {
  const { method } = request;
  const { path, query } = asked;
  const isRead = method === 'GET' || method === 'HEAD';
  if (/^mlflow-artifacts\/(mpu\/(create|complete|abort)|presigned)\//.test(path)) {
    throw refusal(
      'NOT_IMPLEMENTED',
      'Multipart upload is not supported for the current artifact repository; send the file as one stream.',
    );
  }
  if ((path === isArtifact || path === `${isArtifact}/`) && isRead) {
    const parts = partsOfField(query.get('path') ?? '');
    if (parts.length === 0) throw invalid('Invalid path');
    const isVersion = parts[0] === 'registry';
    const files = isVersion
      ? await versionFilesIn(services, parts)
      : await filesIn(services, await placeOf(services, parts));
    return jsonAnswer(200, set({ files }));
  }
  if (!path.startsWith(`${isArtifact}/`)) return undefined;
  const parts = partsOfUrl(path.slice(isArtifact.length + 1));
  if (parts[0] === 'registry') {
    if (isRead) return downloadOfVersion(services, parts, request);
    throw refusal(
      'PERMISSION_DENIED',
      'The files of a registered version never change; register another.',
    );
  }
  const place = await placeOf(services, parts);
  if (isRead) {
    assertFile(place);
    return download(services, place, request);
  }
  if (method === 'PUT') {
    assertFile(place);
    const run = await runs.get(services, place.runId);
    const how = { onConflict: 'replace', signal: request.signal } as const;
    await run.logArtifact(place.path, sentBytes(request), how);
    return jsonAnswer(200, {});
  }
  if (method !== 'DELETE') return undefined;
  await remove(services, place);
  return jsonAnswer(200, {});
}

function assertFile({ path }: ArtifactPlace): void {
  if (path === '') throw invalid('Invalid path');
}

/** Removes a file, or all below a directory. */
async function remove(services: Services, place: ArtifactPlace): Promise<void> {
  const { tracking } = services;
  const { runId } = place;
  const paths: string[] = [];
  for await (const { path } of artifactsBelow(services, place)) paths.push(path);
  if (paths.length === 0) {
    throw missing(`Run ${runId} has no artifacts at ${JSON.stringify(place.path)}.`);
  }
  for (const path of paths) {
    try {
      await tracking.removeArtifact(runId, path);
    } catch (error) {
      // Somebody else was faster.
      if (!isKeelsonError(error, 'NOT_FOUND')) throw error;
    }
  }
}

/** What the web pages of MLflow download: `/get-artifact?run_uuid=…&path=…`. */
export async function answerGetArtifact(
  request: ServerRequest,
  query: URLSearchParams,
  services: Services,
): Promise<ServerAnswer> {
  const runId = query.get('run_id') ?? query.get('run_uuid') ?? '';
  const parts = partsOfField(query.get('path') ?? '');
  if (runId === '' || parts.length === 0) throw invalid('Invalid path');
  await runOf(services, runId);
  return download(services, { runId, path: parts.join('/') }, request);
}

/** The calls on artifacts. */
export const artifactCalls: readonly Call[] = [
  call(
    'GET',
    'artifacts/list',
    ofRun(message({ run_id: text, run_uuid: text, path: text, page_token: text })),
    async ({ run_id: runId, path = '' }, { services }) => {
      const parts = partsOfField(path);
      const run = await runOf(services, runId);
      const wireIdOf = await experimentIds(services);
      const files = await filesIn(services, { runId, path: parts.join('/') });
      const root_uri = artifactUri(wireIdOf(run.experimentId), runId);
      return set({
        root_uri,
        files: files.map((file) => ({ ...file, path: [...parts, file.path].join('/') })),
      });
    },
  ),
  ...['upload', 'download'].map((way) =>
    call('POST', `artifacts/presigned-${way}-url`, message({}), async () => {
      throw refusal(
        'NOT_IMPLEMENTED',
        'This server signs no addresses: send and fetch files through it.',
      );
    }),
  ),
];
