import type { PointColumns } from '../contracts/series-store.ts';

/**
 * The points of a series that another has not, as a difference of multisets: equal points are counted. Both are by
 * step, then time; so is the answer.
 */
export function missingPoints(here: PointColumns, there: PointColumns | undefined): PointColumns {
  if (there === undefined || there.steps.length === 0) return here;
  const counts = new Map<string, number>();
  for (let i = 0; i < there.steps.length; i++) {
    const name = nameOf(there, i);
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const missing: number[] = [];
  for (let i = 0; i < here.steps.length; i++) {
    const name = nameOf(here, i);
    const left = counts.get(name) ?? 0;
    if (left === 0) missing.push(i);
    else counts.set(name, left - 1);
  }
  const pick = (column: Float64Array): Float64Array =>
    Float64Array.from(missing, (i) => column[i] as number);
  return {
    steps: pick(here.steps),
    timestamps: pick(here.timestamps),
    values: pick(here.values),
  };
}

function nameOf({ steps, timestamps, values }: PointColumns, i: number): string {
  const value = values[i] as number;
  return `${steps[i]} ${timestamps[i]} ${Object.is(value, -0) ? '-0' : value}`;
}
