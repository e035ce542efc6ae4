import { type Artifact, isKeelsonError, type Services } from '@keelson/core';
import { headerOf, jsonAnswer, type ServerAnswer, type ServerRequest } from '../http/exchange.ts';
import { type ArtifactPlace, partsOfField, partsOfUrl, placeOf } from './artifact-places.ts';
import { type Call, call } from './call.ts';
import { message, set, text } from './encoding.ts';
import { invalid, missing, refusal } from './errors.ts';
import type { RunHandles } from './run-handles.ts';
import { artifactUri, experimentIds } from './run-wire.ts';
import { ofRun, runOf } from './runs.ts';

/** A file or a directory, by its path from where it was asked. */
interface FileInfo {
  readonly path: string;
  readonly is_dir: boolean;
  readonly file_size?: number;
}

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
  const depth = place.path === '' ? 0 : place.path.length + 1;
  const found = new Map<string, FileInfo>();
  for await (const { path, sizeBytes } of artifactsBelow(services, place)) {
    if (path.length <= depth) continue;
    const [name = '', ...deeper] = path.slice(depth).split('/');
    const file = { path: name, is_dir: false, file_size: sizeBytes };
    found.set(name, deeper.length > 0 ? { path: name, is_dir: true } : file);
  }
  return [...found.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** A file's bytes, verified while they flow. Browsers are to keep it, not to show it. */
export async function download(
  { tracking }: Services,
  { runId, path }: ArtifactPlace,
  request: ServerRequest,
): Promise<ServerAnswer> {
  const artifact = await tracking.getArtifact(runId, path);
  const etag = `"${artifact.sha256}"`;
  const headers = {
    'content-type': artifact.mimeType,
    'x-content-type-options': 'nosniff',
    'content-disposition': disposition(path.split('/').at(-1) ?? 'artifact'),
    'accept-ranges': 'bytes',
    etag,
  };
  if (headerOf(request.headers, 'if-none-match') === etag) {
    return { status: 304, headers: { etag }, body: '' };
  }
  const range = rangeOf(headerOf(request.headers, 'range'), artifact.sizeBytes);
  if (range === undefined) {
    const length = { 'content-length': String(artifact.sizeBytes) };
    const body = await tracking.openArtifact(runId, path);
    return { status: 200, headers: { ...headers, ...length }, body };
  }
  const { start, end } = range;
  if (start >= end) {
    const of = { 'content-range': `bytes */${artifact.sizeBytes}` };
    return jsonAnswer(416, { error_code: 'BAD_REQUEST', message: 'There is no such range.' }, of);
  }
  const body = await tracking.openArtifact(runId, path, range);
  const part = {
    'content-range': `bytes ${start}-${end - 1}/${artifact.sizeBytes}`,
    'content-length': String(end - start),
  };
  return { status: 206, headers: { ...headers, ...part }, body };
}

/** One range of bytes, its end left out; undefined where the whole is asked for. */
function rangeOf(
  header: string | undefined,
  size: number,
): { readonly start: number; readonly end: number } | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header?.trim() ?? '');
  const [first = '', last = ''] = match?.slice(1) ?? [];
  if (first === '' && last === '') return undefined;
  if (first === '') return { start: Math.max(0, size - Number(last)), end: size };
  const end = last === '' ? size : Math.min(size, Number(last) + 1);
  return { start: Number(first), end };
}

function disposition(name: string): string {
  const plain = name.replace(/[^\w.\- ]/g, '_');
  return `attachment; filename="${plain}"; filename*=UTF-8''${encodeURIComponent(name)}`;
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
    return jsonAnswer(200, set({ files: await filesIn(services, await placeOf(services, parts)) }));
  }
  if (!path.startsWith(`${isArtifact}/`)) return undefined;
  const place = await placeOf(services, partsOfUrl(path.slice(isArtifact.length + 1)));
  if (isRead) {
    assertFile(place);
    return download(services, place, request);
  }
  if (method === 'PUT') {
    assertFile(place);
    const run = await runs.get(services, place.runId);
    const how = { onConflict: 'replace', signal: request.signal } as const;
    await run.logArtifact(place.path, request.body, how);
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
