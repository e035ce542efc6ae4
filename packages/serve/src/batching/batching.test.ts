import type { BatchingConfig, ModelSignature, Tensor } from '@keelson/core';
import { isKeelsonError } from '@keelson/core';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ReplicaPool } from '../replicas/replica-pool.ts';
import { replicaStarter } from '../replicas/start-replica.ts';
import { ServingBed } from '../testing/serving-bed.ts';
import { compileBatchKey } from './batch-rows.ts';
import { compileBatching } from './batching.ts';

/** Tells each row's own number, its text, the rows of the call, and a running number of the call. */
const signature: ModelSignature = {
  inputs: [
    { name: 'x', datatype: 'FP64', shape: [-1, -1] },
    { name: 'text', datatype: 'BYTES', shape: [-1] },
  ],
  outputs: [
    { name: 'sum', datatype: 'FP64', shape: [-1] },
    { name: 'echo', datatype: 'BYTES', shape: [-1] },
    { name: 'rows', datatype: 'INT32', shape: [-1] },
  ],
};

const rowModule = `
import { setTimeout as sleep } from 'node:timers/promises';
export function load() {
  return {
    async predict({ x, text }, { rowCount, parameters }) {
      const width = x.shape[1];
      if (parameters.wait) await sleep(parameters.wait);
      if (parameters.short) return { sum: [1], echo: ['x'], rows: [rowCount] };
      const sum = [], echo = [], rows = [];
      for (let row = 0; row < rowCount; row += 1) {
        if (text.data[row] === 'crash') process.exit(3);
        if (text.data[row] === 'bad') throw new Error('bad row');
        let of = 0;
        for (let i = 0; i < width; i += 1) of += x.data[row * width + i];
        sum.push(of);
        echo.push(text.data[row]);
        rows.push(rowCount);
      }
      return { sum, echo, rows };
    },
  };
}
`;

let bed: ServingBed;
const pools: ReplicaPool[] = [];

beforeEach(async () => {
  bed = await ServingBed.open();
});

afterEach(async () => {
  await Promise.all(pools.splice(0).map((pool) => pool.close({ timeoutMs: 1000 })));
  await bed[Symbol.asyncDispose]();
});

interface Settings {
  readonly config?: BatchingConfig;
  readonly isolation?: 'thread' | 'none';
  readonly replicas?: number;
  readonly maxQueue?: number;
}

async function openPool(settings: Settings = {}): Promise<ReplicaPool> {
  const { config, isolation = 'thread', replicas = 1, maxQueue = 1000 } = settings;
  const files = { 'model.mjs': rowModule };
  const { directory } = await bed.addModel('v', files, signature);
  const batching = compileBatching(signature, config);
  const pool = await ReplicaPool.open({
    name: 'rows/v',
    replicas,
    maxQueue,
    ...(batching === undefined ? {} : { batching }),
    start: replicaStarter({
      ...{ directory, signature, isolation, loadTimeoutMs: 20_000, hungAfterMs: 300 },
      ...{ runtime: 'javascript', options: {}, warmUpRows: 8 },
    }),
  });
  pools.push(pool);
  return pool;
}

function inputs(rows: readonly (readonly number[])[], texts: readonly string[]): Tensor[] {
  const width = rows[0]?.length ?? 0;
  const data = new Float64Array(rows.flat());
  return [
    { name: 'x', datatype: 'FP64', shape: [rows.length, width], data },
    { name: 'text', datatype: 'BYTES', shape: [rows.length], data: texts },
  ];
}

interface Ask {
  readonly rows: readonly (readonly number[])[];
  readonly texts: readonly string[];
  readonly parameters?: Readonly<Record<string, number | boolean>>;
  readonly timeoutMs?: number;
  readonly gone?: boolean;
}

/** What the model says to one request, or the code of its refusal. */
async function ask(pool: ReplicaPool, request: Ask): Promise<unknown> {
  const { rows, texts, parameters = {}, timeoutMs = 20_000, gone = false } = request;
  try {
    const { outputs } = await pool.predict(inputs(rows, texts), rows.length, {
      timeoutMs,
      parameters,
      isGone: () => gone,
    });
    const [sum, echo] = outputs;
    return { sum: [...(sum?.data ?? [])], echo: [...(echo?.data ?? [])].map(String) };
  } catch (error) {
    return isKeelsonError(error) ? error.code : error;
  }
}

/** What it must say: nothing of it depends on who else asks. */
function expected({ rows, texts, gone }: Ask): unknown {
  if (gone === true) return 'ABORTED';
  if (texts.includes('bad')) return 'FAILED';
  return { sum: rows.map((row) => row.reduce((a, b) => a + b, 0)), echo: texts };
}

const one = (value: number, text = `t${value}`): Ask => ({ rows: [[value]], texts: [text] });

async function rowsOfCalls(pool: ReplicaPool, asks: readonly Ask[]): Promise<number[]> {
  const answers = await Promise.all(
    asks.map(({ rows, texts, parameters = {} }) =>
      pool.predict(inputs(rows, texts), rows.length, { timeoutMs: 20_000, parameters }),
    ),
  );
  return answers.map(({ outputs }) => Number(outputs[2]?.data[0]));
}

describe.each(['thread', 'none'] as const)('requests that share calls (%s)', (isolation) => {
  test('get their own answers, whatever shapes, sizes, faults and cancellations come together', async () => {
    const pool = await openPool({
      isolation,
      replicas: 2,
      config: { mode: 'adaptive', maxRows: 8 },
    });
    const request = fc
      .record({
        width: fc.integer({ min: 1, max: 3 }),
        values: fc.array(fc.integer({ min: -1000, max: 1000 }), { minLength: 1, maxLength: 20 }),
        parameter: fc.constantFrom({}, { a: 1 }, { a: 2 }),
        fault: fc.constantFrom('none', 'none', 'none', 'bad', 'gone'),
        at: fc.nat(20),
      })
      .map(({ width, values, parameter, fault, at }): Ask => {
        const rows = values.map((value) => Array.from({ length: width }, (_, i) => value + i));
        const texts = values.map((value, i) =>
          fault === 'bad' && i === at % values.length ? 'bad' : `r${value}`,
        );
        return { rows, texts, parameters: parameter, gone: fault === 'gone' };
      });
    await fc.assert(
      fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 30 }), async (requests) => {
        const answers = await Promise.all(requests.map((each) => ask(pool, each)));
        expect(answers).toEqual(requests.map(expected));
      }),
      { numRuns: 40 },
    );
    const { calls = 0, requests = 0 } = pool.batches ?? {};
    expect(requests).toBeGreaterThan(calls);
  });

  test('go together when they come together, and never with others than their like', async () => {
    const pool = await openPool({ isolation });
    const alike = Array.from({ length: 20 }, (_, i) => one(i));
    expect(await rowsOfCalls(pool, alike)).toEqual(new Array(20).fill(20));
    const mixed = [
      one(1),
      { ...one(2), parameters: { a: 1 } },
      one(3),
      { ...one(4), rows: [[4, 4]] },
    ];
    expect(await rowsOfCalls(pool, mixed)).toEqual([2, 1, 2, 1]);
  });

  test('one alone runs at once, and those that come while it runs wait for each other', async () => {
    const pool = await openPool({ isolation });
    const slow = { parameters: { wait: 60 } };
    const first = rowsOfCalls(pool, [{ ...one(1), ...slow }]);
    await new Promise((resolve) => setImmediate(resolve));
    const others: Promise<number[]>[] = [];
    for (let i = 0; i < 10; i += 1) {
      others.push(rowsOfCalls(pool, [{ ...one(i), ...slow }]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await first).toEqual([1]);
    // One of them may have been put at hand for when the first ends.
    const sizes = (await Promise.all(others)).flat();
    expect(sizes.filter((rows) => rows >= 9).length).toBeGreaterThanOrEqual(9);
  });

  test('more rows than a call may have are several calls and one answer', async () => {
    const pool = await openPool({ isolation, config: { mode: 'adaptive', maxRows: 16 } });
    const values = Array.from({ length: 100 }, (_, i) => i);
    const large = { rows: values.map((v) => [v]), texts: values.map(String) };
    expect(await ask(pool, large)).toEqual(expected(large));
    expect(pool.batches).toMatchObject({ calls: 7, rows: 100 });
    const bad = { ...large, texts: values.map((v) => (v === 70 ? 'bad' : String(v))) };
    expect(await ask(pool, bad)).toBe('FAILED');
    expect(await ask(pool, one(1))).toEqual(expected(one(1)));
  });

  test('an answer with rows too few fails all of them by name, and mixes none', async () => {
    const pool = await openPool({ isolation, config: { mode: 'off' } });
    const shared = await openPool({ isolation });
    const short = Array.from({ length: 3 }, (_, i) => ({ ...one(i), parameters: { short: true } }));
    // Each alone has the one row that the model gives: only what was shared is refused, and run again.
    const answers = await Promise.all(short.map((each) => ask(shared, each)));
    expect(answers).toEqual(new Array(3).fill({ sum: [1], echo: ['x'] }));
    expect(shared.batches?.calls).toBe(4);
    expect(pool.batches).toBeUndefined();
  });
});

describe('what shares a call', () => {
  test('is retried alone after a crash, so that only the cause of it fails', async () => {
    const pool = await openPool({ replicas: 2 });
    const asks = [one(1), one(2, 'crash'), one(3), one(4)];
    const answers = await Promise.all(asks.map((each) => ask(pool, each)));
    expect(answers).toEqual([
      expected(asks[0] as Ask),
      'FAILED',
      expected(asks[2] as Ask),
      expected(asks[3] as Ask),
    ]);
    expect(pool.crashes).toBe(2);
  });

  test('keeps each request’s own deadline', async () => {
    const pool = await openPool();
    const slow = { parameters: { wait: 400 } };
    const [hasty, patient] = await Promise.all([
      ask(pool, { ...one(1), ...slow, timeoutMs: 100 }),
      ask(pool, { ...one(2), ...slow }),
    ]);
    expect(hasty).toBe('TIMEOUT');
    expect(patient).toEqual(expected(one(2)));
    expect(pool.batches?.calls).toBe(1);
  });

  test('fixed: waits for the whole batch, or for its delay', async () => {
    const pool = await openPool({ config: { mode: 'fixed', maxRows: 4, maxDelayMs: 200 } });
    const began = performance.now();
    const full = rowsOfCalls(pool, [one(1), one(2)]);
    await new Promise((resolve) => setTimeout(resolve, 20));
    const more = rowsOfCalls(pool, [one(3), one(4)]);
    expect([...(await full), ...(await more)]).toEqual([4, 4, 4, 4]);
    expect(performance.now() - began).toBeLessThan(200);
    const lone = performance.now();
    expect(await rowsOfCalls(pool, [one(1)])).toEqual([1]);
    expect(performance.now() - lone).toBeGreaterThan(150);
  });

  test('is refused at the door when its answer would come too late', async () => {
    const pool = await openPool({ config: { mode: 'adaptive', maxRows: 1 } });
    const slow = { parameters: { wait: 50 } };
    for (let i = 0; i < 6; i += 1) await ask(pool, { ...one(i), ...slow });
    const open = Array.from({ length: 20 }, (_, i) => ask(pool, { ...one(i), ...slow }));
    await new Promise((resolve) => setImmediate(resolve));
    expect(await ask(pool, { ...one(99), ...slow, timeoutMs: 300 })).toBe('EXHAUSTED');
    expect(await Promise.all(open)).not.toContain('EXHAUSTED');
  });

  test('a burst within one turn of the event loop is held against free replicas before the queue', async () => {
    const pool = await openPool({ maxQueue: 10, isolation: 'none' });
    const burst = Array.from({ length: 25 }, (_, i) => one(i));
    const answers = await Promise.all(burst.map((each) => ask(pool, each)));
    expect(answers.slice(0, 20)).toEqual(burst.slice(0, 20).map(expected));
  });

  test('needs a free number of rows in every input and output', () => {
    const [x] = signature.inputs;
    const fixed = { name: 'x', datatype: 'FP64', shape: [1, 4] } as const;
    expect(compileBatchKey({ ...signature, inputs: [fixed] })).toBeUndefined();
    expect(compileBatchKey({ inputs: x ? [x] : [], outputs: [fixed] })).toBeUndefined();
    expect(compileBatchKey(signature)).toBeDefined();
    expect(compileBatching(signature, { mode: 'off' })).toBeUndefined();
  });
});

test('more replicas and fewer: none that works is cut off', async () => {
  const pool = await openPool({ replicas: 1 });
  await pool.resize(3);
  expect(pool.readyCount).toBe(3);
  const slow = Array.from({ length: 6 }, (_, i) =>
    ask(pool, { ...one(i), parameters: { wait: 100, i } }),
  );
  await new Promise((resolve) => setTimeout(resolve, 20));
  await pool.resize(1);
  expect(pool.readyCount).toBe(1);
  expect(await Promise.all(slow)).toEqual(Array.from({ length: 6 }, (_, i) => expected(one(i))));
  await expect.poll(() => pool.status().length).toBe(1);
  expect(pool.crashes).toBe(0);
  expect(await ask(pool, one(9))).toEqual(expected(one(9)));
});
