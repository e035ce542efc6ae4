import { requirePositive, requireWithin } from '../arguments.ts';
import { logPoissonTerm } from './binomial-term.ts';

/** The two regularised incomplete gamma functions; both are computed without subtracting from 1 where small. */
export interface GammaTails {
  /** P(a, x): the share below x. */
  readonly lower: number;
  /** Q(a, x): the share above x. */
  readonly upper: number;
}

/**
 * The regularised incomplete gamma functions P(a, x) and Q(a, x), for `a > 0` and `x ≥ 0`. The smaller of
 * the two has a relative error of about 1e-14 (series below a + 1, Lentz's continued fraction above;
 * Numerical Recipes §6.2 with the prefactor in saddle-point form).
 */
export function incompleteGamma(a: number, x: number): GammaTails {
  requirePositive('a', a);
  requireWithin('x', x, 0, Infinity);
  if (x === 0) return { lower: 0, upper: 1 };
  if (x === Infinity) return { lower: 1, upper: 0 };
  const prefactor = Math.exp(logPoissonTerm(a, x));
  if (x < a + 1) {
    const lower = Math.min(1, prefactor * risingSeries(a, x));
    return { lower, upper: 1 - lower };
  }
  const upper = Math.min(1, prefactor * a * continuedFraction(a, x));
  return { lower: 1 - upper, upper };
}

function risingSeries(a: number, x: number): number {
  let term = 1;
  let sum = 1;
  for (let index = 1; index < 1_000_000; index += 1) {
    term *= x / (a + index);
    sum += term;
    if (term < sum * 1e-17) break;
  }
  return sum;
}

function continuedFraction(a: number, x: number): number {
  const tiny = 1e-300;
  let b = x + 1 - a;
  let c = 1 / tiny;
  let d = 1 / b;
  let value = d;
  for (let index = 1; index < 1_000_000; index += 1) {
    const numerator = -index * (index - a);
    b += 2;
    d = 1 / away(numerator * d + b, tiny);
    c = away(b + numerator / c, tiny);
    const step = c * d;
    value *= step;
    if (Math.abs(step - 1) < 1e-16) break;
  }
  return value;
}

function away(value: number, tiny: number): number {
  return Math.abs(value) < tiny ? tiny : value;
}
