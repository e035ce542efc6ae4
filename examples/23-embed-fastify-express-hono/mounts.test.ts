import { once } from 'node:events';
import { type IncomingHttpHeaders, request } from 'node:http';
import { gzipSync } from 'node:zlib';
import { openServing, type Serving, serve } from '@keelson/serve';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  type Mounted,
  mountInExpress,
  mountInFastify,
  mountInHono,
  mountNextRoute,
} from './mounts.ts';
import { weatherSource } from './weather-model.ts';

interface Ask {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
  readonly chunked?: boolean;
}

const infer = '/v2/models/weather/infer';
const rows = JSON.stringify({
  id: 'i',
  inputs: [{ name: 'x', shape: [1, 2], datatype: 'FP64', data: [1, 3] }],
});
const binaryHeader = JSON.stringify({
  inputs: [{ name: 'x', shape: [1, 2], datatype: 'FP64', parameters: { binary_data_size: 16 } }],
  parameters: { binary_data_output: true },
});
const binary = Buffer.concat([
  Buffer.from(binaryHeader),
  Buffer.from(new Float64Array([1, 3]).buffer),
]);
const post = (path: string, body: string | Buffer, headers: Record<string, string> = {}): Ask => ({
  method: 'POST',
  path,
  body,
  headers,
});

const asks: Readonly<Record<string, Ask>> = {
  JSON: post(infer, rows, { 'content-type': 'application/json' }),
  'JSON in another charset': post(infer, rows, {
    'content-type': 'application/json; charset=UTF-8',
  }),
  'no content type': post(infer, rows),
  'what curl says': post(infer, rows, { 'content-type': 'application/x-www-form-urlencoded' }),
  'a type that is none of ours': post(infer, rows, { 'content-type': 'text/xml' }),
  'binary tensors': post(infer, binary, {
    'content-type': 'application/octet-stream',
    'inference-header-content-length': String(binaryHeader.length),
  }),
  'binary tensors without a type': post(infer, binary, {
    'inference-header-content-length': String(binaryHeader.length),
  }),
  gzip: post(infer, gzipSync(rows), {
    'content-encoding': 'gzip',
    'content-type': 'application/json',
  }),
  chunks: { ...post(infer, rows), chunked: true },
  'a slash at the end': post(`${infer}/`, rows),
  'a version': post('/v2/models/weather/versions/1.0.0/infer', rows),
  'a version that is none': post('/v2/models/weather/versions/2.0.0/infer', rows),
  'an escaped name': post('/v2/models/we%61ther/infer', rows),
  'an unknown name': post('/v2/models/no%20ne/infer', rows),
  predict: post('/v1/models/weather:predict', '{"instances":[{"wind":1,"cloud":3}]}'),
  'predict of a version': post('/v1/models/weather/versions/1.0.0:predict', '{"inputs":[[1,3]]}', {
    'content-type': 'application/json',
  }),
  'an empty body': { method: 'POST', path: '/v2/repository/index' },
  'an empty body with a type': {
    method: 'POST',
    path: '/v2/repository/index',
    headers: { 'content-type': 'application/json', 'content-length': '0' },
  },
  'an empty body where there should be one': {
    method: 'POST',
    path: infer,
    headers: { 'content-type': 'application/json', 'content-length': '0' },
  },
  'no JSON': post(infer, '{', { 'content-type': 'application/json' }),
  'a long body': post(infer, 'x'.repeat(60_000), { 'content-type': 'application/json' }),
  'the wrong method': { method: 'DELETE', path: infer },
  'the head': { method: 'HEAD', path: '/v2/health/ready' },
  ready: { path: '/v2/health/ready' },
  'the server': { path: '/v2' },
  'the server with a slash': { path: '/v2/' },
  metadata: { path: '/v1/models/weather/metadata' },
  'a query': { path: '/v2/models/weather?x=1' },
  'its description': { path: '/v2/models/weather/openapi.json' },
  'the description': { path: '/openapi.json' },
  nothing: { path: '/v2/nothing' },
};

interface Told {
  readonly status: number | undefined;
  readonly headers: Partial<IncomingHttpHeaders>;
  readonly body: string;
}

/** What is the same for everybody. */
const compared = [
  'content-type',
  'content-length',
  'x-model-version',
  'x-request-id',
  'allow',
  'inference-header-content-length',
  'retry-after',
];

async function ask(
  base: string,
  { method = 'GET', path, headers = {}, body, chunked = false }: Ask,
): Promise<Told> {
  const length = body === undefined || chunked ? {} : { 'content-length': Buffer.byteLength(body) };
  // The id of a request is made up where there is none.
  const asked = request(base + path, {
    method,
    agent: false,
    headers: { 'x-request-id': 'r', ...length, ...headers },
  });
  asked.end(body);
  const [answer] = (await once(asked, 'response')) as [import('node:http').IncomingMessage];
  const parts: Buffer[] = [];
  for await (const part of answer) parts.push(part as Buffer);
  const kept = Object.fromEntries(
    compared.flatMap((name) =>
      answer.headers[name] === undefined ? [] : [[name, answer.headers[name]]],
    ),
  );
  return {
    status: answer.statusCode,
    headers: kept,
    body: Buffer.concat(parts).toString('latin1'),
  };
}

const options = { deployments: ['weather'], isolation: 'none', maxBodyBytes: 50_000 } as const;
const open: { close(): Promise<unknown> }[] = [];
const urls: Record<string, string> = {};

beforeAll(async () => {
  const source = await weatherSource();
  const alone = await serve(source, options);
  open.push(alone);
  urls.alone = alone.url;
  const mounts = { fastify: mountInFastify, express: mountInExpress, hono: mountInHono };
  for (const [name, mount] of Object.entries(mounts) as [
    string,
    (serving: Serving) => Promise<Mounted>,
  ][]) {
    const serving = await openServing(source, options);
    const service = await mount(serving);
    open.push(service, serving);
    urls[name] = service.url;
  }
  const { runtime, ...handlers } = await import('./next/app/api/[...path]/route.ts');
  expect(runtime).toBe('nodejs');
  const next = await mountNextRoute(handlers);
  const held = globalThis as { keelsonServing?: Promise<Serving> };
  open.push(next, { close: async () => (await held.keelsonServing)?.close() });
  urls.next = `${next.url}/api`;
});

afterAll(async () => {
  for (const each of open) await each.close();
});

test.each(Object.keys(asks))(
  '%s: answered by every mount as by the server that stands alone',
  async (name) => {
    const expected = await ask(urls.alone ?? '', asks[name] as Ask);
    for (const mount of ['fastify', 'express', 'hono'])
      expect([mount, await ask(urls[mount] ?? '', asks[name] as Ask)]).toEqual([mount, expected]);
    // Methods are Next's own affair.
    if (name === 'the wrong method') return;
    expect(await ask(urls.next ?? '', asks[name] as Ask)).toEqual(expected);
  },
);

test('what is asked is answered in many ways', async () => {
  const statuses = await Promise.all(
    Object.values(asks).map(async (each) => (await ask(urls.alone ?? '', each)).status),
  );
  expect([...new Set(statuses)].sort()).toEqual([200, 400, 404, 405, 413, 415]);
});

test('the services answer their own paths as well', async () => {
  for (const mount of ['fastify', 'express', 'hono']) {
    expect(await ask(urls[mount] ?? '', { path: '/hello' })).toMatchObject({
      status: 200,
      body: JSON.stringify({ hello: mount }),
    });
    expect(await ask(urls[mount] ?? '', { path: '/metrics' })).toMatchObject({
      status: 200,
      headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' },
    });
  }
});
