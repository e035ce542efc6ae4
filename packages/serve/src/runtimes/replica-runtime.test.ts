import type { ModelSignature, Tensor } from '@keelson/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ServingBed, weatherSignature } from '../testing/serving-bed.ts';
import { JavaScriptRuntime } from './replica-runtime.ts';

let bed: ServingBed;

beforeEach(async () => {
  bed = await ServingBed.open();
});

afterEach(() => bed[Symbol.asyncDispose]());

const row = (values: number[]): Tensor => ({
  name: 'x',
  datatype: 'FP64',
  shape: [1, 2],
  data: new Float64Array(values),
});

describe('JavaScriptRuntime', () => {
  test('loads, predicts, is aborted, keeps deadlines and unloads', async () => {
    const { directory } = await bed.addModel('a');
    const model = await new JavaScriptRuntime().load({ directory }, weatherSignature, {
      replicas: 1,
    });
    const [label] = await model.predict({ inputs: [row([1, 1])] }, {});
    expect(label).toEqual({ name: 'label', datatype: 'BYTES', shape: [1], data: ['rain'] });
    const slow = { inputs: [row([1, 1])], parameters: { wait: 300 } };
    await expect(model.predict(slow, { signal: AbortSignal.timeout(50) })).rejects.toMatchObject({
      code: 'ABORTED',
    });
    await expect(model.predict(slow, { deadlineAt: Date.now() + 100 })).rejects.toMatchObject({
      code: 'TIMEOUT',
    });
    await expect(model.predict({ inputs: [] }, {})).rejects.toMatchObject({ code: 'INVALID' });
    expect(await model.health()).toEqual({ ok: true });
    await model.unload();
    expect(await model.health()).toMatchObject({ ok: false });
    await expect(model.predict({ inputs: [row([1, 1])] }, {})).rejects.toMatchObject({
      code: 'CLOSED',
    });
  });

  test('refuses endpoints and unknown configuration', async () => {
    const runtime = new JavaScriptRuntime();
    const endpoint = runtime.load({ endpoint: 'http://x' }, weatherSignature, {});
    await expect(endpoint).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    const unknown = runtime.load({ directory: bed.dir }, weatherSignature, { threads: 4 });
    await expect(unknown).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining('threads'),
    });
  });

  test('gives a model its rows by name, its weights beside it, texts as texts and calls unload', async () => {
    const signature: ModelSignature = {
      inputs: [
        { name: 'table', datatype: 'FP64', shape: [-1, 2], columns: ['wind', '__proto__'] },
        { name: 'city', datatype: 'BYTES', shape: [-1] },
        { name: 'wet', datatype: 'BOOL', shape: [-1, 1] },
        { name: 'count', datatype: 'INT64', shape: [-1] },
      ],
      outputs: [{ name: 'seen', datatype: 'BYTES', shape: [-1] }],
    };
    const { directory } = await bed.addModel(
      'rows',
      {
        'keelson-model.json':
          '{ "module": "code/main.mjs", "warmUp": [{ "table": [[1, 2]], "city": ["Oslo"], "wet": [true], "count": [1] }] }',
        'weights.json': '{"greeting": "hello"}',
      },
      signature,
    );
    const { mkdir, readFile, writeFile } = await import('node:fs/promises');
    await mkdir(`${directory}/code`);
    await writeFile(
      `${directory}/code/main.mjs`,
      `import { readFileSync, writeFileSync } from 'node:fs';
       export async function load(directory) {
         const { greeting } = JSON.parse(readFileSync(directory + '/weights.json', 'utf8'));
         const calls = [];
         return {
           predict: async (inputs, { rows, rowCount }) => {
             calls.push(rowCount);
             return { seen: rows().map((row) => greeting + JSON.stringify(Object.entries(row))) };
           },
           unload: () => writeFileSync(directory + '/unloaded', JSON.stringify(calls)),
         };
       }`,
    );
    const model = await new JavaScriptRuntime().load({ directory }, signature, { warmUpRows: 4 });
    const [seen] = await model.predict(
      {
        inputs: [
          {
            name: 'count',
            datatype: 'INT64',
            shape: [2],
            data: new BigInt64Array([5n, 2n ** 60n]),
          },
          {
            name: 'city',
            datatype: 'BYTES',
            shape: [2],
            data: [new TextEncoder().encode('Köln'), 'Rom'],
          },
          { name: 'table', datatype: 'FP64', shape: [2, 2], data: new Float64Array([1, 2, 3, 4]) },
          { name: 'wet', datatype: 'BOOL', shape: [2, 1], data: new Uint8Array([1, 0]) },
        ],
      },
      {},
    );
    expect(seen?.data).toEqual([
      'hello[["wind",1],["__proto__",2],["city","Köln"],["wet",true],["count",5]]',
      'hello[["wind",3],["__proto__",4],["city","Rom"],["wet",false],["count","1152921504606846976"]]',
    ]);
    const notText = {
      name: 'city',
      datatype: 'BYTES',
      shape: [1],
      data: [new Uint8Array([255])],
    } as const;
    const inputs: Tensor[] = [
      { name: 'count', datatype: 'INT64', shape: [1], data: new BigInt64Array(1) },
      { name: 'table', datatype: 'FP64', shape: [1, 2], data: new Float64Array(2) },
      { name: 'wet', datatype: 'BOOL', shape: [1, 1], data: new Uint8Array(1) },
    ];
    await expect(model.predict({ inputs: [...inputs, notText] }, {})).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringMatching(/Element 0 of input "city" is no UTF-8 text/),
    });
    await model.unload();
    expect(await readFile(`${directory}/unloaded`, 'utf8')).toBe('[1,1,1,2,4,2]');
  });
});
