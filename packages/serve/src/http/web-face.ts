import type { HttpRequest } from './exchange.ts';
import type { InferenceApi } from './inference-api.ts';
import { bodyTooLarge } from './request-body.ts';

/** Answers a `Request`; never rejects. */
export type WebHandler = (
  request: Request,
  /** `prefix` is what stands before the paths of serving, such as `/api`. */
  options?: { readonly prefix?: string },
) => Promise<Response>;

/** The Web face of the inference API, for frameworks that speak `Request` and `Response`. */
export function webHandler(
  api: InferenceApi,
  options: { readonly maxBodyBytes: number },
): WebHandler {
  return async (request, { prefix = '' } = {}) => {
    const { pathname, search } = new URL(request.url);
    // Of another place: left as it is, and so found nowhere.
    const isBelow = pathname === prefix || pathname.startsWith(`${prefix}/`);
    const facts: Omit<HttpRequest, 'bytes'> = {
      method: request.method,
      url: (isBelow ? pathname.slice(prefix.length) : pathname) + search,
      headers: Object.fromEntries(request.headers),
      isGone: () => request.signal.aborted,
    };
    const { status, headers, body } = await answer(api, request, facts, options.maxBodyBytes);
    return new Response(
      request.method === 'HEAD' ? null : (body as string | Uint8Array<ArrayBuffer>),
      {
        status,
        headers,
      },
    );
  };
}

async function answer(
  api: InferenceApi,
  request: Request,
  facts: Omit<HttpRequest, 'bytes'>,
  maxBodyBytes: number,
): ReturnType<InferenceApi['handle']> {
  let bytes: Uint8Array;
  try {
    bytes = await readBody(request, maxBodyBytes);
  } catch (error) {
    return api.refuse(error, facts);
  }
  return api.handle({ ...facts, bytes });
}

async function readBody(request: Request, maxBytes: number): Promise<Uint8Array> {
  if (request.body === null) return new Uint8Array();
  if (Number(request.headers.get('content-length') ?? 0) > maxBytes) throw bodyTooLarge(maxBytes);
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body) {
    size += chunk.byteLength;
    if (size > maxBytes) throw bodyTooLarge(maxBytes);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size);
}
