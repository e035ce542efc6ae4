import { requireCount, requireLevel, requireSuccesses, requireWithin } from '../arguments.ts';
import type { Interval } from '../intervals/interval.ts';
import { clopperPearsonInterval, type Rate } from '../intervals/rate-interval.ts';
import { logBetaTails } from '../special/incomplete-beta.ts';
import { type BetaPrior, logLikelihood, logMixture, rateInterval } from './beta-mixture.ts';
import { type EValue, eValueFromLog, logCalibrated, logSumOfExp } from './e-value.ts';
import { requireKind, type SequentialTest } from './sequential-test.ts';

/** What a rate is compared with. */
export interface RateChangeOptions {
  /** What was counted in the reference period, which ended before the first update; a sample, not the truth. */
  readonly reference: Rate;
  /** 0.05 by default. */
  readonly alpha?: number;
  /** Absolute change of the rate that does not matter; 0 by default. */
  readonly tolerance?: number;
  /** A change is looked for from the start of each epoch; epochs have at least this many trials; 20 by default. */
  readonly epochTrials?: number;
  /** Trials since the reference below which nothing is decided; 0 by default. */
  readonly minimumTrials?: number;
}

/** Counts of consecutive trials; `index` numbers the epoch, `successes` and `trials` are its own. */
export type Epoch = { readonly index: number; readonly successes: number; readonly trials: number };

/** The reference and the epochs since, with the options. Plain JSON. */
export type RateChangeState = {
  readonly kind: 'rate-change';
  readonly reference: { readonly successes: number; readonly trials: number };
  readonly alpha: number;
  readonly tolerance: number;
  readonly epochTrials: number;
  readonly minimumTrials: number;
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

/** So many epochs are kept; then older neighbours are merged, which only makes the evidence weaker. */
const keptEpochs = 64;

/** How strongly half of each bet expects a rate near the reference's, in trials. */
const nearness = 20;

/**
 * Tells, at every look and two-sided, whether a rate has changed since a reference period of which only a
 * sample is known.
 *
 * For each possible true rate p of the reference the evidence is a product: the reference's own evidence
 * against p (its exact two-sided p-value, calibrated) times that of the trials since, mixed over later
 * rates and over the epoch in which the change began (weights 1/(k+1)(k+2), as in Shin, Ramdas & Rinaldo 2022).
 * The least of these over all p holds for the true one. The trials of one rate must be independent.
 */
export const rateChange: SequentialTest<
  RateChangeOptions,
  RateChangeState,
  Rate,
  RateChangeVerdict
> = {
  init: ({ reference, alpha = 0.05, tolerance = 0, epochTrials = 20, minimumTrials = 0 }) => {
    requireSuccesses(reference.successes, reference.trials);
    requireLevel('alpha', alpha);
    requireWithin('tolerance', tolerance, 0, 1);
    requireCount('epochTrials', epochTrials);
    requireCount('minimumTrials', minimumTrials);
    const { successes, trials } = reference;
    return {
      kind: 'rate-change',
      reference: { successes, trials },
      alpha,
      tolerance,
      epochTrials,
      minimumTrials,
      epochs: [],
    };
  },

  update: (state, { successes, trials }) => {
    requireKind(state, 'rate-change');
    requireSuccesses(successes, trials);
    if (trials === 0) return state;
    return {
      ...state,
      epochs: thinned(appended(state.epochs, state.epochTrials, successes, trials)),
    };
  },

  verdict: (state) => {
    requireKind(state, 'rate-change');
    const { reference, alpha, tolerance } = state;
    const starts = startsOf(state.epochs);
    const total = starts[0] ?? { index: 0, successes: 0, trials: 0, before: 0 };
    const { logE, rate } = leastEvidence(reference, starts, tolerance);
    const changed = eValueFromLog(logE);
    const enoughData =
      total.trials > 0 && total.trials >= state.minimumTrials && reference.trials > 0;
    const decided = enoughData && changed.logE >= -Math.log(alpha);
    const start = likeliestStart(starts, rate, priorsOf(reference)) ?? total;
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

/** All trials from the start of an epoch on, with the number of trials before it. */
type Start = Epoch & { readonly before: number };

function directionOf(start: Rate, reference: Rate): 'up' | 'down' {
  return start.successes * reference.trials >= reference.successes * start.trials ? 'up' : 'down';
}

function estimated({ successes, trials }: Rate, interval: Interval): EstimatedRate {
  return { successes, trials, rate: trials > 0 ? successes / trials : null, interval };
}

function appended(
  epochs: readonly Epoch[],
  epochTrials: number,
  successes: number,
  trials: number,
): readonly Epoch[] {
  const last = epochs.at(-1);
  if (last === undefined) return [{ index: 0, successes, trials }];
  if (last.trials >= epochTrials) return [...epochs, { index: last.index + 1, successes, trials }];
  const grown = { ...last, successes: last.successes + successes, trials: last.trials + trials };
  return [...epochs.slice(0, -1), grown];
}

/** Merges pairs in the older half once there are too many; the first start always stays. */
function thinned(epochs: readonly Epoch[]): readonly Epoch[] {
  if (epochs.length <= keptEpochs) return epochs;
  const half = keptEpochs / 2;
  const older: Epoch[] = [];
  for (let position = 0; position < half; position += 2) {
    const first = epochs[position] as Epoch;
    const second = epochs[position + 1] as Epoch;
    older.push({
      index: first.index,
      successes: first.successes + second.successes,
      trials: first.trials + second.trials,
    });
  }
  return [...older, ...epochs.slice(half)];
}

function startsOf(epochs: readonly Epoch[]): readonly Start[] {
  const total = epochs.reduce((sum, epoch) => sum + epoch.trials, 0);
  const starts: Start[] = [];
  let successes = 0;
  let trials = 0;
  for (const epoch of epochs.toReversed()) {
    successes += epoch.successes;
    trials += epoch.trials;
    starts.push({ index: epoch.index, successes, trials, before: total - trials });
  }
  return starts.reverse();
}

function logWeight(index: number): number {
  return -Math.log((index + 1) * (index + 2));
}

/** Half of a bet expects any rate, half one near the reference's. */
function priorsOf(reference: Rate): readonly BetaPrior[] {
  const rate = (reference.successes + 0.5) / (reference.trials + 1);
  return [
    { a: 0.5, b: 0.5 },
    { a: nearness * rate, b: nearness * (1 - rate) },
  ];
}

function logMixed(start: Rate, priors: readonly BetaPrior[]): number {
  const parts = priors.map((prior) =>
    logMixture(start.successes, start.trials - start.successes, prior),
  );
  return logSumOfExp(parts) - Math.log(priors.length);
}

function likeliestStart(
  starts: readonly Start[],
  rate: number,
  priors: readonly BetaPrior[],
): Start | undefined {
  let best: Start | undefined;
  let highest = -Infinity;
  for (const start of starts) {
    const log =
      logWeight(start.index) +
      logMixed(start, priors) -
      logLikelihood(start.successes, start.trials - start.successes, rate);
    if (log > highest) {
      highest = log;
      best = start;
    }
  }
  return best;
}

/** The least, over all reference rates, of the joint evidence; `rate` is the later rate at which it is least. */
function leastEvidence(
  reference: Rate,
  starts: readonly Start[],
  tolerance: number,
): { logE: number; rate: number } {
  const total = starts[0];
  const centre = reference.trials > 0 ? reference.successes / reference.trials : 0.5;
  if (total === undefined || reference.trials === 0) return { logE: 0, rate: centre };
  const priors = priorsOf(reference);
  const mixed = starts.map((start) => logWeight(start.index) + logMixed(start, priors));
  const unused = -Math.log((starts.at(-1) as Start).index + 2);
  const logCurrent = (rate: number) =>
    logSumOfExp([
      unused,
      ...starts.map(
        ({ successes, trials }, index) =>
          (mixed[index] as number) - logLikelihood(successes, trials - successes, rate),
      ),
    ]);
  const logJoint = (rate: number) => {
    const nearest = Math.min(Math.max(centre, rate - tolerance), rate + tolerance);
    return logReferenceEvidence(reference, Math.min(1, Math.max(0, nearest))) + logCurrent(rate);
  };
  const likeliest = minimumOf(logCurrent, 0, 1).at;
  const { at, value } = minimumOf(
    logJoint,
    Math.min(centre, likeliest),
    Math.max(centre, likeliest),
  );
  return { logE: value, rate: at };
}

/** Logarithm of the evidence of the reference sample against a rate: its exact p-value, calibrated. */
function logReferenceEvidence({ successes, trials }: Rate, rate: number): number {
  const failures = trials - successes;
  const logBelow = failures === 0 ? 0 : logBetaTails(successes + 1, failures, rate).logUpper;
  const logAbove = successes === 0 ? 0 : logBetaTails(successes, failures + 1, rate).logLower;
  return logCalibrated(Math.max(0, -(Math.LN2 + Math.min(logBelow, logAbove))));
}

/** Least value of a function on a range: a grid, then golden section around its best point. */
function minimumOf(
  f: (x: number) => number,
  low: number,
  high: number,
): { at: number; value: number } {
  const cells = 24;
  const point = (index: number) =>
    low + (high - low) * Math.sin((Math.PI / 2) * (index / cells)) ** 2;
  let best = 0;
  let value = f(low);
  for (let index = 1; index <= cells; index += 1) {
    const candidate = f(point(index));
    if (candidate < value) {
      value = candidate;
      best = index;
    }
  }
  const refined = goldenSection(f, point(Math.max(0, best - 1)), point(Math.min(cells, best + 1)));
  return refined.value < value ? refined : { at: point(best), value };
}

function goldenSection(
  f: (x: number) => number,
  low: number,
  high: number,
): { at: number; value: number } {
  const ratio = (Math.sqrt(5) - 1) / 2;
  let left = low;
  let right = high;
  let a = right - ratio * (right - left);
  let b = left + ratio * (right - left);
  let fa = f(a);
  let fb = f(b);
  for (let step = 0; step < 30; step += 1) {
    if (fa <= fb) {
      right = b;
      b = a;
      fb = fa;
      a = right - ratio * (right - left);
      fa = f(a);
    } else {
      left = a;
      a = b;
      fa = fb;
      b = left + ratio * (right - left);
      fb = f(b);
    }
  }
  return fa <= fb ? { at: a, value: fa } : { at: b, value: fb };
}
