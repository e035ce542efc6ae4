import { requirePositive } from '../arguments.ts';
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
