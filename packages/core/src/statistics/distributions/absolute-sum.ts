import { logGamma } from '../special/log-gamma.ts';
import { chiSquaredAbove, chiSquaredQuantileAbove } from './chi-squared.ts';

/** The distribution of Σ wᵢ|Zᵢ| for correlated standard normal Zᵢ, as that of `scale`·χ with `degrees` of freedom. */
export interface AbsoluteSum {
  readonly scale: number;
  readonly degrees: number;
}

/**
 * Fits mean and variance of Σ wᵢ|Zᵢ|, where Zᵢ are standard normal with the given correlations: exact for one
 * term, and within a few per cent of the tail otherwise. E|ZᵢZⱼ| = (2/π)(√(1−ρ²) + ρ·asin ρ). Weights must not be
 * negative, nor all 0.
 */
export function absoluteSum(
  weights: readonly number[],
  correlation: (i: number, j: number) => number,
): AbsoluteSum {
  let mean = 0;
  let square = 0;
  for (let i = 0; i < weights.length; i += 1) {
    const weight = weights[i] as number;
    mean += weight * Math.sqrt(2 / Math.PI);
    square += weight * weight;
    for (let j = 0; j < i; j += 1) {
      const rho = Math.min(1, Math.max(-1, correlation(i, j)));
      const joint = (2 / Math.PI) * (Math.sqrt(1 - rho * rho) + rho * Math.asin(rho));
      square += 2 * weight * (weights[j] as number) * joint;
    }
  }
  const degrees = degreesFor((mean * mean) / square);
  return { scale: Math.sqrt(square / degrees), degrees };
}

/** P(sum > value). */
export function absoluteSumAbove({ scale, degrees }: AbsoluteSum, value: number): number {
  return chiSquaredAbove((value / scale) ** 2, degrees);
}

/** The value that the sum exceeds with probability `tail`. */
export function absoluteSumQuantile({ scale, degrees }: AbsoluteSum, tail: number): number {
  return scale * Math.sqrt(chiSquaredQuantileAbove(tail, degrees));
}

/** The degrees of freedom for which (E χ)² / E χ² has the given value; at least 1, at most 1e6. */
function degreesFor(ratio: number): number {
  let low = 1;
  let high = 1e6;
  for (let step = 0; step < 60; step += 1) {
    const middle = Math.sqrt(low * high);
    if (ratioOf(middle) < ratio) low = middle;
    else high = middle;
  }
  return Math.sqrt(low * high);
}

function ratioOf(degrees: number): number {
  return (2 / degrees) * Math.exp(2 * (logGamma((degrees + 1) / 2) - logGamma(degrees / 2)));
}
