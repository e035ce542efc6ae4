import type {
  PointBatch,
  SeriesBucket,
  SeriesKey,
  SeriesSummary,
} from '../../src/contracts/series-store.ts';

interface ModelPoint {
  readonly step: number;
  readonly timestamp: number;
  readonly value: number;
  readonly writer: string;
}

/**
 * What a SeriesStore must answer, kept in the plainest way: a list of points for each series, sorted
 * and added up anew at each question. Conformance and property tests compare stores with it.
 */
export class SeriesModel {
  readonly #series = new Map<string, ModelPoint[]>();
  readonly #taken = new Set<string>();

  append(batch: PointBatch): void {
    const number = `${batch.writer}\u0000${batch.sequence}`;
    if (this.#taken.has(number)) return;
    this.#taken.add(number);
    batch.seriesIndex.forEach((index, i) => {
      const name = nameOf(batch.series[index] as SeriesKey);
      const points = this.#series.get(name) ?? [];
      points.push({
        step: (batch.steps[i] as number) + 0,
        timestamp: (batch.timestamps[i] as number) + 0,
        value: batch.values[i] as number,
        writer: batch.writer,
      });
      this.#series.set(name, points);
    });
  }

  remove(workspace: string, owner: string): void {
    const prefix = nameOf({ workspace, owner, key: '' });
    for (const name of this.#series.keys()) if (name.startsWith(prefix)) this.#series.delete(name);
  }

  points(
    series: SeriesKey,
    from = Number.NEGATIVE_INFINITY,
    to = Number.POSITIVE_INFINITY,
  ): { steps: Float64Array; timestamps: Float64Array; values: Float64Array } {
    const points = this.#sorted(series).filter((p) => p.step >= from && p.step <= to);
    return {
      steps: Float64Array.from(points, (p) => p.step),
      timestamps: Float64Array.from(points, (p) => p.timestamp),
      values: Float64Array.from(points, (p) => p.value),
    };
  }

  /** Undefined when the series has no points. `mean` is added up plainly: compare it with a tolerance. */
  summary(series: SeriesKey): SeriesSummary | undefined {
    const points = this.#sorted(series);
    const first = points[0];
    const last = points.at(-1);
    if (first === undefined || last === undefined) return undefined;
    const counted = points.filter((p) => !Number.isNaN(p.value));
    const min = extreme(counted, (a, b) => compareValues(a, b) < 0);
    const max = extreme(counted, (a, b) => compareValues(a, b) > 0);
    const sum = counted.reduce((total, p) => total + p.value, 0);
    return {
      key: series.key,
      count: points.length,
      nanCount: points.length - counted.length,
      first: first.value,
      firstStep: first.step,
      last: last.value,
      lastStep: last.step,
      lastTimestamp: last.timestamp,
      min: min?.value,
      minStep: min?.step,
      max: max?.value,
      maxStep: max?.step,
      mean: counted.length === 0 ? undefined : sum / counted.length,
    };
  }

  buckets(series: SeriesKey, limit: number, from?: number, to?: number): readonly SeriesBucket[] {
    const all = this.#sorted(series);
    const low = from ?? all[0]?.step;
    const high = to ?? all.at(-1)?.step;
    if (low === undefined || high === undefined || low > high) return [];
    const width = Math.max(1, Math.ceil((high - low + 1) / limit));
    const byPlace = Map.groupBy(
      all.filter((p) => p.step >= low && p.step <= high),
      (p) => Math.min(limit - 1, Math.floor((p.step - low) / width)),
    );
    return [...byPlace.values()].map((points) => {
      const counted = points.filter((p) => !Number.isNaN(p.value));
      const stepMin = (points[0] as ModelPoint).step;
      const min = extreme(counted, (a, b) => compareValues(a, b) < 0);
      const max = extreme(counted, (a, b) => compareValues(a, b) > 0);
      return {
        stepMin,
        stepMax: (points.at(-1) as ModelPoint).step,
        count: points.length,
        nanCount: points.length - counted.length,
        min: min?.value ?? Number.NaN,
        minStep: min?.step ?? stepMin,
        max: max?.value ?? Number.NaN,
        maxStep: max?.step ?? stepMin,
      };
    });
  }

  // Stable: what ties in step, timestamp and writer stays in order of arrival.
  #sorted(series: SeriesKey): readonly ModelPoint[] {
    return (this.#series.get(nameOf(series)) ?? []).toSorted(
      (a, b) =>
        a.step - b.step ||
        a.timestamp - b.timestamp ||
        (a.writer < b.writer ? -1 : a.writer > b.writer ? 1 : 0),
    );
  }
}

// The first point, in order of step, that none beats.
function extreme(
  points: readonly ModelPoint[],
  beats: (a: number, b: number) => boolean,
): ModelPoint | undefined {
  let best: ModelPoint | undefined;
  for (const point of points) {
    if (best === undefined || beats(point.value, best.value)) best = point;
  }
  return best;
}

function compareValues(a: number, b: number): number {
  if (a !== b) return a - b;
  return Number(Object.is(b, -0)) - Number(Object.is(a, -0));
}

function nameOf(series: SeriesKey): string {
  return `${series.workspace}\u0000${series.owner}\u0000${series.key}`;
}
