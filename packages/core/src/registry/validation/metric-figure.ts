import { isKeelsonError } from '../../errors.ts';
import {
  bootstrapInterval,
  type ClassificationMetrics,
  type ConfusionMatrix,
  classificationMetrics,
  confusionMatrix,
  type Interval,
  meanInterval,
  momentsOf,
  predictionErrors,
  rocAreaInterval,
  seededRandom,
  wilsonInterval,
} from '../../statistics/index.ts';
import { numberOf } from './input-tensors.ts';
import type { Labelled, LabelledRows } from './read-predictions.ts';
import { knownMetrics, type MetricFunction } from './suite.ts';
import { messageOf, TestFault } from './test-fault.ts';

/** A figure of labelled rows. Plain JSON. */
export interface MetricFigure {
  readonly metric: string;
  /** Null where there is nothing to divide by. */
  readonly value: number | null;
  /** Of 95 %; missing where none is known. */
  readonly interval?: Interval;
  /** How the interval was made. */
  readonly method?: 'Wilson' | 'DeLong' | 'Student' | 'bootstrap';
  readonly rows: number;
}

type KnownMetric = (typeof knownMetrics)[number];
type Sized = Omit<MetricFigure, 'metric' | 'rows'>;

const alpha = 0.05;
/** Rows are drawn in so many groups: what is drawn from are their sums, so that a million rows cost as little. */
const maxGroups = 1000;
/** Sums added up for all samples together: some tenths of a second. */
const maxAdditions = 200_000_000;
/** Of more classes the matrix is too large to be drawn a thousand times. */
const maxDrawnClasses = 50;

/** Whether the name stands for a figure that needs no function. */
export function isKnownMetric(name: string): name is KnownMetric {
  return (knownMetrics as readonly string[]).includes(name);
}

/** A figure by its name. TestFault where these rows have none. */
export async function metricFigure(
  metric: string,
  labelled: LabelledRows,
  own: Readonly<Record<string, MetricFunction>>,
): Promise<MetricFigure> {
  const { rows } = labelled;
  const facts = { metric, rows: rows.length };
  const made = Object.hasOwn(own, metric) ? own[metric] : undefined;
  if (made !== undefined) return { ...facts, value: await ownFigure(metric, made, rows) };
  if (!isKnownMetric(metric)) throw new TestFault(`there is no metric ${metric}`);
  if (rows.length === 0) return { ...facts, value: null };
  try {
    return { ...facts, ...figures[metric](labelled) };
  } catch (error) {
    if (!isKeelsonError(error, 'INVALID')) throw error;
    throw new TestFault(`${metric} of these rows is not known: ${error.message}`, { cause: error });
  }
}

async function ownFigure(
  metric: string,
  made: MetricFunction,
  rows: readonly Labelled[],
): Promise<number> {
  let value: unknown;
  try {
    value = await made(rows);
  } catch (error) {
    throw new TestFault(`metric ${metric}: ${messageOf(error)}`, { cause: error });
  }
  if (typeof value === 'number') return value;
  throw new TestFault(`metric ${metric} answered a ${typeof value}, not a number`);
}

type Figure = (labelled: LabelledRows) => Sized;

const figures: Readonly<Record<KnownMetric, Figure>> = {
  accuracy: ({ rows }) => rate(rows.filter(isRight).length, rows.length),
  balancedAccuracy: ({ rows }) => ofMatrix(rows, ({ balancedAccuracy }) => balancedAccuracy),
  precision: (labelled) => ofClasses(labelled, 'precision', 'predicted'),
  recall: (labelled) => ofClasses(labelled, 'recall', 'support'),
  f1: (labelled) => ofClasses(labelled, 'f1', undefined),
  auc: rankedArea,
  logLoss: (labelled) => mean(labelled.rows.map((row) => lossOf(row, labelled.ranked))),
  mae: ({ rows }) => mean(numbers(rows).map(([actual, said]) => Math.abs(said - actual))),
  rmse: ({ rows }) => rootOf(mean(numbers(rows).map(([actual, said]) => (said - actual) ** 2))),
  r2: ({ rows }) => determinationOf(numbers(rows)),
};

function isRight({ label, prediction }: Labelled): boolean {
  return String(label) === String(prediction);
}

type Which = 'precision' | 'recall' | 'f1';

/** Of the positive class where one is named, else the mean of all classes. */
function ofClasses(
  { rows, positive }: LabelledRows,
  which: Which,
  trials: 'predicted' | 'support' | undefined,
): Sized {
  if (positive === undefined) {
    return ofMatrix(rows, ({ perClass }) => {
      const known = perClass.flatMap((each) => each[which] ?? []);
      return known.length === 0 ? null : known.reduce((sum, x) => sum + x, 0) / known.length;
    });
  }
  const inClass = ({ perClass }: ClassificationMetrics) =>
    perClass.find((each) => each.class === positive);
  if (trials === undefined) return ofMatrix(rows, (found) => inClass(found)?.[which] ?? null);
  const found = inClass(classificationMetrics(matrixOf(rows)));
  const share = found?.[which] ?? null;
  if (found === undefined || share === null) return { value: null };
  return rate(Math.round(share * found[trials]), found[trials]);
}

function matrixOf(rows: readonly Labelled[]): ConfusionMatrix {
  return confusionMatrix(
    rows.map(({ label }) => String(label)),
    rows.map(({ prediction }) => String(prediction)),
  );
}

/** A figure of the confusion matrix; samples are counted in its cells. */
function ofMatrix(
  rows: readonly Labelled[],
  figure: (metrics: ClassificationMetrics) => number | null,
): Sized {
  const { classes, counts } = matrixOf(rows);
  const value = figure(classificationMetrics({ classes, counts }));
  const size = classes.length;
  if (size > maxDrawnClasses) return { value };
  const places = new Map(classes.map((name, i) => [name, i]));
  const cells = Uint32Array.from(rows, ({ label, prediction }) => {
    const [actual, said] = [label, prediction].map((name) => places.get(String(name)) as number);
    return (actual as number) * size + (said as number);
  });
  return drawn(value, {
    ...{ count: rows.length, width: size * size },
    add: (row, sums, at) => {
      const cell = at + (cells[row] as number);
      sums[cell] = (sums[cell] as number) + 1;
    },
    figure: (sums) => {
      const counted = classes.map((_, i) => Array.from(sums.subarray(i * size, (i + 1) * size)));
      return figure(classificationMetrics({ classes, counts: counted }));
    },
  });
}

function determinationOf(pairs: readonly (readonly [actual: number, said: number])[]): Sized {
  const [actual, said] = [pairs.map(([a]) => a), pairs.map(([, b]) => b)];
  const value = predictionErrors(actual, said).determination;
  // Around the mean of all, so that little is lost where it is large beside the spread.
  const middle = actual.reduce((sum, a) => sum + a / actual.length, 0);
  return drawn(value, {
    ...{ count: pairs.length, width: 4 },
    add: (row, sums, at) => {
      const [a, b] = [(actual[row] as number) - middle, (said[row] as number) - middle];
      for (const [k, term] of [1, a, a * a, (b - a) ** 2].entries()) {
        sums[at + k] = (sums[at + k] as number) + term;
      }
    },
    figure: ([items = 0, sum = 0, squares = 0, errors = 0]) => {
      const spread = squares - (sum * sum) / items;
      return spread > 1e-12 * squares ? 1 - errors / spread : null;
    },
  });
}

function rankedArea({ rows, ranked }: LabelledRows): Sized {
  const scores = rows.flatMap(({ score }) => score ?? []);
  if (ranked === undefined || scores.length < rows.length) {
    throw new TestFault(
      'auc needs the probability of a class: an output probabilities with columns, and prediction.positive; or a score with prediction.threshold',
    );
  }
  const labels = rows.map(({ label }) => (String(label) === ranked ? 1 : 0));
  const found = rocAreaInterval(scores, labels, alpha);
  if (found === null) return { value: null };
  return { value: found.area, interval: found.interval, method: 'DeLong' };
}

/** −ln of the probability of what was really the case. */
function lossOf({ label, probabilities, score }: Labelled, ranked: string | undefined): number {
  if (probabilities !== undefined) {
    const name = String(label);
    const found = Object.hasOwn(probabilities, name) ? probabilities[name] : undefined;
    if (found === undefined)
      throw new TestFault(`logLoss: no probability of class ${name} is given`);
    return lossAt(found);
  }
  if (score === undefined) {
    throw new TestFault('logLoss needs probabilities: an output with a column for each class');
  }
  return lossAt(String(label) === ranked ? score : 1 - score);
}

/** As near to 0 or 1 as scikit-learn lets it come. */
const smallest = 2.220446049250313e-16;

function lossAt(probability: number): number {
  if (!(probability >= 0 && probability <= 1)) {
    throw new TestFault(`logLoss: ${probability} is no probability`);
  }
  return -Math.log(Math.min(1 - smallest, Math.max(smallest, probability)));
}

function numbers(rows: readonly Labelled[]): readonly (readonly [number, number])[] {
  return rows.map(({ label, prediction }, i) => {
    const single =
      Array.isArray(prediction) && prediction.length === 1 ? prediction[0] : prediction;
    const [actual, said] = [numberOf(label), numberOf(single ?? null)];
    if (actual === undefined) {
      throw new TestFault(`row ${i + 1}: the label ${JSON.stringify(label)} is no number`);
    }
    if (said !== undefined) return [actual, said] as const;
    throw new TestFault(`row ${i + 1}: the prediction ${JSON.stringify(prediction)} is no number`);
  });
}

function rate(successes: number, trials: number): Sized {
  if (trials === 0) return { value: null };
  const interval = wilsonInterval({ successes, trials }, alpha);
  return { value: successes / trials, interval, method: 'Wilson' };
}

function mean(values: readonly number[]): Sized {
  if (values.length === 0) return { value: null };
  // Not finite anywhere, not finite as a whole: a model that answers NaN is not left out of its average.
  if (!values.every(Number.isFinite)) return { value: values.reduce((sum, x) => sum + x, 0) };
  const moments = momentsOf(values);
  if (values.length < 2) return { value: moments.mean };
  return { value: moments.mean, interval: meanInterval(moments, alpha), method: 'Student' };
}

function rootOf({ value, interval, ...how }: Sized): Sized {
  const root = (square: number): number => Math.sqrt(Math.max(0, square));
  if (value === null || !Number.isFinite(value)) return { value };
  if (interval === undefined) return { value: root(value) };
  const { low, high } = interval;
  return { ...how, value: root(value), interval: { low: root(low), high: root(high) } };
}

/** A figure that follows from sums over rows. */
interface SummedFigure {
  readonly count: number;
  /** How many sums there are. */
  readonly width: number;
  add(row: number, sums: Float64Array, at: number): void;
  figure(sums: Float64Array): number | null;
}

/** A figure with the bootstrap's interval, drawn from groups of rows put together at random; the same each time. */
function drawn(value: number | null, { count, width, add, figure }: SummedFigure): Sized {
  if (value === null || !Number.isFinite(value)) return { value };
  const groups = Math.min(count, maxGroups);
  const random = seededRandom('validation groups');
  const sums = new Float64Array(groups * width);
  for (let row = 0; row < count; row += 1) {
    add(row, sums, (count === groups ? row : random.below(groups)) * width);
  }
  const all = new Float64Array(width);
  const ofSample = (places: Uint32Array): number => {
    all.fill(0);
    for (const place of places) {
      for (let k = 0; k < width; k += 1) {
        all[k] = (all[k] as number) + (sums[place * width + k] as number);
      }
    }
    return figure(all) ?? Number.NaN;
  };
  const resamples = Math.max(100, Math.min(1000, Math.floor(maxAdditions / (groups * width))));
  const interval = bootstrapInterval(groups, ofSample, { alpha, seed: 'validation', resamples });
  return interval === null ? { value } : { value, interval, method: 'bootstrap' };
}
