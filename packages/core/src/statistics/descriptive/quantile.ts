import { invalid, requireWithin } from '../arguments.ts';
import { sortNumbers } from './sort-numbers.ts';

/** An ascending copy as 64-bit floats; −0 sorts before 0. NaN is INVALID. */
export function sorted(values: Iterable<number>): Float64Array {
  const copy = Float64Array.from(values);
  for (const value of copy) if (Number.isNaN(value)) throw invalid('value', value, 'a number');
  return sortNumbers(copy);
}

/**
 * The exact quantile of ascending values, interpolated linearly between neighbours, bit for bit as
 * `numpy.quantile(values, share)` (type 7 of Hyndman & Fan 1996). INVALID without values.
 */
export function quantile(ascending: ArrayLike<number>, share: number): number {
  requireWithin('share', share, 0, 1);
  if (ascending.length === 0) throw invalid('values', '[]', 'at least one value');
  const position = (ascending.length - 1) * share;
  const index = Math.floor(position);
  const low = ascending[index] as number;
  const high = ascending[Math.min(index + 1, ascending.length - 1)] as number;
  const part = position - index;
  const gap = high - low;
  // Beyond what a number holds.
  if (!Number.isFinite(gap)) return low * (1 - part) + high * part;
  return part >= 0.5 ? high - gap * (1 - part) : low + gap * part;
}

/** The median of ascending values. */
export function median(ascending: ArrayLike<number>): number {
  return quantile(ascending, 0.5);
}
