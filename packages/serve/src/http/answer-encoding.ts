import { promisify } from 'node:util';
import { constants, deflate, gzip } from 'node:zlib';
import { type HttpAnswer, headerOf, type RequestHeaders } from './exchange.ts';

type Encoding = 'gzip' | 'deflate';
type Pack = (body: string | Uint8Array, packing: { readonly level: number }) => Promise<Buffer>;

const packers: Readonly<Record<Encoding, Pack>> = {
  gzip: promisify<string | Uint8Array, { readonly level: number }, Buffer>(gzip),
  deflate: promisify<string | Uint8Array, { readonly level: number }, Buffer>(deflate),
};

/** Numbers and texts of an answer shrink about as well, and several times as fast, as at the default. */
const packing = { level: constants.Z_BEST_SPEED } as const;

/**
 * The answer in the Content-Encoding that the caller prefers (gzip or deflate; as it is where it accepts neither), if it
 * has at least `fromBytes`. Packed outside the event loop.
 */
export function encodeAnswer(
  headers: RequestHeaders,
  answer: HttpAnswer,
  fromBytes: number,
): HttpAnswer | Promise<HttpAnswer> {
  if (Number(answer.headers['content-length']) < fromBytes) return answer;
  const encoding = acceptedEncoding(headerOf(headers, 'accept-encoding'));
  return encoding === undefined ? answer : pack(encoding, answer);
}

async function pack(encoding: Encoding, answer: HttpAnswer): Promise<HttpAnswer> {
  const body = await packers[encoding](answer.body, packing);
  const { status, headers } = answer;
  const length = { 'content-encoding': encoding, 'content-length': String(body.byteLength) };
  return { status, headers: { ...headers, ...length, vary: 'accept-encoding' }, body };
}

/** What an Accept-Encoding prefers of gzip and deflate, gzip where both are as welcome; undefined for neither. */
export function acceptedEncoding(accepts: string | undefined): Encoding | undefined {
  if (accepts === undefined) return undefined;
  let best: Encoding | undefined;
  let bestWeight = 0;
  const weights = weightsOf(accepts);
  for (const encoding of ['gzip', 'deflate'] as const) {
    const weight = weights.get(encoding) ?? weights.get('*') ?? 0;
    if (weight > bestWeight) {
      best = encoding;
      bestWeight = weight;
    }
  }
  return best;
}

function weightsOf(accepts: string): ReadonlyMap<string, number> {
  const weights = new Map<string, number>();
  for (const item of accepts.slice(0, 500).toLowerCase().split(',')) {
    const [name = '', ...parameters] = item.split(';').map((part) => part.trim());
    const quality = parameters.find((part) => part.startsWith('q='));
    const weight = quality === undefined ? 1 : Number(quality.slice(2));
    weights.set(name, Math.max(weight, 0));
  }
  return weights;
}
