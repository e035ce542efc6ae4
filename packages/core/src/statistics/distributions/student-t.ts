import { requireLevel, requirePositive } from '../arguments.ts';
import { incompleteBeta } from '../special/incomplete-beta.ts';

/**
 * P(|T| > |t|) for Student's t with `degrees` of freedom (not necessarily whole): the two-sided p-value.
 * Relative error about 1e-13 far into the tail. NaN for a t that is not a number.
 */
export function studentTwoSided(t: number, degrees: number): number {
  if (Number.isNaN(t)) return Number.NaN;
  requirePositive('degrees', degrees);
  const square = t * t;
  if (square === Infinity) return 0;
  return incompleteBeta(
    degrees / 2,
    0.5,
    degrees / (degrees + square),
    square / (degrees + square),
  );
}

/** The t > 0 with P(|T| > t) = `tail`, for a tail strictly between 0 and 1; relative error about 1e-12. */
export function studentQuantileTwoSided(tail: number, degrees: number): number {
  requireLevel('tail', tail);
  requirePositive('degrees', degrees);
  let high = 1;
  while (studentTwoSided(high, degrees) > tail) high *= 2;
  let low = 0;
  for (;;) {
    const middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) return high;
    if (studentTwoSided(middle, degrees) > tail) low = middle;
    else high = middle;
  }
}
