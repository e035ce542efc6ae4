import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { modelsDirectory } from '../../test/models/model-files.ts';
import { sharePlatform } from '../../test/open-test-platform.ts';
import type { ModelSignature } from '../contracts/model-runtime.ts';
import { type ErrorCode, isKeelsonError } from '../errors.ts';
import { contradictions } from './content-facts.ts';
import type { ModelVersion } from './model-version.ts';

const shared = sharePlatform();
const onnx = await readFile(join(modelsDirectory, 'onnx', 'zipmap-off.onnx'));

function register(
  more: object,
  file: Uint8Array = onnx,
  name = 'model.onnx',
): Promise<ModelVersion> {
  const { platform } = shared.fresh();
  const from = { files: { [name]: file } };
  return platform.registry.register({ model: 'm', from, ...more });
}

async function refusal(work: Promise<unknown>): Promise<{ code: ErrorCode; message: string }> {
  try {
    await work;
  } catch (error) {
    if (isKeelsonError(error)) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error('It was not refused.');
}

describe('a version whose files tell what they are', () => {
  test('needs neither format nor signature', async () => {
    const version = await register({});
    expect(version.format).toBe('ONNX');
    expect(version.signature?.inputs).toEqual([expect.objectContaining({ datatype: 'FP32' })]);
    expect(version.facts?.details).toMatchObject({ opsets: expect.anything() });
  });

  test('may be described more narrowly than by its files', async () => {
    const { signature } = await register({});
    if (signature === undefined) throw new Error('no signature');
    const [input] = signature.inputs;
    const narrow = {
      inputs: [{ ...input, shape: input?.shape.map((size) => (size === -1 ? 1 : size)) }],
      outputs: signature.outputs.slice(0, 1),
    };
    expect((await register({ signature: narrow })).signature).toEqual(narrow);
  });

  test('contradicted, it is refused, naming both; the caller’s word counts where it is to be trusted', async () => {
    const format = await refusal(register({ format: 'TENSORFLOW' }));
    expect([format.code, format.message]).toEqual([
      'INVALID',
      expect.stringMatching(/said to be TENSORFLOW, and the files are ONNX/),
    ]);
    const signature = {
      inputs: [{ name: 'other', datatype: 'FP64', shape: [-1] }],
      outputs: [],
    } as const;
    const wrong = await refusal(register({ signature }));
    expect(wrong.message).toMatch(/input other is said to be there, and the files have \w+/);
    const trusted = await register({ signature, format: 'TENSORFLOW', trust: 'caller' });
    expect(trusted).toMatchObject({ signature, format: 'TENSORFLOW' });
    const custom = await register({ format: 'CUSTOM' });
    expect([custom.format, custom.signature, custom.facts]).toEqual([
      'CUSTOM',
      undefined,
      undefined,
    ]);
  });

  test('damaged, it is refused by file before there is a version', async () => {
    const { code, message } = await refusal(register({}, onnx.subarray(0, onnx.length - 40)));
    expect([code, message]).toEqual(['CORRUPT', expect.stringContaining('model.onnx')]);
    const cut = onnx.subarray(0, onnx.length - 40);
    expect((await refusal(register({ format: 'ONNX' }, cut))).code).toBe('CORRUPT');
    expect((await register({ format: 'ONNX', trust: 'caller' }, cut)).format).toBe('ONNX');
  });
});

test('files that nobody knows need a format', async () => {
  const unknown = Buffer.from('neither fish nor fowl');
  const { code, message } = await refusal(register({}, unknown, 'fish'));
  expect([code, message]).toEqual(['INVALID', expect.stringContaining('say format')]);
  expect((await register({ format: 'PICKLE' }, unknown, 'fish')).format).toBe('PICKLE');
});

test.each([{ format: 'onnx' }, { trust: 'me' }, { signature: 'x' }, { signature: {} }])(
  '%j is refused',
  async (more) => {
    expect((await refusal(register(more))).code).toBe('INVALID');
  },
);

describe('what cannot both be true', () => {
  const tensor = { name: 'x', datatype: 'FP32', shape: [-1, 4] } as const;
  const of = (input: object, output: object = tensor): ModelSignature =>
    ({ inputs: [input], outputs: [output] }) as ModelSignature;
  test.each([
    ['the same', of(tensor), []],
    ['a size where one is free', of({ ...tensor, shape: [8, 4] }), []],
    ['any rank', of({ ...tensor, shape: [], unranked: true }), []],
    ['another type', of({ ...tensor, datatype: 'FP64' }), ['input x']],
    ['another size', of({ ...tensor, shape: [-1, 5] }), ['input x']],
    ['another rank', of({ ...tensor, shape: [-1] }), ['input x']],
    ['another name', of({ ...tensor, name: 'y' }), ['input y', 'input x']],
    ['another output', of(tensor, { ...tensor, name: 'y' }), ['output y']],
    ['none at all', { inputs: [], outputs: [] }, []],
  ])('%s', (_, said, expected) => {
    const found = contradictions(said, of(tensor));
    expect(found.map((problem) => problem.split(' ').slice(0, 2).join(' '))).toEqual(expected);
  });
});
