import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Datatype, TensorSpec } from '../../contracts/model-runtime.ts';
import type { Json, JsonObject } from '../../json.ts';
import { inputTensors } from './input-tensors.ts';
import { outputRows } from './output-rows.ts';

function roundTrip(spec: TensorSpec, rows: readonly JsonObject[]): readonly JsonObject[] {
  return outputRows([spec], inputTensors([spec], rows), rows.length);
}

const element: Readonly<Record<string, fc.Arbitrary<Json>>> = {
  BOOL: fc.boolean(),
  INT8: fc.integer({ min: -128, max: 127 }),
  UINT16: fc.integer({ min: 0, max: 65_535 }),
  INT32: fc.integer(),
  INT64: fc.oneof(fc.maxSafeInteger(), fc.constant('9223372036854775807')),
  UINT64: fc.oneof(fc.maxSafeNat(), fc.constant('18446744073709551615')),
  FP32: fc.float(),
  FP64: fc.double(),
  BYTES: fc.string({ unit: 'grapheme' }).filter((text) => !text.includes('\u0000')),
};

describe('rows and tensors', () => {
  test.each(Object.keys(element))('%s: rows come back as they were', (name) => {
    const datatype = name as Datatype;
    const single: TensorSpec = { name: 'x', datatype, shape: [-1] };
    const table: TensorSpec = { name: 'x', datatype, shape: [-1, 2], columns: ['a', 'b'] };
    const matrix: TensorSpec = { name: 'x', datatype, shape: [-1, 2, -1] };
    const value = element[name] as fc.Arbitrary<Json>;
    fc.assert(
      fc.property(fc.array(fc.tuple(value, value), { minLength: 1, maxLength: 5 }), (pairs) => {
        const singles = pairs.map(([x]) => ({ x }));
        expect(roundTrip(single, singles)).toEqual(singles);
        const named = pairs.map(([a, b]) => ({ a, b }));
        expect(roundTrip(table, named)).toEqual(named.map((row) => ({ x: row })));
        const nested = pairs.map(([a, b]) => ({ x: [[a], [b]] }));
        expect(roundTrip(matrix, nested)).toEqual(pairs.map(([a, b]) => ({ x: [a, b] })));
      }),
    );
  });

  test('texts that read as numbers are numbers, what is missing is NaN', () => {
    const table: TensorSpec = { name: 'x', datatype: 'FP64', shape: [-1, 2], columns: ['a', 'b'] };
    const rows = [
      { a: '1.5', b: '' },
      { a: ' 2', b: null },
      { a: '1e3', b: 'NaN' },
    ];
    expect(roundTrip(table, rows).map(({ x }) => Object.values(x as object))).toEqual([
      [1.5, Number.NaN],
      [2, Number.NaN],
      [1000, Number.NaN],
    ]);
  });

  test.each([
    [{ datatype: 'FP64', shape: [-1] }, [{ x: 1 }, { y: 1 }], 'row 2 has no x, which is an input'],
    [{ datatype: 'FP64', shape: [-1] }, [{ x: 'high' }], 'row 1, input x: "high" is not a number'],
    [{ datatype: 'UINT8', shape: [-1] }, [{ x: 256 }], 'not an integer in the range of UINT8'],
    [{ datatype: 'INT32', shape: [-1] }, [{ x: 1.5 }], 'not an integer in the range of INT32'],
    [{ datatype: 'UINT64', shape: [-1] }, [{ x: -1 }], 'in the range of UINT64'],
    [{ datatype: 'BYTES', shape: [-1] }, [{ x: 5 }], 'row 1, input x: 5 is not text'],
    [{ datatype: 'FP32', shape: [-1, 3] }, [{ x: [1, 2] }], 'row 1 has 2 values for input x'],
    [{ datatype: 'FP32', shape: [-1, -1] }, [{ x: [1] }, { x: [1, 2] }], 'row 2 has input x of'],
    [{ datatype: 'FP16', shape: [-1] }, [{ x: 1 }], 'FP16'],
    [{ datatype: 'FP64', shape: [-1, 2], columns: ['a', 'b'] }, [{ a: 1 }], 'no b, which is a col'],
  ] as const)('%j of %j is refused', (spec, rows, said) => {
    expect(() => inputTensors([{ name: 'x', ...spec }], rows as never)).toThrow(said);
  });

  test('halves are the numbers that their bits stand for', () => {
    const half = (datatype: Datatype, bits: readonly number[]): readonly unknown[] => {
      const data = Uint16Array.from(bits);
      const tensor = { name: 'x', datatype, shape: [bits.length], data };
      const spec = { name: 'x', datatype, shape: [-1] };
      return outputRows([spec], [tensor], bits.length).map(({ x }) => x);
    };
    expect(half('FP16', [0x3c00, 0xc000, 0x7bff, 0x0001, 0x7c00, 0xfc00, 0x3555, 0x8000])).toEqual([
      1,
      -2,
      65_504,
      2 ** -24,
      Infinity,
      -Infinity,
      0.333251953125,
      -0,
    ]);
    expect(half('FP16', [0x7e00])).toEqual([Number.NaN]);
    expect(half('BF16', [0x3f80, 0xc040, 0x7f80])).toEqual([1, -3, Infinity]);
  });

  test.each([
    ['no list', { a: 1 }, 'no list of outputs'],
    ['a missing output', [], 'no output y'],
    ['null', [null], 'no output y'],
    ['another type', [{ name: 'y', datatype: 'FP32', shape: [2], data: [1, 2] }], 'is FP32'],
    ['too few rows', [{ name: 'y', datatype: 'FP64', shape: [1], data: [1] }], 'has 1 rows'],
    ['no shape', [{ name: 'y', datatype: 'FP64', data: [1] }], 'has no rows'],
    ['another rank', [{ name: 'y', datatype: 'FP64', shape: [2, 1], data: [1, 2] }], 'shape [2,1]'],
    ['too few values', [{ name: 'y', datatype: 'FP64', shape: [2], data: [1] }], 'has 1 values'],
    ['no values', [{ name: 'y', datatype: 'FP64', shape: [2] }], 'has no values'],
  ])('an answer with %s is refused', (_, answer, said) => {
    const spec = { name: 'y', datatype: 'FP64', shape: [-1] } as const;
    expect(() => outputRows([spec], answer, 2)).toThrow(said);
  });
});
