import type { ModelSignature } from '@keelson/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type InferenceServer, serve } from '../src/serve.ts';
import { ServingBed, until } from '../src/testing/serving-bed.ts';
import { type Answering, StandInServer } from './stand-in-server.ts';

const signature: ModelSignature = {
  inputs: [{ name: 'x', datatype: 'FP64', shape: [-1, 2] }],
  outputs: [{ name: 'y', datatype: 'FP64', shape: [-1] }],
};
const fallbackModel =
  'export const load = () => ({ predict: (_, { rowCount }) => ({ y: new Array(rowCount).fill(-1) }) });';

let bed: ServingBed;
let stand: StandInServer;
let server: InferenceServer | undefined;
/** What the stand-in answers to inferences; probes ask the same. */
let inferring: Answering;

const healthy: Answering = ({ body }) => {
  const { inputs } = JSON.parse(body) as { inputs: { shape: number[] }[] };
  const rows = inputs[0]?.shape[0] ?? 0;
  return {
    outputs: [{ name: 'y', datatype: 'FP64', shape: [rows], data: new Array(rows).fill(7) }],
  };
};

beforeEach(async () => {
  inferring = healthy;
  bed = await ServingBed.open();
  stand = await StandInServer.start((request, response) => {
    if (request.line === 'GET /v2') return { extensions: [] };
    if (request.line.startsWith('GET')) return { inputs: [], outputs: [] };
    return inferring(request, response);
  });
  await bed.source.putModel({
    ...(await bed.addModel('remote', {}, signature)),
    format: 'SKLEARN',
  });
  await bed.addModel('local', { 'model.mjs': fallbackModel }, signature);
});
afterEach(async () => {
  await server?.close({ timeoutMs: 1000 });
  server = undefined;
  await stand[Symbol.asyncDispose]();
  await bed[Symbol.asyncDispose]();
});

async function front(options: object = {}, fallback = true): Promise<InferenceServer> {
  bed.setRoute({ remote: 100 }, fallback ? { fallbackVersionId: 'local' } : {});
  const route = await bed.source.route('weather');
  const runtime = {
    name: 'v2',
    endpoint: stand.url,
    formats: ['SKLEARN'],
    options: { breakerFailures: 3, breakerOpenMs: 50, breakerMaxOpenMs: 200, ...options },
  };
  bed.source.setRoute('weather', { ...route, serving: { runtime } });
  server = await serve(bed.source, { deployments: ['weather'], replicas: 1, timeoutMs: 400 });
  return server;
}

async function ask(): Promise<{
  status: number;
  value: unknown;
  error: string;
  retryAfter: string | null;
}> {
  const answer = await fetch(`${server?.url}/v2/models/weather/infer`, {
    method: 'POST',
    body: JSON.stringify({
      inputs: [{ name: 'x', datatype: 'FP64', shape: [1, 2], data: [1, 2] }],
    }),
  });
  const json = (await answer.json()) as { outputs?: { data: number[] }[]; error?: string };
  const value = json.outputs?.[0]?.data[0];
  const retryAfter = answer.headers.get('retry-after');
  return { status: answer.status, value, error: json.error ?? '', retryAfter };
}

function breaker(): string | undefined {
  const versions = server?.status()[0]?.versions ?? [];
  return versions.find(({ versionId }) => versionId === 'remote')?.replicas[0]?.breaker?.state;
}

const answerOf =
  (output: object): Answering =>
  () => ({
    outputs: [{ name: 'y', datatype: 'FP64', shape: [1], data: [7], ...output }],
  });
const faults: readonly (readonly [
  what: string,
  answering: Answering,
  status: number,
  error: RegExp,
])[] = [
  ['garbage', () => '<html>what?</html>', 500, /answered wrongly: body: expected JSON/],
  ['another object', () => ({ hello: 1 }), 500, /answered wrongly: outputs: expected a list/],
  ['a wrong shape', answerOf({ shape: [1, 3], data: [1, 2, 3] }), 500, /has the shape \[1,3\]/],
  ['too many rows', answerOf({ shape: [2], data: [1, 2] }), 500, /has 2 rows for 1 input rows/],
  ['no rows', answerOf({ shape: [0], data: [] }), 500, /has 0 rows for 1 input rows/],
  ['another datatype', answerOf({ datatype: 'BYTES', data: ['x'] }), 500, /has the text "x"/],
  ['fewer elements than its shape', answerOf({ data: [] }), 500, /expected 1 elements/],
  [
    '500',
    (_, response) => {
      response.statusCode = 500;
      return { error: 'CUDA out of memory' };
    },
    500,
    /answered 500: CUDA out of memory/,
  ],
  [
    '503',
    (_, response) => {
      response.statusCode = 503;
      return { detail: 'loading' };
    },
    503,
    /answered 503: loading/,
  ],
  [
    'half an answer',
    (_, response) => {
      response.writeHead(200, { 'content-length': '1000' });
      response.write('{"outputs":', () => response.destroy());
    },
    503,
    /broke off/,
  ],
  ['nothing, ever', () => undefined, 504, /did not answer within/],
  [
    'a byte now and then',
    (_, response) => {
      response.writeHead(200);
      const timer = setInterval(() => response.write(' '), 20);
      response.on('close', () => clearInterval(timer));
    },
    504,
    /did not answer within/,
  ],
  ['more than allowed', () => ' '.repeat(20_000), 500, /answered more than 10000 bytes/],
];

describe('a server that answers', () => {
  test.each(faults)(
    '%s: the breaker opens, the fallback answers, and it comes back by itself',
    async (_, faulty, status, error) => {
      await front({ maxAnswerBytes: 10_000, probeTimeoutMs: 100 });
      expect(await ask()).toMatchObject({ status: 200, value: 7 });
      inferring = faulty;
      for (let i = 0; i < 3; i += 1) {
        const refused = await ask();
        expect(refused).toMatchObject({ status, error: expect.stringMatching(error) });
      }
      expect(await ask()).toMatchObject({ status: 200, value: -1 });
      expect(server?.metrics()).toMatch(
        /keelson_serving_open_breakers\{deployment="weather",version="1\.0\.remote"\} 1/,
      );
      // Probes meet the same fault, and keep it open.
      const probed = stand.seen.length;
      await until('two more probes', () => stand.seen.length >= probed + 2);
      expect(await ask()).toMatchObject({ status: 200, value: -1 });
      inferring = healthy;
      await until('the breaker to close', () => breaker() === 'closed');
      expect(await ask()).toMatchObject({ status: 200, value: 7 });
      expect(server?.metrics()).toMatch(/keelson_serving_open_breakers\{[^}]*\} 0/);
    },
  );
});

test('killed and brought back under load: nobody waits long, the fallback answers all but a few', async () => {
  await front();
  const counts: Record<string, number> = {};
  let running = true;
  let slowest = 0;
  const clients = Array.from({ length: 8 }, async () => {
    while (running) {
      const startedAt = performance.now();
      const { status, value } = await ask();
      slowest = Math.max(slowest, performance.now() - startedAt);
      const key = `${status} ${value}`;
      counts[key] = (counts[key] ?? 0) + 1;
    }
  });
  const reached = (key: string, count: number): Promise<void> =>
    until(`${count} of ${key}`, () => (counts[key] ?? 0) >= count);
  await reached('200 7', 50);
  await stand.down();
  await reached('200 -1', 100);
  const before = counts['200 7'] ?? 0;
  await stand.up();
  await reached('200 7', before + 50);
  running = false;
  await Promise.all(clients);
  const failed = Object.entries(counts).filter(([key]) => !key.startsWith('200'));
  expect(failed.every(([key]) => key.startsWith('503'))).toBe(true);
  // Those on their way, and those that opened the breaker.
  expect(failed.reduce((sum, [, count]) => sum + count, 0)).toBeLessThan(20);
  expect(slowest).toBeLessThan(3000);
  expect(stand.openConnections).toBeLessThanOrEqual(16);
});

test('without a fallback callers are told at once, and those that wait in the queue too', async () => {
  await front({ concurrency: 2 }, false);
  expect(await ask()).toMatchObject({ status: 200, value: 7 });
  inferring = () => undefined;
  const waiting = Array.from({ length: 12 }, ask);
  await until(
    'two calls',
    () => stand.seen.filter(({ line }) => line.startsWith('POST')).length >= 4,
  );
  await stand.down();
  const answers = await Promise.all(waiting);
  expect(answers.every(({ status }) => status === 503)).toBe(true);
  const startedAt = performance.now();
  const refused = await ask();
  expect(refused.status).toBe(503);
  expect(Number(refused.retryAfter)).toBeGreaterThanOrEqual(1);
  expect(performance.now() - startedAt).toBeLessThan(300);
  expect((await fetch(`${server?.url}/v2/models/weather/ready`)).status).toBe(503);
  inferring = healthy;
  await stand.up();
  await until('the breaker to close', () => breaker() === 'closed');
  expect(await ask()).toMatchObject({ status: 200, value: 7 });
});

test('what the server refuses is the caller’s fault, and no fault of the server', async () => {
  await front();
  inferring = (_, response) => {
    response.statusCode = 400;
    return { error: 'x must be positive' };
  };
  for (let i = 0; i < 10; i += 1) {
    expect(await ask()).toMatchObject({
      status: 422,
      error: expect.stringMatching(/answered 400: x must be positive/),
    });
  }
  expect(breaker()).toBe('closed');
});

test('connections are kept, bounded, and ended for calls whose time is over', async () => {
  await front({ concurrency: 4 });
  for (let i = 0; i < 20; i += 1) await ask();
  const kept = stand.connections;
  expect(kept).toBeLessThanOrEqual(2);
  await Promise.all(Array.from({ length: 40 }, ask));
  expect(stand.connections).toBeLessThanOrEqual(kept + 4);
  inferring = () => undefined;
  expect(await ask()).toMatchObject({ status: 504 });
  await until('the server to learn of it', () => stand.givenUp === 1);
});
