import { isKeelsonError, KeelsonError } from '@keelson/core';
import { headerOf, type ServerRequest } from './exchange.ts';

/** Of a body that is read as a whole. */
const maxJsonBytes: number = 64 * 2 ** 20;

/** The whole body. EXHAUSTED (413) when it is longer than `maxBytes`: the rest is not read. */
export async function readBody(
  { headers, body }: Pick<ServerRequest, 'headers' | 'body'>,
  maxBytes: number = maxJsonBytes,
): Promise<Uint8Array> {
  if (Number(headerOf(headers, 'content-length') ?? 0) > maxBytes) throw bodyTooLarge(maxBytes);
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.byteLength;
    if (size > maxBytes) throw bodyTooLarge(maxBytes);
    chunks.push(chunk);
  }
  const [first] = chunks;
  return chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks, size);
}

/**
 * The very bytes that were sent, for what keeps or signs them. Where a parser of the host was faster they are gone, and
 * reading them is UNSUPPORTED, with the remedy.
 */
export function sentBytes({
  body,
  isReparsed = false,
}: Pick<ServerRequest, 'body' | 'isReparsed'>): AsyncIterable<Uint8Array> {
  return isReparsed ? goneBytes() : body;
}

/** A body that a parser of the host has read, and left nothing of that could be sent on. */
// biome-ignore lint/correctness/useYield: it has nothing to yield
export async function* goneBytes(): AsyncGenerator<Uint8Array, void, undefined> {
  throw new KeelsonError(
    'UNSUPPORTED',
    "A parser of the host has read this body, and its bytes are gone: mount Keelson before parsers such as express.json(), or keep the bytes as the request's rawBody.",
  );
}

/** Which status an error is answered with, by its mark; undefined where its code decides. */
export function ownStatusOf(error: unknown): number | undefined {
  if (!isKeelsonError(error)) return undefined;
  const { httpStatus } = error.details;
  return typeof httpStatus === 'number' ? httpStatus : undefined;
}

function bodyTooLarge(maxBytes: number): KeelsonError {
  const message = `The body is longer than the ${maxBytes} bytes that are taken here.`;
  return new KeelsonError('INVALID', message, { details: { httpStatus: 413 } });
}
