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
