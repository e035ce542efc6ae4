import { requireLevel, requireSuccesses } from '../arguments.ts';
import { betaQuantile } from '../distributions/beta.ts';
import { normalQuantile } from '../distributions/normal.ts';
import type { Interval } from './interval.ts';

/** How often something happened in how many trials. Plain JSON. */
export type Rate = { readonly successes: number; readonly trials: number };

/**
 * Wilson's interval of a rate for a single look, of level 1 − alpha on average (Wilson 1927). [0, 1] without trials.
 */
export function wilsonInterval({ successes, trials }: Rate, alpha: number): Interval {
  requireSuccesses(successes, trials);
  requireLevel('alpha', alpha);
  if (trials === 0) return { low: 0, high: 1 };
  const z = normalQuantile(1 - alpha / 2);
  const rate = successes / trials;
  const scale = 1 + (z * z) / trials;
  const centre = (rate + (z * z) / (2 * trials)) / scale;
  const half =
    (z / scale) * Math.sqrt((rate * (1 - rate)) / trials + (z * z) / (4 * trials * trials));
  return {
    low: successes === 0 ? 0 : Math.max(0, centre - half),
    high: successes === trials ? 1 : Math.min(1, centre + half),
  };
}

/**
 * The Clopper–Pearson interval of a rate for a single look: level at least 1 − alpha whatever the rate
 * (Clopper & Pearson 1934). [0, 1] without trials.
 */
export function clopperPearsonInterval({ successes, trials }: Rate, alpha: number): Interval {
  requireSuccesses(successes, trials);
  requireLevel('alpha', alpha);
  return {
    low: successes === 0 ? 0 : betaQuantile(alpha / 2, successes, trials - successes + 1),
    high: successes === trials ? 1 : 1 - betaQuantile(alpha / 2, trials - successes, successes + 1),
  };
}
