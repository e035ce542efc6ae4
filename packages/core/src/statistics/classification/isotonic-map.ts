import { invalid } from '../arguments.ts';

/** A rising, piecewise linear map. Plain JSON. */
export type IsotonicMap = { readonly x: readonly number[]; readonly y: readonly number[] };

interface Block {
  readonly from: number;
  readonly to: number;
  readonly weight: number;
  readonly mean: number;
}

/**
 * The rising map nearest to points in least squares, as scikit-learn's `IsotonicRegression(out_of_bounds='clip')`: equal x
 * are averaged, violators pooled, and only the ends of each level kept. INVALID without points.
 */
export function fitIsotonic(x: readonly number[], y: readonly number[]): IsotonicMap {
  if (x.length === 0 || x.length !== y.length)
    throw invalid('y', y.length, `as many values as x has, and at least one`);
  const blocks: Block[] = [];
  for (const point of distinctPoints(x, y)) {
    let block = point;
    for (
      let last = blocks.at(-1);
      last !== undefined && last.mean >= block.mean;
      last = blocks.at(-1)
    ) {
      block = joined(last, block);
      blocks.pop();
    }
    blocks.push(block);
  }
  const ends = blocks.flatMap(({ from, to, mean }) =>
    from === to
      ? [[from, mean]]
      : [
          [from, mean],
          [to, mean],
        ],
  );
  return { x: ends.map(([place]) => place as number), y: ends.map(([, level]) => level as number) };
}

/** The map's value: linear between its points, level beyond them. */
export function applyIsotonic(map: IsotonicMap, value: number): number {
  const last = map.x.length - 1;
  if (value <= (map.x[0] as number)) return map.y[0] as number;
  if (value >= (map.x[last] as number)) return map.y[last] as number;
  let low = 0;
  let high = last;
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if ((map.x[middle] as number) <= value) low = middle;
    else high = middle;
  }
  const [x0, x1] = [map.x[low] as number, map.x[high] as number];
  const [y0, y1] = [map.y[low] as number, map.y[high] as number];
  return y0 + ((y1 - y0) / (x1 - x0)) * (value - x0);
}

function distinctPoints(x: readonly number[], y: readonly number[]): Block[] {
  const order = x
    .map((_, index) => index)
    .sort((a, b) => (x[a] as number) - (x[b] as number) || a - b);
  const points: Block[] = [];
  for (const index of order) {
    const point = {
      from: x[index] as number,
      to: x[index] as number,
      weight: 1,
      mean: y[index] as number,
    };
    const last = points.at(-1);
    if (last !== undefined && last.to === point.from)
      points[points.length - 1] = joined(last, point);
    else points.push(point);
  }
  return points;
}

function joined(a: Block, b: Block): Block {
  const weight = a.weight + b.weight;
  return { from: a.from, to: b.to, weight, mean: (a.mean * a.weight + b.mean * b.weight) / weight };
}
