import { Readable } from 'node:stream';
import type { ServerAnswer, ServerHandle } from './exchange.ts';
import type { Flights } from './flights.ts';
import { isBelow, letGo, rooted } from './node-face.ts';

/**
 * Answers a `Request`; never rejects. `context` is handed on to a host's `auth`: Hono's context, what Next gives a
 * route.
 */
export type WebHandler = (request: Request, context?: unknown) => Promise<Response>;

/** The Web face of a handler, for frameworks that speak `Request` and `Response`. */
export function webHandler(
  handle: ServerHandle,
  { basePath = '', flights }: { readonly basePath?: string; readonly flights?: Flights } = {},
): WebHandler {
  return async (request, context) => {
    const { pathname, search, protocol } = new URL(request.url);
    const url = pathname + search;
    const broken = new AbortController();
    const landed = flights?.begin(() => broken.abort()) ?? noop;
    const { status, headers, body } = await handle({
      method: request.method,
      // A mount may have taken the base path away already: what lies elsewhere is asked for as it is.
      url: isBelow(url, basePath) ? rooted(url.slice(basePath.length)) : url,
      headers: Object.fromEntries(request.headers),
      body: request.body ?? nothing(),
      signal: AbortSignal.any([request.signal, broken.signal]),
      scheme: protocol === 'https:' ? 'https' : 'http',
      raw: request,
      context,
    });
    if (request.method === 'HEAD' || status === 204 || status === 304) {
      landed();
      await letGo(body);
      return new Response(null, { status, headers });
    }
    if (typeof body === 'string' || body instanceof Uint8Array) {
      landed();
      return new Response(body as string | Uint8Array<ArrayBuffer>, { status, headers });
    }
    return new Response(streamOf(body, { signal: broken.signal, landed }), { status, headers });
  };
}

/** A body as a stream of the Web, which `signal` breaks off. */
function streamOf(
  body: Exclude<ServerAnswer['body'], string | Uint8Array>,
  { signal, landed }: { readonly signal: AbortSignal; readonly landed: () => void },
): ReadableStream<Uint8Array> {
  const readable = Readable.from(body, { objectMode: false, signal });
  readable.once('close', landed);
  return Readable.toWeb(readable) as unknown as ReadableStream<Uint8Array>;
}

function noop(): void {
  // Nobody counts.
}

async function* nothing(): AsyncGenerator<Uint8Array, void, undefined> {
  // A request without a body.
}
