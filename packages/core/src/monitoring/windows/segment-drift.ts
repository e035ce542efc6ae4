import type { DatasetDrift, Severity } from '../../statistics/index.ts';
import type { Baseline, SlotOfSeason } from '../baselines/baseline.ts';
import { type BaselineDriftOptions, driftAgainst } from './baseline-drift.ts';
import type { WindowCounts } from './window-counts.ts';

/** How one segment differs from what the baseline has of it. Plain JSON. */
export type SegmentWindowDrift = {
  readonly segment: string;
  readonly entries: { readonly baseline: number; readonly window: number };
  /** Missing where there is too little of it, or nothing to compare with. */
  readonly features?: DatasetDrift;
  readonly prediction?: DatasetDrift['features'][number];
  readonly severity: Severity | 'not-enough-data';
};

const ranks: readonly string[] = ['CRITICAL', 'HIGH', 'MEDIUM', 'LOW', 'NONE', 'not-enough-data'];
/** Smaller segments, on either side, get no verdict. */
const minimumEntries = 100;

/**
 * Each segment against what the baseline has of it, the worst first. The chance of an alarm is that of all segments
 * together (Bonferroni over those that are large enough, Benjamini–Hochberg within).
 */
export function segmentDrifts(
  baseline: Baseline,
  segments: ReadonlyMap<string, WindowCounts>,
  options: BaselineDriftOptions,
): readonly SegmentWindowDrift[] {
  const parts = baseline.segments?.parts ?? {};
  const all = [...segments].map(([segment, window]) => ({
    segment,
    window,
    was: Object.hasOwn(parts, segment) ? parts[segment] : undefined,
  }));
  const isLarge = ({ window, was }: (typeof all)[number]): boolean =>
    window.requests >= minimumEntries && (was?.rows ?? 0) >= minimumEntries;
  const alpha = (options.alpha ?? 0.05) / Math.max(1, all.filter(isLarge).length);
  return all
    .map((each): SegmentWindowDrift => {
      const { segment, window, was } = each;
      const entries = { baseline: was?.rows ?? 0, window: window.requests };
      if (was === undefined || !isLarge(each))
        return { segment, entries, severity: 'not-enough-data' };
      const { features, prediction } = driftAgainst(
        withRows(baseline, was),
        window,
        { ...options, alpha },
        { feature: (place) => was.features[place], prediction: was.prediction, least: 0 },
      );
      const { severity } = features;
      return { segment, entries, features, ...(prediction ? { prediction } : {}), severity };
    })
    .toSorted(
      (a, b) =>
        ranks.indexOf(a.severity) - ranks.indexOf(b.severity) ||
        (b.features?.score ?? 0) - (a.features?.score ?? 0) ||
        b.entries.window - a.entries.window ||
        (a.segment < b.segment ? -1 : 1),
    );
}

function withRows(baseline: Baseline, { rows }: SlotOfSeason): Baseline {
  return { ...baseline, rows };
}
