import { describe, expect, test } from 'vitest';
import type {
  ColumnSpec,
  ModelSignature,
  TensorSpec,
  ValueSpec,
} from '../contracts/model-runtime.ts';
import { signatureBreaks } from './signature-breaks.ts';

const none: ModelSignature = { inputs: [], outputs: [] };
const x: TensorSpec = { name: 'x', datatype: 'FP32', shape: [-1, 4] };
const column = (name: string | undefined, more: Partial<ColumnSpec> = {}): ColumnSpec => ({
  ...(name === undefined ? {} : { name }),
  type: 'number',
  datatype: 'FP64',
  required: true,
  ...more,
});

describe('tensors', () => {
  const unranked: TensorSpec = { name: 'x', datatype: 'FP32', shape: [], unranked: true };
  const scalar: TensorSpec = { name: 'x', datatype: 'FP32', shape: [] };

  test.each<readonly [string, TensorSpec, TensorSpec, readonly string[]]>([
    ['the same', x, x, []],
    ['freer', { ...x, shape: [1, 4] }, x, []],
    ['less free', x, { ...x, shape: [1, 4] }, ['input x changed']],
    ['of any rank', x, unranked, []],
    ['no longer of any rank', unranked, x, ['input x changed']],
    ['a scalar, not of any rank', unranked, scalar, ['input x changed']],
    ['of any rank as before', unranked, unranked, []],
  ])('an input that is %s', (_, former, next, breaks) => {
    expect(signatureBreaks({ ...none, inputs: [former] }, { ...none, inputs: [next] })).toEqual(
      breaks,
    );
  });
});

describe('columns', () => {
  test.each<readonly [string, readonly ColumnSpec[], readonly ColumnSpec[], readonly string[]]>([
    ['the same in another order', [column('a'), column('b')], [column('b'), column('a')], []],
    ['a new one', [column('a')], [column('a'), column('b')], ['input column b is new']],
    ['a new one that may be missing', [], [column('b', { required: false })], []],
    ['one that is gone', [column('a'), column('b')], [column('a')], ['input column b is gone']],
    [
      'another width',
      [column('a')],
      [column('a', { datatype: 'FP32' })],
      ['input column a changed'],
    ],
    [
      'texts for bytes',
      [column('a', { type: 'binary', datatype: 'BYTES' })],
      [column('a', { type: 'text', datatype: 'BYTES' })],
      ['input column a changed'],
    ],
    [
      'one that must be given now',
      [column('a', { required: false })],
      [column('a')],
      ['input column a is required now'],
    ],
    ['anything now', [column('a')], [{ name: 'a', type: 'any', required: true }], []],
    ['places', [column(undefined), column(undefined)], [column(undefined), column(undefined)], []],
    [
      'a place more',
      [column(undefined)],
      [column(undefined), column(undefined)],
      ['input columns changed'],
    ],
    ['names for places', [column(undefined)], [column('a')], ['input columns changed']],
  ])('of inputs: %s', (_, inputColumns, next, breaks) => {
    expect(signatureBreaks({ ...none, inputColumns }, { ...none, inputColumns: next })).toEqual(
      breaks,
    );
  });

  test.each<readonly [string, readonly ColumnSpec[], readonly ColumnSpec[], readonly string[]]>([
    ['a new one', [column('a')], [column('a'), column('b')], []],
    ['one that is gone', [column('a'), column('b')], [column('a')], ['output column b is gone']],
    [
      'one that may be missing',
      [column('a')],
      [column('a', { required: false })],
      ['output column a may be missing now'],
    ],
    [
      'anything now',
      [column('a')],
      [{ name: 'a', type: 'any', required: true }],
      ['output column a changed'],
    ],
  ])('of outputs: %s', (_, outputColumns, next, breaks) => {
    expect(signatureBreaks({ ...none, outputColumns }, { ...none, outputColumns: next })).toEqual(
      breaks,
    );
  });

  const list = (items: ValueSpec): readonly ColumnSpec[] => [
    { name: 'a', type: 'list', items, required: true },
  ];
  const record = (...fields: readonly ColumnSpec[]): readonly ColumnSpec[] => [
    { name: 'a', type: 'object', fields, required: true },
  ];
  test.each<readonly [string, readonly ColumnSpec[], readonly ColumnSpec[], boolean]>([
    ['lists', list({ type: 'text' }), list({ type: 'text' }), true],
    ['lists of something else', list({ type: 'text' }), list({ type: 'time' }), false],
    [
      'lists of lists',
      list({ type: 'list', items: { type: 'text' } }),
      list({ type: 'list' }),
      true,
    ],
    ['objects', record(column('f')), record(column('f')), true],
    ['objects with one more field', record(column('f')), record(column('f'), column('g')), false],
    [
      'objects with a field that may be missing',
      record(column('f')),
      record(column('f'), column('g', { required: false })),
      true,
    ],
    ['objects with one field less', record(column('f'), column('g')), record(column('f')), false],
  ])('of %s', (_, inputColumns, next, fits) => {
    const breaks = signatureBreaks({ ...none, inputColumns }, { ...none, inputColumns: next });
    expect(breaks).toEqual(fits ? [] : ['input column a changed']);
  });
});

describe('JSON Schemas', () => {
  const number = { type: 'number' };
  const integer = { type: 'integer' };

  test('inputs may be taken more freely, outputs given more narrowly', () => {
    const former = { ...none, inputSchema: integer, outputSchema: number };
    const next = { ...none, inputSchema: number, outputSchema: integer };
    expect(signatureBreaks(former, next)).toEqual([]);
    expect(signatureBreaks(next, former)).toEqual([
      'the schema of the inputs changed, and cannot be shown to fit the former',
      'the schema of the outputs changed, and cannot be shown to fit the former',
    ]);
  });
});

describe('another way to describe a side', () => {
  const tensors = { ...none, inputs: [x] };
  const columns = { ...none, inputColumns: [column('x')], outputColumns: [column('y')] };
  const schema = { ...none, inputSchema: {}, outputSchema: {} };

  test.each<readonly [string, ModelSignature, ModelSignature, readonly string[]]>([
    [
      'columns for tensors',
      tensors,
      columns,
      ['input x is gone', 'inputs are described as columns now'],
    ],
    [
      'tensors for columns',
      columns,
      tensors,
      [
        'input x is new',
        'inputs are no longer described as columns',
        'outputs are no longer described as columns',
      ],
    ],
    [
      'a schema besides',
      columns,
      { ...columns, ...schema, inputs: [], outputs: [] },
      ['inputs must fit a schema now'],
    ],
    [
      'the schema left out',
      { ...columns, inputSchema: {} },
      columns,
      ['inputs no longer have a schema'],
    ],
  ])('%s', (_, former, next, breaks) => {
    expect(signatureBreaks(former, next)).toEqual(breaks);
  });
});
