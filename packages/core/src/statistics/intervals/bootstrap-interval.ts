import { invalid, requireCount, requireLevel } from '../arguments.ts';
import { quantile, sorted } from '../descriptive/quantile.ts';
import { seededRandom } from '../random/seeded-random.ts';
import type { Interval } from './interval.ts';

/** How an interval is drawn. */
export interface BootstrapOptions {
  readonly alpha: number;
  /** The same seed gives the same interval. */
  readonly seed: number | string;
  /** 1,000 when left out. */
  readonly resamples?: number;
}

/**
 * The percentile interval of any figure of `items` items (Efron 1979): the figure is taken of samples drawn with
 * replacement, whose places `figure` is handed. Level 1 − alpha for large samples; too narrow for a few dozen
 * items. Samples that have no such figure (NaN) do not count; null where more than half have none. INVALID
 * without items.
 */
export function bootstrapInterval(
  items: number,
  figure: (places: Uint32Array) => number,
  { alpha, seed, resamples = 1000 }: BootstrapOptions,
): Interval | null {
  requireLevel('alpha', alpha);
  requireCount('items', items);
  requireCount('resamples', resamples);
  if (items === 0) throw invalid('items', items, 'at least 1');
  if (resamples === 0) throw invalid('resamples', resamples, 'at least 1');
  const random = seededRandom(seed);
  const places = new Uint32Array(items);
  const figures: number[] = [];
  for (let drawn = 0; drawn < resamples; drawn += 1) {
    for (let index = 0; index < items; index += 1) places[index] = random.below(items);
    const value = figure(places);
    if (!Number.isNaN(value)) figures.push(value);
  }
  if (figures.length < resamples / 2) return null;
  const ascending = sorted(figures);
  return { low: quantile(ascending, alpha / 2), high: quantile(ascending, 1 - alpha / 2) };
}
