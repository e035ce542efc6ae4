import { requirePositive, requireWithin } from '../arguments.ts';
import { logBinomialTerm } from './binomial-term.ts';

/** Logarithms of the two regularised incomplete beta functions. */
export interface LogBetaTails {
  /** ln I_x(a, b): the share below x. */
  readonly logLower: number;
  /** ln (1 − I_x(a, b)): the share above x. */
  readonly logUpper: number;
}

/**
 * The regularised incomplete beta function I_x(a, b), for `a, b > 0` and `0 ≤ x ≤ 1`, with a relative
 * error of about 1e-13 down to 1e-300. Give `y = 1 − x` where it is known better than by subtraction.
 * For the upper tail ask for `incompleteBeta(b, a, 1 − x, x)`, never for `1 − …`.
 */
export function incompleteBeta(a: number, b: number, x: number, y: number = 1 - x): number {
  return Math.exp(logBetaTails(a, b, x, y).logLower);
}

/**
 * Logarithms of both tails of the beta distribution: they stay exact where the tails themselves are too
 * small for a number (continued fraction by Lentz's method, Numerical Recipes §6.4, with the prefactor in
 * saddle-point form).
 */
export function logBetaTails(a: number, b: number, x: number, y: number = 1 - x): LogBetaTails {
  requirePositive('a', a);
  requirePositive('b', b);
  requireWithin('x', x, 0, 1);
  requireWithin('y', y, 0, 1);
  if (x === 0) return { logLower: -Infinity, logUpper: 0 };
  if (y === 0) return { logLower: 0, logUpper: -Infinity };
  const logTerm = logBinomialTerm(a, b, x, y);
  const share = a / (a + b);
  if (x < (a + 1) / (a + b + 2)) {
    const logLower = Math.min(0, logTerm + Math.log((1 - share) * continuedFraction(a, b, x)));
    return { logLower, logUpper: logOneMinusExp(logLower) };
  }
  const logUpper = Math.min(0, logTerm + Math.log(share * continuedFraction(b, a, y)));
  return { logLower: logOneMinusExp(logUpper), logUpper };
}

/** ln(1 − e^v) for `v ≤ 0`. */
function logOneMinusExp(v: number): number {
  return v > -Math.LN2 ? Math.log(-Math.expm1(v)) : Math.log1p(-Math.exp(v));
}

function continuedFraction(a: number, b: number, x: number): number {
  const tiny = 1e-300;
  let c = 1;
  let d = 1 / away(1 - ((a + b) * x) / (a + 1), tiny);
  let value = d;
  for (let m = 1; m < 1_000_000; m += 1) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / away(1 + even * d, tiny);
    c = away(1 + even / c, tiny);
    value *= d * c;
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / away(1 + odd * d, tiny);
    c = away(1 + odd / c, tiny);
    const step = d * c;
    value *= step;
    if (Math.abs(step - 1) < 1e-16) break;
  }
  return value;
}

function away(value: number, tiny: number): number {
  return Math.abs(value) < tiny ? tiny : value;
}
