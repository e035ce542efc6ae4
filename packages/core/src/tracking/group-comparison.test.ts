import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compareGroupValues, type GroupComparison } from './group-comparison.ts';

/** Groups of one metric, `loss`, lower is better. */
function groupsOf(
  values: Readonly<Record<string, readonly (number | undefined)[]>>,
): GroupComparison {
  const groups = Object.entries(values).map(([name, of]) => ({
    name,
    runIds: of.map((_, i) => `${name}${i}`),
  }));
  const metric = { name: 'loss', direction: 'lower', values: Object.values(values) } as const;
  return compareGroupValues({ alpha: 0.05, figure: 'final', groups, metrics: [metric] });
}

describe('groups of runs', () => {
  test('by hand: means, intervals, Welch, effect sizes', () => {
    const { metrics, comparisons } = groupsOf({ a: [1, 2, 3, 4], b: [3, 4, 5, 6] });
    const [metric] = metrics;
    const [a, b] = metric?.groups ?? [];
    const [pair] = metric?.pairs ?? [];
    expect(comparisons).toBe(1);
    expect(a).toMatchObject({ count: 4, mean: 2.5 });
    expect(b).toMatchObject({ count: 4, mean: 4.5 });
    expect(a?.deviation).toBeCloseTo(Math.sqrt(5 / 3), 12);
    // t(0.975; 3) = 3.182446305 (tables), standard error √(5/3/4).
    expect(a?.interval?.low).toBeCloseTo(2.5 - 3.182446305 * Math.sqrt(5 / 12), 8);
    expect(a?.interval?.high).toBeCloseTo(2.5 + 3.182446305 * Math.sqrt(5 / 12), 8);
    expect(pair?.difference).toBe(2);
    // Equal variances and sizes: Satterthwaite gives n + m − 2. t² = 4 / (5/6) = 4.8.
    expect(pair?.welch.statistic).toBeCloseTo(Math.sqrt(4.8), 12);
    expect(pair?.welch.degrees).toBeCloseTo(6, 12);
    // With 6 degrees P(|T| ≤ t) = sin θ (1 + cos²θ/2 + 3 cos⁴θ/8), tan θ = t/√6: sin θ = 2/3.
    const within = (2 / 3) * (1 + 5 / 18 + (3 / 8) * (25 / 81));
    expect(pair?.welch.pValue).toBeCloseTo(1 - within, 10);
    // t(0.975; 6) = 2.446911851 (tables).
    expect(pair?.interval.low).toBeCloseTo(2 - 2.446911851 * Math.sqrt(5 / 6), 8);
    // Cohen's d = 2 / √(5/3), Hedges' factor 1 − 3/23.
    expect(pair?.hedgesG).toBeCloseTo((2 / Math.sqrt(5 / 3)) * (20 / 23), 12);
    // Of 16 pairs b is larger in 13 less the ties (3,3) and (4,4), smaller in 1.
    expect(pair?.cliffsDelta).toBe((13 - 1) / 16);
    expect(pair?.better).toBeUndefined();
  });

  test('Mann–Whitney exactly: 8 of 70 orders are as far apart', () => {
    const [metric] = groupsOf({ a: [1, 2, 3, 4], b: [2.5, 5, 6, 7] }).metrics;
    const ranks = metric?.pairs[0]?.mannWhitney;
    // U = 14 of 16; orders with U ≥ 14 are 1 + 1 + 2 of (8 over 4) = 70, and as many on the other side.
    expect(ranks).toMatchObject({ statistic: 14, method: 'exact' });
    expect(ranks?.pValue).toBeCloseTo(8 / 70, 12);
    expect(metric?.pairs[0]?.cliffsDelta).toBe(0.75);
  });

  test('Holm over all pairs and metrics: the least p times their number, and never falling', () => {
    const values = { a: [1, 2, 3, 4], b: [11, 12, 13.5, 14], c: [2, 3, 4, 5.5] };
    const groups = Object.keys(values).map((name) => ({ name, runIds: ['1', '2', '3', '4'] }));
    const of = Object.values(values);
    const metrics = [
      { name: 'loss', direction: 'lower', values: of } as const,
      { name: 'acc', direction: 'higher', values: of } as const,
    ];
    const compared = compareGroupValues({ alpha: 0.05, figure: 'final', groups, metrics });
    const pairs = compared.metrics.flatMap((metric) => metric.pairs);
    expect(compared.comparisons).toBe(6);
    for (const by of ['welch', 'mannWhitney'] as const) {
      const ordered = pairs.toSorted((a, b) => (a[by].pValue ?? 1) - (b[by].pValue ?? 1));
      let largest = 0;
      for (const [i, pair] of ordered.entries()) {
        largest = Math.max(largest, Math.min(1, (pair[by].pValue ?? 1) * (6 - i)));
        expect(pair[by].adjustedPValue).toBeCloseTo(largest, 12);
      }
    }
    const better = compared.metrics.map((metric) => metric.pairs.map((pair) => pair.better));
    expect(better).toEqual([
      ['a', undefined, 'c'],
      ['b', undefined, 'b'],
    ]);
  });

  test('missing and infinite values are gaps, not numbers; a group left with one has no pairs', () => {
    const { metrics, gaps } = groupsOf({ a: [1, 2, Number.NaN], b: [undefined, 3], c: [1, 4, 2] });
    expect(metrics[0]?.groups.map((group) => group.count)).toEqual([2, 1, 3]);
    expect(metrics[0]?.groups[0]?.mean).toBe(1.5);
    expect(metrics[0]?.groups[1]).toMatchObject({ mean: 3, deviation: undefined });
    expect(metrics[0]?.pairs.map((pair) => [pair.first, pair.second])).toEqual([['a', 'c']]);
    expect(gaps).toEqual([
      { metric: 'loss', group: 'a', runId: 'a2', reason: 'the value is NaN' },
      { metric: 'loss', group: 'b', runId: 'b0', reason: 'the run has no such value' },
      { metric: 'loss', group: 'b', reason: '1 of its runs have a value; tests need 2' },
    ]);
  });

  test('constants: the same ones say nothing, different ones differ beyond doubt', () => {
    const same = groupsOf({ a: [1, 1], b: [1, 1] }).metrics[0]?.pairs[0];
    expect(same?.welch).toMatchObject({ pValue: undefined, adjustedPValue: 1 });
    expect(same).toMatchObject({ hedgesG: undefined, cliffsDelta: 0, better: undefined });
    const other = groupsOf({ a: [1, 1], b: [2, 2] }).metrics[0]?.pairs[0];
    expect(other?.welch).toMatchObject({ pValue: 0, degrees: undefined });
    expect(other).toMatchObject({ hedgesG: Infinity, cliffsDelta: 1, better: 'a' });
  });

  test('property: turning the pair round turns every sign and keeps every p', () => {
    const values = fc.array(fc.integer({ min: -9, max: 9 }), { minLength: 2, maxLength: 8 });
    fc.assert(
      fc.property(values, values, (a, b) => {
        const there = groupsOf({ a, b }).metrics[0]?.pairs[0];
        const back = groupsOf({ b, a }).metrics[0]?.pairs[0];
        if (there === undefined || back === undefined) throw new Error('no pair');
        expect(back.difference).toBeCloseTo(-there.difference, 12);
        expect(back.cliffsDelta).toBeCloseTo(-there.cliffsDelta, 12);
        expect(back.hedgesG ?? 0).toBeCloseTo(-(there.hedgesG ?? 0), 10);
        expect(back.welch.pValue ?? -1).toBeCloseTo(there.welch.pValue ?? -1, 12);
        expect(back.mannWhitney.pValue).toBeCloseTo(there.mannWhitney.pValue ?? -1, 12);
        expect(Math.abs(there.cliffsDelta)).toBeLessThanOrEqual(1);
        expect(there.interval.low).toBeLessThanOrEqual(there.difference);
      }),
    );
  });
});
