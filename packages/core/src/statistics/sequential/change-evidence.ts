import type { Rate } from '../intervals/rate-interval.ts';
import { type BetaPrior, logMixture } from './beta-mixture.ts';
import { logSumOfExp } from './e-value.ts';

/** Counts of consecutive trials; `index` numbers the epoch, `successes` and `trials` are its own. Plain JSON. */
export type Epoch = { readonly index: number; readonly successes: number; readonly trials: number };

/** All trials from the start of an epoch on. */
export type ChangeStart = Epoch & { readonly before: number };

/** So many epochs are kept; then older neighbours are merged, which only makes the evidence weaker. */
const keptEpochs = 64;

const logKept = Math.log(1 / 3);
const logBet = Math.log(2 / 3);

/** How strongly half of each bet expects a rate near the reference's, in trials. */
const nearness = 20;

/** The epochs after new trials: a new one starts when the last has `epochTrials`. */
export function withTrials(
  epochs: readonly Epoch[],
  epochTrials: number,
  added: Rate,
): readonly Epoch[] {
  const { successes, trials } = added;
  const last = epochs.at(-1);
  if (last === undefined) return [{ index: 0, successes, trials }];
  if (last.trials >= epochTrials)
    return thinned([...epochs, { index: last.index + 1, successes, trials }]);
  const grown = { ...last, successes: last.successes + successes, trials: last.trials + trials };
  return [...epochs.slice(0, -1), grown];
}

/** The trials since the start of each epoch; the first are all trials. */
export function changeStarts(epochs: readonly Epoch[]): readonly ChangeStart[] {
  const total = epochs.reduce((sum, epoch) => sum + epoch.trials, 0);
  const starts: ChangeStart[] = [];
  let successes = 0;
  let trials = 0;
  for (const epoch of epochs.toReversed()) {
    successes += epoch.successes;
    trials += epoch.trials;
    starts.push({ index: epoch.index, successes, trials, before: total - trials });
  }
  return starts.reverse();
}

/** Evidence of a stream against its rate being a given one throughout. */
export interface ChangeEvidence {
  /** Logarithm of an e-process against the rate; convex in it, at least −ln 3. */
  logE(rate: number): number;
  /** The rate against which there is least evidence. */
  readonly likeliest: number;
  /** Where a change away from a rate most likely began. */
  start(rate: number): ChangeStart;
}

/**
 * A third of the capital is kept; the rest bets on a change: on its epoch k with weight 1/((k+1)(k+2)), and on the rate
 * afterwards with a mixture, half of it near `expected` and half over all rates (mixtures over
 * starting times as in Shin, Ramdas & Rinaldo 2022, "E-detectors"). `starts` must not be empty.
 */
export function changeEvidence(starts: readonly ChangeStart[], expected: number): ChangeEvidence {
  const priors: readonly BetaPrior[] = [
    { a: 0.5, b: 0.5 },
    { a: nearness * expected, b: nearness * (1 - expected) },
  ];
  const mixed = starts.map((start) => logBet + logWeight(start.index) + logMixed(start, priors));
  const logUnused = -Math.log((starts.at(-1) as ChangeStart).index + 2);
  const logsAt = (rate: number) => {
    const [logUp, logDown] = [Math.log(rate), Math.log1p(-rate)];
    return starts.map(({ successes, trials }, index) => {
      const ups = successes === 0 ? 0 : successes * logUp;
      const downs = successes === trials ? 0 : (trials - successes) * logDown;
      return (mixed[index] as number) - ups - downs;
    });
  };
  const logE = (rate: number) => logSumOfExp([logKept, logBet + logUnused, ...logsAt(rate)]);
  const start = (rate: number) => {
    const logs = logsAt(rate);
    let best = 0;
    for (const [index, log] of logs.entries()) if (log > (logs[best] as number)) best = index;
    return starts[best] as ChangeStart;
  };
  return { logE, likeliest: leastOf(logE), start };
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

function logWeight(index: number): number {
  return -Math.log((index + 1) * (index + 2));
}

function logMixed({ successes, trials }: Rate, priors: readonly BetaPrior[]): number {
  const parts = priors.map((prior) => logMixture(successes, trials - successes, prior));
  return logSumOfExp(parts) - Math.log(priors.length);
}

/** Where a convex function on [0, 1] is least, by golden section. */
function leastOf(f: (x: number) => number): number {
  const ratio = (Math.sqrt(5) - 1) / 2;
  let left = 0;
  let right = 1;
  let a = right - ratio * (right - left);
  let b = left + ratio * (right - left);
  let fa = f(a);
  let fb = f(b);
  for (let step = 0; step < 45; step += 1) {
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
  return (left + right) / 2;
}
