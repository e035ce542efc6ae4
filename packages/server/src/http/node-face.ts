import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { TLSSocket } from 'node:tls';
import { headerOf, type ServerAnswer, type ServerHandle, type ServerRequest } from './exchange.ts';
import type { Flights } from './flights.ts';
import { goneBytes } from './request-body.ts';

/** How a request listener is made. */
export interface NodeFaceOptions {
  /** What stands before the paths of this server, such as `/mlops`; nothing when left out. */
  readonly basePath?: string;
  /** Whether connections should end after their answer. */
  readonly isDraining?: () => boolean;
  /** Told of each exchange. */
  readonly flights?: Flights;
}

/** Answers a request of `node:http`; `raw` is the host's own form of it, the request itself when left out. */
export type NodeListener = (
  request: IncomingMessage,
  response: ServerResponse,
  raw?: unknown,
) => void;

/** What frameworks add to a request that they hand on. */
interface HandedOn extends IncomingMessage {
  /** Express: the path before a mount took its prefix away. */
  readonly originalUrl?: string;
  readonly body?: unknown;
  readonly rawBody?: unknown;
}

/**
 * The node:http face of a handler: a request listener, for `createServer`, Express and Fastify. It works behind a mount
 * that takes its prefix from the path, and behind a parser that has read the body.
 */
export function nodeListener(handle: ServerHandle, options: NodeFaceOptions = {}): NodeListener {
  return (request, response, raw) => {
    // Express hands on a function here.
    const handed = typeof raw === 'object' && raw !== null ? raw : request;
    exchange(handle, { request, response, raw: handed }, options).catch(() => {
      // A head that cannot be written, say: one request fails, never the process.
      if (response.headersSent) response.destroy();
      else response.writeHead(500, { connection: 'close' }).end();
    });
  };
}

async function exchange(
  handle: ServerHandle,
  {
    request,
    response,
    raw,
  }: { readonly request: HandedOn; readonly response: ServerResponse; readonly raw: unknown },
  { basePath = '', isDraining = () => false, flights }: NodeFaceOptions,
): Promise<void> {
  const gone = new AbortController();
  const landed = flights?.begin(() => response.destroy());
  response.once('close', () => {
    landed?.();
    if (!response.writableFinished) gone.abort();
  });
  const { method = 'GET', headers, socket } = request;
  const answer = await handle({
    method,
    ...belowBase(request, basePath),
    headers,
    ...bodyOf(request),
    signal: gone.signal,
    client: socket.remoteAddress ?? '',
    ...securityOf(socket),
    raw,
  });
  if (gone.signal.aborted) return letGo(answer.body);
  if (isDraining() || !request.complete) response.shouldKeepAlive = false;
  await send(request, response, answer);
}

async function send(
  request: IncomingMessage,
  response: ServerResponse,
  { status, headers, body }: ServerAnswer,
): Promise<void> {
  response.writeHead(status, headers);
  if (request.method === 'HEAD' || typeof body === 'string' || body instanceof Uint8Array) {
    response.end(request.method === 'HEAD' ? undefined : body);
    // What was not read of a body would stand in the way of the next request.
    request.resume();
    await letGo(body);
    return;
  }
  try {
    await pipeline(Readable.from(body, { objectMode: false }), response);
  } catch {
    // The head is out: only a broken connection can say that the rest will not come.
    response.destroy();
  }
}

/** Lets go of a stream that nobody will read: it may hold a file. */
export async function letGo(body: ServerAnswer['body']): Promise<void> {
  if (typeof body === 'string' || body instanceof Uint8Array) return;
  await body[Symbol.asyncIterator]().return?.(undefined);
}

/** How the connection is secured, and by whom. */
function securityOf(socket: Socket | TLSSocket): Pick<ServerRequest, 'scheme' | 'certificate'> {
  if (!('encrypted' in socket)) return { scheme: 'http' };
  if (!socket.authorized) return { scheme: 'https' };
  const { subject, subjectaltname = '', fingerprint256 } = socket.getPeerCertificate();
  const commonName = [subject.CN].flat()[0] ?? '';
  const certificate = { commonName, alternativeNames: subjectaltname, fingerprint: fingerprint256 };
  return { scheme: 'https', certificate };
}

/** The path below the base, and the base. Mounts differ in whether `url` has it still. */
function belowBase(
  { url = '/', originalUrl }: HandedOn,
  basePath: string,
): Pick<ServerRequest, 'url' | 'basePath'> {
  const whole = originalUrl ?? url;
  if (basePath !== '' && isBelow(whole, basePath)) {
    return { url: rooted(whole.slice(basePath.length)), basePath };
  }
  const taken = whole.endsWith(url) ? whole.slice(0, whole.length - url.length) : '';
  return { url: rooted(url), ...(taken === '' ? {} : { basePath: taken }) };
}

/** Whether a path and query lie under a prefix. */
export function isBelow(url: string, basePath: string): boolean {
  const next = url[basePath.length];
  return url.startsWith(basePath) && (next === undefined || next === '/' || next === '?');
}

/** With the slash that a path begins with. */
export function rooted(url: string): string {
  return url.startsWith('/') ? url : `/${url}`;
}

/** What the caller sends; what a parser of the host has made of it, where it was faster. */
function bodyOf(request: HandedOn): Pick<ServerRequest, 'body' | 'isReparsed'> {
  if (!request.readableEnded) return { body: request };
  const body = request.rawBody ?? request.body;
  if (body === undefined || body === null) return { body: onePiece() };
  if (body instanceof Uint8Array) return { body: onePiece(body) };
  if (typeof body === 'string') return { body: onePiece(Buffer.from(body)) };
  const isForm = /^(multipart\/|application\/x-www-form-urlencoded)/i.test(
    headerOf(request.headers, 'content-type') ?? '',
  );
  // What a form says cannot be said again as it was.
  if (isForm) return { body: goneBytes() };
  return { body: onePiece(Buffer.from(JSON.stringify(body))), isReparsed: true };
}

async function* onePiece(bytes?: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  if (bytes !== undefined) yield bytes;
}
