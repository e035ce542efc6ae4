import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Labelled } from './read-predictions.ts';
import { gapOf, type SegmentFigure, segmentsOf } from './segments-test.ts';

const labelled = (values: readonly unknown[]): { readonly rows: readonly Labelled[] } => ({
  rows: values.map((group) => ({ row: { group } as never, label: 'x', prediction: 'x' })),
});

describe('segmentsOf', () => {
  test('puts each row into the one segment whose range has it', () => {
    const numbers = fc.array(fc.oneof(fc.integer({ min: -9, max: 9 }), fc.double()), {
      maxLength: 30,
    });
    const edges = fc
      .uniqueArray(fc.integer({ min: -8, max: 8 }), { minLength: 1, maxLength: 4 })
      .map((some) => some.toSorted((a, b) => a - b));
    fc.assert(
      fc.property(numbers, edges, (values, cuts) => {
        const found = new Map(segmentsOf(labelled(values), 'group', cuts));
        const counted = (name: string): number => found.get(name)?.rows.length ?? 0;
        const within = (low: number, high: number): number =>
          values.filter((value) => value >= low && value < high).length;
        const first = cuts[0] as number;
        const last = cuts.at(-1) as number;
        expect(counted(`below ${first}`)).toBe(values.filter((value) => value < first).length);
        expect(counted(`from ${last}`)).toBe(values.filter((value) => value >= last).length);
        for (const [i, low] of cuts.slice(0, -1).entries()) {
          const high = cuts[i + 1] as number;
          expect(counted(`${low} to below ${high}`)).toBe(within(low, high));
        }
        expect(counted('(missing)')).toBe(values.filter(Number.isNaN).length);
        const all = [...found.values()].reduce((sum, { rows }) => sum + rows.length, 0);
        expect(all).toBe(values.length);
      }),
    );
  });

  test('takes text as it is, other values by their JSON, and what is missing together', () => {
    const found = segmentsOf(
      labelled(['b', 'a', 1, true, null, '', undefined, 'a']),
      'group',
      undefined,
    );
    expect(found.map(([name, { rows }]) => [name, rows.length])).toEqual([
      ['(missing)', 3],
      ['1', 1],
      ['a', 2],
      ['b', 1],
      ['true', 1],
    ]);
  });

  test('refuses what makes too many segments, or is no number where it is cut', () => {
    const many = Array.from({ length: 201 }, (_, i) => `g${i}`);
    expect(() => segmentsOf(labelled(many), 'group', undefined)).toThrow('cut it by edges');
    expect(() => segmentsOf(labelled(['old']), 'group', [3])).toThrow('"old" is no number');
  });
});

describe('gapOf', () => {
  const segment = fc.record({
    segment: fc.string(),
    rows: fc.nat(100),
    value: fc.double({ min: 0, max: 1, noNaN: true }),
    judged: fc.boolean(),
  });

  test('is the largest difference of any two that are judged', () => {
    fc.assert(
      fc.property(
        fc.array(segment, { maxLength: 8 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (all, maxGap) => {
          const judged = all.filter((each) => each.judged);
          const gaps = judged.flatMap((a) => judged.map((b) => a.value - b.value));
          const found = gapOf(all as SegmentFigure[], maxGap);
          if (judged.length < 2) {
            expect(found).toEqual({ gap: null, passed: false });
            return;
          }
          expect(found.gap).toBe(Math.max(...gaps));
          expect(found.passed).toBe(Math.max(...gaps) <= maxGap);
        },
      ),
    );
  });
});
