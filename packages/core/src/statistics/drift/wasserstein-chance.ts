import { type AbsoluteSum, absoluteSum } from '../distributions/absolute-sum.ts';

const cells = 100;

/**
 * How large the Wasserstein distance of two samples of n and m values is by chance, from their values, both
 * ascending: √(1/n + 1/m)·∫|B(F(x))|dx with a Brownian bridge B, its mean and variance fitted. Undefined
 * where all values are equal.
 */
export function wassersteinChance(
  reference: Float64Array,
  current: Float64Array,
): AbsoluteSum | undefined {
  const [n, m] = [reference.length, current.length];
  const { weights: all, places: means } = cellsOf(reference, current);
  const weights: number[] = [];
  const places: number[] = [];
  for (const [cell, weight] of all.entries()) {
    if (weight === 0) continue;
    weights.push(weight * Math.sqrt(1 / n + 1 / m));
    places.push((means[cell] as number) / weight);
  }
  if (weights.length === 0) return undefined;
  return absoluteSum(weights, (i, j) => {
    const later = places[i] as number;
    const earlier = places[j] as number;
    return Math.sqrt((earlier * (1 - later)) / (later * (1 - earlier)));
  });
}

/**
 * In each hundredth of all values together: ∫√(F(1−F))dx over the gaps after its values, and the same times F. The values are
 * merged as they are walked: nothing as long as both lists is made.
 */
function cellsOf(
  a: Float64Array,
  b: Float64Array,
): { readonly weights: Float64Array; readonly places: Float64Array } {
  const [n, m] = [a.length, b.length];
  const total = n + m;
  const [weights, places] = [new Float64Array(cells), new Float64Array(cells)];
  let [i, j] = [0, 0];
  let before = 0;
  for (let cell = 0; cell < cells; cell += 1) {
    // Gaps after the values from..to of the cell; the first value has none before it.
    const from = Math.floor((cell * total) / cells);
    const to = Math.min(Math.floor(((cell + 1) * total) / cells), total - 1);
    let [weight, place] = [0, 0];
    for (let index = from; index < to; index += 1) {
      if (index === 0) {
        const isFirst = j >= m || (i < n && (a[i] as number) <= (b[j] as number));
        before = (isFirst ? a[i] : b[j]) as number;
        if (isFirst) i += 1;
        else j += 1;
      }
      const isFirst = j >= m || (i < n && (a[i] as number) <= (b[j] as number));
      const value = (isFirst ? a[i] : b[j]) as number;
      if (isFirst) i += 1;
      else j += 1;
      if (value === before) continue;
      const share = (index + 1) / total;
      const part = Math.sqrt(share * (1 - share)) * (value - before);
      weight += part;
      place += part * share;
      before = value;
    }
    weights[cell] = weight;
    places[cell] = place;
  }
  return { weights, places };
}
