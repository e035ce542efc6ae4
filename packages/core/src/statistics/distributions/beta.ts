import { requirePositive, requireWithin } from '../arguments.ts';
import { logBinomialTerm } from '../special/binomial-term.ts';
import { type LogBetaTails, logBetaTails } from '../special/incomplete-beta.ts';

/**
 * The x with I_x(a, b) = `probability`: the quantile of the beta distribution, relative error about 1e-13
 * (Newton's method on the logarithm of the smaller tail, kept within a shrinking bracket).
 */
export function betaQuantile(probability: number, a: number, b: number): number {
  requireWithin('probability', probability, 0, 1);
  requirePositive('a', a);
  requirePositive('b', b);
  if (probability === 0 || probability === 1) return probability;
  let low = 0;
  let high = 1;
  let x = a / (a + b);
  for (let step = 0; step < 2000; step += 1) {
    const tails = logBetaTails(a, b, x);
    const gap = excess(tails, probability);
    if (gap > 0) high = x;
    else low = x;
    const next = x - gap / slope(tails, probability, a, b, x);
    const moved = next > low && next < high ? next : low + (high - low) / 2;
    if (Math.abs(moved - x) <= 1e-16 * x || moved <= low || moved >= high) return moved;
    x = moved;
  }
  return x;
}

/** How far the smaller tail, as a logarithm, is beyond its target; rises with x. */
function excess({ logLower, logUpper }: LogBetaTails, probability: number): number {
  return probability < 0.5 ? logLower - Math.log(probability) : Math.log1p(-probability) - logUpper;
}

/** Derivative of {@link excess}: density over tail. */
function slope(
  { logLower, logUpper }: LogBetaTails,
  probability: number,
  a: number,
  b: number,
  x: number,
): number {
  const y = 1 - x;
  const logDensity =
    logBinomialTerm(a, b, x, y) + Math.log((a * b) / (a + b)) - Math.log(x) - Math.log(y);
  return Math.exp(logDensity - (probability < 0.5 ? logLower : logUpper));
}
