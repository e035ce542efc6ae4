import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { filesOf, modelIn, modelsDirectory } from '../../../test/models/model-files.ts';
import type { ModelFacts } from '../../contracts/model-format.ts';
import type { ColumnSpec, TensorSpec } from '../../contracts/model-runtime.ts';
import { readModelFacts } from './read-model-facts.ts';

interface Side {
  readonly columns?: readonly {
    readonly name: string | null;
    readonly type: string;
    readonly required: boolean;
  }[];
  readonly tensors?: readonly {
    readonly name: string | null;
    readonly dtype: string;
    readonly shape: readonly number[];
  }[];
}

interface Report {
  readonly flavors: readonly string[];
  readonly mlflowVersion: string;
  readonly modelUuid: string;
  readonly inputs: Side | null;
  readonly outputs: Side | null;
}

const { models } = JSON.parse(
  readFileSync(join(modelsDirectory, 'mlflow', 'reported.json'), 'utf8'),
) as { readonly models: Readonly<Record<string, Report>> };

async function factsOf(directory: string): Promise<ModelFacts> {
  const facts = await readModelFacts(modelIn(join('mlflow', directory)));
  if (facts === undefined) throw new Error(`${directory} was not recognised`);
  return facts;
}

async function factsOfText(mlmodel: string): Promise<ModelFacts | undefined> {
  return readModelFacts(filesOf({ MLmodel: mlmodel }));
}

/** MLflow writes types within others differently from those at the top. */
function plainly(type: string): string {
  return type.replaceAll('DataType.', '');
}

/** A column in MLflow's own words. */
function inWords(column: ColumnSpec): string {
  const words: Readonly<Record<string, string>> = {
    BOOL: 'boolean',
    INT32: 'integer',
    INT64: 'long',
    FP32: 'float',
    FP64: 'double',
  };
  switch (column.type) {
    case 'text':
      return 'string';
    case 'binary':
    case 'any':
      return column.type === 'any' ? 'Any' : 'binary';
    case 'time':
      return 'datetime';
    case 'list':
      return `Array(${inWords(column.items as ColumnSpec)})`;
    case 'map':
      return `Map(str -> ${inWords(column.items as ColumnSpec)})`;
    case 'object':
      return `{${(column.fields ?? [])
        .map(
          (field) =>
            `${field.name}: ${inWords(field)} (${field.required ? 'required' : 'optional'})`,
        )
        .join(', ')}}`;
    default:
      return words[column.datatype ?? ''] ?? column.type;
  }
}

const dtypes: Readonly<Record<string, TensorSpec['datatype']>> = {
  int64: 'INT64',
  float32: 'FP32',
  float64: 'FP64',
};

describe("MLflow's own reading of a signature is ours", () => {
  test('there are models to compare', () => {
    expect(Object.keys(models).length).toBeGreaterThan(6);
  });

  test.each(Object.entries(models))('%s', async (directory, report) => {
    const { details, signature } = await factsOf(directory);
    expect(Object.keys(details['flavours'] as object).sort()).toEqual(report.flavors);
    expect(details).toMatchObject({
      mlflowVersion: report.mlflowVersion,
      modelUuid: report.modelUuid,
    });
    if (report.inputs?.columns !== undefined)
      expect(
        signature?.inputColumns?.map((column) => ({
          name: column.name ?? null,
          type: inWords(column),
          required: column.required,
        })),
      ).toEqual(report.inputs.columns.map((each) => ({ ...each, type: plainly(each.type) })));
    if (report.outputs?.columns !== undefined)
      expect(signature?.outputColumns?.map((column) => inWords(column))).toEqual(
        report.outputs.columns.map(({ type }) => plainly(type)),
      );
    if (report.outputs?.tensors !== undefined && signature !== undefined)
      expect(signature.outputs.map(({ datatype, shape }) => ({ datatype, shape }))).toEqual(
        report.outputs.tensors.map(({ dtype, shape }) => ({ datatype: dtypes[dtype], shape })),
      );
  });
});

describe('flavours', () => {
  test.each([
    ['columns', 'SKLEARN', 'sklearn', /^1\./],
    ['onnx', 'ONNX', 'onnx', /^1\./],
    ['xgboost', 'XGBOOST', 'xgboost', /^3\./],
    ['every-type', 'PICKLE', 'mlflow', undefined],
  ])('%s', async (directory, format, name, version) => {
    const { framework, ...facts } = await factsOf(directory);
    expect(facts.format).toBe(format);
    expect(framework?.name).toBe(name);
    if (version === undefined) expect(framework?.version).toBeUndefined();
    else expect(framework?.version).toMatch(version);
  });

  test.each([
    ['tensorflow', 'TENSORFLOW'],
    ['keras', 'TENSORFLOW'],
    ['pytorch', 'PYTORCH'],
    ['spark', 'CUSTOM'],
  ])('%s', async (flavour, format) => {
    const facts = await factsOfText(
      `flavors:\n  python_function: {loader_module: mlflow.${flavour}}\n  ${flavour}: {data: x}\n`,
    );
    expect(facts).toMatchObject({ format, framework: { name: flavour } });
  });

  test('without a signature, that of the model itself counts', async () => {
    const { signature, notes, details } = await factsOf('onnx');
    expect(signature?.inputs).toEqual([{ name: 'x', datatype: 'FP32', shape: [-1, -1, 4] }]);
    expect(notes).toContain("The signature is that of the model's own file.");
    expect(details['content']).toMatchObject({ format: 'ONNX', irVersion: 8 });
  });

  test('params are told of, and are no inputs', async () => {
    expect((await factsOf('every-type')).details['params']).toContainEqual({
      name: 'temperature',
      default: 0.5,
      shape: null,
      type: 'float',
    });
  });
});

describe('signatures', () => {
  const signed = (inputs: unknown, outputs: unknown) =>
    factsOfText(
      JSON.stringify({
        flavors: { python_function: {} },
        signature: { inputs: JSON.stringify(inputs), outputs: JSON.stringify(outputs) },
      }),
    );

  test('tensors without names are called as MLServer calls them', async () => {
    const { signature, notes } = await factsOf('tensors');
    expect(signature).toEqual({
      inputs: [{ name: 'input-0', datatype: 'FP32', shape: [-1, 5] }],
      outputs: [{ name: 'label', datatype: 'INT64', shape: [-1] }],
    });
    expect(notes.join()).toContain('input-0, as MLServer calls them');
  });

  test('a tensor of complex numbers leaves no signature', async () => {
    const { signature, notes } = await factsOf('named-tensors');
    expect(signature).toBeUndefined();
    expect(notes.slice(0, 2)).toEqual([
      'Input "complex64" is a complex64, which no tensor of a signature can be.',
      'So there is no signature.',
    ]);
  });

  test('columns that may be left out, in the words of today and of before', async () => {
    const inputs = [
      { name: 'a', type: 'long', required: false },
      { name: 'b', type: 'long', optional: true },
      { name: 'c', type: 'long' },
    ];
    const facts = await signed(inputs, [{ type: 'double' }]);
    expect(facts?.signature?.inputColumns?.map(({ required }) => required)).toEqual([
      false,
      false,
      true,
    ]);
    expect(facts?.signature?.outputColumns).toEqual([
      { type: 'number', datatype: 'FP64', required: true },
    ]);
  });

  test('a type of a later MLflow is named, and leaves no signature', async () => {
    const facts = await signed([{ name: 'a', type: 'quaternion' }], [{ type: 'double' }]);
    expect(facts?.signature).toBeUndefined();
    expect(facts?.notes.join()).toContain('"quaternion"');
  });

  test('none', async () => {
    const facts = await factsOf('unsigned');
    expect(facts.signature).toBeUndefined();
    expect(facts.notes).toContain('MLmodel does not say what the model takes.');
  });
});

describe('damaged and hostile files are refused by name', () => {
  const aliases = Array.from(
    { length: 9 },
    (_, i) => `a${i + 1}: &a${i + 1} [${Array(9).fill(`*a${i}`).join(', ')}]`,
  );

  test.each<readonly [string, string, 'CORRUPT' | 'INVALID', RegExp]>([
    ['no YAML', 'flavors: [', 'CORRUPT', /no YAML/],
    ['no flavours', 'a: 1', 'CORRUPT', /no flavors/],
    ['empty', '', 'CORRUPT', /no flavors/],
    ['aliases that unfold', `a0: &a0 [x, x]\n${aliases.join('\n')}`, 'INVALID', /aliases/],
    [
      'many aliases',
      `flavors:\n  a: &a b\n${'  c: *a\n'.repeat(5000)}`,
      'INVALID',
      /more than 500/,
    ],
    ['a value within itself', 'flavors: &a\n  b: *a', 'INVALID', /levels/],
    ['deep lists', `flavors: ${'['.repeat(100_000)}`, 'INVALID', /64 levels/],
    ['deep dashes', `flavors:\n${'- '.repeat(20_000)}`, 'CORRUPT', /no YAML/],
    [
      'many keys',
      Array.from({ length: 60_000 }, (_, i) => `k${i}: v`).join('\n'),
      'INVALID',
      /parts/,
    ],
    ['5 MB', `flavors: '${'x'.repeat(5_000_000)}'`, 'INVALID', /bytes/],
    ['NUL', 'flavors: {a: "\\0"}', 'INVALID', /NUL/],
    [
      'a signature that is no JSON',
      'flavors: {a: {}}\nsignature: {inputs: "[{"}',
      'CORRUPT',
      /inputs of its signature/,
    ],
    [
      'a signature that is no list',
      'flavors: {a: {}}\nsignature: {inputs: "{}"}',
      'CORRUPT',
      /no list/,
    ],
    [
      'a tensor without a shape',
      'flavors: {a: {}}\nsignature: {inputs: \'[{"type": "tensor"}]\'}',
      'CORRUPT',
      /dtype or shape/,
    ],
  ])('%s', async (_, text, code, what) => {
    const startedAt = performance.now();
    const refusal = readModelFacts(filesOf({ 'net/MLmodel': text }));
    await expect(refusal).rejects.toMatchObject({ code, details: { file: 'net/MLmodel' } });
    await expect(refusal).rejects.toThrow(what);
    await expect(refusal).rejects.toThrow('net/MLmodel');
    expect(performance.now() - startedAt).toBeLessThan(5_000);
  });

  test('what lies outside the directory is not looked at', async () => {
    const facts = await readModelFacts(
      filesOf({
        'net/MLmodel': 'flavors: {onnx: {data: ../other/model.onnx}}',
        'other/model.onnx': 'x',
      }),
    );
    expect(facts).toMatchObject({ format: 'ONNX' });
    expect(facts?.details['content']).toBeUndefined();
  });

  test('a damaged model within is told of', async () => {
    const refusal = readModelFacts(
      filesOf({ MLmodel: 'flavors: {onnx: {data: model.onnx}}', 'model.onnx': 'nothing' }),
    );
    await expect(refusal).rejects.toMatchObject({
      code: 'CORRUPT',
      details: { file: 'model.onnx' },
    });
  });
});
