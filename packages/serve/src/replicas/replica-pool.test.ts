import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Isolation, Tensor } from '@keelson/core';
import { isKeelsonError } from '@keelson/core';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ServingBed, until, weatherSignature } from '../testing/serving-bed.ts';
import { FrameReader, FrameWriter } from './replica-frame.ts';
import { ReplicaPool } from './replica-pool.ts';
import { replicaStarter } from './start-replica.ts';

let bed: ServingBed;
const pools: ReplicaPool[] = [];

beforeEach(async () => {
  bed = await ServingBed.open();
});

afterEach(async () => {
  await Promise.all(pools.splice(0).map((pool) => pool.close({ timeoutMs: 1000 })));
  await bed[Symbol.asyncDispose]();
});

interface PoolSettings {
  readonly replicas?: number;
  readonly maxQueue?: number;
  readonly hungAfterMs?: number;
  readonly loadTimeoutMs?: number;
  readonly isolation?: Isolation;
  readonly files?: Readonly<Record<string, string>>;
}

async function openPool(settings: PoolSettings = {}): Promise<ReplicaPool> {
  const { replicas = 1, maxQueue = 100, hungAfterMs = 300, loadTimeoutMs = 10_000 } = settings;
  const { directory } = await bed.addModel('v', settings.files);
  const start = replicaStarter({
    directory,
    signature: weatherSignature,
    runtime: 'javascript',
    options: {},
    warmUpRows: 8,
    isolation: settings.isolation ?? 'thread',
    loadTimeoutMs,
    hungAfterMs,
  });
  const pool = await ReplicaPool.open({ name: 'weather/v', replicas, maxQueue, start });
  pools.push(pool);
  return pool;
}

function input(wind: number, cloud: number): Tensor[] {
  return [{ name: 'x', datatype: 'FP64', shape: [1, 2], data: new Float64Array([wind, cloud]) }];
}

async function labelOf(
  pool: ReplicaPool,
  wind: number,
  parameters = {},
  timeoutMs = 10_000,
): Promise<string> {
  const { outputs } = await pool.predict(input(wind, 0), 1, { timeoutMs, parameters });
  return String(outputs[0]?.data[0]);
}

/** What a promise came to, without throwing. */
async function outcome(promise: Promise<unknown>): Promise<unknown> {
  try {
    return await promise;
  } catch (error) {
    return isKeelsonError(error) ? error.code : error;
  }
}

describe.each(['thread', 'process', 'none'] as const)('replicas with isolation %s', (isolation) => {
  test('answer each caller its own answer, whatever comes at once', async () => {
    const pool = await openPool({ replicas: 2, isolation, maxQueue: 1000 });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.double({ min: -50, max: 50, noNaN: true }), { maxLength: 60 }),
        async (winds) => {
          const answers = await Promise.all(
            winds.map((wind) => pool.predict(input(wind, 0), 1, { timeoutMs: 10_000 })),
          );
          const rains = answers.map(({ outputs }) => outputs[1]?.data[0]);
          expect(rains).toEqual(winds.map((wind) => 1 / (1 + Math.exp(-wind))));
        },
      ),
      { numRuns: 20 },
    );
  });

  test('a model that throws fails that request alone', async () => {
    const pool = await openPool({ isolation });
    const [bad, good] = await Promise.allSettled([
      labelOf(pool, 1, { throw: 'no such cloud' }),
      labelOf(pool, 1),
    ]);
    expect(bad).toMatchObject({
      reason: { code: 'FAILED', message: expect.stringMatching(/Error: no such cloud/) },
    });
    expect(good).toMatchObject({ value: 'rain' });
  });

  test.each([
    ['label: ["a", "b"], probabilities: [[0.5, 0.5]]', /"label" has 2 rows for 1 input row/],
    ['label: ["a"]', /nothing for its output "probabilities"/],
    [
      'label: ["a"], probabilities: [[0.5]]',
      /"probabilities" has the shape \[1,1\]; its signature says \[-1,2\]/,
    ],
    ['label: ["a"], probabilities: [[0.5, "x"]]', /"probabilities" has the text "x" as element 1/],
    [
      'label: ["a"], probabilities: [0.5, 0.5], more: []',
      /an output "more" that its signature does not have/,
    ],
    ['label: [5], probabilities: [0.5, 0.5]', /"label" has 5 as element 0/],
  ])('an answer against the signature is refused: %s', async (answer, message) => {
    const files = {
      'model.mjs': `export const load = () => ({ predict: () => ({ ${answer} }) });`,
      'keelson-model.json': '{"warmUp": false}',
    };
    const pool = await openPool({ isolation, files });
    await expect(labelOf(pool, 1)).rejects.toMatchObject({
      code: 'FAILED',
      message: expect.stringMatching(message),
    });
  });
});

describe('a model that cannot be loaded is named with its fault:', () => {
  test.each([
    ['nothing there', {}, /model\.mjs is missing/],
    [
      'a syntax error',
      { 'model.mjs': 'export function load( {' },
      /model\.mjs cannot be imported: .*SyntaxError/,
    ],
    [
      'no load',
      { 'model.mjs': 'export const other = 1;' },
      /model\.mjs exports no function "load"/,
    ],
    [
      'load throws',
      { 'model.mjs': 'export function load() { throw new Error("weights are gone"); }' },
      /load\(\) of model file model\.mjs threw Error: weights are gone/,
    ],
    [
      'no predict',
      { 'model.mjs': 'export const load = () => ({});' },
      /no object with a function "predict"/,
    ],
    ['exits', { 'model.mjs': 'process.exit(7);' }, /ended with exit code 7/],
    [
      'an import that is missing',
      { 'model.mjs': 'import "not-there"; export const load = 1;' },
      /not-there/,
    ],
    [
      'warm-up fails',
      { 'model.mjs': 'export const load = () => ({ predict() { throw new Error("cold"); } });' },
      /failed its warm-up .*cold/,
    ],
    [
      'a bad manifest',
      { 'keelson-model.json': '{"modul": "x"}' },
      /keelson-model\.json: unknown key "modul"/,
    ],
    ['no JSON', { 'keelson-model.json': '{' }, /keelson-model\.json is no JSON/],
    [
      'a file outside',
      { 'keelson-model.json': '{"module": "../../etc/passwd"}' },
      /missing|outside/,
    ],
    ['too slow', { 'model.mjs': 'for (;;);' }, /did not load within 500 ms/],
  ])('%s', async (_what, files, message) => {
    const pool = openPool({ files, loadTimeoutMs: _what === 'too slow' ? 500 : 10_000 });
    await expect(pool).rejects.toMatchObject({
      code: 'FAILED',
      message: expect.stringMatching(message),
    });
  });
});

describe('a pool', () => {
  test('gives the request of a crashed replica to another once, and moves the others on', async () => {
    const pool = await openPool({ replicas: 2 });
    const crashing = outcome(labelOf(pool, 1, { crash: true }));
    const others = Array.from({ length: 20 }, (_, i) => outcome(labelOf(pool, i - 10)));
    expect(await crashing).toBe('FAILED');
    expect(await Promise.all(others)).toEqual(
      Array.from({ length: 20 }, (_, i) => (i - 10 > 0 ? 'rain' : 'sun')),
    );
    expect(pool.crashes).toBe(2);
    await until('both replicas to be back', () => pool.readyCount === 2);
    expect(await labelOf(pool, 5)).toBe('rain');
  });

  test('answers a request that crashed one replica only, on the next', async () => {
    const files = {
      'model.mjs': `
        import { existsSync, writeFileSync } from 'node:fs';
        import { join } from 'node:path';
        export const load = (directory) => ({
          predict({ x }, { rowCount, parameters }) {
            const mark = join(directory, 'crashed');
            if (parameters.once && !existsSync(mark)) { writeFileSync(mark, ''); process.exit(1); }
            return { label: Array(rowCount).fill('rain'), probabilities: Array(rowCount * 2).fill(0.5) };
          },
        });`,
    };
    const pool = await openPool({ files });
    const answer = await pool.predict(input(1, 1), 1, {
      timeoutMs: 10_000,
      parameters: { once: true },
    });
    expect(answer.attempts).toBe(2);
    expect(pool.crashes).toBe(1);
  });

  test('tells a caller in time that its model hangs, and replaces the replica', async () => {
    const pool = await openPool({ replicas: 1, hungAfterMs: 100 });
    const before = pool.status()[0]?.id;
    const startedAt = performance.now();
    const hung = outcome(labelOf(pool, 1, { spin: 1e9 }, 200));
    const behind = outcome(labelOf(pool, 1));
    expect(await hung).toBe('TIMEOUT');
    expect(performance.now() - startedAt).toBeLessThan(1500);
    expect(await behind).toBe('rain');
    expect(pool.status().map(({ id }) => id)).not.toContain(before);
  });

  test('lets others pass a replica that is in a long request', async () => {
    const pool = await openPool({ replicas: 2 });
    const long = outcome(labelOf(pool, 1, { spin: 3000 }));
    const startedAt = performance.now();
    await Promise.all(Array.from({ length: 40 }, () => labelOf(pool, 1)));
    expect(performance.now() - startedAt).toBeLessThan(2500);
    expect(await long).toBe('rain');
    expect(pool.crashes).toBe(0);
  });

  test('gives up what waited too long without running it, and keeps what can wait', async () => {
    const pool = await openPool();
    const first = outcome(labelOf(pool, 1, { wait: 400 }));
    const hasty = outcome(labelOf(pool, 1, {}, 100));
    const patient = outcome(labelOf(pool, 1, {}, 5000));
    expect(await hasty).toBe('TIMEOUT');
    expect(await Promise.all([first, patient])).toEqual(['rain', 'rain']);
  });

  test('refuses what its queue cannot hold', async () => {
    const pool = await openPool({ maxQueue: 2 });
    const all = Array.from({ length: 60 }, () => outcome(labelOf(pool, 1, { wait: 20 })));
    const outcomes = await Promise.all(all);
    expect(outcomes).toContain('EXHAUSTED');
    expect(outcomes.filter((one) => one === 'rain').length).toBeGreaterThan(2);
    expect(await labelOf(pool, 1)).toBe('rain');
  });

  test('does not begin what nobody waits for', async () => {
    const pool = await openPool({ files: counting });
    await outcome(pool.predict(input(1, 1), 1, { timeoutMs: 1000, isGone: () => true }));
    expect(
      await outcome(pool.predict(input(1, 1), 1, { timeoutMs: 1000, isGone: () => true })),
    ).toBe('ABORTED');
    const { outputs } = await pool.predict(input(1, 1), 1, { timeoutMs: 1000 });
    expect(outputs[0]?.data[0]).toBe('1');
  });

  test('finishes what it has before it closes, and takes no more', async () => {
    const pool = await openPool({ replicas: 2 });
    const running = Array.from({ length: 10 }, () => outcome(labelOf(pool, 1, { wait: 100 })));
    const closed = pool.close({ timeoutMs: 5000 });
    expect(await outcome(labelOf(pool, 1))).toBe('CLOSED');
    expect(await Promise.all(running)).toEqual(Array(10).fill('rain'));
    await closed;
    await pool.close({ timeoutMs: 0 });
  });

  test('leaves a hung thread with native code alone, works on without it', async () => {
    const files = {
      'model.mjs': `
        import { writeFileSync } from 'node:fs';
        try { process.dlopen({ exports: {} }, '/nowhere/add-on.node'); } catch (error) { if (!/add-on/.test(error.message)) throw error; }
        export const load = (directory) => ({
          predict(_, { rowCount, parameters }) {
            for (const until = Date.now() + (parameters.spin ?? 0); Date.now() < until; );
            return { label: Array(rowCount).fill('rain'), probabilities: Array(rowCount * 2).fill(0.5) };
          },
          unload: () => writeFileSync(directory + '/unloaded', ''),
        });`,
    };
    const pool = await openPool({ files, hungAfterMs: 50 });
    expect(await outcome(labelOf(pool, 1, { spin: 2500 }, 100))).toBe('TIMEOUT');
    expect(await labelOf(pool, 1)).toBe('rain');
    expect(pool.crashes).toBe(1);
    const unloaded = join(bed.dir, 'v', 'unloaded');
    // Terminated, it would never have come back to unload.
    await until('the hung thread to come back and end by itself', () => existsSync(unloaded));
  });

  test('is not alive when its model cannot start any more, and comes back when it can', async () => {
    const pool = await openPool();
    await bed.addModel('v', { 'model.mjs': 'export const load = 1;' });
    expect(await outcome(labelOf(pool, 1, { crash: true }))).toBe('UNAVAILABLE');
    expect(pool.isAlive).toBe(false);
    expect(await outcome(labelOf(pool, 1))).toBe('UNAVAILABLE');
    await bed.addModel('v');
    await until('the replica to be back', () => pool.isAlive);
    expect(await labelOf(pool, 1)).toBe('rain');
  });
});

const counting = {
  'model.mjs': `
    let calls = 0;
    export const load = () => ({
      predict(_, { rowCount }) {
        calls += 1;
        return { label: Array(rowCount).fill(String(calls)), probabilities: Array(rowCount * 2).fill(0.5) };
      },
    });`,
  'keelson-model.json': '{"warmUp": false}',
};

test('frames carry tensors of all kinds as they are', () => {
  const tensors: Tensor[] = [
    { name: 'a', datatype: 'UINT8', shape: [3], data: new Uint8Array([1, 2, 3]) },
    { name: 'b', datatype: 'INT64', shape: [1, 2], data: new BigInt64Array([-1n, 2n ** 62n]) },
    { name: 'c', datatype: 'BYTES', shape: [3], data: ['', 'größe 🙂', new Uint8Array([255, 0])] },
    { name: 'd', datatype: 'FP64', shape: [2], data: new Float64Array([Number.NaN, -0]) },
    { name: 'e', datatype: 'FP32', shape: [0, 5], data: new Float32Array() },
    { name: 'f', datatype: 'FP32', shape: [20_000], data: new Float32Array(20_000).fill(0.5) },
  ];
  const writer = new FrameWriter();
  for (let round = 0; round < 3; round += 1) {
    for (const tensor of tensors) writer.tensor(tensor);
    const reader = new FrameReader(writer.take());
    expect(tensors.map((tensor) => reader.tensor(tensor))).toEqual(tensors);
    expect(reader.done).toBe(true);
  }
});

test('a replica that does not start when somebody asks is tried again, and who asks then is answered', async () => {
  const pool = await openPool();
  await pool.resize(0);
  const { directory } = await bed.addModel('v', { 'model.mjs': 'export const load = 1;' });
  expect(await outcome(labelOf(pool, 3))).toBe('UNAVAILABLE');
  expect(pool.failure).toMatchObject({ code: 'FAILED' });
  expect(directory).toContain(bed.dir);
  await bed.addModel('v');
  await until('a replica', () => pool.readyCount === 1);
  expect(pool.failure).toBe(undefined);
  expect(await labelOf(pool, 3)).toBe('rain');
});
