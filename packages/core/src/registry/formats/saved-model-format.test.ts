import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { filesOf, modelIn, modelsDirectory } from '../../../test/models/model-files.ts';
import { field, message } from '../../../test/models/protobuf-bytes.ts';
import type { ModelFacts } from '../../contracts/model-format.ts';
import type { TensorSpec } from '../../contracts/model-runtime.ts';
import { readModelFacts } from './read-model-facts.ts';

type Side = Readonly<
  Record<string, { readonly dtype: string; readonly shape: readonly (number | null)[] | null }>
>;

const { models } = JSON.parse(
  readFileSync(join(modelsDirectory, 'tensorflow', 'reported.json'), 'utf8'),
) as {
  readonly models: Readonly<
    Record<string, Readonly<Record<string, { readonly inputs: Side; readonly outputs: Side }>>>
  >;
};

async function factsOf(directory: string, ...only: readonly string[]): Promise<ModelFacts> {
  const facts = await readModelFacts(modelIn(join('tensorflow', directory), ...only));
  if (facts === undefined) throw new Error(`${directory} was not recognised`);
  return facts;
}

const datatypes: Readonly<Record<string, TensorSpec['datatype']>> = {
  float32: 'FP32',
  float16: 'FP16',
  bfloat16: 'BF16',
  int64: 'INT64',
  int32: 'INT32',
  uint8: 'UINT8',
  uint64: 'UINT64',
  string: 'BYTES',
  bool: 'BOOL',
};
const words: Readonly<Record<string, string>> = { float32: 'float', float16: 'half' };

function specs(side: Side): readonly TensorSpec[] {
  return Object.entries(side).map(([name, { dtype, shape }]) => ({
    name,
    datatype: datatypes[dtype] as TensorSpec['datatype'],
    ...(shape === null
      ? { shape: [], unranked: true }
      : { shape: shape.map((size) => size ?? -1) }),
  }));
}

describe('what TensorFlow reports of a model is what its file says', () => {
  test.each(Object.entries(models))('%s', async (directory, signatures) => {
    const { details, signature } = await factsOf(directory);
    const read = details['signatures'] as unknown as readonly {
      readonly key: string;
      readonly inputs: readonly { name: string; type: string; shape?: unknown }[];
      readonly outputs: readonly { name: string; type: string; shape?: unknown }[];
    }[];
    const callable = read.filter(({ key }) => !key.startsWith('__'));
    expect(callable.map(({ key }) => key)).toEqual(Object.keys(signatures).sort());
    for (const { key, ...sides } of callable) {
      for (const side of ['inputs', 'outputs'] as const) {
        expect(sides[side]).toEqual(
          Object.entries(signatures[key]?.[side] ?? {}).map(([name, { dtype, shape }]) => ({
            name,
            type: words[dtype] ?? dtype,
            ...(shape === null ? {} : { shape }),
          })),
        );
      }
    }
    const chosen = signatures['serving_default'] ?? Object.values(signatures)[0];
    if (chosen === undefined) expect(signature).toBeUndefined();
    else
      expect(signature).toEqual({ inputs: specs(chosen.inputs), outputs: specs(chosen.outputs) });
  });

  test('the version, and that others were not taken', async () => {
    const { framework, notes } = await factsOf('several');
    expect(framework).toMatchObject({ name: 'tensorflow', version: expect.stringMatching(/^2\./) });
    expect(notes).toContain(
      'Of the signatures halves, phases, serving_default, words, serving_default was taken.',
    );
  });

  test('by content, under another name', async () => {
    const bytes = readFileSync(join(modelsDirectory, 'tensorflow', 'linear', 'saved_model.pb'));
    const facts = await readModelFacts(filesOf({ 'graph.bin': bytes }));
    expect(facts?.signature?.inputs).toEqual([{ name: 'x', datatype: 'FP32', shape: [-1, 4] }]);
  });
});

/** SavedModel with the fields of one MetaGraphDef. */
function model(...fields: readonly Uint8Array[]): Buffer {
  return message(field(1, 1), field(2, message(field(1, field(4, 'serve')), ...fields)));
}

function signature(key: string, input: Uint8Array): Buffer {
  const entry = message(field(1, 'x'), field(2, input));
  const output = message(field(1, 'y'), field(2, field(2, 1)));
  return field(5, message(field(1, key), field(2, message(field(1, entry), field(2, output)))));
}

describe('what the file does not tell is told in words', () => {
  test('several signatures and no default', async () => {
    const bytes = model(signature('a', field(2, 1)), signature('b', field(2, 1)));
    const facts = await readModelFacts(filesOf({ 'saved_model.pb': bytes }));
    expect(facts?.signature).toBeUndefined();
    expect(facts?.notes).toEqual([
      'The model has no signature serving_default, and several others: a, b; give one.',
    ]);
  });

  test('sparse inputs', async () => {
    const bytes = model(signature('serving_default', message(field(2, 1), field(4, ''))));
    const facts = await readModelFacts(filesOf({ 'saved_model.pb': bytes }));
    expect(facts?.signature).toBeUndefined();
    expect(facts?.notes[0]).toBe(
      'Input "x" is a sparse float, which no tensor of a signature can be.',
    );
  });

  test('missing variables and assets', async () => {
    const bytes = model(field(6, field(2, 'vocabulary.txt')));
    const facts = await readModelFacts(
      filesOf({ 'm/saved_model.pb': bytes, 'm/variables/variables.data-00000-of-00003': 'x' }),
    );
    expect(facts?.notes).toEqual([
      'The model was saved without a signature; give one.',
      'The asset "vocabulary.txt" is missing.',
      'Of 3 files of variables, 2 are missing.',
      'The index of the variables, variables/variables.index, is missing.',
    ]);
  });
});

describe('damaged models are refused by name', () => {
  test.each<readonly [string, Uint8Array, RegExp]>([
    ['cut off', model(signature('serving_default', field(2, 1))).subarray(0, 20), /should reach/],
    ['empty', Buffer.alloc(0), /no graph/],
    ['text', Buffer.from('<html>'), /./],
    ['a name that is a number', model(field(5, message(field(1, 1)))), /wrong kind/],
  ])('%s', async (_, bytes, what) => {
    const refusal = readModelFacts(filesOf({ 'm/saved_model.pb': bytes }));
    await expect(refusal).rejects.toMatchObject({
      code: 'CORRUPT',
      details: { file: 'm/saved_model.pb' },
    });
    await expect(refusal).rejects.toThrow(what);
  });
});
