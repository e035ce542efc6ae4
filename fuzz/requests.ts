import { deflateSync, gzipSync } from 'node:zlib';
import { mutateBytes, mutateJson } from './mutations.ts';
import type { Choices } from './random.ts';

/** A request before it is put on a wire. */
export interface FuzzedRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly bytes: Buffer;
}

/** What a deployment answers: the examples of its description. */
export interface Valid {
  readonly path: string;
  /** A body of JSON, or bytes with the length of their JSON. */
  readonly json?: unknown;
  readonly binary?: { readonly base64: string; readonly headerLength: number };
}

const methods = ['GET', 'PUT', 'DELETE', 'HEAD', 'OPTIONS', 'PATCH', 'TRACE'];
const urls = [
  ...[
    '/',
    '//',
    '/v2',
    '/v2/',
    '/v2/models',
    '/v2/models/',
    '/v2/models//infer',
    '/v2/models/%/infer',
    '/metrics',
  ],
  ...[
    '/v2/models/weather',
    '/v2/models/weather/versions',
    '/v2/models/weather/stats',
    '/v2/models/weather/config',
  ],
  ...[
    '/v1/models/weather',
    '/v1/models/weather/metadata',
    '/v1/models/:predict',
    '/openapi.json',
    '/v2/repository/index',
  ],
  ...[
    '/v2/models/__proto__/infer',
    '/v2/models/weather/versions/__proto__/infer',
    `/${'a/'.repeat(3_000)}`,
  ],
  ...[
    '/v2/models/weather/openapi.json',
    '/v2/health/ready?x=%zz',
    '/v2/models/weather%2Finfer',
    '/v2/models/\u0001',
  ],
  '/v2/repository/models/weather/load',
];
const oddHeaders: readonly (readonly [string, readonly string[]])[] = [
  [
    'content-type',
    [
      'text/xml',
      '',
      ';',
      'application/json; charset=latin1',
      'multipart/form-data',
      'a'.repeat(2_000),
    ],
  ],
  [
    'content-encoding',
    ['gzip', 'deflate', 'br', 'gzip, gzip', '__proto__', 'x-gzip', 'identity', ''],
  ],
  ['accept-encoding', ['gzip', 'deflate', 'br', '*', 'gzip;q=0', '', ';;;', 'identity;q=0, *;q=0']],
  [
    'inference-header-content-length',
    ['0', '1', '-1', '1e3', '99999999999999999999', '', ' 5', '0x5', 'NaN'],
  ],
  ['x-request-id', ['', ' ', 'x'.repeat(9_000), 'a b', 'ü', '\t']],
  [
    'traceparent',
    ['', '00-0-0-0', `00-${'0'.repeat(32)}-${'0'.repeat(16)}-00`, 'ff', 'x'.repeat(5_000)],
  ],
  ['x-correlation-id', ['', 'x'.repeat(5_000), '\u00e9', '../..']],
  ['x-envoy-expected-rq-timeout-ms', ['60000', '0', '-1', '1.5', '99999999999', '']],
  ['x-user', ['', 'a'.repeat(4_000)]],
];

const bomb = gzipSync(Buffer.alloc(3_000_000));

/** A request that is, or once was, a right one. */
export function fuzzedRequest(valid: readonly Valid[], choices: Choices): FuzzedRequest {
  const { path, json, binary } = choices.of(valid);
  const headers: Record<string, string> = { 'content-type': 'application/json' };
  let bytes: Buffer;
  if (binary !== undefined && (json === undefined || choices.chance(0.4))) {
    headers['inference-header-content-length'] = String(binary.headerLength);
    bytes = Buffer.from(binary.base64, 'base64');
    if (choices.chance(0.8)) bytes = mutateBinary(bytes, binary.headerLength, headers, choices);
  } else {
    bytes = Buffer.from(mutated(json, choices));
    if (choices.chance(0.1)) bytes = mutateBytes(bytes, choices);
  }
  if (choices.chance(0.15)) bytes = pack(bytes, headers, choices);
  for (let i = choices.below(3); i > 0 && choices.chance(0.4); i -= 1) {
    const [name, values] = choices.of(oddHeaders);
    headers[name] = choices.of(values);
  }
  const url = choices.chance(0.08) ? choices.of(urls) : path + (choices.chance(0.1) ? '/' : '');
  return { method: choices.chance(0.06) ? choices.of(methods) : 'POST', url, headers, bytes };
}

/** As it is, almost as a model takes it, or wrong. */
function mutated(json: unknown, choices: Choices): string {
  const kind = choices.next();
  if (kind < 0.15) return JSON.stringify(json);
  if (kind > 0.3) return mutateJson(json, choices);
  const text = JSON.stringify(json);
  const datatype = choices.of(['FP32', 'FP64', 'INT64', 'BOOL', 'BYTES', 'UINT8']);
  return choices.chance(0.5)
    ? text.replace(/"datatype":"\w+"/, `"datatype":"${datatype}"`)
    : text.replace(/"name":"(\w+)"/, `"name":"other"`);
}

/** The JSON changed with its length told right, or the tensors, or anything. */
function mutateBinary(
  bytes: Buffer,
  headerLength: number,
  headers: Record<string, string>,
  choices: Choices,
): Buffer {
  const tensors = bytes.subarray(headerLength);
  switch (choices.below(3)) {
    case 0: {
      const header = Buffer.from(
        mutateJson(JSON.parse(bytes.subarray(0, headerLength).toString()), choices),
      );
      headers['inference-header-content-length'] = String(header.length);
      return Buffer.concat([header, tensors]);
    }
    case 1:
      return Buffer.concat([bytes.subarray(0, headerLength), mutateBytes(tensors, choices)]);
    default:
      headers['inference-header-content-length'] = String(choices.below(bytes.length + 10));
      return bytes;
  }
}

function pack(bytes: Buffer, headers: Record<string, string>, choices: Choices): Buffer {
  const kind = choices.below(4);
  headers['content-encoding'] = kind === 1 ? 'deflate' : 'gzip';
  if (kind === 0) return gzipSync(bytes);
  if (kind === 1) return deflateSync(bytes);
  // A bomb, or what unpacks halfway.
  return kind === 2 ? bomb : mutateBytes(gzipSync(bytes), choices);
}
