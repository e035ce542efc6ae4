import type { Baseline, FeatureBaseline } from '../src/monitoring/baselines/baseline.ts';
import type { WindowCounts } from '../src/monitoring/windows/window-counts.ts';
import {
  LogLinearHistogram,
  normalBelow,
  normalQuantile,
  type SeededRandom,
} from '../src/statistics/index.ts';

const bins = 10;
const noTimes = new LogLinearHistogram().toJSON();

/** How a window is drawn. */
export interface SimulatedWindow {
  readonly random: SeededRandom;
  /** Rows of the baseline, and of the window. */
  readonly reference: number;
  readonly rows: number;
  readonly features: number;
  /** By how many standard deviations the values of the first feature are shifted; 0 when left out. */
  readonly shift?: number;
}

/**
 * A baseline of normal values in bins of equal share, and a window of the same (or a shifted) distribution in its bins: drawn as
 * counts, exactly as they would be counted of values, at a cost that does not grow with the rows.
 */
export function simulateWindow(given: SimulatedWindow): {
  readonly baseline: Baseline;
  readonly window: WindowCounts;
} {
  const { random, reference, rows, features, shift = 0 } = given;
  const drawn = Array.from({ length: features }, (_, i) => {
    // The share of all values below each edge is that of an order statistic.
    const edges = uniformOrder(random, reference);
    const shares = sharesBetween(edges, i === 0 ? shift : 0);
    const name = `f${i}`;
    const moments = { count: reference, mean: 0, squares: reference, low: -9, high: 9 };
    const was: FeatureBaseline = {
      ...{ feature: name, type: 'number', edges: edges.map((_, edge) => edge), moments },
      counts: Array.from({ length: bins }, (_, bin) => equalShare(reference, bin)),
      ...{ missing: 0, infinite: 0, mistyped: 0 },
    };
    const counts = multinomial(random, rows, shares);
    return { was, is: { counts, missing: 0, infinite: 0, mistyped: 0, outside: 0 } };
  });
  return {
    baseline: { format: 1, rows: reference, features: drawn.map(({ was }) => was), setAside: [] },
    window: {
      ...{ requests: rows, errors: 0, features: drawn.map(({ is }) => is) },
      ...{ latency: noTimes, queue: noTimes, inference: noTimes },
    },
  };
}

function equalShare(reference: number, bin: number): number {
  const end = Math.floor(((bin + 1) * reference) / bins);
  return end - Math.floor((bin * reference) / bins);
}

/** The shares of a uniform distribution below the deciles of so many of its values. */
function uniformOrder(random: SeededRandom, values: number): readonly number[] {
  const gaps = Array.from({ length: bins }, (_, bin) => gamma(random, equalShare(values, bin)));
  const all = gaps.reduce((sum, gap) => sum + gap, gamma(random, 1));
  let below = 0;
  return gaps.slice(0, -1).map((gap) => {
    below += gap;
    return below / all;
  });
}

function sharesBetween(edges: readonly number[], shift: number): readonly number[] {
  const moved =
    shift === 0 ? edges : edges.map((edge) => normalBelow(normalQuantile(edge) - shift));
  return [...moved, 1].map((end, i) => Math.max(0, end - (moved[i - 1] ?? 0)));
}

function multinomial(random: SeededRandom, trials: number, shares: readonly number[]): number[] {
  let [left, rest] = [trials, 1];
  return shares.map((share, i) => {
    if (i === shares.length - 1) return left;
    const count = rest <= 0 ? 0 : binomial(random, left, Math.min(1, share / rest));
    left -= count;
    rest -= share;
    return count;
  });
}

/** Successes of so many trials, exactly: by splitting at medians of order statistics (Relles 1972). */
function binomial(random: SeededRandom, trials: number, share: number): number {
  let [n, p, count] = [trials, share, 0];
  while (n > 40) {
    const a = 1 + Math.floor(n / 2);
    const [one, other] = [gamma(random, a), gamma(random, n + 1 - a)];
    const x = one / (one + other);
    if (x >= p) {
      p /= x;
      n = a - 1;
    } else {
      count += a;
      p = (p - x) / (1 - x);
      n -= a;
    }
  }
  for (let i = 0; i < n; i += 1) if (random.uniform() < p) count += 1;
  return count;
}

/** A gamma variate of a shape of at least 1 (Marsaglia & Tsang 2000). */
function gamma(random: SeededRandom, shape: number): number {
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = random.normal();
    const v = (1 + c * x) ** 3;
    if (v <= 0) continue;
    if (Math.log(1 - random.uniform()) < (x * x) / 2 + d - d * v + d * Math.log(v)) return d * v;
  }
}
