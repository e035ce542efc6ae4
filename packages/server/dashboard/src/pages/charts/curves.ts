import type { SeriesBucket } from '@keelson/core';
import { api } from '../../api/client.ts';
import type { Line } from '../../parts/chart.tsx';

/** What curves are drawn over. */
export type Over = 'step' | 'time' | 'relative';

/** The extremes of a metric in one stretch of x. */
export interface Stretch {
  readonly at: number;
  readonly min: number;
  readonly max: number;
}

/** A metric of a run, in stretches with exact extremes. */
export interface Curve {
  readonly label: string;
  readonly color: string;
  readonly stretches: readonly Stretch[];
}

/** More points than this are drawn over their steps only: by time each would have to be read. */
const mostByTime = 50_000;

/** How a curve is read. */
export interface CurveQuestion {
  readonly runId: string;
  readonly key: string;
  readonly over: Over;
  /** At most so many stretches. */
  readonly stretches: number;
  /** In what is drawn over; for steps what is outside is not read at all. */
  readonly range?: readonly [number, number] | undefined;
  readonly startedAt: number;
  readonly signal: AbortSignal;
}

/** Reads a metric of a run as a curve; an empty one where the run has not logged it. */
export async function readCurve(question: CurveQuestion): Promise<readonly Stretch[]> {
  const { runId, key, over, stretches, range, signal, startedAt } = question;
  if (over === 'step') {
    const steps =
      range === undefined
        ? {}
        : { fromStep: Math.max(0, Math.floor(range[0])), toStep: Math.ceil(range[1]) };
    const { buckets } = await api.runs.metricBuckets(
      { runId, key, buckets: stretches, ...steps },
      { signal },
    );
    return buckets.filter(({ count, nanCount }) => count > nanCount).map(stretchOf);
  }
  const { timestamps, values } = await api.runs.metricHistory({ runId, key }, { signal });
  if (timestamps.length > mostByTime) return [];
  // Seconds since 1970, as time axes have it, or milliseconds since the run began.
  const x = timestamps.map((each) => (over === 'time' ? each / 1000 : each - startedAt));
  return downsample(x, values, stretches, range);
}

function stretchOf({ stepMin, stepMax, min, max }: SeriesBucket): Stretch {
  return { at: (stepMin + stepMax) / 2, min, max };
}

/** Least and greatest value in equal stretches of x. */
function downsample(
  x: readonly number[],
  values: readonly number[],
  stretches: number,
  range?: readonly [number, number],
): readonly Stretch[] {
  const points = x
    .map((at, i) => [at, values[i] as number] as const)
    .filter(
      ([at, value]) =>
        Number.isFinite(value) && (range === undefined || (at >= range[0] && at <= range[1])),
    )
    .sort(([a], [b]) => a - b);
  const [first, last] = [points[0]?.[0], points.at(-1)?.[0]];
  if (first === undefined || last === undefined) return [];
  if (points.length <= stretches)
    return points.map(([at, value]) => ({ at, min: value, max: value }));
  const width = (last - first) / stretches || 1;
  const found: { from: number; to: number; min: number; max: number; place: number }[] = [];
  for (const [at, value] of points) {
    const place = Math.min(stretches - 1, Math.floor((at - first) / width));
    const open = found.at(-1);
    if (open === undefined || open.place !== place)
      found.push({ from: at, to: at, min: value, max: value, place });
    else {
      open.to = at;
      open.min = Math.min(open.min, value);
      open.max = Math.max(open.max, value);
    }
  }
  return found.map(({ from, to, min, max }) => ({ at: (from + to) / 2, min, max }));
}

/**
 * Curves as lines over one x. The middle of a stretch's extremes stands for it, with the band between them; smoothing is
 * an exponential mean with bias correction, as TensorBoard has it.
 */
export function linesOf(
  curves: readonly Curve[],
  { smoothing, band }: { readonly smoothing: number; readonly band: boolean },
): { readonly x: readonly number[]; readonly lines: readonly Line[] } {
  const x = [...new Set(curves.flatMap(({ stretches }) => stretches.map(({ at }) => at)))].sort(
    (a, b) => a - b,
  );
  const place = new Map(x.map((at, i) => [at, i]));
  const lines = curves.map(({ label, color, stretches }): Line => {
    const values = new Array<number | null>(x.length).fill(null);
    const low = new Array<number | null>(x.length).fill(null);
    const high = new Array<number | null>(x.length).fill(null);
    for (const { at, min, max } of stretches) {
      const i = place.get(at) as number;
      values[i] = (min + max) / 2;
      low[i] = min;
      high[i] = max;
    }
    const hasBand = band && stretches.some(({ min, max }) => max > min);
    return {
      ...{ label, color, values: smoothing > 0 ? smoothed(values, smoothing) : values },
      ...(hasBand ? { low, high } : {}),
    };
  });
  return { x, lines };
}

function smoothed(values: readonly (number | null)[], weight: number): readonly (number | null)[] {
  let mean = 0;
  let count = 0;
  return values.map((value) => {
    if (value === null || !Number.isFinite(value)) return value;
    mean = mean * weight + (1 - weight) * value;
    count += 1;
    return mean / (1 - weight ** count);
  });
}
