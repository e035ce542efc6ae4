import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { LoadedModel, ModelSignature, Tensor } from '@keelson/core';
import * as tf from '@tensorflow/tfjs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { suiteModels } from '../testing/runtime-models.ts';
import { ServingBed } from '../testing/serving-bed.ts';
import { TfjsRuntime } from './replica-runtime.ts';

let bed: ServingBed;

beforeEach(async () => {
  bed = await ServingBed.open();
});

afterEach(() => bed[Symbol.asyncDispose]());

/** A net of two inputs, each scaled by weights of its own, with what it answers to ones. */
async function writeLayers(): Promise<string> {
  const left = tf.input({ shape: [2], name: 'left' });
  const right = tf.input({ shape: [3], name: 'right' });
  const ones = tf.initializers.ones();
  const joined = tf.layers
    .concatenate({ name: 'joined' })
    .apply([left, right]) as tf.SymbolicTensor;
  const sum = tf.layers
    .dense({ units: 1, kernelInitializer: ones, name: 'sum' })
    .apply(joined) as tf.SymbolicTensor;
  const model = tf.model({ inputs: [left, right], outputs: [sum, joined] });
  const directory = join(bed.dir, 'layers');
  await mkdir(directory);
  await model.save(
    tf.io.withSaveHandler(async ({ weightData, weightSpecs, modelTopology, format }) => {
      const weightsManifest = [{ paths: ['weights.bin'], weights: weightSpecs }];
      const text = JSON.stringify({ format, modelTopology, weightsManifest });
      await writeFile(join(directory, 'model.json'), text);
      await writeFile(join(directory, 'weights.bin'), new Uint8Array(weightData as ArrayBuffer));
      return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: 'JSON' } };
    }),
  );
  model.dispose();
  return directory;
}

const layersSignature: ModelSignature = {
  // Not in the model's order.
  inputs: [
    { name: 'right', datatype: 'FP32', shape: [-1, 3] },
    { name: 'left', datatype: 'FP32', shape: [-1, 2] },
  ],
  outputs: [
    { name: 'joined', datatype: 'FP32', shape: [-1, 5] },
    { name: 'sum', datatype: 'FP32', shape: [-1, 1] },
  ],
};

const numbers = (name: string, ...values: number[]): Tensor => ({
  name,
  datatype: 'FP32',
  shape: [1, values.length],
  data: new Float32Array(values),
});

describe('TensorFlow.js', () => {
  test.each(['none', 'thread', 'process'] as const)(
    'runs layers models from their files by the names of their inputs, isolation %s',
    async (isolation) => {
      const directory = await writeLayers();
      const model = await new TfjsRuntime(isolation).load({ directory }, layersSignature, {});
      const inputs = [numbers('left', 1, 2), numbers('right', 10, 20, 30)];
      expect(await model.predict({ inputs }, {})).toEqual([
        numbers('joined', 1, 2, 10, 20, 30),
        numbers('sum', 63),
      ]);
      await model.unload();
    },
  );

  test('leaves no tensor behind: neither calls, nor failed ones, nor a model that is unloaded', async () => {
    const before = tf.memory().numTensors;
    const directory = await writeLayers();
    const empty = tf.memory().numTensors;
    const model = await new TfjsRuntime('none').load({ directory }, layersSignature, {});
    const loaded = tf.memory().numTensors;
    expect(loaded).toBeGreaterThan(empty);
    const inputs = [numbers('left', 1, 2), numbers('right', 10, 20, 30)];
    for (let i = 0; i < 20; i += 1) await model.predict({ inputs }, {});
    expect(tf.memory().numTensors).toBe(loaded);
    await model.unload();
    expect(tf.memory().numTensors).toBe(before);
    const wrong = { ...layersSignature, outputs: [{ name: 'x', datatype: 'FP32', shape: [-1] }] };
    const refused = new TfjsRuntime('none').load({ directory }, wrong as ModelSignature, {});
    await expect(refused).rejects.toMatchObject({ code: 'INVALID' });
    expect(tf.memory().numTensors).toBe(before);
  });

  test.each<[string, ModelSignature['inputs'], RegExp]>([
    [
      'a type',
      [{ name: 'left', datatype: 'INT32', shape: [-1, 2] }],
      /"left" has the datatype INT32, and the file says float32/,
    ],
    [
      'a size',
      [{ name: 'left', datatype: 'FP32', shape: [-1, 4] }],
      /"left" has the shape \[-1,4\], and the file says \[-1,2\]/,
    ],
    [
      'a datatype that there is none of',
      [{ name: 'left', datatype: 'FP64', shape: [-1, 2] }],
      /"left" has the datatype FP64/,
    ],
  ])('refuses a signature that contradicts the layers: %s', async (_, [left], message) => {
    const directory = await writeLayers();
    const inputs = [...layersSignature.inputs.slice(0, 1), left as Tensor];
    const loaded = new TfjsRuntime('none').load({ directory }, { ...layersSignature, inputs }, {});
    await expect(loaded).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringMatching(message),
    });
  });

  test('names a file of weights that is missing, or lies outside', async () => {
    const directory = await writeLayers();
    const file = join(directory, 'model.json');
    const { readFile } = await import('node:fs/promises');
    const text = await readFile(file, 'utf8');
    for (const path of ['gone.bin', '../../../../../../etc/hostname']) {
      await writeFile(file, text.replace('weights.bin', path));
      await expect(
        new TfjsRuntime('none').load({ directory }, layersSignature, {}),
      ).rejects.toMatchObject({
        code: 'FAILED',
        message: expect.stringContaining(path.split('/').at(-1) as string),
      });
    }
  });

  test('refuses 64-bit integers that its own do not hold, and takes others', async () => {
    const graph = String(suiteModels.tfjs['model.json']).replaceAll('DT_FLOAT', 'DT_INT32');
    const { directory } = await bed.addModel('integers', { 'model.json': graph });
    const side = (...names: string[]): ModelSignature['inputs'] =>
      names.map((name) => ({ name, datatype: 'INT64', shape: [-1, 2] }));
    const signature = { inputs: side('a', 'b'), outputs: side('sum', 'difference') };
    const model = await new TfjsRuntime('none').load({ directory }, signature, {});
    const integers = (name: string, ...values: bigint[]): Tensor => ({
      ...{ name, datatype: 'INT64', shape: [1, 2], data: new BigInt64Array(values) },
    });
    const [sum] = await model.predict(
      { inputs: [integers('a', 1n, -5n), integers('b', 2n, 3n)] },
      {},
    );
    expect(sum).toEqual(integers('sum', 3n, -2n));
    await expect(
      model.predict({ inputs: [integers('a', 1n, 2n ** 40n), integers('b', 2n, 3n)] }, {}),
    ).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringMatching(/Element 1 of input "a"/),
    });
    await model.unload();
  });

  describe('graphs whose control flow depends on values', () => {
    const signature: ModelSignature = {
      inputs: ['x', 'limit'].map((name) => ({ name, datatype: 'FP32', shape: [-1, 2] })),
      outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, 2] }],
    };
    const ask = (model: LoadedModel, ...values: number[]) =>
      model.predict({ inputs: [numbers('x', ...values), numbers('limit', 100, 100)] }, {});

    test.each(['none', 'thread', 'process'] as const)(
      'are awaited, each call getting its own answer, isolation %s',
      async (isolation) => {
        const { directory } = await bed.addModel('loop', { 'model.json': loopModel() });
        const model = await new TfjsRuntime(isolation).load({ directory }, signature, {});
        const answers = await Promise.all([
          ask(model, 1, 2),
          ask(model, 200, 300),
          ask(model, 7, 7),
        ]);
        expect(answers).toEqual([
          [numbers('y', 128, 256)],
          [numbers('y', 200, 300)],
          [numbers('y', 112, 112)],
        ]);
        await model.unload();
      },
    );

    test('leave no tensor behind, and refuse a datatype that only the signature of the graph tells', async () => {
      const before = tf.memory().numTensors;
      const { directory } = await bed.addModel('loop', { 'model.json': loopModel() });
      const model = await new TfjsRuntime('none').load({ directory }, signature, {});
      const loaded = tf.memory().numTensors;
      for (let i = 1; i < 20; i += 1) await ask(model, i, i);
      expect(tf.memory().numTensors).toBe(loaded);
      await model.unload();
      expect(tf.memory().numTensors).toBe(before);
      const outputs = [{ name: 'y', datatype: 'INT32', shape: [-1, 2] }] as const;
      const wrong = new TfjsRuntime('none').load({ directory }, { ...signature, outputs }, {});
      await expect(wrong).rejects.toMatchObject({
        code: 'INVALID',
        message: expect.stringMatching(/"y" has the datatype INT32, and the file says float32/),
      });
    });
  });
});

/** A graph model with a loop over functions, as TensorFlow 2 writes `tf.while_loop`: doubles `x` until it is not below `limit`. */
function loopModel(): string {
  const float = { type: 'DT_FLOAT' };
  const shape = { dim: [{ size: '-1' }, { size: '2' }] };
  const T = { attr: { T: float } };
  const tensor = (name: string) => ({ name: `${name}:0`, dtype: 'DT_FLOAT', tensorShape: shape });
  const placeholder = (name: string) => ({
    ...{ name, op: 'Placeholder' },
    attr: { dtype: float, shape: { shape } },
  });
  const inputArg = ['v', 'l'].map((name) => ({ name, ...float }));
  const functions = [
    {
      signature: { name: 'below', inputArg, outputArg: [{ name: 'is', type: 'DT_BOOL' }] },
      nodeDef: [{ name: 'less', op: 'Less', input: ['v', 'l'], ...T }],
      ret: { is: 'less:z:0' },
    },
    {
      signature: {
        ...{ name: 'double', inputArg },
        outputArg: ['doubled', 'kept'].map((name) => ({ name, ...float })),
      },
      nodeDef: [
        { name: 'sum', op: 'AddV2', input: ['v', 'v'], ...T },
        { name: 'same', op: 'Identity', input: ['l'], ...T },
      ],
      ret: { doubled: 'sum:z:0', kept: 'same:output:0' },
    },
  ];
  const loop = {
    cond: { func: { name: 'below' } },
    body: { func: { name: 'double' } },
    T: { list: { type: ['DT_FLOAT', 'DT_FLOAT'] } },
  };
  return JSON.stringify({
    ...{ format: 'graph-model', generatedBy: '2.15.0' },
    convertedBy: 'TensorFlow.js Converter v4.22.0',
    signature: {
      inputs: { x: tensor('x'), limit: tensor('limit') },
      outputs: { y: tensor('y') },
    },
    modelTopology: {
      node: [
        placeholder('x'),
        placeholder('limit'),
        { name: 'loop', op: 'StatelessWhile', input: ['x', 'limit'], attr: loop },
        { name: 'y', op: 'Identity', input: ['loop'], ...T },
      ],
      library: { function: functions },
      versions: { producer: 1 },
    },
    weightsManifest: [],
  });
}
