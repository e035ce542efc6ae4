import { requireSuccesses, requireWithin } from '../arguments.ts';
import { logBinomialTerm } from '../special/binomial-term.ts';
import { logBetaTails } from '../special/incomplete-beta.ts';

/** P(X = successes) for a binomial variable; relative error about 1e-14 times the probability's logarithm. */
export function binomialProbability(successes: number, trials: number, rate: number): number {
  requireSuccesses(successes, trials);
  requireWithin('rate', rate, 0, 1);
  return Math.exp(logBinomialTerm(successes, trials - successes, rate, 1 - rate));
}

/** P(X ≤ successes) for a binomial variable, exact in the lower tail. */
export function binomialAtMost(successes: number, trials: number, rate: number): number {
  requireSuccesses(successes, trials);
  requireWithin('rate', rate, 0, 1);
  if (successes === trials) return 1;
  return Math.exp(logBetaTails(successes + 1, trials - successes, rate).logUpper);
}

/** P(X ≥ successes) for a binomial variable, exact in the upper tail. */
export function binomialAtLeast(successes: number, trials: number, rate: number): number {
  requireSuccesses(successes, trials);
  requireWithin('rate', rate, 0, 1);
  if (successes === 0) return 1;
  return Math.exp(logBetaTails(successes, trials - successes + 1, rate).logLower);
}

/**
 * Twice the smaller tail, at most 1: the exact two-sided p-value of a rate, the one that belongs to the
 * Clopper–Pearson interval.
 */
export function binomialTwoSided(successes: number, trials: number, rate: number): number {
  const below = binomialAtMost(successes, trials, rate);
  const above = binomialAtLeast(successes, trials, rate);
  return Math.min(1, 2 * Math.min(below, above));
}
