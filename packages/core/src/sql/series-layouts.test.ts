import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { RowColumn } from '../contracts/series-store.ts';
import { isKeelsonError } from '../errors.ts';
import { decodeChunk, decodeChunkValues, encodeChunk } from './series-chunk.ts';
import { concatPoints, lowerBound, type PointSet, sortPoints } from './series-points.ts';
import { cutRows, decodeRows, encodeRows } from './series-rows.ts';
import { decodeSegment, encodeSegment } from './series-segment.ts';
import { addToSummary, type SummaryState, toSummary } from './series-summary.ts';

const anyNumber = fc.oneof(
  fc.double(),
  fc.constantFrom(Number.NaN, -0, 0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY),
);
const anyStep = fc.oneof(fc.maxSafeInteger(), fc.integer({ min: -3, max: 300 }));
const anyTime = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((time) => time + 0),
  fc.integer({ min: 1_700_000_000_000, max: 1_700_000_100_000 }),
  fc.constantFrom(0, 2 ** 52, 2 ** 53 - 1, -(2 ** 53 - 1)),
);
const anyWriter = fc.oneof(fc.integer({ min: 1, max: 3 }), fc.constantFrom(1, 2 ** 32 - 1));

/** Columns that are regular, of small steps, or of anything at all. */
const columnOf = (item: fc.Arbitrary<number>, length: number): fc.Arbitrary<number[]> =>
  fc.oneof(
    fc.array(item, { minLength: length, maxLength: length }),
    fc
      .tuple(fc.integer({ min: -1_000, max: 1_000 }), fc.integer({ min: -5, max: 50 }))
      .map(([start, stride]) => Array.from({ length }, (_, i) => start + i * stride)),
  );

const anyPoints: fc.Arbitrary<PointSet> = fc.integer({ min: 0, max: 60 }).chain((length) =>
  fc
    .tuple(
      columnOf(anyStep, length),
      columnOf(anyTime, length),
      columnOf(anyNumber, length),
      fc.array(anyWriter, { minLength: length, maxLength: length }),
    )
    .map(([steps, timestamps, values, writers]) => ({
      steps: Float64Array.from(steps),
      timestamps: Float64Array.from(timestamps),
      values: Float64Array.from(values),
      writers: Uint32Array.from(writers),
    })),
);

/** Each value as its bits, so that NaN equals NaN and −0 does not equal 0. */
const bits = (points: PointSet): unknown => [
  new BigUint64Array(points.steps.slice().buffer),
  new BigUint64Array(points.timestamps.slice().buffer),
  new BigUint64Array(points.values.slice().buffer),
  points.writers,
];

describe('chunks', () => {
  test('give back every bit of what was packed', () => {
    fc.assert(
      fc.property(anyPoints, (points) => {
        const bytes = encodeChunk(points);
        expect(bits(decodeChunk(bytes))).toEqual(bits(points));
        // Wherever the bytes lie in memory.
        const shifted = new Uint8Array(bytes.length + 3);
        shifted.set(bytes, 3);
        expect(bits(decodeChunk(shifted.subarray(3)))).toEqual(bits(points));
        expect([...decodeChunkValues(bytes).steps]).toEqual([...points.steps]);
      }),
      { numRuns: 500 },
    );
  });

  test('of a steady series cost at most 10 bytes a point', () => {
    const count = 4_096;
    const bytes = encodeChunk({
      steps: Float64Array.from({ length: count }, (_, i) => 70_000 + i * 10),
      timestamps: Float64Array.from({ length: count }, (_, i) => 1.7e12 + i * 12 + (i % 3)),
      values: Float64Array.from({ length: count }, (_, i) => Math.sin(i)),
      writers: new Uint32Array(count).fill(3),
    });
    expect(bytes.length / count).toBeLessThan(10);
  });

  test('with any one bit flipped are CORRUPT, never another answer', () => {
    const points = (seed: number): PointSet => ({
      steps: Float64Array.from({ length: 40 }, (_, i) => i * i + seed),
      timestamps: Float64Array.from({ length: 40 }, (_, i) => 1.7e12 + ((i * 7) % 11)),
      values: Float64Array.from({ length: 40 }, (_, i) => i / 3),
      writers: Uint32Array.from({ length: 40 }, (_, i) => i % 3),
    });
    const bytes = encodeChunk(points(1));
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const damaged = bytes.slice();
      damaged[bit >> 3] = (damaged[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(codeOf(() => decodeChunk(damaged))).toBe('CORRUPT');
    }
    for (const length of [0, 7, 31, bytes.length - 1]) {
      expect(codeOf(() => decodeChunk(bytes.subarray(0, length)))).toBe('CORRUPT');
    }
  });
});

describe('segments', () => {
  test('give back every bit of what was appended', () => {
    const anySegment = fc.tuple(anyPoints, fc.constantFrom(1, 200, 256, 257, 70_000));
    fc.assert(
      fc.property(anySegment, ([points, series]) => {
        const segment = {
          keyIds: Float64Array.from({ length: series }, (_, i) => i * 3),
          ownerIds: Float64Array.from({ length: series }, (_, i) => i + 2 ** 40),
          index: Uint32Array.from(points.steps, (_, i) => (i * 7_919) % series),
          steps: points.steps,
          timestamps: points.timestamps,
          values: points.values,
        };
        const { writers } = points;
        const read = decodeSegment(encodeSegment(segment));
        expect(bits({ ...read, writers })).toEqual(bits(points));
        expect([...read.index]).toEqual([...segment.index]);
        expect([read.keyIds.at(-1), read.ownerIds.at(-1)]).toEqual([
          segment.keyIds.at(-1),
          segment.ownerIds.at(-1),
        ]);
      }),
      { numRuns: 60 },
    );
  });
});

describe('rows', () => {
  const text = fc.option(fc.string({ unit: 'grapheme' }), { nil: null });
  const anyRows = fc.integer({ min: 0, max: 20 }).chain((length) => {
    const list = <T>(item: fc.Arbitrary<T>): fc.Arbitrary<T[]> =>
      fc.array(item, { minLength: length, maxLength: length });
    const column: fc.Arbitrary<RowColumn> = fc.oneof(
      list(anyNumber).map((values) => ({
        type: 'number' as const,
        values: Float64Array.from(values),
      })),
      fc.tuple(list(anyNumber), list(fc.nat(1))).map(([values, missing]) => ({
        type: 'number' as const,
        values: Float64Array.from(values),
        missing: Uint8Array.from(missing),
      })),
      list(text).map((values) => ({ type: 'text' as const, values })),
      list(text).map((values) => ({ type: 'json' as const, values })),
    );
    return fc.tuple(list(anyTime), fc.dictionary(fc.string(), column));
  });

  test('come back as they were, cut to a range too', () => {
    fc.assert(
      fc.property(anyRows, ([at, columns]) => {
        const rows = decodeRows(encodeRows(Float64Array.from(at), columns));
        expect([...rows.at]).toEqual(at);
        expect(rows.columns).toEqual({ ...columns });
        const cut = cutRows(rows, 0, 1.7e12 + 50_000);
        const kept = at.flatMap((time, i) => (time >= 0 && time < 1.7e12 + 50_000 ? [i] : []));
        expect([...cut.at]).toEqual(kept.map((i) => at[i]));
        for (const [name, column] of Object.entries(columns)) {
          expect([...(cut.columns[name]?.values ?? [])]).toEqual(kept.map((i) => column.values[i]));
        }
      }),
      { numRuns: 300 },
    );
  });

  test('come back to the last bit in whatever form their numbers are stored', () => {
    const wholes = fc.tuple(
      fc.integer({ min: -(2 ** 40), max: 2 ** 40 }),
      fc.constantFrom(1, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, 2 ** 52),
      fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 8 }),
    );
    const numbers = fc.oneof(
      wholes.map(([base, span, shares]) => shares.map((share) => base + Math.floor(share * span))),
      wholes.map(([base, span]) => [base, base + span]),
      fc.array(fc.constantFrom(-0, 0), { minLength: 1, maxLength: 5 }),
      fc.array(fc.float(), { minLength: 1, maxLength: 8 }),
      fc.tuple(anyNumber, fc.nat(5)).map(([value, times]) => Array<number>(times + 1).fill(value)),
    );
    const bitsOf = (values: Float64Array) => [...new BigUint64Array(values.slice().buffer)];
    fc.assert(
      fc.property(numbers, (list) => {
        const values = Float64Array.from(list);
        const rows = decodeRows(encodeRows(values, { n: { type: 'number', values } }));
        expect(bitsOf(rows.at)).toEqual(bitsOf(values));
        expect(bitsOf(rows.columns['n']?.values as Float64Array)).toEqual(bitsOf(values));
      }),
      { numRuns: 1000 },
    );
  });

  test('of few bytes are stored in few', () => {
    const count = 4096;
    const size = (value: (i: number) => number): number => {
      const values = Float64Array.from({ length: count }, (_, i) => value(i));
      return encodeRows(new Float64Array(count), { n: { type: 'number', values } }).length;
    };
    const sizes = [
      () => 1.1,
      (i: number) => 1e12 + (i % 256),
      (i: number) => i,
      (i: number) => i / 2,
    ];
    const [same = 0, ...rest] = sizes.map(size);
    expect(same).toBeLessThan(256);
    expect(rest.map((bytes) => Math.round((bytes - same) / count))).toEqual([1, 2, 4]);
    const ids = Array.from({ length: count }, (_, i) => `request-${1_000_000 + i}`);
    const [one, other] = [ids, ids.map((_, i) => ids[i % 100] as string)].map(
      (values) => encodeRows(new Float64Array(count), { t: { type: 'text', values } }).length,
    );
    expect(Math.round((one as number) / count)).toBe(16);
    expect(Math.round((other as number) / count)).toBe(1);
  });

  test('of the first layout are read', () => {
    const stored =
      'AQAAANFME2wDAAAAogAAAHsiYXQiOlswLDI0XSwiY29sdW1ucyI6W3sibmFtZSI6Im4iLCJ0eXBlIjoibnVtYmVyIiwidmFsdWVzIjpbMjQsMjRdLCJtaXNzaW5nIjpbNDgsM119LHsibmFtZSI6InQiLCJ0eXBlIjoidGV4dCIsInRleHQiOls1NiwxMV0sImxlbmd0aHMiOls3Miw4XSwiaW5kZXgiOls4MCwzXX1dfQAAAAAAAAAAAAAAAPA/AAAAAAAAAEAAAAAAAAAIQAAAAAAAAOA/AAAAAAAA+H8AAAAAAAAcQAABAAAAAAAAcmFpbnN1biDimIAAAAAAAAQAAAAFAAAAAAIBAAAAAAA=';
    expect(decodeRows(Buffer.from(stored, 'base64'))).toEqual({
      at: Float64Array.of(1, 2, 3),
      columns: {
        n: {
          type: 'number',
          values: Float64Array.of(0.5, Number.NaN, 7),
          missing: Uint8Array.of(0, 1, 0),
        },
        t: { type: 'text', values: ['rain', null, 'sun ☀'] },
      },
    });
  });

  test('with any one bit flipped are CORRUPT', () => {
    const bytes = encodeRows(Float64Array.of(1, 2, 3), {
      label: { type: 'text', values: ['rain', null, 'sun'] },
    });
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const damaged = bytes.slice();
      damaged[bit >> 3] = (damaged[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(codeOf(() => decodeRows(damaged))).toBe('CORRUPT');
    }
  });

  test('of 70,000 different texts are told apart', () => {
    const values = Array.from({ length: 70_000 }, (_, i) => `text ${i}`);
    const rows = decodeRows(
      encodeRows(new Float64Array(values.length), { t: { type: 'text', values } }),
    );
    expect(rows.columns['t']?.values).toEqual(values);
  });
});

describe('the order of points', () => {
  const compareWriters = (a: number, b: number): number => b - a;

  test('is that of a stable sort by step, timestamp and writer', () => {
    const few = fc.tuple(fc.nat(4), fc.nat(2), fc.nat(2));
    fc.assert(
      fc.property(fc.array(few, { maxLength: 80 }), (list) => {
        const points: PointSet = {
          steps: Float64Array.from(list, ([step]) => step),
          timestamps: Float64Array.from(list, ([, time]) => time),
          values: Float64Array.from(list, (_, i) => i),
          writers: Uint32Array.from(list, ([, , writer]) => writer),
        };
        const expected = list
          .map(([step, time, writer], i) => ({ step, time, writer, i }))
          .toSorted((a, b) => a.step - b.step || a.time - b.time || b.writer - a.writer);
        const sorted = sortPoints(points, compareWriters);
        expect([...sorted.values]).toEqual(expected.map((point) => point.i));
        for (let step = -1; step <= 5; step++) {
          const first = expected.findIndex((point) => point.step >= step);
          expect(lowerBound(sorted.steps, step)).toBe(first < 0 ? expected.length : first);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('summaries', () => {
  test('are the same to the last bit, however the points are cut into batches', () => {
    const cuts = fc.array(fc.nat(60), { maxLength: 5 });
    fc.assert(
      fc.property(anyPoints, cuts, (points, places) => {
        const count = points.steps.length;
        if (count === 0) return;
        const bounds = [0, ...places.map((p) => p % count).toSorted((a, b) => a - b), count];
        let pieces: SummaryState | undefined;
        for (let i = 1; i < bounds.length; i++) {
          const from = bounds[i - 1] as number;
          const to = bounds[i] as number;
          if (to > from) pieces = add(pieces, cut(points, from, to));
        }
        expect(pieces).toEqual(add(undefined, points));
      }),
      { numRuns: 300 },
    );
  });

  test('add up without losing small values beside large ones', () => {
    const values = [1e16, ...Array<number>(1_000).fill(1), -1e16];
    const points: PointSet = {
      steps: Float64Array.from(values, (_, i) => i),
      timestamps: new Float64Array(values.length),
      values: Float64Array.from(values),
      writers: new Uint32Array(values.length),
    };
    expect(toSummary('k', add(undefined, points)).mean).toBe(1_000 / 1_002);
  });

  const byNumber = (a: number, b: number): number => a - b;
  const add = (state: SummaryState | undefined, points: PointSet): SummaryState =>
    addToSummary(state, points.values, sortPoints(points, byNumber), byNumber);
  const cut = (points: PointSet, from: number, to: number): PointSet =>
    concatPoints([
      {
        steps: points.steps.slice(from, to),
        timestamps: points.timestamps.slice(from, to),
        values: points.values.slice(from, to),
        writers: points.writers.slice(from, to),
      },
    ]);
});

function codeOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    return isKeelsonError(error) ? error.code : String(error);
  }
  return 'no error';
}
