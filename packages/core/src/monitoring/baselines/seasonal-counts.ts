import { coarseBins } from '../windows/coarse-bins.ts';
import { WindowCounter, type WindowCounts } from '../windows/window-counts.ts';
import type { Baseline, SeasonCounts, SlotOfSeason } from './baseline.ts';
import { type Season, slotOf, slotsOf } from './season.ts';

/** A row with its time. */
export interface TimedRow {
  readonly at: number;
  readonly features: Readonly<Record<string, unknown>>;
  readonly prediction?: unknown;
  readonly segment?: string | undefined;
}

/** The counts of rows apart by season, in the bins of a baseline. */
export function seasonsOfRows(
  baseline: Baseline,
  by: Season,
  rows: Iterable<TimedRow>,
): SeasonCounts {
  const counters = new Map<string, WindowCounter>();
  for (const row of rows) {
    const slot = slotOf(by, row.at);
    const counter = counters.get(slot) ?? new WindowCounter(baseline);
    counters.set(slot, counter);
    counter.add(row);
  }
  return seasonsOf(
    baseline,
    by,
    [...counters].map(([slot, counter]) => [slot, counter.counts()]),
  );
}

/** Windows that were counted in the bins of a baseline, by the slot that each is of. */
export function seasonsOf(
  baseline: Baseline,
  by: Season,
  windows: Iterable<readonly [slot: string, counts: WindowCounts]>,
): SeasonCounts {
  const slots = [...windows].map(
    ([slot, counts]) => [slot, coarseCounts(baseline, counts)] as const,
  );
  return { by, slots: Object.fromEntries(slots.sort(([a], [b]) => Number(a) - Number(b))) };
}

/** What was counted in the bins of a baseline, in its coarse ones. */
export function coarseCounts(baseline: Baseline, counts: WindowCounts): SlotOfSeason {
  return {
    rows: counts.requests,
    features: baseline.features.map((was, i) => {
      const is = counts.features[i];
      return is === undefined ? [] : coarseBins(was, is)[1];
    }),
    ...(baseline.prediction === undefined || counts.prediction === undefined
      ? {}
      : { prediction: coarseBins(baseline.prediction, counts.prediction)[1] }),
  };
}

/** What is compared with instead of a whole baseline: counts in its coarse bins. */
export interface CoarseReference {
  /** Of the feature at a place; undefined where nothing was. */
  feature(place: number): readonly number[] | undefined;
  readonly prediction: readonly number[] | undefined;
}

/** The reference of a while by its season; undefined where the baseline knows no seasons. */
export function seasonalReference(
  { seasons }: Baseline,
  range: { readonly from: number; readonly to: number },
): CoarseReference | undefined {
  if (seasons === undefined) return undefined;
  const slots = [...slotsOf(seasons.by, range)].flatMap((slot) =>
    Object.hasOwn(seasons.slots, slot) ? (seasons.slots[slot] as SlotOfSeason) : [],
  );
  return {
    feature: (place) => added(slots.flatMap(({ features }) => [features[place] ?? []])),
    prediction: added(slots.flatMap(({ prediction }) => (prediction ? [prediction] : []))),
  };
}

function added(all: readonly (readonly number[])[]): readonly number[] | undefined {
  const [first] = all;
  if (first === undefined || first.length === 0) return undefined;
  return first.map((_, bin) => all.reduce((sum, counts) => sum + (counts[bin] ?? 0), 0));
}
