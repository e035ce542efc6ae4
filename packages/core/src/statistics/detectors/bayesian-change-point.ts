import { requireFinite, requireLevel, requirePositive } from '../arguments.ts';
import { logSumOfExp } from '../sequential/e-value.ts';
import { logGamma } from '../special/log-gamma.ts';

/** What is believed of values between two changes. */
export type ChangePointModel =
  /** Normal with known variance; its mean is normal beforehand. */
  | {
      readonly kind: 'known-variance';
      readonly mean: number;
      readonly meanVariance: number;
      readonly variance: number;
    }
  /** Normal with unknown mean and variance: a normal-inverse-gamma prior. */
  | {
      readonly kind: 'unknown-variance';
      readonly mean: number;
      readonly kappa: number;
      readonly alpha: number;
      readonly beta: number;
    };

/** How to watch. */
export interface ChangePointOptions {
  /** By default unknown variance around 0 with kappa, alpha and beta 1: standardise the values. */
  readonly model?: ChangePointModel;
  /** Chance of a change at any value; 0.01 by default. */
  readonly hazard?: number;
  /** Run lengths less probable than this are dropped; 1e-6 by default, 0 keeps all. */
  readonly smallest?: number;
  /** At most so many run lengths are kept, the most probable; 500 by default. */
  readonly most?: number;
}

/** Belief about one run: how long it is, and what its values say of their law. */
export type Run = {
  readonly length: number;
  readonly logProbability: number;
  /** Parameters of the model, in its own order. */
  readonly law: readonly number[];
};

/** Beliefs about the time since the last change, with the options. Plain JSON. */
export type ChangePointState = {
  readonly options: Required<ChangePointOptions>;
  readonly runs: readonly Run[];
};

const halfLogTwoPi = 0.9189385332046727;

/**
 * Bayesian online change-point detection (Adams & MacKay 2007, algorithm 1), in logarithms. Never alert on "run length
 * 0": its probability is the hazard at every value. Read {@link changeWithin} or {@link likeliestRun}.
 */
export const bayesianChangePoint: {
  init(options?: ChangePointOptions): ChangePointState;
  update(state: ChangePointState, value: number): ChangePointState;
} = {
  init: ({ model = standard, hazard = 0.01, smallest = 1e-6, most = 500 } = {}) => {
    requireLevel('hazard', hazard);
    requirePositive('most', most);
    const options = { model, hazard, smallest, most };
    return { options, runs: [{ length: 0, logProbability: 0, law: priorOf(model) }] };
  },

  update: (state, value) => {
    requireFinite('value', value);
    const { model, hazard } = state.options;
    const logStay = Math.log1p(-hazard);
    const seen = state.runs.map((run) => run.logProbability + logDensity(model, run.law, value));
    const ended = {
      length: 0,
      logProbability: logSumOfExp(seen) + Math.log(hazard),
      law: priorOf(model),
    };
    const grown = state.runs.map((run, index) => ({
      length: run.length + 1,
      logProbability: (seen[index] as number) + logStay,
      law: learnt(model, run.law, value),
    }));
    return { options: state.options, runs: normalised(pruned([ended, ...grown], state.options)) };
  },
};

/** The most probable number of values since the last change. */
export function likeliestRun(state: ChangePointState): Run {
  return state.runs.reduce((best, run) => (run.logProbability > best.logProbability ? run : best));
}

/** Probability that the last change lies at most `values` values back. */
export function changeWithin(state: ChangePointState, values: number): number {
  return state.runs.reduce(
    (sum, run) => (run.length <= values ? sum + Math.exp(run.logProbability) : sum),
    0,
  );
}

const standard: ChangePointModel = {
  kind: 'unknown-variance',
  mean: 0,
  kappa: 1,
  alpha: 1,
  beta: 1,
};

function priorOf(model: ChangePointModel): readonly number[] {
  if (model.kind === 'known-variance') return [model.mean, model.meanVariance];
  return [model.mean, model.kappa, model.alpha, model.beta];
}

/** Logarithm of the predictive density of a value. */
function logDensity(model: ChangePointModel, law: readonly number[], value: number): number {
  if (model.kind === 'known-variance') {
    const [mean = 0, meanVariance = 0] = law;
    const variance = meanVariance + model.variance;
    return -halfLogTwoPi - 0.5 * Math.log(variance) - (value - mean) ** 2 / (2 * variance);
  }
  const [mean = 0, kappa = 1, alpha = 1, beta = 1] = law;
  const square = (beta * (kappa + 1)) / (alpha * kappa);
  const degrees = 2 * alpha;
  return (
    logGamma(alpha + 0.5) -
    logGamma(alpha) -
    0.5 * Math.log(Math.PI * degrees * square) -
    (alpha + 0.5) * Math.log1p((value - mean) ** 2 / (degrees * square))
  );
}

/** The law after one more value of its run. */
function learnt(model: ChangePointModel, law: readonly number[], value: number): readonly number[] {
  if (model.kind === 'known-variance') {
    const [mean = 0, meanVariance = 0] = law;
    const precision = 1 / meanVariance + 1 / model.variance;
    return [(mean / meanVariance + value / model.variance) / precision, 1 / precision];
  }
  const [mean = 0, kappa = 1, alpha = 1, beta = 1] = law;
  return [
    (kappa * mean + value) / (kappa + 1),
    kappa + 1,
    alpha + 0.5,
    beta + (kappa * (value - mean) ** 2) / (2 * (kappa + 1)),
  ];
}

function pruned(
  runs: readonly Run[],
  { smallest, most }: Required<ChangePointOptions>,
): readonly Run[] {
  const all = normalised(runs);
  const probable =
    smallest > 0
      ? all.filter((run) => run.length === 0 || Math.exp(run.logProbability) >= smallest)
      : all;
  if (probable.length <= most) return probable;
  const best = [...probable].sort((a, b) => b.logProbability - a.logProbability).slice(0, most);
  return best.sort((a, b) => a.length - b.length);
}

function normalised(runs: readonly Run[]): readonly Run[] {
  const total = logSumOfExp(runs.map((run) => run.logProbability));
  return runs.map((run) => ({ ...run, logProbability: run.logProbability - total }));
}
