import { requireCount, requireLevel } from '../arguments.ts';
import { type EValue, eBenjaminiHochberg, eValueFromLog, meanOfE } from './e-value.ts';
import {
  type EstimatedRate,
  type RateChangeOptions,
  type RateChangeState,
  rateChange,
} from './rate-change.ts';
import { requireKind, type SequentialTest } from './sequential-test.ts';

/** Counts of classes within strata; missing ones are 0. */
export type ClassCounts = Readonly<Record<string, Readonly<Record<string, number>>>>;

/** What distributions are compared with. */
export interface DistributionChangeOptions
  extends Omit<RateChangeOptions, 'reference' | 'designAlpha'> {
  /** What was counted in the reference period, which ended before the first update; a sample, not the truth. */
  readonly reference: ClassCounts;
}

/** One rate: how often a class (null: a class that the reference never showed) is seen in a stratum. */
export type ClassStream = {
  readonly stratum: string;
  readonly class: string | null;
  readonly state: RateChangeState;
};

/** The streams, fixed by the reference, and what came from elsewhere. Plain JSON. */
export type DistributionChangeState = {
  readonly kind: 'distribution-change';
  readonly alpha: number;
  readonly streams: readonly ClassStream[];
  readonly newStrata: readonly { readonly stratum: string; readonly trials: number }[];
};

/** What can be said about one class in one stratum. Plain JSON. */
export type ClassChange = {
  readonly stratum: string;
  /** Null stands for all classes that the reference never showed. */
  readonly class: string | null;
  /** Named as changed, with the share of false names controlled at alpha (e-BH). */
  readonly flagged: boolean;
  readonly direction: 'up' | 'down' | null;
  readonly changed: EValue;
  readonly changedSince: number | null;
  readonly reference: EstimatedRate;
  readonly current: EstimatedRate;
};

/** What can be said about a change of P(class | stratum). Plain JSON. */
export type DistributionChangeVerdict = {
  readonly decision: 'changed' | 'inconclusive';
  readonly enoughData: boolean;
  /** Against "in no stratum has the distribution of classes changed". */
  readonly changed: EValue;
  /** Strongest evidence first. */
  readonly streams: readonly ClassChange[];
  /** Strata without a reference: reported, never tested. */
  readonly newStrata: readonly { readonly stratum: string; readonly trials: number }[];
  readonly alpha: number;
};

/**
 * Tells, at every look and two-sided, whether the distribution of classes within strata has changed since a
 * reference period: for labels given the input, a stratum is the predicted class or a range of an input,
 * and must not be computed from the label. Each class in each stratum is a {@link rateChange} of its own;
 * the whole is the mean of their e-values, strata weighted by their share of the reference, which holds under
 * any dependence between them.
 */
export const distributionChange: SequentialTest<
  DistributionChangeOptions,
  DistributionChangeState,
  ClassCounts,
  DistributionChangeVerdict
> = {
  init: ({ reference, ...options }) => {
    const alpha = options.alpha ?? 0.05;
    requireLevel('alpha', alpha);
    requireClassCounts(reference);
    const classes = [
      ...new Set(Object.values(reference).flatMap((counts) => Object.keys(counts))),
    ].sort();
    const total = Object.values(reference).reduce((sum, counts) => sum + totalOf(counts), 0);
    const streams = Object.keys(reference)
      .filter((stratum) => totalOf(reference[stratum] ?? {}) > 0)
      .sort()
      .flatMap((stratum) => {
        const share = totalOf(reference[stratum] ?? {}) / total / (classes.length + 1);
        return streamsOf(stratum, reference[stratum] ?? {}, classes, {
          ...options,
          alpha,
          designAlpha: alpha * share,
        });
      });
    return { kind: 'distribution-change', alpha, streams, newStrata: [] };
  },

  update: (state, counts) => {
    requireKind(state, 'distribution-change');
    requireClassCounts(counts);
    const known = knownClasses(state.streams);
    const streams = state.streams.map((stream) => {
      const own = ownCounts(counts, stream.stratum);
      const successes = stream.class === null ? unseenOf(own, known) : ownCount(own, stream.class);
      return {
        ...stream,
        state: rateChange.update(stream.state, { successes, trials: totalOf(own) }),
      };
    });
    return { ...state, streams, newStrata: withNewStrata(state, counts) };
  },

  verdict: (state) => {
    requireKind(state, 'distribution-change');
    const verdicts = state.streams.map((stream) => rateChange.verdict(stream.state));
    const evidence = verdicts.map((verdict) => verdict.changed);
    const weights = state.streams.map((stream) => stream.state.reference.trials);
    const changed = evidence.length === 0 ? eValueFromLog(0) : meanOfE(evidence, weights);
    const enoughData = verdicts.some((verdict) => verdict.enoughData);
    const flags = eBenjaminiHochberg(evidence, state.alpha);
    const streams = verdicts.map((verdict, index) => ({
      stratum: (state.streams[index] as ClassStream).stratum,
      class: (state.streams[index] as ClassStream).class,
      flagged: verdict.enoughData && (flags[index] as boolean),
      direction: verdict.direction,
      changed: verdict.changed,
      changedSince: verdict.changedSince,
      reference: verdict.reference,
      current: verdict.current,
    }));
    return {
      decision: enoughData && changed.logE >= -Math.log(state.alpha) ? 'changed' : 'inconclusive',
      enoughData,
      changed,
      streams: streams.sort((a, b) => b.changed.logE - a.changed.logE),
      newStrata: state.newStrata,
      alpha: state.alpha,
    };
  },
};

function streamsOf(
  stratum: string,
  counts: Readonly<Record<string, number>>,
  classes: readonly string[],
  options: Omit<RateChangeOptions, 'reference'>,
): ClassStream[] {
  const trials = totalOf(counts);
  return [...classes, null].map((name) => ({
    stratum,
    class: name,
    state: rateChange.init({
      ...options,
      reference: { successes: name === null ? 0 : ownCount(counts, name), trials },
    }),
  }));
}

function knownClasses(streams: readonly ClassStream[]): ReadonlySet<string> {
  return new Set(streams.flatMap((stream) => (stream.class === null ? [] : [stream.class])));
}

function withNewStrata(
  state: DistributionChangeState,
  counts: ClassCounts,
): DistributionChangeState['newStrata'] {
  const tested = new Set(state.streams.map((stream) => stream.stratum));
  const trials = new Map(state.newStrata.map((entry) => [entry.stratum, entry.trials]));
  for (const stratum of Object.keys(counts).sort()) {
    const added = totalOf(ownCounts(counts, stratum));
    if (!tested.has(stratum) && added > 0) trials.set(stratum, (trials.get(stratum) ?? 0) + added);
  }
  return [...trials].map(([stratum, count]) => ({ stratum, trials: count }));
}

function requireClassCounts(counts: ClassCounts): void {
  for (const [stratum, classes] of Object.entries(counts)) {
    for (const [name, count] of Object.entries(classes)) requireCount(`${stratum}.${name}`, count);
  }
}

function ownCounts(counts: ClassCounts, stratum: string): Readonly<Record<string, number>> {
  return Object.hasOwn(counts, stratum) ? (counts[stratum] ?? {}) : {};
}

function ownCount(counts: Readonly<Record<string, number>>, name: string): number {
  return Object.hasOwn(counts, name) ? (counts[name] ?? 0) : 0;
}

function totalOf(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

function unseenOf(counts: Readonly<Record<string, number>>, known: ReadonlySet<string>): number {
  return Object.entries(counts).reduce(
    (sum, [name, count]) => (known.has(name) ? sum : sum + count),
    0,
  );
}
