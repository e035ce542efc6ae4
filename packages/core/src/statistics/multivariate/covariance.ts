import { invalid, requireFinite } from '../arguments.ts';

/** What is needed of many rows to know how their columns vary together. Plain JSON. */
export type CovarianceSums = {
  readonly count: number;
  readonly means: readonly number[];
  /** Sums of products of distances from the means: of column i with j ≤ i, row by row. */
  readonly products: readonly number[];
};

/** Adds up how columns vary together, row by row (Welford's recurrence for products); memory is p²/2 numbers. */
export class RunningCovariance {
  readonly #means: Float64Array;
  readonly #products: Float64Array;
  readonly #gaps: Float64Array;
  #count = 0;

  constructor(columns: number) {
    this.#means = new Float64Array(columns);
    this.#gaps = new Float64Array(columns);
    this.#products = new Float64Array((columns * (columns + 1)) / 2);
  }

  /** INVALID for a row with another number of values. */
  add(row: ArrayLike<number>): void {
    const columns = this.#means.length;
    if (row.length !== columns) throw invalid('row', row.length, `of ${columns} values`);
    this.#count += 1;
    for (let i = 0; i < columns; i += 1) {
      const value = row[i] as number;
      requireFinite('value', value);
      const gap = value - (this.#means[i] as number);
      this.#gaps[i] = gap;
      this.#means[i] = (this.#means[i] as number) + gap / this.#count;
    }
    const share = (this.#count - 1) / this.#count;
    let place = 0;
    for (let i = 0; i < columns; i += 1) {
      const scaled = share * (this.#gaps[i] as number);
      for (let j = 0; j <= i; j += 1) {
        this.#products[place] =
          (this.#products[place] as number) + scaled * (this.#gaps[j] as number);
        place += 1;
      }
    }
  }

  get sums(): CovarianceSums {
    return { count: this.#count, means: [...this.#means], products: [...this.#products] };
  }
}

/** Both together (Chan, Golub & LeVeque 1979); for equal bits merge in one fixed order. INVALID for other columns. */
export function mergeCovariance(a: CovarianceSums, b: CovarianceSums): CovarianceSums {
  if (a.means.length !== b.means.length)
    throw invalid('columns', b.means.length, `as many as the other has, ${a.means.length}`);
  if (a.count === 0) return b;
  if (b.count === 0) return a;
  const count = a.count + b.count;
  const gaps = a.means.map((mean, i) => (b.means[i] as number) - mean);
  const weight = (a.count * b.count) / count;
  let place = -1;
  const products = gaps.flatMap((gap, i) =>
    gaps.slice(0, i + 1).map((other) => {
      place += 1;
      return (a.products[place] as number) + (b.products[place] as number) + gap * other * weight;
    }),
  );
  return {
    count,
    means: a.means.map((mean, i) => mean + (gaps[i] as number) * (b.count / count)),
    products,
  };
}
