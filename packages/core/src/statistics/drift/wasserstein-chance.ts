import { type AbsoluteSum, absoluteSum } from '../distributions/absolute-sum.ts';

const cells = 100;

/**
 * How large the Wasserstein distance of two samples of n and m values is by chance, from all their values
 * ascending: √(1/n + 1/m)·∫|B(F(x))|dx with a Brownian bridge B, its mean and variance fitted. Undefined
 * where all values are equal.
 */
export function wassersteinChance(
  pooledAscending: ArrayLike<number>,
  n: number,
  m: number,
): AbsoluteSum | undefined {
  const total = pooledAscending.length;
  const weights: number[] = [];
  const places: number[] = [];
  for (let cell = 0; cell < cells; cell += 1) {
    const { weight, place } = cellOf(
      pooledAscending,
      Math.floor((cell * total) / cells),
      Math.floor(((cell + 1) * total) / cells),
    );
    if (weight === 0) continue;
    weights.push(weight * Math.sqrt(1 / n + 1 / m));
    places.push(place);
  }
  if (weights.length === 0) return undefined;
  return absoluteSum(weights, (i, j) => {
    const later = places[i] as number;
    const earlier = places[j] as number;
    return Math.sqrt((earlier * (1 - later)) / (later * (1 - earlier)));
  });
}

/** ∫√(F(1−F))dx over the gaps after the values from..to, and the mean F of those gaps. */
function cellOf(
  values: ArrayLike<number>,
  from: number,
  to: number,
): { weight: number; place: number } {
  const total = values.length;
  let weight = 0;
  let place = 0;
  for (let index = from; index < Math.min(to, total - 1); index += 1) {
    const share = (index + 1) / total;
    const width = (values[index + 1] as number) - (values[index] as number);
    const part = Math.sqrt(share * (1 - share)) * width;
    weight += part;
    place += part * share;
  }
  return { weight, place: weight > 0 ? place / weight : 0 };
}
