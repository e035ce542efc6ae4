import { promisify } from 'node:util';
import { gunzip, inflate } from 'node:zlib';
import { malformed, refusal } from '../protocol/refusal.ts';
import { headerOf, type RequestHeaders } from './exchange.ts';

const inflaters = {
  gzip: promisify(gunzip),
  'x-gzip': promisify(gunzip),
  deflate: promisify(inflate),
};

/** Clients that post JSON without saying so: curl's default, and browsers' and tools' plain text. */
const acceptedTypes: readonly string[] = [
  'application/json',
  'application/octet-stream',
  'application/vnd.sagemaker-triton.binary+json',
  'application/x-www-form-urlencoded',
  'text/plain',
];

/** Refuses what cannot be JSON or tensors (415); a missing Content-Type is accepted, as several clients send none. */
export function assertContentType(headers: RequestHeaders): void {
  const given = headerOf(headers, 'content-type');
  if (given === undefined || given === '') return;
  const type = (given.split(';')[0] ?? '').trim().toLowerCase();
  if (acceptedTypes.includes(type) || type.endsWith('+json')) return;
  throw refusal(
    415,
    'UNSUPPORTED',
    `Content-Type ${type.slice(0, 60)} is not supported; send application/json or application/octet-stream.`,
  );
}

/**
 * The body as it was before its Content-Encoding (gzip, deflate or none). 413 when it is longer than `maxBytes`
 * unpacked, 415 for another encoding, 400 when it cannot be unpacked.
 */
export function unpackBody(
  headers: RequestHeaders,
  bytes: Uint8Array,
  maxBytes: number,
): Uint8Array | Promise<Uint8Array> {
  if (bytes.byteLength > maxBytes) throw bodyTooLarge(maxBytes);
  const encoding = headerOf(headers, 'content-encoding')?.trim().toLowerCase();
  if (encoding === undefined || encoding === '' || encoding === 'identity') return bytes;
  if (!Object.hasOwn(inflaters, encoding)) {
    throw refusal(
      415,
      'UNSUPPORTED',
      `Content-Encoding ${encoding.slice(0, 60)} is not supported; use gzip, deflate or none.`,
    );
  }
  return unpack(inflaters[encoding as keyof typeof inflaters], bytes, maxBytes);
}

async function unpack(
  inflater: typeof inflaters.gzip,
  bytes: Uint8Array,
  maxBytes: number,
): Promise<Uint8Array> {
  try {
    return await inflater(bytes, { maxOutputLength: maxBytes });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE')
      throw bodyTooLarge(maxBytes);
    throw malformed(
      'body',
      'data in its Content-Encoding',
      cause instanceof Error ? cause.message : 'other data',
    );
  }
}

/** The refusal (413) of a body over the limit. */
export function bodyTooLarge(maxBytes: number): ReturnType<typeof refusal> {
  return refusal(
    413,
    'EXHAUSTED',
    `The body is longer than the limit of ${maxBytes} bytes; send fewer rows, or raise maxBodyBytes.`,
  );
}
