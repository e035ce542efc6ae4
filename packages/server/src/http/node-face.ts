import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ServerAnswer, ServerHandle, ServerRequest } from './exchange.ts';

/** How a request listener is made. */
export interface NodeFaceOptions {
  /** What stands before the paths of this server, such as `/mlops`; nothing when left out. */
  readonly basePath?: string;
  /** Whether connections should end after their answer. */
  readonly isDraining?: () => boolean;
}

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
export function nodeListener(handle: ServerHandle, options: NodeFaceOptions = {}): RequestListener {
  return (request, response) => {
    exchange(handle, request, response, options).catch(() => {
      // A head that cannot be written, say: one request fails, never the process.
      if (response.headersSent) response.destroy();
      else response.writeHead(500, { connection: 'close' }).end();
    });
  };
}

async function exchange(
  handle: ServerHandle,
  request: HandedOn,
  response: ServerResponse,
  { basePath = '', isDraining = () => false }: NodeFaceOptions,
): Promise<void> {
  const gone = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) gone.abort();
  });
  const { method = 'GET', headers, socket } = request;
  const answer = await handle({
    method,
    url: belowBase(request, basePath),
    headers,
    body: bodyOf(request),
    signal: gone.signal,
    client: socket.remoteAddress ?? '',
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

/** The path below the base. Mounts differ in whether `url` has it still. */
function belowBase({ url = '/', originalUrl }: HandedOn, basePath: string): string {
  const whole = originalUrl ?? url;
  if (basePath !== '' && isBelow(whole, basePath)) return rooted(whole.slice(basePath.length));
  return rooted(url);
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

/** What the caller sends; what a parser of a framework has made of it, where it was faster. */
function bodyOf(request: HandedOn): ServerRequest['body'] {
  if (!request.readableEnded) return request;
  const { rawBody, body } = request;
  return onePiece(rawBody ?? body);
}

async function* onePiece(body: unknown): AsyncGenerator<Uint8Array, void, undefined> {
  if (body === undefined || body === null) return;
  if (body instanceof Uint8Array) yield body;
  else yield Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
}
