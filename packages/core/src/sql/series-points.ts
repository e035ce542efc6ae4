/** Points of one series, as parallel arrays, with the store's number of the writer of each. */
export interface PointSet {
  readonly steps: Float64Array;
  readonly timestamps: Float64Array;
  readonly values: Float64Array;
  readonly writers: Uint32Array;
}

/** Orders two writer numbers by the writers' ids (texts, by code unit); asked only on a tie. */
export type CompareWriters = (a: number, b: number) => number;

/** Negative when point `i` of `a` comes before point `j` of `b` by step, timestamp and writer. */
function comparePoints(
  a: PointSet,
  i: number,
  b: PointSet,
  j: number,
  compareWriters: CompareWriters,
): number {
  const step = (a.steps[i] as number) - (b.steps[j] as number);
  if (step !== 0) return step;
  const time = (a.timestamps[i] as number) - (b.timestamps[j] as number);
  if (time !== 0) return time;
  const left = a.writers[i] as number;
  const right = b.writers[j] as number;
  return left === right ? 0 : compareWriters(left, right);
}

/**
 * The points in order of step, timestamp and writer; those that tie keep their order, which is that of
 * arrival. Sorted input comes back as it is; input of few ascending runs is merged in linear time each.
 */
export function sortPoints(points: PointSet, compareWriters: CompareWriters): PointSet {
  const bounds = ascendingRuns(points, compareWriters);
  if (bounds.length <= 2) return points;
  return takePoints(points, mergeRuns(points, bounds, compareWriters));
}

/** One set of all points, in the order given. */
export function concatPoints(sets: readonly PointSet[]): PointSet {
  const only = sets[0];
  if (sets.length === 1 && only !== undefined) return only;
  const out = makePoints(sets.reduce((sum, set) => sum + set.steps.length, 0));
  let at = 0;
  for (const set of sets) {
    out.steps.set(set.steps, at);
    out.timestamps.set(set.timestamps, at);
    out.values.set(set.values, at);
    out.writers.set(set.writers, at);
    at += set.steps.length;
  }
  return out;
}

/** Points `from` to `to` (excluded), without copying. */
export function slicePoints(points: PointSet, from: number, to: number): PointSet {
  if (from === 0 && to === points.steps.length) return points;
  return {
    steps: points.steps.subarray(from, to),
    timestamps: points.timestamps.subarray(from, to),
    values: points.values.subarray(from, to),
    writers: points.writers.subarray(from, to),
  };
}

/** Room for `count` points. */
export function makePoints(count: number): PointSet {
  return {
    steps: new Float64Array(count),
    timestamps: new Float64Array(count),
    values: new Float64Array(count),
    writers: new Uint32Array(count),
  };
}

/** The first index of ascending `steps` whose step is ≥ `step`. */
export function lowerBound(steps: Float64Array, step: number): number {
  let low = 0;
  let high = steps.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((steps[middle] as number) < step) low = middle + 1;
    else high = middle;
  }
  return low;
}

// Where each ascending run begins, and the end: [0, n] for sorted points.
function ascendingRuns(points: PointSet, compareWriters: CompareWriters): number[] {
  const { steps } = points;
  const bounds = [0];
  for (let i = 1; i < steps.length; i++) {
    if ((steps[i - 1] as number) < (steps[i] as number)) continue;
    if (comparePoints(points, i - 1, points, i, compareWriters) > 0) bounds.push(i);
  }
  if (steps.length > 0) bounds.push(steps.length);
  return bounds;
}

// Merges neighbouring runs, round by round; stable, because the left one wins a tie.
function mergeRuns(
  points: PointSet,
  bounds: number[],
  compareWriters: CompareWriters,
): Uint32Array {
  const count = points.steps.length;
  let from: Uint32Array = Uint32Array.from({ length: count }, (_, i) => i);
  let into: Uint32Array = new Uint32Array(count);
  let runs = bounds;
  while (runs.length > 2) {
    const next = [0];
    for (let r = 0; r + 1 < runs.length; r += 2) {
      const start = runs[r] as number;
      const middle = runs[r + 1] as number;
      const end = runs[r + 2] ?? middle;
      mergeTwo(points, from, into, start, middle, end, compareWriters);
      next.push(end);
    }
    [from, into] = [into, from];
    runs = next;
  }
  return from;
}

function mergeTwo(
  points: PointSet,
  from: Uint32Array,
  into: Uint32Array,
  start: number,
  middle: number,
  end: number,
  compareWriters: CompareWriters,
): void {
  let left = start;
  let right = middle;
  for (let at = start; at < end; at++) {
    const takeLeft =
      right >= end ||
      (left < middle &&
        comparePoints(
          points,
          from[left] as number,
          points,
          from[right] as number,
          compareWriters,
        ) <= 0);
    into[at] = (takeLeft ? from[left++] : from[right++]) as number;
  }
}

function takePoints(points: PointSet, order: Uint32Array): PointSet {
  const out = makePoints(order.length);
  for (let i = 0; i < order.length; i++) {
    const at = order[i] as number;
    out.steps[i] = points.steps[at] as number;
    out.timestamps[i] = points.timestamps[at] as number;
    out.values[i] = points.values[at] as number;
    out.writers[i] = points.writers[at] as number;
  }
  return out;
}
