import { requireCount, requireWithin } from '../arguments.ts';
import { logBinomialTerm } from '../special/binomial-term.ts';
import { kolmogorovExpansionAbove } from './kolmogorov-expansion.ts';
import { kolmogorovExactBelow } from './kolmogorov-matrix.ts';

/**
 * P(K > x) of Kolmogorov's limit distribution, that of √n·D for large n: from the series that converges
 * faster; relative error about 1e-14.
 */
export function kolmogorovLimitAbove(x: number): number {
  if (Number.isNaN(x)) return Number.NaN;
  if (x <= 0) return 1;
  if (x < 1) return 1 - limitBelow(x);
  let sum = 0;
  for (let k = 1; k < 100; k += 1) {
    const term = Math.exp(-2 * k * k * x * x);
    sum += k % 2 === 1 ? term : -term;
    if (term < 1e-18 * sum) break;
  }
  return Math.min(1, 2 * sum);
}

/** P(D⁺ ≥ d) of the one-sided one-sample statistic for n values (Smirnov 1944), for `n ≥ 1` and `0 ≤ d ≤ 1`. */
export function smirnovAbove(n: number, d: number): number {
  requireCount('n', n);
  requireWithin('d', d, 0, 1);
  if (d === 0) return 1;
  if (d === 1) return 0;
  let sum = 0;
  for (let j = 0; j <= Math.floor(n * (1 - d)); j += 1) {
    const share = d + j / n;
    if (share >= 1) break;
    sum += Math.exp(logBinomialTerm(j, n - j, share, 1 - share)) * (d / share);
  }
  return Math.min(1, sum);
}

/** Up to here the matrix is used; beyond, the expansion is good enough and much quicker. */
const exactUpTo = 600;

/**
 * P(D ≥ d) of the two-sided one-sample statistic for n values, absolute error below 3e-7: twice the
 * one-sided tail far out, Marsaglia, Tsang & Wang's matrix for small n, Pelz & Good's expansion for large
 * (choice of method after Simard & L'Ecuyer 2011).
 */
export function kolmogorovAbove(n: number, d: number): number {
  requireCount('n', n);
  requireWithin('d', d, 0, 1);
  if (2 * n * d <= 1) return 1;
  const square = n * d * d;
  if (d >= 0.5 || square >= (n <= 140 ? 4 : 2.2)) return Math.min(1, 2 * smirnovAbove(n, d));
  if (n <= exactUpTo) return 1 - kolmogorovExactBelow(n, d);
  return kolmogorovExpansionAbove(n, d);
}

function limitBelow(x: number): number {
  let sum = 0;
  for (let k = 1; k < 100; k += 2) {
    const term = Math.exp(-(k * k * Math.PI * Math.PI) / (8 * x * x));
    sum += term;
    if (term < 1e-18 * sum) break;
  }
  return (Math.sqrt(2 * Math.PI) / x) * sum;
}
