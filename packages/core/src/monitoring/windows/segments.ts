import type { PredictionRow } from '../../contracts/prediction-sink.ts';
import { encodeJson } from '../../json.ts';
import type { Counting } from './counted-rollups.ts';

/** So many segments have counts of their own, beside {@link otherSegment}. */
export const maxSegments = 20;
/** Where the rest is counted. */
export const otherSegment = '__other__';

/** Longer values are cut. */
const maxLength = 200;
/** Values that are told apart to find the most frequent. */
const maxSeen = 1000;
/** How often those that have counts of their own are chosen anew. */
const chooseEveryMs = 3_600_000;

/** The segment of a prediction: the value of a feature, or the row's own where none is named. */
export function segmentOf(
  { features, segment }: Pick<PredictionRow, 'features' | 'segment'>,
  by: string | undefined,
): string | undefined {
  const value = by === undefined || by === 'segment' ? segment : features[by];
  return segmentText(value);
}

/** A value as the name of a segment; undefined for what is missing or no text, number or truth value. */
export function segmentText(value: unknown): string | undefined {
  if (typeof value === 'number') return Number.isNaN(value) ? undefined : String(value);
  if (typeof value === 'boolean') return String(value);
  if (typeof value !== 'string') return undefined;
  return value.slice(0, maxLength).toWellFormed().replaceAll('\u0000', '\ufffd');
}

/**
 * Chooses which segments have counts of their own: the first that come, and each hour those that were most frequent in the
 * hour before. Memory is bounded.
 */
export class SegmentChoice {
  #chosen = new Set<string>();
  #seen = new Map<string, number>();
  #hour = Number.NEGATIVE_INFINITY;

  /** Where a prediction of that time is counted; one of after `now` counts as of now, so that no hour to come is the last. */
  choose(segment: string, at: number, now: number): string {
    const hour = Math.floor(Math.min(at, now) / chooseEveryMs);
    if (hour > this.#hour) this.#chooseAnew(hour);
    const known = this.#seen.get(segment);
    if (known !== undefined || this.#seen.size < maxSeen) this.#seen.set(segment, (known ?? 0) + 1);
    if (this.#chosen.has(segment)) return segment;
    if (this.#chosen.size >= maxSegments) return otherSegment;
    this.#chosen.add(segment);
    return segment;
  }

  #chooseAnew(hour: number): void {
    const top = [...this.#seen].sort(([a, one], [b, other]) => other - one || (a < b ? -1 : 1));
    this.#chosen = new Set(top.slice(0, maxSegments).map(([segment]) => segment));
    this.#seen = new Map();
    this.#hour = hour;
  }
}

/** Segment → predictions. */
export type SegmentSizes = Readonly<Record<string, number>>;

/** How many predictions of each segment were counted with a baseline. */
export function segmentCounting(baselineId: string): Counting<string, SegmentSizes> {
  return {
    name: segmentsOf(baselineId),
    begin() {
      const sizes = new Map<string, number>();
      return {
        add: (segment) => sizes.set(segment, (sizes.get(segment) ?? 0) + 1),
        counts: () => Object.fromEntries(sizes),
      };
    },
    merge: mergeSizes,
    encode: encodeJson,
  };
}

/** The name of the rollups of {@link segmentCounting}. */
export function segmentsOf(baselineId: string): string {
  return `segments:${baselineId}`;
}

/** Sizes added up. */
export function mergeSizes(all: readonly SegmentSizes[]): SegmentSizes {
  const sizes = new Map<string, number>();
  for (const [segment, count] of all.flatMap((each) => Object.entries(each))) {
    sizes.set(segment, (sizes.get(segment) ?? 0) + count);
  }
  return Object.fromEntries([...sizes].sort(([a], [b]) => (a < b ? -1 : 1)));
}
