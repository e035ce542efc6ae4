import { invalid } from '../arguments.ts';
import { kolmogorovAbove } from '../distributions/kolmogorov.ts';

/** How a p-value was computed. */
export type KolmogorovSmirnovMethod = 'exact' | 'asymptotic';

/** Largest distance between two empirical distribution functions. */
export interface KolmogorovSmirnov {
  /** D: the largest distance, from 0 to 1. */
  readonly statistic: number;
  /** The first value at which it is reached. */
  readonly location: number;
  /** 1 where the reference's function lies above there (reference values are smaller), else −1. */
  readonly sign: 1 | -1;
  readonly pValue: number;
  readonly method: KolmogorovSmirnovMethod;
}

/** From this many pairs of values on, samples of unequal size get the asymptotic p-value. */
const exactPairs = 2_000_000;

/**
 * The two-sample Kolmogorov–Smirnov test of ascending, finite values (as scipy's `ks_2samp`). The two-sided p-value is
 * exact for equal sizes up to 10,000 and for n·m ≤ 2,000,000, else that of the one-sample statistic at
 * n·m/(n+m); `method` forces one of them. Ties make it conservative. INVALID for an empty sample.
 */
export function kolmogorovSmirnov(
  reference: ArrayLike<number>,
  current: ArrayLike<number>,
  method?: KolmogorovSmirnovMethod,
): KolmogorovSmirnov {
  const n = reference.length;
  const m = current.length;
  if (n === 0 || m === 0) throw invalid('sample', '[]', 'at least one value');
  const { above, below } = extremes(reference, current);
  const isBelow = -below.gap > above.gap;
  const gap = isBelow ? -below.gap : above.gap;
  const chosen = method ?? (isSmallEnough(n, m) ? 'exact' : 'asymptotic');
  return {
    statistic: gap / (n * m),
    location: isBelow ? below.location : above.location,
    sign: isBelow ? -1 : 1,
    pValue: chosen === 'exact' ? exactPValue(n, m, gap) : asymptoticPValue(n, m, gap / (n * m)),
    method: chosen,
  };
}

function isSmallEnough(n: number, m: number): boolean {
  return (n === m && n <= 10_000) || n * m <= exactPairs;
}

interface Extreme {
  /** Difference of the distribution functions, times n·m: a whole number. */
  readonly gap: number;
  readonly location: number;
}

function extremes(
  reference: ArrayLike<number>,
  current: ArrayLike<number>,
): { above: Extreme; below: Extreme } {
  const n = reference.length;
  const m = current.length;
  let i = 0;
  let j = 0;
  let above: Extreme = { gap: -Infinity, location: Number.NaN };
  let below: Extreme = { gap: Infinity, location: Number.NaN };
  while (i < n || j < m) {
    const location = Math.min(reference[i] ?? Infinity, current[j] ?? Infinity);
    while (i < n && (reference[i] as number) <= location) i += 1;
    while (j < m && (current[j] as number) <= location) j += 1;
    const gap = i * m - j * n;
    if (gap > above.gap) above = { gap, location };
    if (gap < below.gap) below = { gap, location };
  }
  return { above, below };
}

function asymptoticPValue(n: number, m: number, distance: number): number {
  return kolmogorovAbove(Math.max(1, Math.round((n * m) / (n + m))), Math.min(1, distance));
}

function exactPValue(n: number, m: number, gap: number): number {
  if (gap === 0) return 1;
  const divisor = greatestDivisor(n, m);
  const steps = Math.round(gap / divisor);
  return n === m ? exactForEqualSizes(n, steps) : exactForAnySizes(n, m, divisor, steps);
}

/** Probability that a random path leaves the band, for equal sizes: Horner's scheme over the reflections. */
function exactForEqualSizes(n: number, steps: number): number {
  let probability = 0;
  for (let k = Math.floor(n / steps); k >= 0; k -= 1) {
    let product = 1;
    for (let j = 0; j < steps; j += 1)
      product = ((n - k * steps - j) * product) / (n + k * steps + j + 1);
    probability = product * (1 - probability);
  }
  return Math.min(1, 2 * probability);
}

/** The same for any sizes, by going through all (i, j). */
function exactForAnySizes(n: number, m: number, divisor: number, steps: number): number {
  const perN = n / divisor;
  const perM = m / divisor;
  const row = new Float64Array(m + 1);
  for (let i = 0; i <= n; i += 1) {
    for (let j = 0; j <= m; j += 1) {
      if (Math.abs(i * perM - j * perN) >= steps) row[j] = 1;
      else if (i + j === 0) row[j] = 0;
      else row[j] = (i * (row[j] as number) + j * (j > 0 ? (row[j - 1] as number) : 0)) / (i + j);
    }
  }
  return Math.min(1, row[m] as number);
}

function greatestDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestDivisor(b, a % b);
}
