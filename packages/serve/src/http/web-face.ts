import type { HttpRequest } from './exchange.ts';
import type { InferenceApi } from './inference-api.ts';
import { bodyTooLarge } from './request-body.ts';

/** The Web face of the inference API, for frameworks that speak `Request` and `Response`. Never rejects. */
export function webHandler(
  api: InferenceApi,
  options: { readonly maxBodyBytes: number },
): (request: Request) => Promise<Response> {
  return async (request) => {
    const { pathname, search } = new URL(request.url);
    const facts: Omit<HttpRequest, 'bytes'> = {
      method: request.method,
      url: pathname + search,
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
