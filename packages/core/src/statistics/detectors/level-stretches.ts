/** A stretch of points at one level: `from` ≤ point < `to`. Plain JSON. */
export type LevelStretch = { readonly from: number; readonly to: number; readonly level: number };

/** Level, then a straight way to another level. */
export interface Ramp {
  readonly from: number;
  readonly to: number;
  readonly before: number;
  readonly after: number;
  /** Weighted squared distance of the points from it. */
  readonly cost: number;
}

/**
 * The levels that weighted points went through: the cheapest cut into stretches, each new one paid for with 3 ln n + 4 (optimal
 * partitioning, Jackson et al. 2005); weights are one over variances.
 */
export function levelsOf(
  values: readonly number[],
  weights: readonly number[],
): readonly LevelStretch[] {
  const n = values.length;
  const price = 3 * Math.log(Math.max(2, n)) + 4;
  const sums = new PrefixSums(values, weights);
  const best = new Float64Array(n + 1);
  const begin = new Int32Array(n + 1);
  for (let to = 1; to <= n; to += 1) {
    best[to] = Infinity;
    for (let from = 0; from < to; from += 1) {
      const cost = (best[from] as number) + sums.cost(from, to) + (from > 0 ? price : 0);
      if (cost < (best[to] as number)) {
        best[to] = cost;
        begin[to] = from;
      }
    }
  }
  const stretches: LevelStretch[] = [];
  for (let to = n; to > 0; to = begin[to] as number) {
    const from = begin[to] as number;
    stretches.unshift({ from, to, level: sums.mean(from, to) });
  }
  return stretches;
}

/** Sums up to each point, of what lines and levels are fitted by. */
class PrefixSums {
  readonly origin: number;
  readonly #sums: readonly Float64Array[];

  constructor(values: readonly number[], weights: readonly number[]) {
    // Around the first value, so that a large level costs no digits.
    this.origin = values[0] ?? 0;
    this.#sums = Array.from({ length: 6 }, () => new Float64Array(values.length + 1));
    for (const [i, value] of values.entries()) {
      const [w, x] = [weights[i] as number, value - this.origin];
      for (const [k, term] of [w, w * i, w * i * i, w * x, w * i * x, w * x * x].entries()) {
        const sums = this.#sums[k] as Float64Array;
        sums[i + 1] = (sums[i] as number) + term;
      }
    }
  }

  /** Of w, w·i, w·i², w·x, w·i·x, w·x² over from ≤ i < to. */
  between(from: number, to: number): [number, number, number, number, number, number] {
    return this.#sums.map((all) => (all[to] as number) - (all[from] as number)) as never;
  }

  mean(from: number, to: number): number {
    const [w, , , wx] = this.between(from, to);
    return this.origin + wx / w;
  }

  cost(from: number, to: number): number {
    const [w, , , wx, , wxx] = this.between(from, to);
    return Math.max(0, wxx - (wx * wx) / w);
  }
}

/** The level–ramp–level nearest to the points in weighted least squares; undefined for fewer than 5. */
export function rampOf(values: readonly number[], weights: readonly number[]): Ramp | undefined {
  const n = values.length;
  const sums = new PrefixSums(values, weights);
  let best: Ramp | undefined;
  for (let from = 1; from + 2 < n; from += 1) {
    for (let to = from + 2; to < n; to += 1) {
      const fitted = fitRamp(sums, n, from, to);
      if (fitted !== undefined && fitted.cost < (best?.cost ?? Infinity)) best = fitted;
    }
  }
  return best;
}

/** Old level before `from`, new level from `to` on, a straight way between; both levels by least squares. */
function fitRamp(sums: PrefixSums, n: number, from: number, to: number): Ramp | undefined {
  const [oldW, , , oldX] = sums.between(0, from);
  const [newW, , , newX] = sums.between(to, n);
  const [w, wi, wii, wx, wix] = sums.between(from, to);
  const [, , , , , xx] = sums.between(0, n);
  // Between, the share of the new level is (i − start) / length.
  const [start, length] = [from - 1, to - from + 1];
  const s = (wi - start * w) / length;
  const ss = (wii - 2 * start * wi + start * start * w) / length ** 2;
  const sx = (wix - start * wx) / length;
  const [aa, ab, bb] = [oldW + w - 2 * s + ss, s - ss, newW + ss];
  const [ax, bx] = [oldX + wx - sx, newX + sx];
  const determinant = aa * bb - ab * ab;
  if (!(determinant > 0)) return undefined;
  const before = (ax * bb - bx * ab) / determinant;
  const after = (bx * aa - ax * ab) / determinant;
  const cost = Math.max(0, xx - before * ax - after * bx);
  return { from, to, before: sums.origin + before, after: sums.origin + after, cost };
}
