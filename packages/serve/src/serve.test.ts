import { Agent, request as httpRequest } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { KeelsonError } from '@keelson/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { CallerOption, CallerRequest } from './hosting/caller-facts.ts';
import { openServing } from './hosting/serving.ts';
import { type InferenceServer, type ServeOptions, serve } from './serve.ts';
import { ServingBed, until, weatherBody, weatherModule } from './testing/serving-bed.ts';
import { swapModule, swapSignature, swapUnderLoad } from './testing/swap-story.ts';

let bed: ServingBed;
const servers: InferenceServer[] = [];

beforeEach(async () => {
  bed = await ServingBed.open();
});

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
  await bed[Symbol.asyncDispose]();
});

async function start(options: Partial<ServeOptions> = {}): Promise<InferenceServer> {
  const server = await serve(bed.source, { deployments: ['weather'], replicas: 2, ...options });
  servers.push(server);
  return server;
}

interface Answer {
  readonly status: number;
  readonly json: { readonly model_version?: string; readonly error?: string };
}

const agent = new Agent({ keepAlive: true, maxSockets: 64 });

/** One inference over a kept connection; rejects when the connection breaks. */
function infer(
  server: InferenceServer,
  body: string,
  deployment = 'weather',
  headers = {},
): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const path = `/v2/models/${deployment}/infer`;
  const sent = httpRequest(
    { port: server.port, host: '127.0.0.1', method: 'POST', path, agent, headers },
    (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, json: JSON.parse(text) }),
      );
      response.on('error', reject);
    },
  );
  sent.on('error', reject);
  sent.end(body);
  return promise;
}

/** Callers that ask again and again until they are stopped. */
class Load {
  readonly statuses = new Map<number, number>();
  readonly versions = new Map<string, number>();
  readonly faults: unknown[] = [];
  readonly #callers: readonly Promise<void>[];
  #stopped = false;
  #count = 0;

  constructor(
    server: InferenceServer,
    callers: number,
    body: (i: number) => string = () => weatherBody([[1, 1]]),
  ) {
    this.#callers = Array.from({ length: callers }, () => this.#run(server, body));
  }

  get count(): number {
    return this.#count;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#callers);
  }

  async #run(server: InferenceServer, body: (i: number) => string): Promise<void> {
    while (!this.#stopped) {
      try {
        const { status, json } = await infer(server, body(this.#count));
        this.statuses.set(status, (this.statuses.get(status) ?? 0) + 1);
        const version = json.model_version ?? 'none';
        this.versions.set(version, (this.versions.get(version) ?? 0) + 1);
      } catch (error) {
        this.faults.push(error);
      }
      this.#count += 1;
    }
  }
}

describe('versions are swapped', () => {
  test('60 times under load without a failed request', { timeout: 90_000 }, async () => {
    for (const id of ['a', 'b', 'c']) await bed.addModel(id);
    bed.setRoute({ a: 100 });
    const server = await start();
    const load = new Load(server, 8);
    const ids = ['a', 'b', 'c'];
    // Most swaps are between warm versions; every twentieth one loads a version anew and drains the one before.
    for (let swap = 1; swap <= 60; swap += 1) {
      const next = swap % 20 === 0 ? 'c' : (ids[swap % 2] as string);
      const warm =
        swap % 20 === 0 || swap % 20 === 19 ? {} : { [ids[(swap + 1) % 2] as string]: 0 };
      const generation = bed.setRoute({ [next]: 100, ...warm });
      await until(`generation ${generation}`, () => server.status()[0]?.generation === generation);
      const before = load.count;
      await until('traffic on it', () => load.count > before + 2);
    }
    await load.stop();
    expect(load.faults).toEqual([]);
    expect([...load.statuses.keys()]).toEqual([200]);
    expect([...load.versions.keys()].sort()).toEqual(['1.0.a', '1.0.b', '1.0.c']);
    expect(bed.sink.rows.length).toBe(load.count);
  });

  test('50 times, with scale-downs and replicas killed under load: nothing fails, what was in flight is retried once', {
    timeout: 90_000,
  }, async () => {
    const begun = join(bed.dir, 'begun');
    const ids = ['a', 'b', 'c'];
    for (const id of ids)
      await bed.addModel(id, { 'model.mjs': swapModule(id, begun) }, swapSignature);
    let [answering, replicas, swaps] = ['a', 2, 0];
    const apply = async (): Promise<void> => {
      // Now and then the others are let go, and the next one is loaded anew.
      const warmVersionIds = swaps % 20 === 19 ? [] : ids;
      const serving = { isolation: 'process', replicas } as const;
      bed.setRoute({ [answering]: 100 }, { warmVersionIds }, 'swapped', { serving });
    };
    await apply();
    const server = await start({ deployments: ['swapped'] });
    const report = await swapUnderLoad(
      {
        ...{ port: server.port, begun, versions: ids.map((id) => `1.0.${id}`) },
        async swap(version) {
          answering = version.slice('1.0.'.length);
          swaps += 1;
          await apply();
        },
        async resize(count) {
          replicas = count;
          await apply();
        },
      },
      { swaps: 50, kills: 3, connections: 8, scaleEvery: 12, seed: 7 },
    );
    expect(report).toMatchObject({ swaps: 50, kills: 3, scaleDowns: 1 });
    expect(report.failures).toEqual({});
    // Two of the three were killed in a call.
    expect(report.begunTwice).toBeGreaterThanOrEqual(2);
    expect(bed.sink.rows.length).toBe(report.answers);
  });

  test('back at once while a newer one is still loading', async () => {
    await bed.addModel('a');
    await bed.addModel('slow', {
      'model.mjs': `await new Promise((r) => setTimeout(r, 1500));\n${weatherModule}`,
    });
    bed.setRoute({ a: 100 });
    const server = await start();
    bed.setRoute({ slow: 100 });
    const startedAt = performance.now();
    const back = bed.setRoute({ a: 100 });
    await until('the way back', () => server.status()[0]?.generation === back);
    expect(performance.now() - startedAt).toBeLessThan(1000);
    expect((await infer(server, weatherBody([[1, 1]]))).json.model_version).toBe('1.0.a');
  });

  test('not at all while the new one cannot be loaded: the old one goes on, and the fault is named', async () => {
    await bed.addModel('a');
    await bed.addModel('bad', {
      'model.mjs': 'export const load = () => { throw new Error("weights are gone"); };',
    });
    const first = bed.setRoute({ a: 100 });
    const server = await start();
    bed.setRoute({ a: 50, bad: 50 });
    await until('the fault', () => server.status()[0]?.error !== undefined);
    expect(server.status()[0]).toMatchObject({
      state: 'DEGRADED',
      generation: first,
      error: {
        code: 'FAILED',
        message: expect.stringMatching(/model\.mjs threw Error: weights are gone/),
      },
    });
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => infer(server, weatherBody([[1, 1]]))),
    );
    expect(new Set(answers.map(({ json }) => json.model_version))).toEqual(new Set(['1.0.a']));
    const mended = bed.setRoute({ a: 100 });
    await until('the next route', () => server.status()[0]?.generation === mended);
    expect(server.status()[0]).toMatchObject({ state: 'HEALTHY', error: undefined });
  });
});

describe('traffic', () => {
  test('follows weights, rules and sticky keys, and is counted by version', async () => {
    for (const id of ['a', 'b']) await bed.addModel(id);
    bed.setRoute(
      { a: 80, b: 20 },
      {
        sticky: { header: 'x-user', salt: 's' },
        rules: [{ match: { attribute: 'tester', equals: true }, versionId: 'b' }],
      },
    );
    const server = await start();
    const ask = async (i: number): Promise<string | undefined> =>
      (await infer(server, weatherBody([[1, 1]]), 'weather', { 'x-user': `u${i}` })).json
        .model_version;
    const first = await Promise.all(Array.from({ length: 300 }, (_, i) => ask(i)));
    const again = await Promise.all(Array.from({ length: 300 }, (_, i) => ask(i)));
    expect(again).toEqual(first);
    const share = first.filter((version) => version === '1.0.b').length / 300;
    expect(Math.abs(share - 0.2)).toBeLessThan(0.12);
    const ruled = await infer(server, weatherBody([[1, 1]], { parameters: { tester: true } }));
    expect(ruled.json.model_version).toBe('1.0.b');
    const outcomes = await server.outcomes('weather', 60_000);
    expect(outcomes.reduce((sum, { requests }) => sum + requests, 0)).toBe(601);
    expect(outcomes.every(({ errors, latencyMs }) => errors === 0 && latencyMs.p50 > 0)).toBe(true);
  });

  test('is shadowed: copies go to the candidate, rows tell which is which, callers feel nothing', async () => {
    await bed.addModel('a');
    const worse = weatherModule.replace("rain > 0.5 ? 'rain' : 'sun'", "'sun'");
    await bed.addModel('shadow', { 'model.mjs': worse });
    await bed.addModel('broken', {
      'model.mjs': 'export const load = () => ({ predict() { throw new Error("broken"); } });',
      'keelson-model.json': '{"warmUp": false}',
    });
    bed.setRoute(
      { a: 100 },
      { shadows: ['shadow', 'broken'].map((versionId) => ({ versionId, samplePercent: 100 })) },
    );
    const server = await start();
    const bodies = Array.from({ length: 50 }, (_, i) =>
      weatherBody([[1, 1]], { id: `r${i}`, parameters: { at: 1000 + i } }),
    );
    const answers = await Promise.all(bodies.map((body) => infer(server, body)));
    expect(new Set(answers.map(({ json }) => json.model_version))).toEqual(new Set(['1.0.a']));
    await server.settled();
    const rowsOf = (versionId: string) =>
      bed.sink.rows.filter((row) => row.versionId === versionId);
    const ids = Array.from({ length: 50 }, (_, i) => `r${i}`).sort();
    for (const versionId of ['a', 'shadow', 'broken']) {
      expect(
        rowsOf(versionId)
          .map(({ requestId }) => requestId)
          .sort(),
      ).toEqual(ids);
    }
    expect(
      rowsOf('a').every(({ role, prediction }) => role === 'primary' && prediction === 'rain'),
    ).toBe(true);
    expect(
      rowsOf('shadow').every(({ role, prediction }) => role === 'shadow' && prediction === 'sun'),
    ).toBe(true);
    expect(
      rowsOf('broken').every(({ role, error }) => role === 'shadow' && /broken/.test(error ?? '')),
    ).toBe(true);
    expect(rowsOf('shadow').find(({ requestId }) => requestId === 'r7')?.at).toBe(1007);
    expect(server.status()[0]?.shadows).toMatchObject({
      answered: 50,
      failed: 50,
      dropped: 0,
      waiting: 0,
    });
    const outcomes = await server.outcomes('weather', 60_000);
    expect(outcomes).toMatchObject([{ versionId: 'a', requests: 50, errors: 0 }]);
  });

  test('drops shadows rather than holding up callers, and counts them', async () => {
    await bed.addModel('a');
    await bed.addModel('slow', {
      'model.mjs': weatherModule.replace(
        'predict({ x }, { rowCount, parameters }) {',
        'predict({ x }, { rowCount }) { const parameters = { wait: 100 };',
      ),
    });
    bed.setRoute({ a: 100 }, { shadows: [{ versionId: 'slow', samplePercent: 100 }] });
    const server = await start({ replicas: 1, maxShadows: 3 });
    const startedAt = performance.now();
    for (let i = 0; i < 40; i += 1)
      expect((await infer(server, weatherBody([[1, 1]]))).status).toBe(200);
    expect(performance.now() - startedAt).toBeLessThan(2000);
    expect(server.status()[0]?.shadows.dropped).toBeGreaterThan(10);
    await server.settled();
    const { answered, dropped } = server.status()[0]?.shadows ?? { answered: 0, dropped: 0 };
    expect(answered + dropped).toBe(40);
  });

  test('goes to the fallback while the target has no live replica', async () => {
    await bed.addModel('a');
    await bed.addModel('spare');
    bed.setRoute({ a: 100 }, { fallbackVersionId: 'spare' });
    const server = await start({ replicas: 1 });
    await bed.addModel('a', { 'model.mjs': 'export const load = 1;' });
    await infer(server, weatherBody([[1, 1]], { parameters: { crash: true } }));
    const { status, json } = await infer(server, weatherBody([[1, 1]]));
    expect({ status, version: json.model_version }).toEqual({ status: 200, version: '1.0.spare' });
  });
});

test('readiness follows the replicas that are alive', async () => {
  await bed.addModel('a');
  bed.setRoute({ a: 100 });
  const server = await start({ replicas: 1 });
  const readiness = async (): Promise<number[]> => {
    const paths = ['/v2/health/ready', '/v2/models/weather/ready'];
    return Promise.all(paths.map(async (path) => (await fetch(server.url + path)).status));
  };
  expect(await readiness()).toEqual([200, 200]);
  await bed.addModel('a', { 'model.mjs': 'export const load = 1;' });
  const crashed = await infer(server, weatherBody([[1, 1]], { parameters: { crash: true } }));
  expect(crashed).toMatchObject({
    status: 503,
    json: { error: expect.stringContaining('no live replica') },
  });
  expect(await readiness()).toEqual([503, 503]);
  expect(server.status()[0]?.state).toBe('FAILED');
  await bed.addModel('a');
  await until('the replica to be back', () => server.status()[0]?.state === 'HEALTHY');
  expect(await readiness()).toEqual([200, 200]);
});

describe('replicas that crash under load', () => {
  test('cost nobody an answer but the request that crashes every replica', {
    timeout: 60_000,
  }, async () => {
    await bed.addModel('a');
    bed.setRoute({ a: 100 });
    const server = await start();
    const load = new Load(server, 8);
    for (let crash = 0; crash < 3; crash += 1) {
      const poison = await infer(
        server,
        weatherBody([[1, 1]], { id: `poison-${crash}`, parameters: { crash: true } }),
      );
      expect(poison).toMatchObject({
        status: 500,
        json: { error: expect.stringMatching(/Two replicas went down/) },
      });
      const before = load.count;
      await until('traffic to go on', () => load.count > before + 50);
    }
    await load.stop();
    expect(load.faults).toEqual([]);
    expect([...load.statuses.keys()]).toEqual([200]);
    expect(server.status()[0]?.versions[0]?.crashes).toBe(6);
    const failed = bed.sink.rows.filter(({ error }) => error !== undefined);
    expect(failed.map(({ requestId }) => requestId)).toEqual(['poison-0', 'poison-1', 'poison-2']);
    expect(await server.outcomes('weather', 60_000)).toMatchObject([
      { errors: 3, requests: load.count + 3 },
    ]);
  });
});

describe('predictions are handed over', () => {
  test('a row each, with features by column, ids, times and probabilities', async () => {
    await bed.addModel('a');
    bed.setRoute({ a: 100 });
    const server = await start();
    const before = Date.now();
    await infer(
      server,
      weatherBody(
        [
          [3, 1],
          [-3, 0],
        ],
        { id: 'two' },
      ),
      'weather',
      { 'x-correlation-id': 'c1' },
    );
    await infer(server, weatherBody([[3, 1]], { id: 'one', parameters: { at: 1_000_000 } }));
    const rain = 1 / (1 + Math.exp(-4));
    expect(bed.sink.rows).toMatchObject([
      {
        requestId: 'two/0',
        features: { wind: 3, cloud: 1 },
        prediction: 'rain',
        correlationId: 'c1',
      },
      { requestId: 'two/1', features: { wind: -3, cloud: 0 }, prediction: 'sun', role: 'primary' },
      {
        requestId: 'one',
        at: 1_000_000,
        deploymentId: 'id-of-weather',
        versionId: 'a',
        probabilities: { rain, sun: 1 - rain },
      },
    ]);
    const [row] = bed.sink.rows;
    expect(row?.at).toBeGreaterThanOrEqual(before);
    expect(row?.latencyMs).toBeGreaterThanOrEqual(
      (row?.inferenceMs ?? 0) + (row?.queueMs ?? 0) - 0.01,
    );
    expect(row?.replica).toMatch(/^weather\/1\.0\.a#\d+$/);
  });

  test('has the callers as headers or a function say, and nothing else has', async () => {
    await bed.addModel('a');
    bed.setRoute({ a: 100 });
    const logs: string[] = [];
    const log = (fields: object, message: string) => logs.push(JSON.stringify([fields, message]));
    const logger = { debug: log, info: log, warn: log, error: log };
    const ask = async (options: Partial<ServeOptions>, headers: object) => {
      const server = await start({ ...options, logger });
      bed.sink.rows.length = 0;
      await infer(server, weatherBody([[3, 1]], { id: 'r' }), 'weather', headers);
      const [row] = bed.sink.rows;
      logs.push(server.metrics());
      return [row?.userId, row?.sessionId, row?.segment, row?.region];
    };
    const headers = { 'x-user-id': 'ana', 'x-session': 's'.repeat(513), 'x-country': 'DE' };
    const named = { userId: 'X-User-Id', sessionId: 'x-session', segment: 'x-country' } as const;
    expect(await ask({}, headers)).toEqual([undefined, undefined, undefined, undefined]);
    expect(await ask({ caller: named }, headers)).toEqual(['ana', undefined, 'DE', undefined]);
    const caller: CallerOption = ({ deployment, requestId, header }) => ({
      ...{ userId: header('X-User-Id') ?? '', segment: `${deployment} ${requestId}` },
      region: 'eu-1',
    });
    expect(await ask({ caller }, headers)).toEqual(['ana', undefined, 'weather r', 'eu-1']);
    const broken = ({ header }: CallerRequest) => {
      throw new Error(`nobody knows ${header('x-user-id')}`);
    };
    expect(await ask({ caller: broken }, headers)).toEqual([
      ...[undefined, undefined, undefined, undefined],
    ]);
    expect(logs.join()).toContain('without their caller');
    expect(logs.join()).not.toContain('ana');
    for (const bad of ['x-user', { user: 'x-user' }, { userId: 'x user' }]) {
      await expect(start({ caller: bad as never })).rejects.toThrow('Option "caller"');
    }
  });

  test('and where a quota is used up nothing more is answered, until there is room again', async () => {
    await bed.addModel('a');
    bed.setRoute({ a: 100 });
    const server = await start();
    bed.sink.fullness = new KeelsonError('EXHAUSTED', 'The quota of requests is used up.');
    expect((await infer(server, weatherBody([[1, 1]]))).status).toBe(429);
    expect(bed.sink.rows).toEqual([]);
    bed.sink.fullness = undefined;
    expect((await infer(server, weatherBody([[1, 1]]))).status).toBe(200);
  });

  test('not for requests that are refused, which are counted', async () => {
    const { versionId } = await bed.addModel('a');
    bed.setRoute({ a: 100 });
    const server = await start();
    await infer(server, '{}');
    await infer(server, weatherBody([[1, 1]]).replace('"x"', '"y"'));
    expect(bed.sink.rows).toEqual([]);
    const [malformed, unfit, ...others] = bed.sink.refusals;
    expect(malformed?.versionId).toBeUndefined();
    expect(unfit).toMatchObject({ deploymentId: malformed?.deploymentId, versionId });
    expect(others).toEqual([]);
    // What is refused for its name, or because it is too much, says nothing of requests.
    await fetch(`${server.url}/v2/models/none/infer`, { method: 'POST', body: '{}' });
    bed.sink.fullness = new KeelsonError('EXHAUSTED', 'The quota of requests is used up.');
    expect((await infer(server, weatherBody([[1, 1]]))).status).toBe(429);
    expect(bed.sink.refusals).toHaveLength(2);
    expect(await server.outcomes('weather', 60_000)).toMatchObject([{ requests: 0 }]);
  });
});

describe('starting and stopping', () => {
  test('a taken port is named, with the remedy, and nothing is left running', async () => {
    await bed.addModel('a');
    bed.setRoute({ a: 100 });
    const blocker = createServer();
    await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve));
    const { port } = blocker.address() as { port: number };
    await expect(start({ port })).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringMatching(
        new RegExp(`Port ${port} on 127\\.0\\.0\\.1 is taken: .*pass 0`),
      ),
    });
    blocker.close();
  });

  test('a deployment with a bad model leaves the others alone', async () => {
    await bed.addModel('a');
    await bed.addModel('bad', { 'model.mjs': 'export function load( {' });
    bed.setRoute({ a: 100 });
    bed.setRoute({ bad: 100 }, {}, 'other');
    const server = await start({ deployments: ['weather', 'other'] });
    expect(server.status()).toMatchObject([
      { deployment: 'weather', state: 'HEALTHY' },
      {
        deployment: 'other',
        state: 'FAILED',
        error: { code: 'FAILED', message: expect.stringContaining('model.mjs') },
      },
    ]);
    expect((await infer(server, weatherBody([[1, 1]]))).status).toBe(200);
    const other = await infer(server, weatherBody([[1, 1]]), 'other');
    expect(other).toMatchObject({
      status: 503,
      json: { error: expect.stringContaining('not ready') },
    });
    const ready = await fetch(`${server.url}/v2/models/other/ready`);
    expect(ready.status).toBe(503);
    expect((await fetch(`${server.url}/v2/health/ready`)).status).toBe(200);
  });

  test('is refused when no deployment can be served, with the reason', async () => {
    await bed.addModel('bad', { 'model.mjs': 'export const load = 1;' });
    bed.setRoute({ bad: 100 });
    await expect(start()).rejects.toMatchObject({
      code: 'FAILED',
      message: expect.stringContaining('"load"'),
    });
    await expect(start({ deployments: ['nope'] })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(start({ deployments: [] })).rejects.toMatchObject({ code: 'INVALID' });
    await expect(start({ timeoutMs: -1 })).rejects.toMatchObject({
      message: expect.stringContaining('"timeoutMs"'),
    });
    await expect(start({ time: 1 } as object)).rejects.toMatchObject({
      message: expect.stringContaining('"time"'),
    });
  });

  test('a part of a first route is served when the rest cannot be loaded', async () => {
    await bed.addModel('a');
    await bed.addModel('bad', { 'model.mjs': 'export const load = 1;' });
    bed.setRoute({ a: 50, bad: 50 });
    const server = await start();
    expect(server.status()[0]).toMatchObject({ state: 'DEGRADED', error: { code: 'FAILED' } });
    const answers = await Promise.all(
      Array.from({ length: 30 }, (_, i) => infer(server, weatherBody([[1, 1]], { id: `r${i}` }))),
    );
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200, 503]));
  });

  test('closing answers what is under way, says not ready, takes nothing new and logs all', async () => {
    await bed.addModel('a');
    bed.setRoute({ a: 100 }, { shadows: [{ versionId: 'a', samplePercent: 100 }] });
    const server = await start({ lameDuckMs: 300 });
    const running = Array.from({ length: 10 }, () =>
      infer(server, weatherBody([[1, 1]], { parameters: { wait: 150 } })),
    );
    await until('the requests to be there', () =>
      (server.status()[0]?.versions[0]?.replicas ?? []).some((r) => r.outstanding > 0),
    );
    const closed = server.close();
    const ready = await fetch(`${server.url}/v2/health/ready`);
    expect(ready.status).toBe(503);
    const answers = await Promise.all(running);
    expect(answers.map(({ status }) => status)).toEqual(Array(10).fill(200));
    await closed;
    await expect(fetch(`${server.url}/v2`)).rejects.toThrow();
    expect(bed.sink.rows.length).toBe(20);
    await server.close();
  });

  test('without a port: mounted, as a function', async () => {
    await bed.addModel('a');
    bed.setRoute({ a: 100 });
    await using serving = await openServing(bed.source, {
      deployments: ['weather'],
      isolation: 'none',
    });
    const bytes = Buffer.from(weatherBody([[1, 1]]));
    const answer = await serving.handle({
      method: 'POST',
      url: '/v2/models/weather/infer',
      headers: {},
      bytes,
    });
    expect(answer.status).toBe(200);
    await serving.close();
    expect(bed.sink.rows.length).toBe(1);
  });

  test('a source that fails once does not stop what is in force', async () => {
    await bed.addModel('a');
    bed.setRoute({ a: 100 });
    const server = await start({ pollMs: 20 });
    const { route } = bed.source;
    let faults = 0;
    bed.source.route = async () => {
      faults += 1;
      throw new KeelsonError('UNAVAILABLE', 'The store is away.');
    };
    await until('some faults', () => faults > 3);
    expect((await infer(server, weatherBody([[1, 1]]))).status).toBe(200);
    bed.source.route = route;
    await bed.addModel('b');
    const next = bed.setRoute({ b: 100 });
    await until('the next route', () => server.status()[0]?.generation === next);
  });
});
