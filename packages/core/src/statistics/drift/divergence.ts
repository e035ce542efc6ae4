import { invalid } from '../arguments.ts';

/** Population stability index Σ(p−q)ln(p/q) of two lists of shares: symmetric, ∞ where just one share is 0. */
export function populationStability(
  reference: readonly number[],
  current: readonly number[],
): number {
  return sumOver(reference, current, (p, q) => (p === q ? 0 : (p - q) * Math.log(p / q)));
}

/**
 * Kullback–Leibler divergence Σ p ln(p/q) of the reference p from the current q, in nats (as scipy's `entropy(p, q)`:
 * both are renormalised). ∞ where q is 0 and p is not.
 */
export function kullbackLeibler(reference: readonly number[], current: readonly number[]): number {
  return sumOver(normalised(reference), normalised(current), klTerm);
}

/**
 * Jensen–Shannon divergence in bits, from 0 to 1 (as the square of scipy's `jensenshannon(p, q, 2)`); finite
 * also with empty bins.
 */
export function jensenShannonDivergence(
  reference: readonly number[],
  current: readonly number[],
): number {
  const half = sumOver(normalised(reference), normalised(current), (p, q) => {
    const middle = (p + q) / 2;
    return (klTerm(p, middle) + klTerm(q, middle)) / 2;
  });
  return Math.max(0, half / Math.LN2);
}

/** Jensen–Shannon distance: the root of the divergence in bits, from 0 to 1. */
export function jensenShannonDistance(
  reference: readonly number[],
  current: readonly number[],
): number {
  return Math.sqrt(jensenShannonDivergence(reference, current));
}

/** Hellinger distance √(½ Σ(√p−√q)²), from 0 to 1. */
export function hellingerDistance(
  reference: readonly number[],
  current: readonly number[],
): number {
  return Math.sqrt(sumOver(reference, current, (p, q) => (Math.sqrt(p) - Math.sqrt(q)) ** 2) / 2);
}

/** Total variation distance ½ Σ|p−q|, from 0 to 1. */
export function totalVariation(reference: readonly number[], current: readonly number[]): number {
  return sumOver(reference, current, (p, q) => Math.abs(p - q)) / 2;
}

/** The largest difference of a share, max |p−q|. */
export function largestDifference(
  reference: readonly number[],
  current: readonly number[],
): number {
  let largest = 0;
  sumOver(reference, current, (p, q) => {
    largest = Math.max(largest, Math.abs(p - q));
    return 0;
  });
  return largest;
}

function klTerm(p: number, q: number): number {
  return p === 0 ? 0 : p * Math.log(p / q);
}

function normalised(shares: readonly number[]): number[] {
  const total = shares.reduce((sum, share) => sum + share, 0);
  return shares.map((share) => share / total);
}

function sumOver(
  a: readonly number[],
  b: readonly number[],
  term: (p: number, q: number) => number,
): number {
  if (a.length !== b.length)
    throw invalid('current', b.length, `as many shares as the reference has, ${a.length}`);
  let sum = 0;
  for (let index = 0; index < a.length; index += 1)
    sum += term(a[index] as number, b[index] as number);
  return sum;
}
