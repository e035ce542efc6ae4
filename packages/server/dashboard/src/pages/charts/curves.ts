import type { SeriesBucket } from '@keelson/core';
import { api } from '../../api/client.ts';
import type { Line } from '../../parts/chart.tsx';

/** A metric of a run, in buckets with exact extremes. */
export interface Curve {
  readonly runId: string;
  readonly label: string;
  readonly color: string;
  readonly buckets: readonly SeriesBucket[];
}

/** Reads a metric of a run in at most so many buckets; none where the run has not logged it. */
export async function readBuckets(
  runId: string,
  key: string,
  options: {
    readonly buckets: number;
    readonly fromStep?: number;
    readonly toStep?: number;
    readonly signal: AbortSignal;
  },
): Promise<readonly SeriesBucket[]> {
  const { signal, ...range } = options;
  const { buckets } = await api.runs.metricBuckets({ runId, key, ...range }, { signal });
  return buckets;
}

/**
 * Curves as lines over one x. The middle of a bucket's extremes stands for it, with the band between them; smoothing is
 * an exponential mean with bias correction, as TensorBoard has it.
 */
export function linesOf(
  curves: readonly Curve[],
  { smoothing, band }: { readonly smoothing: number; readonly band: boolean },
): { readonly x: readonly number[]; readonly lines: readonly Line[] } {
  const steps = new Set<number>();
  for (const { buckets } of curves)
    for (const bucket of buckets) if (bucket.count > bucket.nanCount) steps.add(middle(bucket));
  const x = [...steps].sort((a, b) => a - b);
  const place = new Map(x.map((step, i) => [step, i]));
  const lines = curves.map(({ label, color, buckets }): Line => {
    const values = new Array<number | null>(x.length).fill(null);
    const low = new Array<number | null>(x.length).fill(null);
    const high = new Array<number | null>(x.length).fill(null);
    for (const bucket of buckets) {
      const at = place.get(middle(bucket));
      if (at === undefined) continue;
      values[at] = (bucket.min + bucket.max) / 2;
      low[at] = bucket.min;
      high[at] = bucket.max;
    }
    const smooth = smoothing > 0 ? smoothed(values, smoothing) : values;
    const hasBand = band && buckets.some(({ min, max }) => max > min);
    return { label, color, values: smooth, ...(hasBand ? { low, high } : {}) };
  });
  return { x, lines };
}

function middle({ stepMin, stepMax }: SeriesBucket): number {
  return stepMin === stepMax ? stepMin : (stepMin + stepMax) / 2;
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
