import { deflateRawSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { filesFrom, filesOf, modelIn } from '../../../test/models/model-files.ts';
import type { ModelFacts, ModelFormatReader } from '../../contracts/model-format.ts';
import { readModelFacts } from './read-model-facts.ts';

async function factsOf(directory: string, ...only: readonly string[]): Promise<ModelFacts> {
  const facts = await readModelFacts(modelIn(directory, ...only));
  if (facts === undefined) throw new Error(`${directory} ${only.join()} was not recognised`);
  return facts;
}

describe('pickles are looked at, never loaded', () => {
  test.each([
    ['p0.pkl', 0],
    ['p2.pkl', 2],
    ['p4.pkl', 4],
    ['p5.pkl', 5],
    ['m.joblib', 4],
    ['mz.joblib', 4],
    ['mg.joblib', 4],
    ['rf.joblib', 4],
  ])('%s', async (file, protocol) => {
    const { format, framework, details, signature } = await factsOf('pickle', file);
    expect({ format, framework, signature }).toEqual({
      format: 'SKLEARN',
      framework: { name: 'scikit-learn', version: '1.9.1' },
      signature: undefined,
    });
    expect(details).toMatchObject({ protocol });
    expect(details['estimator']).toBe(
      file === 'rf.joblib'
        ? 'sklearn.ensemble._forest.RandomForestClassifier'
        : 'sklearn.pipeline.Pipeline',
    );
  });

  test('what a hostile one would import is named, and not imported', async () => {
    const pickle = '\x80\x04\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x94\x85R.';
    const facts = await readModelFacts(filesOf({ 'data.bin': Buffer.from(pickle, 'latin1') }));
    expect(facts).toMatchObject({ format: 'PICKLE', details: { globals: ['posix.system'] } });
  });

  test('names that come out of the memo', async () => {
    const pickle =
      '\x80\x04\x8c\x01a\x94\x8c\x01b\x94\x93\x8c\x01c\x94h\x00h\x01\x93h\x00h\x02\x93.';
    const facts = await readModelFacts(filesOf({ 'data.bin': Buffer.from(pickle, 'latin1') }));
    expect(facts?.details['globals']).toEqual(['a.b', 'a.c']);
  });

  test.each<readonly [string, string]>([
    ['text', 'no pickle at all'],
    ['a text longer than the file', '\x80\x04X\xff\xff\xff\xffa'],
  ])('%s under such a name is refused', async (_, content) => {
    const files = filesOf({ 'm/model.pkl': Buffer.from(content, 'latin1') });
    await expect(readModelFacts(files)).rejects.toMatchObject({
      code: 'CORRUPT',
      details: { file: 'm/model.pkl' },
    });
  });
});

/** An archive; sizes in its directory may be claimed. */
function zip(entries: Readonly<Record<string, string>>, claimedBytes?: number): Buffer {
  const locals: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  for (const [name, content] of Object.entries(entries)) {
    const packed = deflateRawSync(content);
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(name.length, 26);
    const entry = Buffer.alloc(46);
    entry.writeUInt32LE(0x02014b50, 0);
    entry.writeUInt16LE(8, 10);
    entry.writeUInt32LE(packed.length, 20);
    entry.writeUInt32LE(claimedBytes ?? content.length, 24);
    entry.writeUInt16LE(name.length, 28);
    entry.writeUInt32LE(at, 42);
    locals.push(local, Buffer.from(name), packed);
    directory.push(entry, Buffer.from(name));
    at += 30 + name.length + packed.length;
  }
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(Object.keys(entries).length, 10);
  end.writeUInt32LE(Buffer.concat(directory).length, 12);
  end.writeUInt32LE(at, 16);
  return Buffer.concat([...locals, ...directory, end]);
}

describe("PyTorch's files are told apart by what is in them", () => {
  test.each([
    ['script.pt', 'TorchScript'],
    ['state.pt', 'state dictionary'],
    ['whole.pth', 'pickled module'],
    ['legacy.pt', 'legacy pickle'],
    ['net.pt2', 'exported program'],
  ])('%s', async (file, container) => {
    const facts = await factsOf('pytorch', file);
    expect(facts).toMatchObject({ format: 'PYTORCH', details: { container } });
    expect(facts.notes.join()).toMatch(/give a signature/i);
  });

  test('under another name, with the bytes of its tensors', async () => {
    const { files, read } = modelIn('pytorch', 'state.pt');
    const renamed = files.map((file) => ({ ...file, path: 'weights.bin' }));
    const facts = await readModelFacts({
      files: renamed,
      read: (_, range) => read('state.pt', range),
    });
    expect(facts).toMatchObject({ details: { file: 'weights.bin', tensorsBytes: 60 } });
  });

  test.each<readonly [string, Buffer, 'CORRUPT' | 'INVALID', RegExp]>([
    ['text', Buffer.from('hello'), 'CORRUPT', /neither/],
    ['a cut archive', zip({ 'a/data.pkl': 'x' }).subarray(0, 40), 'CORRUPT', /end is missing/],
    ['another archive', zip({ 'a/readme': 'x' }), 'CORRUPT', /no data\.pkl/],
    [
      'a bomb',
      zip({ 'a/data.pkl': '\x80\x02.', 'a/version': '0'.repeat(100_000) }, 1),
      'INVALID',
      /./,
    ],
    [
      'a bomb that hides its size',
      zip({ 'a/data.pkl': '0'.repeat(40_000_000) }, 10),
      'CORRUPT',
      /unpacked/,
    ],
    ['NUL in a name', zip({ 'a/data.pkl\0': 'x' }), 'INVALID', /NUL/],
  ])('%s is refused', async (_, bytes, code, what) => {
    const refusal = readModelFacts(filesOf({ 'm/net.pt': bytes }));
    await expect(refusal).rejects.toMatchObject({
      code: expect.stringMatching(code === 'INVALID' ? /INVALID|CORRUPT/ : code),
      details: { file: 'm/net.pt' },
    });
    await expect(refusal).rejects.toThrow(what);
  });
});

describe('TensorFlow.js', () => {
  const weightsManifest = [
    { paths: ['a.bin', 'b.bin'], weights: [{ name: 'w', shape: [2, 3], dtype: 'float32' }] },
  ];
  const weights = { 'm/a.bin': Buffer.alloc(16), 'm/b.bin': Buffer.alloc(8) };
  const layer = (class_name: string, config: object) => ({ class_name, config });
  const sequential = {
    format: 'layers-model',
    generatedBy: 'TensorFlow.js tfjs-layers v4.22.0',
    modelTopology: layer('Sequential', {
      layers: [
        layer('Dense', {
          name: 'hidden',
          units: 8,
          batch_input_shape: [null, 4],
          dtype: 'float32',
        }),
        layer('Dropout', { name: 'drop' }),
        layer('Dense', { name: 'scores', units: 3 }),
      ],
    }),
    weightsManifest,
  };
  const graph = {
    format: 'graph-model',
    signature: {
      inputs: {
        x: { dtype: 'DT_INT32', tensorShape: { dim: [{ size: '-1' }, { size: '4' }, {}] } },
      },
      outputs: {
        y: { dtype: 'DT_FLOAT', tensorShape: { unknownRank: true } },
        n: { dtype: 'DT_BOOL', tensorShape: {} },
      },
    },
    modelTopology: { node: [] },
    weightsManifest,
  };
  const read = (model: object, more: object = weights) =>
    readModelFacts(filesOf({ 'm/net.json': JSON.stringify(model), ...more }));

  test('layers in a sequence: shapes are followed', async () => {
    expect(await read(sequential)).toMatchObject({
      format: 'TFJS',
      framework: { name: 'tensorflow.js', version: '4.22.0' },
      signature: {
        inputs: [{ name: 'hidden_input', datatype: 'FP32', shape: [-1, 4] }],
        outputs: [{ name: 'scores', datatype: 'FP32', shape: [-1, 3] }],
      },
      details: { container: 'layers-model', weights: { files: 2, tensors: 1 } },
      notes: [],
    });
  });

  test('a layer that is not known leaves the shape open', async () => {
    const layers = [
      ...sequential.modelTopology.config['layers' as never],
      layer('Mystery', { name: 'm' }),
    ];
    const facts = await read({ ...sequential, modelTopology: layer('Sequential', { layers }) });
    expect(facts?.signature?.outputs).toEqual([
      { name: 'm', datatype: 'FP32', shape: [], unranked: true },
    ]);
  });

  test('graph models', async () => {
    const facts = await read(graph);
    expect(facts?.signature).toEqual({
      inputs: [{ name: 'x', datatype: 'INT32', shape: [-1, 4, 0] }],
      outputs: [
        { name: 'y', datatype: 'FP32', shape: [], unranked: true },
        { name: 'n', datatype: 'BOOL', shape: [] },
      ],
    });
  });

  test('weights that are missing or too short', async () => {
    expect((await read(graph, {}))?.notes).toEqual([
      'The file of weights "a.bin" is missing.',
      'The file of weights "b.bin" is missing.',
    ]);
    const short = { ...weights, 'm/b.bin': Buffer.alloc(7) };
    expect((await read(graph, short))?.notes).toEqual([
      'The weights should have 24 bytes, and their files have 23.',
    ]);
  });

  test('cut off', async () => {
    const text = JSON.stringify(sequential).slice(0, -3);
    await expect(readModelFacts(filesOf({ 'm/model.json': text }))).rejects.toMatchObject({
      code: 'CORRUPT',
      details: { file: 'm/model.json' },
    });
  });
});

describe('safetensors', () => {
  const file = (header: object, dataBytes: number): Buffer => {
    const text = Buffer.from(JSON.stringify(header));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(text.length));
    return Buffer.concat([length, text, Buffer.alloc(dataBytes)]);
  };
  const header = {
    __metadata__: { format: 'pt' },
    w: { dtype: 'F16', shape: [2], data_offsets: [0, 4] },
  };

  test.each(['model.safetensors', 'weights'])('%s', async (path) => {
    expect(await readModelFacts(filesOf({ [path]: file(header, 4) }))).toMatchObject({
      format: 'PYTORCH',
      details: { tensors: { F16: 1 }, metadata: { format: 'pt' } },
    });
  });

  test.each<readonly [string, Buffer, RegExp]>([
    ['cut off', file(header, 3), /reach to/],
    ['a header of 2^60 bytes', Buffer.from([0, 0, 0, 0, 0, 0, 0, 16, 0x7b]), /header of/],
    ['empty', Buffer.alloc(0), /cut off/],
  ])('%s is refused', async (_, bytes, what) => {
    await expect(readModelFacts(filesOf({ 'm.safetensors': bytes }))).rejects.toThrow(what);
  });
});

describe('models in JavaScript', () => {
  test('by their module', async () => {
    expect(await readModelFacts(filesOf({ 'model.mjs': 'export const load = 1' }))).toMatchObject({
      format: 'JS',
      details: { module: 'model.mjs' },
    });
  });

  test('by their manifest, whose module is missing', async () => {
    const manifest = JSON.stringify({ module: 'lib/net.mjs', warmUp: [{}, {}] });
    expect(await readModelFacts(filesOf({ 'keelson-model.json': manifest }))).toMatchObject({
      format: 'JS',
      details: { module: 'lib/net.mjs', manifest: { warmUp: 2 } },
      notes: ['The module "lib/net.mjs" is missing.', expect.stringMatching(/give a signature/)],
    });
  });
});

describe('all formats together', () => {
  test('a reader of one’s own goes first', async () => {
    const own: ModelFormatReader = {
      name: 'own',
      detect: async ({ files }) => files.some(({ path }) => path === 'zipmap.onnx'),
      read: async () => ({ format: 'CUSTOM', details: { own: true }, notes: [] }),
    };
    expect(await readModelFacts(modelIn('onnx', 'zipmap.onnx'), [own])).toMatchObject({
      format: 'CUSTOM',
    });
    expect(await readModelFacts(modelIn('onnx', 'scalar.onnx'), [own])).toMatchObject({
      format: 'ONNX',
    });
  });

  test('what none knows is undefined', async () => {
    expect(await readModelFacts(filesOf({}))).toBeUndefined();
    expect(
      await readModelFacts(filesOf({ 'a.csv': 'a,b', 'b.json': '{}', c: '' })),
    ).toBeUndefined();
  });

  test('many large files that are no model are hardly read', async () => {
    const many = Array.from({ length: 2_000 }, (_, i) => ({ path: `f${i}`, sizeBytes: 2 ** 33 }));
    const files = filesFrom(many, (_, start, end) => Buffer.alloc(end - start, 0xee));
    expect(await readModelFacts(files)).toBeUndefined();
    expect(files.bytesRead()).toBeLessThan(5_000_000);
  });

  test.each([
    [
      'twice',
      [
        { path: 'a', sizeBytes: 1 },
        { path: 'a', sizeBytes: 1 },
      ],
    ],
    ['NUL', [{ path: 'a\0', sizeBytes: 1 }]],
    ['a negative size', [{ path: 'a', sizeBytes: -1 }]],
  ])('a list of files with %s is refused', async (_, list) => {
    await expect(readModelFacts(filesFrom(list, () => Buffer.alloc(0)))).rejects.toMatchObject({
      code: 'INVALID',
    });
  });
});
