import { describe, expect, test } from 'vitest';
import { expectCloseTo } from '../../statistics/fixtures/close-to.ts';
import { irwinHall } from '../../statistics/fixtures/reference-stream.ts';
import {
  mergeCovariance,
  principalComponents,
  RunningCovariance,
  seededRandom,
} from '../../statistics/index.ts';
import { multivariateBaseline, multivariateDrift } from './multivariate.ts';

/** Four columns, the second of which goes with the first or against it; every column alone stays as it is. */
function table(seed: number, rows: number, sign: number) {
  const [a, b, c, d] = [0, 1, 2, 3].map((k) => irwinHall(seed + k, rows, 0, 1)) as [
    number[],
    number[],
    number[],
    number[],
  ];
  return {
    a: Float64Array.from(a),
    b: Float64Array.from(b, (value, i) => sign * 0.8 * (a[i] as number) + 0.6 * value),
    c: Float64Array.from(c),
    d: Float64Array.from(d, (value, i) => 0.5 * (c[i] as number) + 0.5 * (b[i] as number) + value),
  };
}

describe('reconstruction through principal components', () => {
  test('is that of scikit-learn 1.9.1 (StandardScaler, PCA(n_components=0.65))', () => {
    const baseline = multivariateBaseline(table(100, 500, 1), { chunksBy: 'order' });
    expect(baseline?.components.directions).toHaveLength(2);
    expectCloseTo(baseline?.components.keptShare ?? 0, 0.8050945664854949, 1e-12);
    expectCloseTo(baseline?.error.mean ?? 0, 0.7581108174604683, 1e-12);
    expectCloseTo(baseline?.chunks.deviation ?? 0, 0.04205585567854775, 1e-12);
    const drift = multivariateDrift(baseline as never, table(200, 500, -1));
    expectCloseTo(drift.score ?? 0, 1.3658594511622912, 1e-12);
    expect(drift).toMatchObject({ detected: true, severity: 'CRITICAL' });
    expect(
      drift.features
        .slice(0, 2)
        .map(({ feature }) => feature)
        .sort(),
    ).toEqual(['a', 'b']);
  });

  test('merges: shards give the components of the whole', () => {
    const random = seededRandom('shards');
    const rows = Array.from({ length: 300 }, () => {
      const x = random.normal();
      return [1e6 + x, x + random.normal(), random.normal()];
    });
    const of = (part: readonly number[][]) => {
      const sums = new RunningCovariance(3);
      for (const row of part) sums.add(row);
      return sums.sums;
    };
    const merged = mergeCovariance(of(rows.slice(0, 100)), of(rows.slice(100)));
    const [whole, joined] = [principalComponents(of(rows), 0.9), principalComponents(merged, 0.9)];
    expect(joined.directions.length).toBe(whole.directions.length);
    for (const [k, direction] of whole.directions.entries()) {
      for (const [i, each] of direction.entries()) {
        expectCloseTo(joined.directions[k]?.[i] ?? 0, each, 1e-9, 1e-9);
      }
    }
  });

  test('is the same in whatever order rows come, sampled or not, as rows or as columns', () => {
    const columns = { ...table(1, 3000, 1), plan: table(9, 3000, 1).a };
    const rows = Array.from({ length: 3000 }, (_, i) => ({
      ...{ a: columns.a[i], b: columns.b[i], c: columns.c[i], d: columns.d[i] },
      plan: (columns.plan[i] as number) > 0.5 ? 'free' : 'paid',
    }));
    const mixed = seededRandom('order').shuffle([...rows]);
    for (const sample of [500, 20_000]) {
      const [one, other] = [rows, mixed].map((each) => multivariateBaseline(each, { sample }));
      expect(JSON.stringify(other)).toBe(JSON.stringify(one));
      const drifts = [rows, mixed].map((each) => multivariateDrift(one as never, each, { sample }));
      expect(JSON.stringify(drifts[1])).toBe(JSON.stringify(drifts[0]));
    }
  });

  test('without drift alarms rarely, whatever the sizes; with too little data answers', () => {
    const baseline = multivariateBaseline(table(1, 5000, 1)) as never;
    let alarms = 0;
    for (let run = 0; run < 200; run += 1) {
      const rows = [100, 300, 1000, 3000][run % 4] as number;
      if (multivariateDrift(baseline, table(1000 + 10 * run, rows, 1)).detected) alarms += 1;
    }
    // Three deviations of each side: once in 370.
    expect(alarms).toBeLessThanOrEqual(4);
    expect(multivariateDrift(baseline, table(5, 50, -1))).toMatchObject({
      ...{ outcome: 'not-enough-data', score: null, detected: false },
    });
    expect(multivariateBaseline(table(1, 50, 1))).toBeUndefined();
    expect(multivariateBaseline([])).toBeUndefined();
    const constant = Array.from({ length: 500 }, () => ({ x: 1, y: 'a' }));
    expect(multivariateBaseline(constant)).toBeUndefined();
    expect(() => multivariateBaseline('rows' as never)).toThrow('must be a list of rows');
  });
});
