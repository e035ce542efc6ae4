import { Readable } from 'node:stream';
import type { ServerHandle } from './exchange.ts';
import { isBelow, letGo, rooted } from './node-face.ts';

/** Answers a `Request`; never rejects. */
export type WebHandler = (request: Request) => Promise<Response>;

/** The Web face of a handler, for frameworks that speak `Request` and `Response`. */
export function webHandler(handle: ServerHandle, basePath = ''): WebHandler {
  return async (request) => {
    const { pathname, search } = new URL(request.url);
    const url = pathname + search;
    const { status, headers, body } = await handle({
      method: request.method,
      // A mount may have taken the base path away already: what lies elsewhere is asked for as it is.
      url: isBelow(url, basePath) ? rooted(url.slice(basePath.length)) : url,
      headers: Object.fromEntries(request.headers),
      body: request.body ?? nothing(),
      signal: request.signal,
    });
    if (request.method === 'HEAD' || status === 204 || status === 304) {
      await letGo(body);
      return new Response(null, { status, headers });
    }
    const whole = typeof body === 'string' || body instanceof Uint8Array;
    const sent = whole
      ? (body as string | Uint8Array<ArrayBuffer>)
      : (Readable.toWeb(Readable.from(body, { objectMode: false })) as unknown as ReadableStream);
    return new Response(sent, { status, headers });
  };
}

async function* nothing(): AsyncGenerator<Uint8Array, void, undefined> {
  // A request without a body.
}
