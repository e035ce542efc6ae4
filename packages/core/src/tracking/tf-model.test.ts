import { describe, expect, test } from 'vitest';
import { sharePlatform } from '../../test/open-test-platform.ts';
import { type TfModelArtifacts, tfLoadHandler, tfSaveHandler } from './tf-model.ts';

const shared = sharePlatform();
const quick = { experiment: 'e', environment: false } as const;

function model(...values: number[]): TfModelArtifacts {
  return {
    modelTopology: { class_name: 'Sequential', config: { layers: [] } },
    weightSpecs: [{ name: 'w', shape: [values.length], dtype: 'float32' }],
    weightData: Float32Array.from(values).buffer,
    format: 'layers-model',
    generatedBy: 'TensorFlow.js v4',
    convertedBy: null,
    ...{ userDefinedMetadata: { units: 3 } },
  };
}

function floats(loaded: TfModelArtifacts): number[] {
  return [...new Float32Array(loaded.weightData as ArrayBuffer)];
}

describe('TF.js models as artifacts', () => {
  test('come back as they went, from model.json and weights.bin in TF.js’s format', async () => {
    const { tracking } = shared.fresh().platform;
    const run = await tracking.startRun(quick);
    const saved = await tfSaveHandler(run, 'nets/dense')(model(1.5, -2, Number.NaN));
    expect(saved.modelArtifactsInfo).toMatchObject({
      modelTopologyType: 'JSON',
      weightDataBytes: 12,
    });
    await run.finish();
    const json = await tracking.readArtifact(run.id, 'nets/dense/model.json');
    expect(JSON.parse(Buffer.from(json).toString())).toMatchObject({
      format: 'layers-model',
      weightsManifest: [{ paths: ['weights.bin'], weights: [{ name: 'w', shape: [3] }] }],
    });
    const loaded = await tfLoadHandler(tracking, run.id, 'nets/dense').load();
    const { weightData: _, ...rest } = model(1.5, -2, Number.NaN);
    expect(loaded).toMatchObject(rest);
    expect(floats(loaded)).toEqual([1.5, -2, Number.NaN]);
  });

  test('weights in several buffers, and parts of the manifest in several files', async () => {
    const { tracking } = shared.fresh().platform;
    const run = await tracking.startRun(quick);
    const weightData = [Float32Array.of(1, 2).buffer, Float32Array.of(3).buffer];
    await tfSaveHandler(run, 'm')({ ...model(1, 2, 3), weightData });
    expect(floats(await tfLoadHandler(tracking, run.id, 'm').load())).toEqual([1, 2, 3]);
    const weightsManifest = [
      { paths: ['./a.bin', './b.bin'], weights: model(1, 2).weightSpecs },
      { paths: ['c.bin'], weights: model(3).weightSpecs },
    ];
    await run.logText('sharded/model.json', JSON.stringify({ modelTopology: {}, weightsManifest }));
    for (const [i, name] of ['a', 'b', 'c'].entries())
      await run.logArtifact(`sharded/${name}.bin`, Buffer.from(Float32Array.of(i + 1).buffer));
    const loaded = await tfLoadHandler(tracking, run.id, 'sharded').load();
    expect(floats(loaded)).toEqual([1, 2, 3]);
    expect(loaded.weightSpecs).toHaveLength(2);
    await run.finish();
  });

  test('saved again, the newest wins with the weights that belong to it', async () => {
    const { tracking } = shared.fresh().platform;
    const run = await tracking.startRun(quick);
    const save = tfSaveHandler(run, 'm');
    for (const value of [1, 2, 3, 1]) {
      await save(model(value));
      expect(floats(await tfLoadHandler(tracking, run.id, 'm').load())).toEqual([value]);
    }
    await run.finish();
    const { artifacts } = await tracking.listArtifacts(run.id);
    expect(artifacts.map((artifact) => artifact.path)).toEqual([
      'm/model.json',
      'm/weights-1.bin',
      'm/weights-2.bin',
      'm/weights.bin',
    ]);
  });

  test('refuses what is no model, and paths that lead out', async () => {
    const { tracking } = shared.fresh().platform;
    const run = await tracking.startRun(quick);
    const load = (path: string) => expect(tfLoadHandler(tracking, run.id, path).load()).rejects;
    const save = tfSaveHandler(run, 'm');
    const { modelTopology: _, ...bare } = model(1);
    await expect(save(bare)).rejects.toMatchObject({ code: 'INVALID' });
    const graph = { ...bare, modelTopology: new ArrayBuffer(4) };
    await expect(save(graph)).rejects.toMatchObject({ code: 'INVALID' });
    expect(() => tfSaveHandler(run, '../m')).toThrow('..');
    await load('m').toMatchObject({ code: 'NOT_FOUND' });
    await run.logText('bad/model.json', '{');
    await load('bad').toMatchObject({ code: 'INVALID' });
    await run.logText('empty/model.json', '{"weightsManifest":[{}]}');
    await load('empty').toMatchObject({ code: 'INVALID' });
    const weightsManifest = [{ paths: ['../../secret'], weights: [] }];
    await run.logText('out/model.json', JSON.stringify({ weightsManifest }));
    await load('out').toMatchObject({ code: 'INVALID' });
    await run.finish();
  });
});
