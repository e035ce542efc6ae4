import { encodeJson } from '../../json.ts';
import {
  encodeHistogram,
  LogLinearHistogram,
  mergeEncoded,
  quantilesOf,
} from '../../statistics/index.ts';
import { type Counting, minuteMs } from '../windows/counted-rollups.ts';

/** Quantiles of times are within 0.8 % of the true ones: histograms of so many bits. */
const bits = 6;
/** Of every figure that comes from a sketch. */
export const relativeError: number = new LogLinearHistogram(bits).relativeError;

/** A prediction, or a request that was refused before any. */
export interface MetricItem {
  readonly at: number;
  readonly kind: 'answered' | 'failed' | 'invalid';
  readonly latencyMs?: number | undefined;
  readonly queueMs?: number | undefined;
  readonly inferenceMs?: number | undefined;
  /** What it is counted by besides. */
  readonly version?: string | undefined;
  readonly segment?: string | undefined;
  readonly arm?: string | undefined;
  readonly replica?: string | undefined;
}

/** What figures are told apart by. */
export type Dimension = 'version' | 'segment' | 'arm' | 'replica';

/** Plain JSON. Whole numbers and histograms: they add up exactly, in whatever order. */
export type MetricCounts = {
  /** Predictions that were answered or failed. */
  readonly requests: number;
  readonly errors: number;
  readonly invalid: number;
  /** Of answers: from the request to its answer, the sum in µs and the histogram in ms. */
  readonly latencyUs: number;
  readonly latency: string;
};

/** Of which shares quantiles are stored beside a histogram: what one writer counted need not be worked out again. */
export const storedShares = [0.5, 0.95, 0.99, 0.999] as const;

/** A number of times and their quantiles at {@link storedShares}; none where there are no times. */
export type StoredTimes = readonly [count: number, ...quantiles: number[]];

/** What is stored beside counts, and follows from them. */
export type StoredFigures = {
  readonly latencyTimes?: StoredTimes;
  readonly queueTimes?: StoredTimes;
  readonly inferenceTimes?: StoredTimes;
};

/** Of answers: the times that make up the latency. */
export type InnerCounts = {
  readonly queueUs: number;
  readonly queue: string;
  readonly inferenceUs: number;
  readonly inference: string;
};

/** All that is counted of a part. */
export type Part = MetricCounts & InnerCounts;
/** Dimension → value → counts. */
export type PartCounts = Readonly<Partial<Record<Dimension, Readonly<Record<string, Part>>>>>;
/** Ten seconds of a minute, from 0 to 5 → counts. */
export type SlotCounts = Readonly<Record<string, Part>>;

/** A time in a histogram, with its sum in whole µs. */
class Times {
  readonly #histogram = new LogLinearHistogram(bits);
  sumUs = 0;

  /** A time that is none is not counted. */
  add(ms: number | undefined): void {
    if (ms === undefined || !(ms >= 0 && ms < Number.MAX_SAFE_INTEGER / 1e6)) return;
    this.#histogram.record(ms);
    this.sumUs += Math.round(ms * 1000);
  }

  get text(): string {
    return encodeHistogram(this.#histogram);
  }
}

class Counter {
  #requests = 0;
  #errors = 0;
  #invalid = 0;
  readonly #latency = new Times();

  add({ kind, latencyMs }: MetricItem): void {
    if (kind === 'invalid') {
      this.#invalid += 1;
      return;
    }
    this.#requests += 1;
    if (kind === 'failed') this.#errors += 1;
    else this.#latency.add(latencyMs);
  }

  counts(): MetricCounts {
    return {
      ...{ requests: this.#requests, errors: this.#errors, invalid: this.#invalid },
      ...{ latencyUs: this.#latency.sumUs, latency: this.#latency.text },
    };
  }
}

class InnerCounter {
  readonly #queue = new Times();
  readonly #inference = new Times();

  add({ kind, queueMs, inferenceMs }: MetricItem): void {
    if (kind !== 'answered') return;
    this.#queue.add(queueMs);
    this.#inference.add(inferenceMs);
  }

  counts(): InnerCounts {
    const [queue, inference] = [this.#queue, this.#inference];
    return {
      ...{ queueUs: queue.sumUs, queue: queue.text },
      ...{ inferenceUs: inference.sumUs, inference: inference.text },
    };
  }
}

/** So many values of a dimension are told apart in a minute; what comes later is counted in {@link otherPart}. */
const maxParts = 50;
/** Where values are counted that are too many. */
const otherPart = '__other__';

class WholeCounter {
  readonly #outer = new Counter();
  readonly #inner = new InnerCounter();

  add(item: MetricItem): void {
    this.#outer.add(item);
    this.#inner.add(item);
  }

  counts(): Part {
    return { ...this.#outer.counts(), ...this.#inner.counts() };
  }
}

class PartCounter {
  readonly #parts = new Map<Dimension, Map<string, WholeCounter>>();

  add(item: MetricItem): void {
    const { version, segment, arm, replica } = item;
    if (version !== undefined) this.#of('version', version).add(item);
    if (segment !== undefined) this.#of('segment', segment).add(item);
    if (arm !== undefined) this.#of('arm', arm).add(item);
    if (replica !== undefined) this.#of('replica', replica).add(item);
  }

  counts(): PartCounts {
    return Object.fromEntries(
      [...this.#parts].map(([dimension, values]) => [
        dimension,
        Object.fromEntries([...values].map(([value, counter]) => [value, counter.counts()])),
      ]),
    );
  }

  #of(dimension: Dimension, value: string): WholeCounter {
    let values = this.#parts.get(dimension);
    if (values === undefined) {
      values = new Map();
      this.#parts.set(dimension, values);
    }
    const known = values.get(value);
    if (known !== undefined) return known;
    const key = values.size < maxParts ? value : otherPart;
    const counter = values.get(key) ?? new WholeCounter();
    values.set(key, counter);
    return counter;
  }
}

/** How finely figures slide. */
export const slotMs = 10_000;

class SlotCounter {
  readonly #slots = new Map<number, WholeCounter>();

  add(item: MetricItem): void {
    const slot = Math.floor((item.at % minuteMs) / slotMs);
    let counter = this.#slots.get(slot);
    if (counter === undefined) {
      counter = new WholeCounter();
      this.#slots.set(slot, counter);
    }
    counter.add(item);
  }

  counts(): SlotCounts {
    return Object.fromEntries([...this.#slots].map(([slot, counter]) => [slot, counter.counts()]));
  }
}

function timesOf(histogram: string): StoredTimes {
  const { total, quantiles } = quantilesOf([histogram], storedShares);
  return total === 0 ? [0] : [total, ...(quantiles as number[])];
}

/** Of all predictions of a deployment. */
export const metricCounting: Counting<MetricItem, MetricCounts> = {
  name: 'metrics',
  begin: () => new Counter(),
  merge: mergeCounts,
  encode: (counts) => encodeJson({ ...counts, latencyTimes: timesOf(counts.latency) }),
};

/** The same, of the times within the latency: apart, so that reading latencies reads no more. */
export const innerCounting: Counting<MetricItem, InnerCounts> = {
  name: 'metrics.inner',
  begin: () => new InnerCounter(),
  merge: mergeInner,
  encode: (counts) =>
    encodeJson({
      ...counts,
      queueTimes: timesOf(counts.queue),
      inferenceTimes: timesOf(counts.inference),
    }),
};

/** By version, segment, arm and replica. */
export const partCounting: Counting<MetricItem, PartCounts> = {
  name: 'metrics.parts',
  begin: () => new PartCounter(),
  merge: mergeParts,
  encode: encodeJson,
};

/** By ten seconds, for figures that slide. */
export const slotCounting: Counting<MetricItem, SlotCounts> = {
  name: 'metrics.slots',
  levels: [minuteMs],
  begin: () => new SlotCounter(),
  merge: (all) => mergeKeyed(all, mergeWhole),
  encode: encodeJson,
};

function mergeCounts(all: readonly [MetricCounts, ...MetricCounts[]]): MetricCounts {
  if (all.length === 1) return all[0];
  return {
    requests: sum(all.map(({ requests }) => requests)),
    errors: sum(all.map(({ errors }) => errors)),
    invalid: sum(all.map(({ invalid }) => invalid)),
    latencyUs: sum(all.map(({ latencyUs }) => latencyUs)),
    latency: mergeEncoded(all.map(({ latency }) => latency)),
  };
}

function mergeInner(all: readonly [InnerCounts, ...InnerCounts[]]): InnerCounts {
  if (all.length === 1) return all[0];
  return {
    queueUs: sum(all.map(({ queueUs }) => queueUs)),
    queue: mergeEncoded(all.map(({ queue }) => queue)),
    inferenceUs: sum(all.map(({ inferenceUs }) => inferenceUs)),
    inference: mergeEncoded(all.map(({ inference }) => inference)),
  };
}

function mergeWhole(all: readonly [Part, ...Part[]]): Part {
  return { ...mergeCounts(all), ...mergeInner(all) };
}

function mergeParts(all: readonly [PartCounts, ...PartCounts[]]): PartCounts {
  return mergeKeyed(
    all as readonly [
      Record<string, Record<string, Part>>,
      ...Record<string, Record<string, Part>>[],
    ],
    (each) => withoutRest(mergeKeyed(each, mergeWhole)),
  );
}

/** An hour or a day has room for so many values of a dimension. */
const maxMergedParts = 200;

/** Those with fewest requests give way. */
function withoutRest(parts: Readonly<Record<string, Part>>): Readonly<Record<string, Part>> {
  const all = Object.entries(parts);
  if (all.length <= maxMergedParts) return parts;
  const named = all
    .filter(([value]) => value !== otherPart)
    .sort(([a, one], [b, other]) => other.requests - one.requests || (a < b ? -1 : 1));
  const rest = [
    ...named.slice(maxMergedParts - 1).map(([, part]) => part),
    ...all.filter(([value]) => value === otherPart).map(([, part]) => part),
  ];
  return {
    ...Object.fromEntries(named.slice(0, maxMergedParts - 1)),
    [otherPart]: mergeWhole(rest as unknown as readonly [Part, ...Part[]]),
  };
}

/** Objects of counts, key by key. */
function mergeKeyed<T>(
  all: readonly Readonly<Record<string, T>>[],
  merge: (each: readonly [T, ...T[]]) => T,
): Readonly<Record<string, T>> {
  const keys = [...new Set(all.flatMap((each) => Object.keys(each)))].sort();
  return Object.fromEntries(
    keys.map((key) => {
      const each = all.flatMap((counts) => {
        const found = Object.hasOwn(counts, key) ? counts[key] : undefined;
        return found === undefined ? [] : [found];
      });
      return [key, merge(each as unknown as readonly [T, ...T[]])];
    }),
  );
}

function sum(values: readonly number[]): number {
  return values.reduce((all, value) => all + value, 0);
}
