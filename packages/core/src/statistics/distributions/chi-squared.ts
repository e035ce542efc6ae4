import { requirePositive, requireWithin } from '../arguments.ts';
import { incompleteGamma } from '../special/incomplete-gamma.ts';

/** P(X > x) for a chi-squared variable with `degrees` of freedom; relative error about 1e-13. */
export function chiSquaredAbove(x: number, degrees: number): number {
  requirePositive('degrees', degrees);
  return incompleteGamma(degrees / 2, x / 2).upper;
}

/** P(X ≤ x) for a chi-squared variable with `degrees` of freedom; relative error about 1e-13. */
export function chiSquaredBelow(x: number, degrees: number): number {
  requirePositive('degrees', degrees);
  return incompleteGamma(degrees / 2, x / 2).lower;
}

/** The x with P(X > x) = `tail`, for a tail from 0 (exclusive) to 1; exact to the last bits (bisection). */
export function chiSquaredQuantileAbove(tail: number, degrees: number): number {
  requireWithin('tail', tail, Number.MIN_VALUE, 1);
  requirePositive('degrees', degrees);
  let low = 0;
  let high = degrees + 1;
  while (chiSquaredAbove(high, degrees) > tail) high *= 2;
  for (;;) {
    const middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) return high;
    if (chiSquaredAbove(middle, degrees) > tail) low = middle;
    else high = middle;
  }
}
