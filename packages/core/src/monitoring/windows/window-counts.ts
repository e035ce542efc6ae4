import {
  binOf,
  type Category,
  LogLinearHistogram,
  type Moments,
  mergeMoments,
  noMoments,
  RunningMoments,
  type StoredHistogram,
} from '../../statistics/index.ts';
import {
  type Baseline,
  type FeatureBins,
  type FeatureCounts,
  maxStrangers,
  mostFrequent,
} from '../baselines/baseline.ts';

/** What was counted of the predictions of a while, in a baseline's bins. Plain JSON. */
export type WindowCounts = {
  readonly requests: number;
  /** Of those, how many failed. */
  readonly errors: number;
  /** In the order of the baseline's features. */
  readonly features: readonly FeatureCounts[];
  readonly prediction?: FeatureCounts;
  /** In milliseconds: from the request to its answer, of that in the queue, and in the model. */
  readonly latency: StoredHistogram;
  readonly queue: StoredHistogram;
  readonly inference: StoredHistogram;
};

/** What is counted of one prediction. */
export interface CountedPrediction {
  readonly features: Readonly<Record<string, unknown>>;
  readonly prediction?: unknown;
  readonly error?: string;
  readonly latencyMs?: number;
  readonly queueMs?: number;
  readonly inferenceMs?: number;
}

/** Counts predictions in the bins of a baseline, in bounded memory. */
export class WindowCounter {
  readonly #features: readonly { readonly name: string; readonly counter: FeatureCounter }[];
  readonly #prediction: FeatureCounter | undefined;
  readonly #latency = new LogLinearHistogram();
  readonly #queue = new LogLinearHistogram();
  readonly #inference = new LogLinearHistogram();
  #requests = 0;
  #errors = 0;

  constructor(baseline: Pick<Baseline, 'features' | 'prediction'>) {
    this.#features = baseline.features.map((bins) => ({
      name: bins.feature,
      counter: new FeatureCounter(bins),
    }));
    this.#prediction =
      baseline.prediction === undefined ? undefined : new FeatureCounter(baseline.prediction);
  }

  get requests(): number {
    return this.#requests;
  }

  add(row: CountedPrediction): void {
    const { error } = row;
    // What a caller sent as features may be nothing of the kind: then all are missing.
    const features = Object(row.features) as Readonly<Record<string, unknown>>;
    this.#requests += 1;
    for (const { name, counter } of this.#features) {
      counter.add(Object.hasOwn(features, name) ? features[name] : undefined);
    }
    if (error === undefined) this.#prediction?.add(row.prediction);
    else this.#errors += 1;
    record(this.#latency, row.latencyMs);
    record(this.#queue, row.queueMs);
    record(this.#inference, row.inferenceMs);
  }

  counts(): WindowCounts {
    return {
      requests: this.#requests,
      errors: this.#errors,
      features: this.#features.map(({ counter }) => counter.counts()),
      ...(this.#prediction === undefined ? {} : { prediction: this.#prediction.counts() }),
      latency: this.#latency.toJSON(),
      queue: this.#queue.toJSON(),
      inference: this.#inference.toJSON(),
    };
  }
}

/**
 * The counts of several windows or shards together. Counts are exact whatever the order; for equal bits of the moments
 * give the shards in one fixed order, such as by time and writer. Undefined for none.
 */
export function mergeWindows(windows: readonly WindowCounts[]): WindowCounts | undefined {
  const [first, ...rest] = windows;
  if (first === undefined) return undefined;
  const [latency, queue, inference] = (['latency', 'queue', 'inference'] as const).map((which) => {
    const all = LogLinearHistogram.from(first[which]);
    for (const window of rest) all.merge(LogLinearHistogram.from(window[which]));
    return all.toJSON();
  }) as [StoredHistogram, StoredHistogram, StoredHistogram];
  const answers = windows.flatMap(({ prediction }) =>
    prediction === undefined ? [] : [prediction],
  );
  return {
    requests: sum(windows.map((window) => window.requests)),
    errors: sum(windows.map((window) => window.errors)),
    features: first.features.map((_, i) =>
      mergeFeatures(windows.flatMap(({ features }) => features[i] ?? [])),
    ),
    ...(answers.length === 0 ? {} : { prediction: mergeFeatures(answers) }),
    ...{ latency, queue, inference },
  };
}

function mergeFeatures(all: readonly FeatureCounts[]): FeatureCounts {
  const [first, ...rest] = all as [FeatureCounts, ...FeatureCounts[]];
  if (rest.length === 0) return first;
  const strangers = new Map<Category, number>();
  for (const { category, count } of all.flatMap((each) => each.strangers ?? [])) {
    strangers.set(category, (strangers.get(category) ?? 0) + count);
  }
  return {
    counts: first.counts.map((_, bin) => sum(all.map(({ counts }) => counts[bin] ?? 0))),
    missing: sum(all.map((each) => each.missing)),
    infinite: sum(all.map((each) => each.infinite)),
    mistyped: sum(all.map((each) => each.mistyped)),
    ...(first.outside === undefined ? {} : { outside: sum(all.map(({ outside = 0 }) => outside)) }),
    ...(first.moments === undefined
      ? {}
      : {
          moments: rest.reduce(
            (so, { moments = noMoments }) => mergeMoments(so, moments),
            first.moments,
          ),
        }),
    ...(first.strangers === undefined ? {} : { strangers: mostFrequent(strangers) }),
  };
}

/** Counts the values of one feature. */
class FeatureCounter {
  readonly #edges: readonly number[] | undefined;
  readonly #places: ReadonlyMap<unknown, number>;
  readonly #counts: Float64Array;
  readonly #strangers = new Map<Category, number>();
  #missing = 0;
  #infinite = 0;
  #mistyped = 0;
  #outside = 0;
  readonly #low: number;
  readonly #high: number;
  readonly #running = new RunningMoments();

  constructor(bins: FeatureBins & { readonly moments?: Moments }) {
    const isNumber = bins.type === 'number';
    this.#low = bins.moments?.low ?? -Infinity;
    this.#high = bins.moments?.high ?? Infinity;
    this.#edges = isNumber ? bins.edges : undefined;
    this.#places = new Map(isNumber ? [] : bins.categories.map((each, place) => [each, place]));
    this.#counts = new Float64Array((isNumber ? bins.edges : bins.categories).length + 1);
  }

  add(value: unknown): void {
    if (value === undefined || value === null || Number.isNaN(value)) this.#missing += 1;
    else if (this.#edges === undefined) this.#addCategory(value);
    else if (typeof value === 'number') this.#addNumber(value, this.#edges);
    else this.#mistyped += 1;
  }

  #addNumber(value: number, edges: readonly number[]): void {
    if (!Number.isFinite(value)) {
      this.#infinite += 1;
      return;
    }
    const bin = binOf(edges, value);
    this.#counts[bin] = (this.#counts[bin] as number) + 1;
    if (value < this.#low || value > this.#high) this.#outside += 1;
    this.#running.add(value);
  }

  #addCategory(value: unknown): void {
    const place = this.#places.get(value);
    if (place !== undefined) {
      this.#counts[place] = (this.#counts[place] as number) + 1;
      return;
    }
    const isCategory =
      typeof value === 'string' || typeof value === 'boolean' || typeof value === 'number';
    if (!isCategory) {
      this.#mistyped += 1;
      return;
    }
    const last = this.#counts.length - 1;
    this.#counts[last] = (this.#counts[last] as number) + 1;
    const known = this.#strangers.get(value);
    if (known !== undefined || this.#strangers.size < maxStrangers) {
      this.#strangers.set(value, (known ?? 0) + 1);
    }
  }

  counts(): FeatureCounts {
    const [missing, infinite, mistyped] = [this.#missing, this.#infinite, this.#mistyped];
    const common = { counts: [...this.#counts], missing, infinite, mistyped };
    return this.#edges === undefined
      ? { ...common, strangers: mostFrequent(this.#strangers) }
      : { ...common, moments: this.#running.moments, outside: this.#outside };
  }
}

/** A time that is none is not counted. */
function record(histogram: LogLinearHistogram, ms: number | undefined): void {
  if (ms !== undefined && ms >= 0 && ms < Infinity) histogram.record(ms);
}

function sum(values: readonly number[]): number {
  return values.reduce((all, value) => all + value, 0);
}
