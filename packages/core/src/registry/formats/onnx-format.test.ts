import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { filesFrom, filesOf, modelIn, modelsDirectory } from '../../../test/models/model-files.ts';
import { field, message, varint } from '../../../test/models/protobuf-bytes.ts';
import type { ModelFacts } from '../../contracts/model-format.ts';
import type { TensorSpec } from '../../contracts/model-runtime.ts';
import { readModelFacts } from './read-model-facts.ts';

interface Reported {
  readonly name: string;
  readonly type: string;
  readonly shape: readonly (number | string | null)[];
}

interface Report {
  readonly inputs: readonly Reported[];
  readonly outputs: readonly Reported[];
  readonly producerName: string;
  readonly graph: string;
  readonly domain: string;
  readonly description: string;
  readonly modelVersion: number;
  readonly metadata: Readonly<Record<string, string>>;
}

const { models } = JSON.parse(
  readFileSync(join(modelsDirectory, 'onnx', 'reported.json'), 'utf8'),
) as { readonly models: Readonly<Record<string, Report>> };

const datatypes: Readonly<Record<string, TensorSpec['datatype']>> = {
  'tensor(float)': 'FP32',
  'tensor(double)': 'FP64',
  'tensor(float16)': 'FP16',
  'tensor(bfloat16)': 'BF16',
  'tensor(int8)': 'INT8',
  'tensor(int16)': 'INT16',
  'tensor(int32)': 'INT32',
  'tensor(int64)': 'INT64',
  'tensor(uint8)': 'UINT8',
  'tensor(uint16)': 'UINT16',
  'tensor(uint32)': 'UINT32',
  'tensor(uint64)': 'UINT64',
  'tensor(bool)': 'BOOL',
  'tensor(string)': 'BYTES',
};

async function factsOf(...only: readonly string[]): Promise<ModelFacts> {
  const facts = await readModelFacts(modelIn('onnx', ...only));
  if (facts === undefined) throw new Error(`${only[0]} was not recognised`);
  return facts;
}

/** onnxruntime says [] for scalars and for tensors of which it knows no rank. */
function asReported(spec: TensorSpec): object {
  return { name: spec.name, datatype: spec.datatype, shape: spec.shape };
}

function asSpec({ name, type, shape }: Reported): object[] {
  const datatype = datatypes[type];
  if (datatype === undefined) return [];
  const sizes = shape.map((size) => (typeof size === 'number' && size >= 0 ? size : -1));
  return [{ name, datatype, shape: sizes }];
}

describe('what onnxruntime reports of a model is what its file says', () => {
  test('there are models to compare', () => {
    expect(Object.keys(models).length).toBeGreaterThan(50);
  });

  test.each(Object.entries(models))('%s', async (file, report) => {
    const { details, signature, format, framework } = await factsOf(file);
    expect(format).toBe('ONNX');
    const callable = report.inputs.every(
      ({ type }) => type in datatypes || type.startsWith('optional'),
    );
    if (callable) {
      expect(signature?.inputs.map(asReported)).toEqual(report.inputs.flatMap(asSpec));
      expect(signature?.outputs.map(asReported)).toEqual(report.outputs.flatMap(asSpec));
    } else expect(signature).toBeUndefined();
    for (const side of ['inputs', 'outputs'] as const) {
      const read = details[side] as unknown as readonly Reported[];
      expect(read.map(({ name, type }) => ({ name, type }))).toEqual(
        report[side].map(({ name, type }) => ({ name, type })),
      );
    }
    expect(framework?.name ?? '').toBe(report.producerName);
    expect(details['graph'] ?? '').toBe(report.graph);
    expect(details['domain'] ?? '').toBe(report.domain);
    expect(details['description'] ?? '').toBe(report.description);
    expect(details['metadata'] ?? {}).toEqual(report.metadata);
  });
});

/** ValueInfoProto of a tensor. */
function value(
  name: string,
  element: number,
  ...sizes: readonly (number | bigint | string)[]
): Buffer {
  const shape = sizes.map((size) => field(1, field(typeof size === 'string' ? 2 : 1, size)));
  const tensor = message(field(1, element), field(2, message(...shape)));
  return message(field(1, name), field(2, field(1, tensor)));
}

/** ModelProto around the fields of a graph. */
function model(...graph: readonly Uint8Array[]): Buffer {
  return message(field(1, 8), field(7, message(...graph)), field(8, field(2, 17)));
}

const input = field(11, value('x', 1, 'n', 2));
const output = field(12, value('y', 1, 'n', 2));

describe('found by what it is', () => {
  test.each(['weights.bin', 'model', 'a/b/net.pb', 'notes.txt'])('named %s', async (path) => {
    const facts = await readModelFacts(
      filesOf({ 'README.md': '# net', [path]: model(input, output) }),
    );
    expect(facts).toMatchObject({ format: 'ONNX', details: { file: path } });
  });

  test.each([
    ['text', 'irVersion: 8'],
    ['nothing', ''],
    ['zeros', Buffer.alloc(100)],
    ['a message without a graph', message(field(1, 8), field(2, 'pytorch'))],
    ['a message with further fields', message(model(input), field(99, 1))],
  ])('%s is no model', async (_, content) => {
    expect(await readModelFacts(filesOf({ 'data.bin': content }))).toBeUndefined();
  });

  test('of several, the one that is called model.onnx is read, and the others are told of', async () => {
    const [encoder, decoder] = [model(input, output), model(field(2, 'main'), input, output)];
    const facts = await readModelFacts(filesOf({ 'encoder.onnx': encoder, 'model.onnx': decoder }));
    expect(facts?.details).toMatchObject({ file: 'model.onnx', graph: 'main' });
    expect(facts?.notes.join()).toContain('encoder.onnx');
  });

  test("onnxruntime's own format is known, and not read", async () => {
    const facts = await readModelFacts(
      filesOf({ 'net.ort': Buffer.from('\x20\0\0\0ORTM....', 'latin1') }),
    );
    expect(facts).toMatchObject({ format: 'ONNX', details: { container: 'ORT' } });
    expect(facts?.signature).toBeUndefined();
    expect(facts?.notes.join()).toContain('give a signature');
  });
});

describe('what cannot be told by tensors is told in words', () => {
  test('an unknown rank is no scalar', async () => {
    expect((await factsOf('unranked.onnx')).signature?.inputs).toEqual([
      { name: 'x', datatype: 'FP32', shape: [], unranked: true },
    ]);
    expect((await factsOf('scalar.onnx')).signature?.inputs).toEqual([
      { name: 'x', datatype: 'FP32', shape: [] },
    ]);
  });

  test('ZipMap: the labels are in the signature, the maps in the notes', async () => {
    const { signature, notes, details } = await factsOf('zipmap.onnx');
    expect(signature?.outputs).toEqual([{ name: 'output_label', datatype: 'INT64', shape: [-1] }]);
    expect(notes[0]).toBe(
      'Output "output_probability" is a seq(map(int64,tensor(float))), which no tensor of a signature can be.',
    );
    expect(details['outputs']).toContainEqual({
      name: 'output_probability',
      type: 'seq(map(int64,tensor(float)))',
    });
  });

  test('an input that is no tensor leaves no signature', async () => {
    const { signature, notes } = await factsOf('sequence-input.onnx');
    expect(signature).toBeUndefined();
    expect(notes).toEqual([
      'Input "parts" is a seq(tensor(float)), which no tensor of a signature can be.',
      'So there is no signature of tensors.',
    ]);
  });

  test('names of free sizes are kept among the details', async () => {
    expect((await factsOf('named-sizes.onnx')).details['inputs']).toEqual([
      { name: 'x', type: 'tensor(int64)', shape: ['batch size', 'seq_len', null, 7] },
    ]);
  });

  test('functions, training, quantisation and operator sets', async () => {
    expect((await factsOf('functions.onnx')).details).toMatchObject({
      functions: 1,
      opsets: { 'ai.onnx': 17, local: 1 },
    });
    expect((await factsOf('training-info.onnx')).details['trainingInfo']).toBe(true);
    expect((await factsOf('quantised-qdq.onnx')).details['constants']).toEqual({
      int8: 4,
      float: 3,
    });
    expect((await factsOf('zipmap.onnx')).details['opsets']).toMatchObject({ 'ai.onnx.ml': 1 });
    expect((await factsOf('defaults.onnx')).details['inputsWithDefaults']).toBe(1);
  });
});

describe('weights in other files', () => {
  test('are there', async () => {
    const { details, notes } = await factsOf('external.onnx', 'external.weights');
    expect(notes).toEqual([]);
    expect(details['externalData']).toEqual([
      { location: 'external.weights', present: true, reachBytes: 48 },
    ]);
  });

  test('are missing', async () => {
    const { details, notes } = await factsOf('external.onnx');
    expect(details['externalData']).toMatchObject([{ present: false }]);
    expect(notes).toEqual(['Weights lie in "external.weights", which is missing.']);
  });

  test.each([
    [
      'too short',
      'w.bin',
      { 'sub/w.bin': 'abc' },
      'Weights reach to byte 4000 of "w.bin", which has only 3 bytes.',
    ],
    ['in another directory', '../w.bin', { 'w.bin': Buffer.alloc(4000) }, undefined],
    ['outside', '../../etc/w.bin', {}, /outside the model's directory/],
    ['anywhere', '/etc/passwd', {}, /outside the model's directory/],
  ])('lie %s', async (_, location, others, note) => {
    const entry = (key: string, text: string) => field(13, message(field(1, key), field(2, text)));
    const constant = message(
      field(8, 'w'),
      entry('location', location),
      entry('offset', '1000'),
      entry('length', '3000'),
      field(14, 1),
    );
    const net = model(field(5, constant), input, output);
    const facts = await readModelFacts(filesOf({ 'sub/model.onnx': net, ...others }));
    expect(facts?.notes).toEqual(note === undefined ? [] : [expect.stringMatching(note)]);
  });

  test('weights of 3 GB within the model are not read', async () => {
    const weightBytes = 3 * 2 ** 30;
    const tensor = message(field(1, 1024), field(2, 1), varint(9 * 8 + 2), varint(weightBytes));
    const name = field(8, 'w');
    const before = message(
      varint(5 * 8 + 2),
      varint(tensor.length + weightBytes + name.length),
      tensor,
    );
    const after = message(name, input, output);
    const graphBytes = before.length + weightBytes + after.length;
    const head = message(field(1, 8), varint(7 * 8 + 2), varint(graphBytes), before);
    const tail = message(after, field(8, field(2, 17)));
    const sizeBytes = head.length + weightBytes + tail.length;
    const files = filesFrom([{ path: 'net.bin', sizeBytes }], (_, start, end) => {
      const bytes = Buffer.alloc(end - start, 0xff);
      const place = (part: Buffer, at: number): void => {
        for (let i = Math.max(start, at); i < Math.min(end, at + part.length); i += 1)
          bytes[i - start] = part[i - at] as number;
      };
      place(head, 0);
      place(tail, sizeBytes - tail.length);
      return bytes;
    });
    const facts = await readModelFacts(files);
    expect(facts?.signature?.inputs).toEqual([{ name: 'x', datatype: 'FP32', shape: [-1, 2] }]);
    expect(facts?.details['constants']).toEqual({ float: 1 });
    expect(files.bytesRead()).toBeLessThan(100_000);
  });
});

describe('damaged and hostile models are refused by name', () => {
  const nested = (depth: number): Buffer => {
    let type: Buffer = field(1, field(1, 1));
    for (let i = 0; i < depth; i += 1) type = field(4, field(1, type));
    return message(field(1, 'x'), field(2, type));
  };

  test.each<readonly [string, Uint8Array, 'CORRUPT' | 'INVALID', RegExp]>([
    ['cut off', model(input, output).subarray(0, 20), 'CORRUPT', /should reach to \d+/],
    ['empty', Buffer.alloc(0), 'CORRUPT', /no graph/],
    ['text', Buffer.from('version https://git-lfs.github.com/spec/v1'), 'CORRUPT', /./],
    ['a graph of 2^60 bytes', message(field(1, 8), field(7, '', 2 ** 60)), 'CORRUPT', /ends at/],
    ['an endless integer', message(field(1, 8), Buffer.alloc(30, 0xff)), 'CORRUPT', /64 bits/],
    ['a size beyond 2^53', model(field(11, value('x', 1, 2n ** 60n)), output), 'CORRUPT', /2\^53/],
    ['NUL in a name', model(field(11, value('x\0y', 1)), output), 'INVALID', /NUL/],
    ['no UTF-8', model(field(2, Buffer.from([0xff, 0xfe])), output), 'CORRUPT', /UTF-8/],
    ['types within types', model(field(11, nested(5_000)), output), 'INVALID', /more than 16/],
    ['a name twice', model(input, input, output), 'CORRUPT', /two inputs named "x"/],
    ['no name', model(field(11, value('', 1)), output), 'CORRUPT', /without a name/],
    [
      'a name of 2 MB',
      model(field(11, value('x'.repeat(2_000_000), 1))),
      'INVALID',
      /2000\d+ bytes/,
    ],
    ['a group', message(field(1, 8), Buffer.from([0x3b])), 'CORRUPT', /kind/],
    ['a graph that is a number', message(field(1, 8), field(7, 5)), 'CORRUPT', /no graph/],
  ])('%s', async (_, bytes, code, what) => {
    const refusal = readModelFacts(filesOf({ 'net/model.onnx': bytes }));
    await expect(refusal).rejects.toMatchObject({
      code,
      message: expect.stringMatching(/net\/model\.onnx/),
      details: { file: 'net/model.onnx' },
    });
    await expect(refusal).rejects.toThrow(what);
  });

  test('a file that is shorter than was said', async () => {
    const files = filesFrom([{ path: 'model.onnx', sizeBytes: 500 }], () => Buffer.alloc(3));
    await expect(readModelFacts(files)).rejects.toMatchObject({ code: 'CORRUPT' });
  });
});
