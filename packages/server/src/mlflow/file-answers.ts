import { contentTypeOf, disposition, names, rangeOf } from '../http/content.ts';
import { headerOf, jsonAnswer, type ServerAnswer, type ServerRequest } from '../http/exchange.ts';

/** A file or a directory, by its path from where it was asked. */
export interface FileInfo {
  readonly path: string;
  readonly is_dir: boolean;
  readonly file_size?: number;
}

/** What lies directly in a directory, out of all that lies somewhere. */
export function childrenOf(
  files: Iterable<{ readonly path: string; readonly sizeBytes: number }>,
  directory: string,
): readonly FileInfo[] {
  const prefix = directory === '' ? '' : `${directory}/`;
  const found = new Map<string, FileInfo>();
  for (const { path, sizeBytes } of files) {
    if (!path.startsWith(prefix)) continue;
    const [name = '', ...deeper] = path.slice(prefix.length).split('/');
    const file = { path: name, is_dir: false, file_size: sizeBytes };
    found.set(name, deeper.length > 0 ? { path: name, is_dir: true } : file);
  }
  return [...found.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** A file that is sent. */
interface SentFile {
  readonly path: string;
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly mimeType: string;
}

/** A file's bytes, verified while they flow. Browsers are to keep it, not to show it. */
export async function sendFile(
  file: SentFile,
  request: ServerRequest,
  open: (range?: {
    readonly start: number;
    readonly end: number;
  }) => Promise<ReadableStream<Uint8Array>>,
): Promise<ServerAnswer> {
  const etag = `"${file.sha256}"`;
  const headers = {
    'content-type': contentTypeOf(file.mimeType),
    'x-content-type-options': 'nosniff',
    'content-disposition': disposition(file.path.split('/').at(-1) ?? 'artifact'),
    'accept-ranges': 'bytes',
    etag,
  };
  if (names(headerOf(request.headers, 'if-none-match'), etag)) {
    return { status: 304, headers: { etag }, body: '' };
  }
  const range = rangeOf(request.headers, file.sizeBytes, etag);
  if (range === undefined) {
    const length = { 'content-length': String(file.sizeBytes) };
    return { status: 200, headers: { ...headers, ...length }, body: await open() };
  }
  if (range === 'outside') {
    const of = { 'content-range': `bytes */${file.sizeBytes}` };
    return jsonAnswer(416, { error_code: 'BAD_REQUEST', message: 'There is no such range.' }, of);
  }
  const { start, end } = range;
  const part = {
    'content-range': `bytes ${start}-${end - 1}/${file.sizeBytes}`,
    'content-length': String(end - start),
  };
  return { status: 206, headers: { ...headers, ...part }, body: await open(range) };
}
