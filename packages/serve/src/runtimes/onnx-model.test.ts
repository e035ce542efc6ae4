import type { Datatype, ModelSignature, Tensor, TensorData } from '@keelson/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ReplicaPool } from '../replicas/replica-pool.ts';
import { replicaStarter } from '../replicas/start-replica.ts';
import { type OnnxGraph, type OnnxValue, onnxModel } from '../testing/onnx-models.ts';
import { ServingBed } from '../testing/serving-bed.ts';
import { loadPeer } from './load-peer.ts';
import { OnnxRuntime } from './replica-runtime.ts';

let bed: ServingBed;
let count = 0;

beforeEach(async () => {
  bed = await ServingBed.open();
});

afterEach(() => bed[Symbol.asyncDispose]());

async function write(graph: OnnxGraph, file = 'model.onnx'): Promise<string> {
  count += 1;
  return (await bed.addModel(`m${count}`, { [file]: onnxModel(graph) })).directory;
}

const value = (name: string, type: OnnxValue['type'], ...shape: number[]): OnnxValue => ({
  name,
  type,
  shape,
});

const identity = (type: OnnxValue['type']): OnnxGraph => ({
  inputs: [value('x', type, -1, 2)],
  outputs: [value('y', type, -1, 2)],
  nodes: [[['x'], 'Identity', ['y']]],
});

const plain = (datatype: Datatype): ModelSignature => ({
  inputs: [{ name: 'x', datatype, shape: [-1, 2] }],
  outputs: [{ name: 'y', datatype, shape: [-1, 2] }],
});

const elements: readonly (readonly [Datatype, TensorData])[] = [
  ['BOOL', new Uint8Array([1, 0])],
  ['UINT8', new Uint8Array([0, 255])],
  ['UINT16', new Uint16Array([0, 65_535])],
  ['UINT32', new Uint32Array([0, 4_294_967_295])],
  ['UINT64', new BigUint64Array([0n, 2n ** 64n - 1n])],
  ['INT8', new Int8Array([-128, 127])],
  ['INT16', new Int16Array([-32_768, 32_767])],
  ['INT32', new Int32Array([-(2 ** 31), 2 ** 31 - 1])],
  ['INT64', new BigInt64Array([-(2n ** 63n), 2n ** 63n - 1n])],
  ['FP16', new Uint16Array([0x3c00, 0x7e00])],
  ['FP32', new Float32Array([Number.NaN, -0])],
  ['FP64', new Float64Array([Number.NEGATIVE_INFINITY, 1e308])],
  ['BYTES', ['größe 🙂', '']],
];

describe('ONNX models', () => {
  test.each(elements)('take and give %s as it is', async (datatype, data) => {
    const directory = await write(identity(datatype as OnnxValue['type']));
    const model = await new OnnxRuntime('none').load({ directory }, plain(datatype), {});
    const x: Tensor = { name: 'x', datatype, shape: [1, 2], data };
    expect(await model.predict({ inputs: [x] }, {})).toEqual([{ ...x, name: 'y' }]);
    await model.unload();
  });

  test('refuse BF16 and texts that are none', async () => {
    const directory = await write(identity('BYTES'));
    const runtime = new OnnxRuntime('none');
    await expect(runtime.load({ directory }, plain('BF16'), {})).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringMatching(/input "x" has the datatype BF16, and the file says string/),
    });
    const model = await runtime.load({ directory }, plain('BYTES'), {});
    const data = ['a', new Uint8Array([255])];
    await expect(
      model.predict({ inputs: [{ name: 'x', datatype: 'BYTES', shape: [1, 2], data }] }, {}),
    ).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringMatching(/Element 1 of input "x"/),
    });
    await model.unload();
  });

  test.each<[string, Partial<ModelSignature>, RegExp]>([
    [
      'rows that the file does not leave free',
      {},
      /input "x" has the shape \[-1,2\], and the file says \[1,2\]/,
    ],
    [
      'a size that it leaves free and the signature fixes',
      { inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2] }] },
      /^$/,
    ],
    [
      'an output of another rank',
      {
        inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2] }],
        outputs: [{ name: 'y', datatype: 'FP32', shape: [1] }],
      },
      /output "y" has the shape \[1\]/,
    ],
    [
      'no outputs',
      { inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2] }], outputs: [] },
      /no outputs as tensors; those of model\.onnx are "y"/,
    ],
  ])('whose signature has %s', async (_, change, message) => {
    const directory = await write({
      ...identity('FP32'),
      inputs: [value('x', 'FP32', 1, 2)],
    });
    const loaded = new OnnxRuntime('none').load({ directory }, { ...plain('FP32'), ...change }, {});
    if (message.source === '^$') {
      await (await loaded).unload();
      return;
    }
    await expect(loaded).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringMatching(message),
    });
  });

  test('run by the first execution provider that works, and say which', async () => {
    const directory = await write(identity('FP32'));
    const pool = await ReplicaPool.open({
      name: 'providers',
      replicas: 1,
      maxQueue: 10,
      start: replicaStarter({
        ...{ directory, signature: plain('FP32'), isolation: 'thread', runtime: 'onnx' },
        ...{ options: { executionProviders: ['coreml', 'cpu'] }, warmUpRows: 1 },
        ...{ loadTimeoutMs: 20_000, hungAfterMs: 1000 },
      }),
    });
    expect(pool.status()[0]?.facts).toMatchObject({
      executionProvider: 'cpu',
      refusedProviders: { coreml: expect.any(String) },
    });
    await pool.close({ timeoutMs: 1000 });
    const none = new OnnxRuntime('none').load({ directory }, plain('FP32'), {
      options: { executionProviders: ['no-such-provider'] },
    });
    await expect(none).rejects.toMatchObject({
      code: 'FAILED',
      message: expect.stringMatching(/model\.onnx cannot be loaded.*no-such-provider/),
    });
  });

  test('refuse options that they do not have', async () => {
    const directory = await write(identity('FP32'));
    const load = (options: object) =>
      new OnnxRuntime('none').load({ directory }, plain('FP32'), { options: { ...options } });
    await expect(load({ threads: 4 })).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringMatching(/no option "threads"; known are .*intraOpNumThreads/),
    });
    await expect(load({ intraOpNumThreads: 'all' })).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringMatching(/"intraOpNumThreads".*must be a number of threads/),
    });
  });

  test('are found under any name, and named where there are several', async () => {
    const directory = await write(identity('FP32'), 'net.onnx');
    const runtime = new OnnxRuntime('none');
    await (await runtime.load({ directory }, plain('FP32'), {})).unload();
    const bytes = onnxModel(identity('FP32'));
    const several = await bed.addModel('several', { 'a.onnx': bytes, 'b.onnx': bytes });
    await expect(runtime.load(several, plain('FP32'), {})).rejects.toMatchObject({
      message: expect.stringMatching(/several model files.*a\.onnx, b\.onnx.*"file"/),
    });
    const chosen = await bed.addModel('several', { 'keelson-model.json': '{"file": "b.onnx"}' });
    await (await runtime.load(chosen, plain('FP32'), {})).unload();
    const missing = await bed.addModel('missing', {});
    await expect(runtime.load(missing, plain('FP32'), {})).rejects.toMatchObject({
      code: 'FAILED',
      message: expect.stringMatching(/model\.onnx is missing/),
    });
  });

  test('that fail in a node fail the request, and work on', async () => {
    // A reshape to the shape that is asked for: rows of another size do not fit.
    const directory = await write({
      inputs: [value('x', 'FP32', -1, 2), value('shape', 'INT64', 2)],
      outputs: [value('y', 'FP32', -1, -1)],
      nodes: [[['x', 'shape'], 'Reshape', ['y']]],
    });
    const signature: ModelSignature = {
      inputs: [
        { name: 'x', datatype: 'FP32', shape: [-1, 2] },
        { name: 'shape', datatype: 'INT64', shape: [2] },
      ],
      outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, -1] }],
    };
    const model = await new OnnxRuntime('thread').load({ directory }, signature, {
      options: { warmUp: [{ x: [[1, 2]], shape: [1, 2] }] },
      warmUpRows: 1,
    });
    const ask = (...shape: bigint[]) =>
      model.predict(
        {
          inputs: [
            { name: 'x', datatype: 'FP32', shape: [1, 2], data: new Float32Array([1, 2]) },
            { name: 'shape', datatype: 'INT64', shape: [2], data: new BigInt64Array(shape) },
          ],
        },
        {},
      );
    await expect(ask(1n, 3n)).rejects.toMatchObject({
      code: 'FAILED',
      message: expect.stringMatching(/Reshape/),
    });
    await expect(ask(2n, 1n)).rejects.toMatchObject({
      code: 'FAILED',
      message: expect.stringMatching(/output "y" has 2 rows for 1 input row/),
    });
    expect((await ask(1n, 2n))[0]?.data).toEqual(new Float32Array([1, 2]));
    await model.unload();
  });
});

describe('a thread inside onnxruntime', () => {
  /** Rows times a matrix, over and over: some hundreds of milliseconds for many rows, nothing for one. */
  async function slowPool(): Promise<{
    pool: ReplicaPool;
    run: (timeoutMs?: number) => Promise<unknown>;
  }> {
    const size = 256;
    const depth = 60;
    const directory = await write({
      inputs: [value('x', 'FP32', -1, size)],
      outputs: [value('y', 'FP32', -1, size)],
      weights: [{ name: 'w', shape: [size, size], data: new Float32Array(size * size).fill(1e-3) }],
      nodes: Array.from({ length: depth }, (_, i) => [
        [i === 0 ? 'x' : `h${i}`, 'w'],
        'MatMul',
        [i === depth - 1 ? 'y' : `h${i + 1}`],
      ]),
    });
    const signature: ModelSignature = {
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, size] }],
      outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, size] }],
    };
    const pool = await ReplicaPool.open({
      name: 'slow',
      replicas: 1,
      maxQueue: 10,
      start: replicaStarter({
        ...{ directory, signature, isolation: 'thread', runtime: 'onnx', options: {} },
        ...{ warmUpRows: 1, loadTimeoutMs: 20_000, hungAfterMs: 20 },
      }),
    });
    const rows = 1500;
    const data = new Float32Array(rows * size).fill(1);
    const inputs: Tensor[] = [{ name: 'x', datatype: 'FP32', shape: [rows, size], data }];
    return { pool, run: (timeoutMs = 20_000) => pool.predict(inputs, rows, { timeoutMs }) };
  }

  test('is waited for when its pool is closed', async () => {
    const { pool, run } = await slowPool();
    const startedAt = performance.now();
    const running = run();
    await pool.close({ timeoutMs: 20_000 });
    expect(performance.now() - startedAt).toBeGreaterThan(100);
    await running;
  });

  test('is abandoned when it hangs, and when its pool does not wait: the process goes on', async () => {
    const { pool, run } = await slowPool();
    await expect(run(30)).rejects.toMatchObject({ code: 'TIMEOUT' });
    const again = run().catch((error: unknown) => error);
    await pool.close({ timeoutMs: 0 });
    await again;
    // The abandoned threads come back from their runs into a process that is still there.
    const { pool: other, run: runOther } = await slowPool();
    await runOther();
    await other.close({ timeoutMs: 20_000 });
  });
});

test('a package that is not installed is named, with the command that installs it', async () => {
  await expect(
    loadPeer('no-such-runtime', 'Such models', 'npm install no-such-runtime.'),
  ).rejects.toMatchObject({
    code: 'UNSUPPORTED',
    message:
      'Such models need the package no-such-runtime, which is not installed. Install it: npm install no-such-runtime.',
  });
});
