import { requireSuccesses } from '../arguments.ts';
import { normalTwoSided } from '../distributions/normal.ts';
import type { Rate } from '../intervals/rate-interval.ts';
import { logGamma } from '../special/log-gamma.ts';

/** A z-test of two rates. */
export interface TwoRates {
  readonly z: number;
  /** Two-sided; NaN where both rates are 0 or both are 1. */
  readonly pValue: number;
}

/** The two-sided z-test of two rates with the pooled standard error; z is positive where `a` is higher. */
export function twoRateTest(a: Rate, b: Rate): TwoRates {
  requireSuccesses(a.successes, a.trials);
  requireSuccesses(b.successes, b.trials);
  const pooled = (a.successes + b.successes) / (a.trials + b.trials);
  const error = Math.sqrt(pooled * (1 - pooled) * (1 / a.trials + 1 / b.trials));
  const z = (a.successes / a.trials - b.successes / b.trials) / error;
  return { z, pValue: normalTwoSided(z) };
}

/**
 * Fisher's exact test of two rates, two-sided: the chance, given the margins, of a table at most as likely
 * as this one (as scipy's `fisher_exact`).
 */
export function fisherTest(a: Rate, b: Rate): number {
  requireSuccesses(a.successes, a.trials);
  requireSuccesses(b.successes, b.trials);
  const successes = a.successes + b.successes;
  const total = a.trials + b.trials;
  const logOf = (k: number) =>
    logChoose(a.trials, k) + logChoose(b.trials, successes - k) - logChoose(total, successes);
  const limit = logOf(a.successes) + 1e-7;
  let sum = 0;
  for (let k = Math.max(0, successes - b.trials); k <= Math.min(successes, a.trials); k += 1) {
    const log = logOf(k);
    if (log <= limit) sum += Math.exp(log);
  }
  return Math.min(1, sum);
}

function logChoose(n: number, k: number): number {
  return logGamma(n + 1) - logGamma(k + 1) - logGamma(n - k + 1);
}
