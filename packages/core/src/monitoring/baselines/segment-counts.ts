import { maxSegments, otherSegment, type SegmentSizes, segmentText } from '../windows/segments.ts';
import { WindowCounter, type WindowCounts } from '../windows/window-counts.ts';
import type { Baseline, SegmentCounts } from './baseline.ts';
import { coarseCounts } from './seasonal-counts.ts';

/** A row with what its segment is told by. */
interface SegmentedRow {
  readonly features: Readonly<Record<string, unknown>>;
  readonly prediction?: unknown;
  readonly segment?: string | undefined;
}

/** The counts of rows apart by the values of a column, the most frequent ones, in the bins of a baseline. */
export function segmentsOfRows(
  baseline: Baseline,
  by: string,
  rows: readonly SegmentedRow[],
): SegmentCounts {
  const segmentIn = ({ features, segment }: SegmentedRow): string | undefined =>
    segmentText(by === 'segment' && !Object.hasOwn(features, by) ? segment : features[by]);
  const sizes = new Map<string, number>();
  for (const row of rows) {
    const segment = segmentIn(row);
    if (segment !== undefined) sizes.set(segment, (sizes.get(segment) ?? 0) + 1);
  }
  const chosen = new Set(largest(Object.fromEntries(sizes)).slice(0, maxSegments));
  const counters = new Map<string, WindowCounter>();
  for (const row of rows) {
    const value = segmentIn(row);
    if (value === undefined) continue;
    const segment = chosen.has(value) ? value : otherSegment;
    const counter = counters.get(segment) ?? new WindowCounter(baseline);
    counters.set(segment, counter);
    counter.add(row);
  }
  const counted = [...counters].map(([value, counter]) => [value, counter.counts()] as const);
  return segmentCountsOf(baseline, by, counted);
}

/** Segments that were counted in the bins of a baseline. */
export function segmentCountsOf(
  baseline: Baseline,
  by: string,
  segments: Iterable<readonly [segment: string, counts: WindowCounts]>,
): SegmentCounts {
  const parts = [...segments].map(
    ([segment, counts]) => [segment, coarseCounts(baseline, counts)] as const,
  );
  return { by, parts: Object.fromEntries(parts.sort(([a], [b]) => (a < b ? -1 : 1))) };
}

/** The most frequent segments, as many as have counts of their own, and what shares a place. */
export function largest(sizes: SegmentSizes): readonly string[] {
  return Object.entries(sizes)
    .sort(([a, one], [b, other]) => other - one || (a < b ? -1 : 1))
    .slice(0, maxSegments + 1)
    .map(([segment]) => segment);
}
