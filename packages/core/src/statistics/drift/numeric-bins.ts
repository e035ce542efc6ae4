import { invalid, requireCount } from '../arguments.ts';

/** Where one bin ends and the next begins, ascending: a value's bin is the number of edges at or below it. Plain JSON. */
export type NumericBins = { readonly edges: readonly number[] };

/**
 * Bins of a reference, from ascending, finite values: `bins` quantile bins, with a bin of its own for every value that
 * makes up a bin's share or more, so that a constant reference shows any change. Both end bins are open.
 * Edges come from the reference alone: keep them with its counts. INVALID without values.
 */
export function quantileBins(ascending: ArrayLike<number>, bins: number = 10): NumericBins {
  requireCount('bins', bins);
  const n = ascending.length;
  if (n === 0) throw invalid('values', '[]', 'at least one value');
  if (bins < 2) throw invalid('bins', bins, 'at least 2');
  const edges = new Set<number>();
  for (let k = 1; k < bins; k += 1) edges.add(ascending[Math.ceil((k * n) / bins) - 1] as number);
  for (const { value, count } of runs(ascending)) {
    if (count > 1 && count >= n / bins) edges.add(value).add(nextUp(value));
  }
  return { edges: Float64Array.from(edges).sort().reduce<number[]>(withDistinct, []) };
}

/**
 * One bin for each value of a reference with few distinct ones, and bins for what lies below, between and
 * above them ("other", apart by place).
 */
export function valueBins(ascending: ArrayLike<number>): NumericBins {
  if (ascending.length === 0) throw invalid('values', '[]', 'at least one value');
  const edges = [...runs(ascending)].flatMap(({ value }) => [value, nextUp(value)]);
  return { edges: edges.reduce<number[]>(withDistinct, []) };
}

/** Numbers with at most so many different values are told apart one by one. */
const valueBinsUpTo = 20;

/** Bins of a reference as it asks for: {@link valueBins} for up to 20 different values, else {@link quantileBins}. */
export function binsFor(ascending: ArrayLike<number>, bins: number = 10): NumericBins {
  const isFew = distinctUpTo(ascending, valueBinsUpTo) <= valueBinsUpTo;
  return isFew ? valueBins(ascending) : quantileBins(ascending, bins);
}

/** How many different values there are, counted no further than one beyond `most`. */
export function distinctUpTo(ascending: ArrayLike<number>, most: number): number {
  let distinct = 0;
  for (let index = 0; index < ascending.length && distinct <= most; index += 1) {
    if (index === 0 || ascending[index] !== ascending[index - 1]) distinct += 1;
  }
  return distinct;
}

/** How many values fall into each bin, open ends included: always one more count than edges. */
export function countInBins({ edges }: NumericBins, values: Iterable<number>): number[] {
  const counts = new Array<number>(edges.length + 1).fill(0);
  for (const value of values) {
    const bin = binOf(edges, value);
    counts[bin] = (counts[bin] as number) + 1;
  }
  return counts;
}

/** The bin of a value: the number of edges at or below it. */
export function binOf(edges: readonly number[], value: number): number {
  let low = 0;
  let high = edges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((edges[middle] as number) <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The smallest 64-bit float above a finite one. */
export function nextUp(value: number): number {
  if (value === 0) return Number.MIN_VALUE;
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  view.setBigInt64(0, view.getBigInt64(0) + (value > 0 ? 1n : -1n));
  return view.getFloat64(0) + 0;
}

function* runs(ascending: ArrayLike<number>): Generator<{ value: number; count: number }> {
  let start = 0;
  for (let index = 1; index <= ascending.length; index += 1) {
    if (index < ascending.length && ascending[index] === ascending[start]) continue;
    // Adding 0 makes −0 the 0 that it equals, also after a way through JSON.
    yield { value: (ascending[start] as number) + 0, count: index - start };
    start = index;
  }
}

function withDistinct(edges: number[], edge: number): number[] {
  if (edges.at(-1) !== edge) edges.push(edge);
  return edges;
}
