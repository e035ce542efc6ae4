import { type ModelFiles, readModelFacts } from '@keelson/core';
import * as tf from '@tensorflow/tfjs';
import { afterAll, expect, test } from 'vitest';

afterAll(() => tf.disposeVariables());

/** The files that a model is saved as, by TF.js's own handler for downloads of `model.json` and weights. */
async function saved(model: tf.LayersModel): Promise<ModelFiles> {
  const files = new Map<string, Buffer>();
  await model.save(
    tf.io.withSaveHandler(async ({ weightData = [], weightSpecs, ...rest }) => {
      const parts = [weightData].flat().map((part) => Buffer.from(part));
      files.set('weights.bin', Buffer.concat(parts));
      const weightsManifest = [{ paths: ['weights.bin'], weights: weightSpecs }];
      files.set('model.json', Buffer.from(JSON.stringify({ ...rest, weightsManifest })));
      return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: 'JSON' } };
    }),
  );
  return {
    files: [...files].map(([path, { length: sizeBytes }]) => ({ path, sizeBytes })),
    read: async (path, range) => (files.get(path) as Buffer).subarray(range?.start, range?.end),
  };
}

function twoInputs(): tf.LayersModel {
  const a = tf.input({ shape: [4], name: 'a' });
  const b = tf.input({ shape: [null, 3], name: 'b', dtype: 'int32' });
  const hidden = tf.layers.dense({ units: 2, name: 'left' }).apply(a) as tf.SymbolicTensor;
  const cast = tf.layers.globalAveragePooling1d({ name: 'right' }).apply(b) as tf.SymbolicTensor;
  return tf.model({ inputs: [a, b], outputs: [hidden, cast] });
}

const models: Readonly<Record<string, () => tf.LayersModel>> = {
  dense: () =>
    tf.sequential({
      layers: [
        tf.layers.dense({ units: 5, inputShape: [4], activation: 'relu' }),
        tf.layers.dropout({ rate: 0.1 }),
        tf.layers.batchNormalization(),
        tf.layers.dense({ units: 3, activation: 'softmax' }),
      ],
    }),
  texts: () =>
    tf.sequential({
      layers: [
        tf.layers.embedding({ inputDim: 10, outputDim: 6, inputLength: 7 }),
        tf.layers.lstm({ units: 5, returnSequences: true }),
        tf.layers.gru({ units: 4 }),
        tf.layers.dense({ units: 1 }),
      ],
    }),
  flat: () =>
    tf.sequential({
      layers: [
        tf.layers.inputLayer({ inputShape: [3, 4], name: 'table' }),
        tf.layers.flatten(),
        tf.layers.leakyReLU(),
      ],
    }),
  network: twoInputs,
};

test.each(Object.entries(models))(
  'what TF.js says of a model is what its file says: %s',
  async (_, make) => {
    const model = make();
    const facts = await readModelFacts(await saved(model));
    expect(facts).toMatchObject({ format: 'TFJS', notes: [] });
    const free = (shape: readonly (number | null)[]) => shape.map((size) => size ?? -1);
    expect(facts?.signature?.inputs).toEqual(
      model.inputs.map(({ name, shape, dtype }) => ({
        name,
        datatype: dtype === 'int32' ? 'INT32' : 'FP32',
        shape: free(shape),
      })),
    );
    expect(facts?.signature?.outputs.map(({ name }) => name)).toEqual(
      // A sequence has names for its inner model alone.
      model instanceof tf.Sequential ? [model.layers.at(-1)?.name] : model.outputNames,
    );
    for (const [i, { shape, unranked }] of (facts?.signature?.outputs ?? []).entries()) {
      if (unranked !== true) expect(shape).toEqual(free(model.outputs[i]?.shape ?? []));
      else expect(model).not.toBeInstanceOf(tf.Sequential);
    }
  },
);
