import { KeelsonError, type Tensor } from '@keelson/core';
import { describe, expect, test } from 'vitest';
import type { JobAnswer } from '../replicas/job.ts';
import { ResultCache } from './result-cache.ts';
import { resultKey } from './result-key.ts';

function floats(...values: number[]): Tensor[] {
  return [
    { name: 'x', datatype: 'FP64', shape: [1, values.length], data: new Float64Array(values) },
  ];
}

function texts(...data: (string | Uint8Array)[]): Tensor[] {
  return [{ name: 'x', datatype: 'BYTES', shape: [data.length], data }];
}

function answer(value: number, rows = 1): JobAnswer {
  const data = new Float64Array(rows).fill(value);
  const outputs = [{ name: 'y', datatype: 'FP64', shape: [rows], data }] as const;
  return { outputs, replica: 'r', queueMs: 0, inferenceMs: 1, attempts: 1, batchRows: 1 };
}

const call = (inputs: Tensor[], parameters = {}, timeoutMs = 5000) => ({
  inputs,
  parameters,
  timeoutMs,
});

/** A model that counts its calls and answers the running number. */
class Counted {
  calls = 0;

  readonly run = async (): Promise<JobAnswer> => {
    this.calls += 1;
    return answer(this.calls);
  };
}

const firstOf = ({ outputs }: JobAnswer): unknown => outputs[0]?.data[0];

describe('equal inputs', () => {
  const key = (inputs: Tensor[], parameters = {}, decimals?: number): string =>
    resultKey(inputs, parameters, decimals);

  test('are those with the same elements, shapes and parameters', () => {
    expect(key(floats(1, 2))).toBe(key(floats(1, 2)));
    expect(key(floats(1, 2))).not.toBe(key(floats(2, 1)));
    expect(key(floats(1, 2))).not.toBe(key([{ ...floats(1, 2)[0], shape: [2, 1] } as Tensor]));
    expect(key(floats(1, 2), { a: 1 })).not.toBe(key(floats(1, 2)));
    const wide = new Int32Array([1, 0]);
    const one = { name: 'x', datatype: 'INT32', shape: [2], data: wide } as const;
    const other = { ...one, datatype: 'UINT32', data: new Uint32Array([1, 0]) } as const;
    expect(key([one])).not.toBe(key([other]));
  });

  test('agree to so many decimals; −0 is 0, NaN is NaN, infinities are themselves', () => {
    expect(key(floats(0.1 + 0.2), {}, 6)).toBe(key(floats(0.3), {}, 6));
    expect(key(floats(0.1 + 0.2))).not.toBe(key(floats(0.3)));
    expect(key(floats(0.1234567), {}, 6)).not.toBe(key(floats(0.1234577), {}, 6));
    expect(key(floats(-0))).toBe(key(floats(0)));
    expect(key(floats(-1e-9), {}, 6)).toBe(key(floats(0), {}, 6));
    expect(key(floats(Number.NaN))).toBe(key(floats(Number.NaN)));
    expect(key(floats(1e308), {}, 6)).not.toBe(key(floats(Number.POSITIVE_INFINITY), {}, 6));
  });

  test('of texts are told apart where they meet, and are their bytes', () => {
    expect(key(texts('ab', 'c'))).not.toBe(key(texts('a', 'bc')));
    expect(key(texts('ä'))).toBe(key(texts(new TextEncoder().encode('ä'))));
  });

  test('of a view are those of the view alone', () => {
    const all = new Float64Array([9, 1, 2, 9]);
    const view = { name: 'x', datatype: 'FP64', shape: [1, 2], data: all.subarray(1, 3) } as const;
    expect(key([view])).toBe(key(floats(1, 2)));
  });
});

describe('a cache', () => {
  test('asks the model once for equal inputs, and forgets after its time', async () => {
    let now = 0;
    const cache = new ResultCache({ maxBytes: 1e6, ttlMs: 100 }, () => now);
    const model = new Counted();
    expect(firstOf(await cache.predict(call(floats(1)), model.run))).toBe(1);
    expect(await cache.predict(call(floats(1)), model.run)).toMatchObject({ replica: 'cache' });
    now = 99;
    expect(firstOf(await cache.predict(call(floats(1)), model.run))).toBe(1);
    now = 100;
    expect(firstOf(await cache.predict(call(floats(1)), model.run))).toBe(2);
    expect(firstOf(await cache.predict(call(floats(2)), model.run))).toBe(3);
    expect(cache.counts()).toMatchObject({ hits: 2, misses: 3, entries: 2 });
  });

  test('is bounded by bytes: what was used longest ago goes first', async () => {
    const cache = new ResultCache({ maxBytes: 1300 });
    const model = new Counted();
    for (const value of [1, 2, 3]) await cache.predict(call(floats(value)), model.run);
    await cache.predict(call(floats(1)), model.run);
    await cache.predict(call(floats(4)), model.run);
    expect(model.calls).toBe(4);
    await cache.predict(call(floats(1)), model.run);
    expect(model.calls).toBe(4);
    await cache.predict(call(floats(2)), model.run);
    expect(model.calls).toBe(5);
    const { bytes, evicted, entries } = cache.counts();
    expect({ evicted, entries }).toEqual({ evicted: 2, entries: 3 });
    expect(bytes).toBeLessThanOrEqual(1300);
    await cache.predict(call(floats(9)), async () => answer(9, 1000));
    expect(cache.counts().entries).toBe(3);
  });

  test('keeps no hold of the batch that an answer was cut from', async () => {
    const cache = new ResultCache({ maxBytes: 1e6 });
    const batch = new Float64Array(10_000);
    const cut = { name: 'y', datatype: 'FP64', shape: [1], data: batch.subarray(5, 6) } as const;
    await cache.predict(call(floats(1)), async () => ({ ...answer(0), outputs: [cut] }));
    const kept = (await cache.predict(call(floats(1)), async () => answer(1))).outputs[0]?.data;
    expect((kept as Float64Array).buffer.byteLength).toBe(8);
  });

  test('makes one call of equal requests at one time', async () => {
    const cache = new ResultCache({ maxBytes: 1e6 });
    const { promise, resolve } = Promise.withResolvers<JobAnswer>();
    let calls = 0;
    const run = (): Promise<JobAnswer> => {
      calls += 1;
      return promise;
    };
    const all = Array.from({ length: 10 }, () => cache.predict(call(floats(1)), run));
    resolve(answer(7));
    expect((await Promise.all(all)).map(firstOf)).toEqual(new Array(10).fill(7));
    expect(calls).toBe(1);
    expect(cache.counts()).toMatchObject({ misses: 1, joined: 9 });
  });

  test('a failure is that of all who share it, and is not kept', async () => {
    const cache = new ResultCache({ maxBytes: 1e6 });
    const fails = async (): Promise<JobAnswer> => {
      throw new KeelsonError('FAILED', 'The model threw.');
    };
    const model = new Counted();
    const both = [cache.predict(call(floats(1)), fails), cache.predict(call(floats(1)), model.run)];
    for (const each of await Promise.allSettled(both)) {
      expect(each).toMatchObject({ reason: { code: 'FAILED' } });
    }
    expect(firstOf(await cache.predict(call(floats(1)), model.run))).toBe(1);
  });

  test('who joins one that gives up asks itself, and keeps its own deadline', async () => {
    const cache = new ResultCache({ maxBytes: 1e6 });
    const { promise, reject } = Promise.withResolvers<JobAnswer>();
    const model = new Counted();
    const leader = cache.predict(call(floats(1)), () => promise);
    const hasty = cache.predict(call(floats(1), {}, 20), model.run);
    await expect(hasty).rejects.toMatchObject({ code: 'TIMEOUT' });
    const patient = cache.predict(call(floats(1)), model.run);
    reject(new KeelsonError('ABORTED', 'The caller has gone.'));
    await expect(leader).rejects.toMatchObject({ code: 'ABORTED' });
    expect(firstOf(await patient)).toBe(1);
  });
});
