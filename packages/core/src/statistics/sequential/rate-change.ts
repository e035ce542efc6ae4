import { requireCount, requireLevel, requireSuccesses, requireWithin } from '../arguments.ts';
import type { Interval } from '../intervals/interval.ts';
import { clopperPearsonInterval, type Rate } from '../intervals/rate-interval.ts';
import { rateInterval } from './beta-mixture.ts';
import {
  type ChangeStart,
  changeEvidence,
  changeStarts,
  type Epoch,
  withTrials,
} from './change-evidence.ts';
import { type EValue, eValueFromLog } from './e-value.ts';
import { type EvidenceStep, referenceEvidence } from './reference-evidence.ts';
import { requireKind, type SequentialTest } from './sequential-test.ts';

/** What a rate is compared with. */
export interface RateChangeOptions {
  /** What was counted in the reference period, which ended before the first update; a sample, not the truth. */
  readonly reference: Rate;
  /** 0.05 by default. */
  readonly alpha?: number;
  /** The level at which the test is sharpest: `alpha` by default, smaller where many e-values are combined. */
  readonly designAlpha?: number;
  /** Absolute change of the rate that does not matter; 0 by default. */
  readonly tolerance?: number;
  /** A change is looked for from the start of each epoch; epochs have at least this many trials; 20 by default. */
  readonly epochTrials?: number;
  /** Trials since the reference below which nothing is decided; 0 by default. */
  readonly minimumTrials?: number;
}

/** The reference and the epochs since, with the options. Plain JSON. */
export type RateChangeState = {
  readonly kind: 'rate-change';
  readonly reference: { readonly successes: number; readonly trials: number };
  readonly alpha: number;
  readonly tolerance: number;
  readonly epochTrials: number;
  readonly minimumTrials: number;
  /** The reference's own evidence against each rate. */
  readonly steps: readonly EvidenceStep[];
  readonly epochs: readonly Epoch[];
};

/** A rate with its counts and its uncertainty. Plain JSON. */
export type EstimatedRate = {
  readonly successes: number;
  readonly trials: number;
  readonly rate: number | null;
  readonly interval: Interval;
};

/** What can be said about a change of the rate. Plain JSON. */
export type RateChangeVerdict = {
  readonly decision: 'changed' | 'inconclusive';
  /** Where the rate went since the most likely change; null while nothing was decided. */
  readonly direction: 'up' | 'down' | null;
  readonly enoughData: boolean;
  /** With the Clopper–Pearson interval. */
  readonly reference: EstimatedRate;
  /** Since the reference, with a confidence sequence. */
  readonly current: EstimatedRate;
  /** Since the most likely change. */
  readonly sinceChange: Rate;
  /** Against "the rate is that of the reference, within the tolerance". */
  readonly changed: EValue;
  /** Trials after the reference and before the most likely change; null without trials. */
  readonly changedSince: number | null;
  readonly alpha: number;
  readonly tolerance: number;
};

/**
 * Tells, at every look and two-sided, whether a rate has changed since a reference period of which only a
 * sample is known.
 *
 * For each possible true rate of the reference the evidence is a product: that of the reference against it
 * ({@link referenceEvidence}) and that of the trials since ({@link changeEvidence}). The least of these over
 * all rates is at most the one of the true rate, and so is valid. The trials must be independent.
 */
export const rateChange: SequentialTest<
  RateChangeOptions,
  RateChangeState,
  Rate,
  RateChangeVerdict
> = {
  init: ({
    reference,
    alpha = 0.05,
    designAlpha = alpha,
    tolerance = 0,
    epochTrials = 20,
    minimumTrials = 0,
  }) => {
    requireSuccesses(reference.successes, reference.trials);
    requireLevel('alpha', alpha);
    requireLevel('designAlpha', designAlpha);
    requireWithin('tolerance', tolerance, 0, 1);
    requireCount('epochTrials', epochTrials);
    requireCount('minimumTrials', minimumTrials);
    return {
      kind: 'rate-change',
      reference: { successes: reference.successes, trials: reference.trials },
      alpha,
      tolerance,
      epochTrials,
      minimumTrials,
      steps: referenceEvidence(reference, designAlpha),
      epochs: [],
    };
  },

  update: (state, added) => {
    requireKind(state, 'rate-change');
    requireSuccesses(added.successes, added.trials);
    if (added.trials === 0) return state;
    return { ...state, epochs: withTrials(state.epochs, state.epochTrials, added) };
  },

  verdict: (state) => {
    requireKind(state, 'rate-change');
    const { reference, alpha, tolerance } = state;
    const starts = changeStarts(state.epochs);
    const total = starts[0] ?? { index: 0, successes: 0, trials: 0, before: 0 };
    const { logE, start } = leastEvidence(state, starts, total);
    const changed = eValueFromLog(logE);
    const enoughData =
      reference.trials > 0 && total.trials > 0 && total.trials >= state.minimumTrials;
    const decided = enoughData && changed.logE >= -Math.log(alpha);
    return {
      decision: decided ? 'changed' : 'inconclusive',
      direction: decided ? directionOf(start, reference) : null,
      enoughData,
      reference: estimated(reference, clopperPearsonInterval(reference, alpha)),
      current: estimated(total, rateInterval(total, alpha)),
      sinceChange: { successes: start.successes, trials: start.trials },
      changed,
      changedSince: total.trials > 0 ? start.before : null,
      alpha,
      tolerance,
    };
  },
};

function leastEvidence(
  { reference, steps, tolerance }: RateChangeState,
  starts: readonly ChangeStart[],
  total: ChangeStart,
): { logE: number; start: ChangeStart } {
  if (starts.length === 0) return { logE: 0, start: total };
  const expected = (reference.successes + 0.5) / (reference.trials + 1);
  const evidence = changeEvidence(starts, expected);
  let least = Infinity;
  for (const { logE, low, high } of steps) {
    const nearest = Math.min(Math.max(evidence.likeliest, low - tolerance), high + tolerance);
    least = Math.min(least, logE + evidence.logE(nearest));
  }
  return { logE: least, start: evidence.start(expected) };
}

function directionOf(start: Rate, reference: Rate): 'up' | 'down' {
  return start.successes * reference.trials >= reference.successes * start.trials ? 'up' : 'down';
}

function estimated({ successes, trials }: Rate, interval: Interval): EstimatedRate {
  return { successes, trials, rate: trials > 0 ? successes / trials : null, interval };
}
