import { requireLevel, requireSuccesses } from '../arguments.ts';
import type { Interval } from '../intervals/interval.ts';
import type { Rate } from '../intervals/rate-interval.ts';
import { logBetaTails } from '../special/incomplete-beta.ts';
import { logBeta } from '../special/log-gamma.ts';
import { acceptedAround } from './betting.ts';

/** Parameters of the beta distribution over rates that a mixture bets on; Jeffreys' by default. */
export type BetaPrior = { readonly a: number; readonly b: number };

const jeffreys: BetaPrior = { a: 0.5, b: 0.5 };

/**
 * Logarithm of an e-process against "the rate is exactly `rate`": the likelihood of the outcomes mixed over a
 * beta distribution, against that of `rate` (Robbins 1970). Convex in `rate`, at most 0 at the observed rate.
 */
export function logRateEvidence(
  { successes, trials }: Rate,
  rate: number,
  prior: BetaPrior = jeffreys,
): number {
  const failures = trials - successes;
  return logMixture(successes, failures, prior) - logLikelihood(successes, failures, rate);
}

/** The same against "the rate is at most `rate`": mixed over higher rates only. */
export function logRateEvidenceAbove(
  counts: Rate,
  rate: number,
  prior: BetaPrior = jeffreys,
): number {
  const { successes, trials } = counts;
  const posterior = logBetaTails(prior.a + successes, prior.b + trials - successes, rate).logUpper;
  return (
    logRateEvidence(counts, rate, prior) + posterior - logBetaTails(prior.a, prior.b, rate).logUpper
  );
}

/** The same against "the rate is at least `rate`": mixed over lower rates only. */
export function logRateEvidenceBelow(
  counts: Rate,
  rate: number,
  prior: BetaPrior = jeffreys,
): number {
  const { successes, trials } = counts;
  const posterior = logBetaTails(prior.a + successes, prior.b + trials - successes, rate).logLower;
  return (
    logRateEvidence(counts, rate, prior) + posterior - logBetaTails(prior.a, prior.b, rate).logLower
  );
}

/**
 * A confidence sequence of a rate: contains it at all looks together with probability at least 1 − alpha.
 * [0, 1] without trials. For a single look the Wilson and Clopper–Pearson intervals are shorter.
 */
export function rateInterval(counts: Rate, alpha: number): Interval {
  requireSuccesses(counts.successes, counts.trials);
  requireLevel('alpha', alpha);
  const { successes, trials } = counts;
  if (trials === 0) return { low: 0, high: 1 };
  const logMixed = logMixture(successes, trials - successes, jeffreys);
  const limit = logMixed + Math.log(alpha);
  return acceptedAround(
    successes / trials,
    (rate) => logLikelihood(successes, trials - successes, rate) <= limit,
  );
}

/** ln of the likelihood of a sequence with these counts, mixed over the prior. */
export function logMixture(successes: number, failures: number, prior: BetaPrior): number {
  return logBeta(prior.a + successes, prior.b + failures) - logBeta(prior.a, prior.b);
}

/** ln of the likelihood of a sequence with these counts at one rate. */
function logLikelihood(successes: number, failures: number, rate: number): number {
  const ups = successes === 0 ? 0 : successes * Math.log(rate);
  const downs = failures === 0 ? 0 : failures * Math.log1p(-rate);
  return ups + downs;
}
