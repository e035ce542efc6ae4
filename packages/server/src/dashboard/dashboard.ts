import { createHash, randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { isKeelsonError } from '@keelson/core';
import { bearerOf, type Callers } from '../access/callers.ts';
import { sessionCookie } from '../access/session-cookie.ts';
import { problemAnswer } from '../api/problem.ts';
import { names } from '../http/content.ts';
import { headerOf, type ServerAnswer, type ServerRequest, splitUrl } from '../http/exchange.ts';

/** Answers what lies below `/ui/`, and leads there from `/`; undefined for anything else. */
export type Dashboard = (request: ServerRequest) => Promise<ServerAnswer | undefined>;

interface StaticFile {
  readonly type: string;
  readonly etag: string;
  readonly bytes: Uint8Array;
  readonly zipped: Uint8Array | undefined;
}

const mediaTypes: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.json': 'application/json',
};

/** Nothing but what this origin serves, and no script in a page. Pages of artifacts are shown in a sandbox of their own. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' blob: data:",
  "connect-src 'self'",
  "frame-src 'self' blob:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'self'",
].join('; ');

const notBuilt =
  'The dashboard is not built: `npm run build` makes it. (In the published package it is there.)';

/** The dashboard of a handler: static files, and the exchange of a key for a cookie. */
export function createDashboard(
  callers: Callers,
  {
    basePath: own,
    directory = findFiles(),
  }: { readonly basePath: string; readonly directory?: string },
): Dashboard {
  let files: Promise<ReadonlyMap<string, StaticFile>> | undefined;

  return async (request) => {
    const { path } = splitUrl(request.url);
    const { basePath = own } = request;
    if (path === '/' && isRead(request)) {
      return redirect(basePath === '' ? 'ui/' : `${basePath}/ui/`);
    }
    if (path === '/ui' && isRead(request))
      return redirect(`${basePath === '' ? '' : basePath}/ui/`);
    if (!path.startsWith('/ui/')) return undefined;
    if (path === '/ui/session') return changeSession(callers, request, basePath);
    if (!isRead(request)) return undefined;
    files ??= readFiles(directory);
    const all = await files;
    if (all.size === 0) {
      files = undefined;
      return plain(503, notBuilt);
    }
    const file = all.get(path === '/ui/' ? 'index.html' : path.slice('/ui/'.length));
    return file === undefined ? undefined : fileAnswer(file, request, path.includes('/assets/'));
  };
}

function findFiles(): string {
  // From the sources and from what is built the package's root is at different heights.
  return join(fileURLToPath(import.meta.resolve('@keelson/server/package.json')), '..', 'ui');
}

async function readFiles(directory: string): Promise<ReadonlyMap<string, StaticFile>> {
  const found = new Map<string, StaticFile>();
  let entries: readonly string[];
  try {
    entries = await readdir(directory, { recursive: true });
  } catch {
    return found;
  }
  for (const entry of entries) {
    const type = mediaTypes[extname(entry)];
    if (type === undefined) continue;
    const bytes = await readFile(join(directory, entry));
    const etag = `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"`;
    const zipped = bytes.length < 1024 ? undefined : gzipSync(bytes, { level: 9 });
    found.set(entry.replaceAll('\\', '/'), { type, etag, bytes, zipped });
  }
  return found;
}

function fileAnswer(file: StaticFile, { headers }: ServerRequest, isHashed: boolean): ServerAnswer {
  const common = {
    'content-type': file.type,
    etag: file.etag,
    'cache-control': isHashed ? 'public, max-age=31536000, immutable' : 'no-cache',
    'content-security-policy': policy,
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'cross-origin-opener-policy': 'same-origin',
    vary: 'accept-encoding',
  };
  if (names(headerOf(headers, 'if-none-match'), file.etag)) {
    return { status: 304, headers: common, body: '' };
  }
  const takesZipped = /\bgzip\b(?!;\s*q=0(?:\.0*)?(?:,|$))/.test(
    headerOf(headers, 'accept-encoding') ?? '',
  );
  const body = takesZipped && file.zipped !== undefined ? file.zipped : file.bytes;
  const encoding = body === file.zipped ? { 'content-encoding': 'gzip' } : {};
  return {
    status: 200,
    headers: { ...common, ...encoding, 'content-length': String(body.length) },
    body,
  };
}

/** Signs in: a bearer becomes a cookie, if it is known. Signs out. */
async function changeSession(
  callers: Callers,
  request: ServerRequest,
  basePath: string,
): Promise<ServerAnswer | undefined> {
  if (request.method === 'DELETE') {
    return empty({ 'set-cookie': sessionCookie(request, basePath, undefined) });
  }
  if (request.method !== 'POST') return undefined;
  const bearer = bearerOf(headerOf(request.headers, 'authorization'));
  try {
    await callers.servicesFor(request);
  } catch (error) {
    if (isKeelsonError(error)) return problemAnswer(error, randomUUID());
    throw error;
  }
  return empty(
    bearer === undefined ? {} : { 'set-cookie': sessionCookie(request, basePath, bearer) },
  );
}

function empty(headers: Readonly<Record<string, string>>): ServerAnswer {
  return { status: 204, headers: { 'cache-control': 'no-store', ...headers }, body: '' };
}

function redirect(location: string): ServerAnswer {
  return { status: 302, headers: { location, 'cache-control': 'no-cache' }, body: '' };
}

function plain(status: number, body: string): ServerAnswer {
  return { status, headers: { 'content-type': 'text/plain; charset=utf-8' }, body };
}

function isRead({ method }: ServerRequest): boolean {
  return method === 'GET' || method === 'HEAD';
}
