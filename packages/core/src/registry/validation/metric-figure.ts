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
/** Rows looked at by all samples of a bootstrap together: some tenths of a second. */
const maxDraws = 10_000_000;
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
  r2: ({ rows }) => {
    const [actual, said] = [0, 1].map((side) =>
      numbers(rows).map((pair) => pair[side] as number),
    ) as [number[], number[]];
    const of = (a: readonly number[], b: readonly number[]): number | null =>
      predictionErrors(a, b).determination;
    return drawn(rows.length, of(actual, said), (places) =>
      of(
        Array.from(places, (place) => actual[place] as number),
        Array.from(places, (place) => said[place] as number),
      ),
    );
  },
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
  return drawn(rows.length, value, (some) => {
    const flat = new Array<number>(size * size).fill(0);
    for (const place of some) {
      const cell = cells[place] as number;
      flat[cell] = (flat[cell] as number) + 1;
    }
    const counted = classes.map((_, i) => flat.slice(i * size, (i + 1) * size));
    return figure(classificationMetrics({ classes, counts: counted }));
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

/** A figure with the bootstrap's interval; the same rows give the same. */
function drawn(
  count: number,
  value: number | null,
  figure: (places: Uint32Array) => number | null,
): Sized {
  if (value === null || !Number.isFinite(value)) return { value };
  const resamples = Math.max(100, Math.min(1000, Math.floor(maxDraws / count)));
  const options = { alpha, seed: 'validation', resamples };
  const interval = bootstrapInterval(count, (places) => figure(places) ?? Number.NaN, options);
  return interval === null ? { value } : { value, interval, method: 'bootstrap' };
}
