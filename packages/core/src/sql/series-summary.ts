import type { SeriesSummary } from '../contracts/series-store.ts';
import type { CompareWriters, PointSet } from './series-points.ts';

/** The place of a point in the order of its series. */
export interface PointPlace {
  readonly value: number;
  readonly step: number;
  readonly timestamp: number;
  readonly writer: number;
}

/** An extreme of a series: the least step that has it. */
export interface Extreme {
  readonly value: number;
  readonly step: number;
}

/** What is kept of a series, so that more points can be added; {@link toSummary} is what users see. */
export interface SummaryState {
  readonly count: number;
  readonly nanCount: number;
  readonly first: PointPlace;
  readonly last: PointPlace;
  readonly min: Extreme | undefined;
  readonly max: Extreme | undefined;
  /** Sum of the values that are not NaN, in order of arrival, and what rounding took from it. */
  readonly sum: number;
  readonly lost: number;
}

/**
 * The state with further points, given once in order of arrival (`arrived`, values alone) and once
 * in order (`sorted`). Adding a batch at once or in pieces gives the very same state: the sum runs in
 * order of arrival, compensated (Neumaier 1974).
 */
export function addToSummary(
  state: SummaryState | undefined,
  arrived: Float64Array,
  sorted: PointSet,
  compareWriters: CompareWriters,
): SummaryState {
  const count = sorted.steps.length;
  const { sum, lost, nanCount } = addUp(state, arrived);
  const first = placeOf(sorted, 0);
  const last = placeOf(sorted, count - 1);
  const extremes = extremesOf(sorted);
  return {
    count: (state?.count ?? 0) + count,
    nanCount: (state?.nanCount ?? 0) + nanCount,
    // On a tie the point that arrived first stays first, and the one that arrived last is last.
    first:
      state === undefined || comparePlaces(first, state.first, compareWriters) < 0
        ? first
        : state.first,
    last:
      state === undefined || comparePlaces(last, state.last, compareWriters) >= 0
        ? last
        : state.last,
    min: leastOf(state?.min, extremes.min),
    max: greatestOf(state?.max, extremes.max),
    sum,
    lost,
  };
}

/** The mean of the values that are not NaN; undefined when there is none. */
export function meanOf(
  state: Pick<SummaryState, 'count' | 'nanCount' | 'sum' | 'lost'>,
): number | undefined {
  const counted = state.count - state.nanCount;
  if (counted === 0) return undefined;
  return (Number.isFinite(state.sum) ? state.sum + state.lost : state.sum) / counted;
}

/** The summary that users see. */
export function toSummary(key: string, state: SummaryState): SeriesSummary {
  return {
    key,
    count: state.count,
    nanCount: state.nanCount,
    first: state.first.value,
    firstStep: state.first.step,
    last: state.last.value,
    lastStep: state.last.step,
    lastTimestamp: state.last.timestamp,
    min: state.min?.value,
    minStep: state.min?.step,
    max: state.max?.value,
    maxStep: state.max?.step,
    mean: meanOf(state),
  };
}

/** Whether `a` is less than `b`; −0 is less than 0. */
export function isLess(a: number, b: number): boolean {
  return a < b || (a === 0 && b === 0 && Object.is(a, -0) && !Object.is(b, -0));
}

function addUp(
  state: SummaryState | undefined,
  arrived: Float64Array,
): { sum: number; lost: number; nanCount: number } {
  let sum = state?.sum ?? 0;
  let lost = state?.lost ?? 0;
  let nanCount = 0;
  for (let i = 0; i < arrived.length; i++) {
    const value = arrived[i] as number;
    if (Number.isNaN(value)) {
      nanCount++;
      continue;
    }
    const next = sum + value;
    const rounding = Math.abs(sum) >= Math.abs(value) ? sum - next + value : value - next + sum;
    // Infinities have no rounding error; Infinity − Infinity would spoil it.
    if (!Number.isNaN(rounding)) lost += rounding;
    sum = next;
  }
  return { sum, lost, nanCount };
}

function extremesOf(sorted: PointSet): { min: Extreme | undefined; max: Extreme | undefined } {
  const { values, steps } = sorted;
  let lowest = -1;
  let highest = -1;
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    if (Number.isNaN(value)) continue;
    if (lowest < 0 || isLess(value, values[lowest] as number)) lowest = i;
    if (highest < 0 || isLess(values[highest] as number, value)) highest = i;
  }
  const at = (i: number): Extreme | undefined =>
    i < 0 ? undefined : { value: values[i] as number, step: steps[i] as number };
  return { min: at(lowest), max: at(highest) };
}

function leastOf(a: Extreme | undefined, b: Extreme | undefined): Extreme | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  if (Object.is(a.value, b.value)) return a.step <= b.step ? a : b;
  return isLess(a.value, b.value) ? a : b;
}

function greatestOf(a: Extreme | undefined, b: Extreme | undefined): Extreme | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  if (Object.is(a.value, b.value)) return a.step <= b.step ? a : b;
  return isLess(a.value, b.value) ? b : a;
}

function placeOf(points: PointSet, i: number): PointPlace {
  return {
    value: points.values[i] as number,
    step: points.steps[i] as number,
    timestamp: points.timestamps[i] as number,
    writer: points.writers[i] as number,
  };
}

function comparePlaces(a: PointPlace, b: PointPlace, compareWriters: CompareWriters): number {
  if (a.step !== b.step) return a.step - b.step;
  if (a.timestamp !== b.timestamp) return a.timestamp - b.timestamp;
  return a.writer === b.writer ? 0 : compareWriters(a.writer, b.writer);
}
