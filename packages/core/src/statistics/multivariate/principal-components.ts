import { invalid, requireWithin } from '../arguments.ts';
import type { CovarianceSums } from './covariance.ts';

/** The directions in which rows vary most. Plain JSON. */
export type PrincipalComponents = {
  /** Where the rows are centred. */
  readonly means: readonly number[];
  /** Unit vectors, the direction of most variance first; the largest entry of each is positive. */
  readonly directions: readonly (readonly number[])[];
  /** Share of all variance that they keep. */
  readonly keptShare: number;
};

/**
 * The fewest directions that together keep more than a share of the variance (as scikit-learn's `PCA(n_components=share)`).
 * No directions where nothing varies. INVALID without rows.
 */
export function principalComponents(
  sums: CovarianceSums,
  share: number = 0.65,
): PrincipalComponents {
  requireWithin('share', share, 0, 1);
  if (sums.count < 1) throw invalid('rows', sums.count, 'at least one');
  const { values, vectors } = eigenOf(sums);
  const total = values.reduce((sum, value) => sum + Math.max(0, value), 0);
  const directions: (readonly number[])[] = [];
  let kept = 0;
  for (const [k, value] of values.entries()) {
    if (!(value > 0) || (kept / total > share && directions.length > 0)) break;
    directions.push(vectors[k] as readonly number[]);
    kept += value;
  }
  return { means: sums.means, directions, keptShare: total > 0 ? Math.min(1, kept / total) : 1 };
}

/**
 * What remains of a row when it is seen through the directions alone: the squared distance is its length's square less that
 * of its shadow. `residuals` gets what remains of each column.
 */
export function reconstructionError(
  { means, directions }: PrincipalComponents,
  row: ArrayLike<number>,
  residuals: Float64Array = new Float64Array(means.length),
): number {
  const columns = means.length;
  if (row.length !== columns) throw invalid('row', row.length, `of ${columns} values`);
  for (let i = 0; i < columns; i += 1) residuals[i] = (row[i] as number) - (means[i] as number);
  // Each direction is taken from what the others left: they are orthogonal.
  for (const direction of directions) {
    let along = 0;
    for (let i = 0; i < columns; i += 1) {
      along += (direction[i] as number) * (residuals[i] as number);
    }
    for (let i = 0; i < columns; i += 1) {
      residuals[i] = (residuals[i] as number) - along * (direction[i] as number);
    }
  }
  let square = 0;
  for (let i = 0; i < columns; i += 1) square += (residuals[i] as number) ** 2;
  return Math.sqrt(square);
}

/** Eigenvalues, largest first, with their vectors, by cyclic Jacobi rotations (Golub & Van Loan, algorithm 8.4.3). */
function eigenOf({ means, products }: CovarianceSums): {
  readonly values: readonly number[];
  readonly vectors: readonly (readonly number[])[];
} {
  const n = means.length;
  const a = Array.from({ length: n }, (_, i) =>
    Float64Array.from({ length: n }, (__, j) => {
      const [row, column] = i >= j ? [i, j] : [j, i];
      return products[(row * (row + 1)) / 2 + column] as number;
    }),
  );
  const v = Array.from({ length: n }, (_, i) =>
    Float64Array.from({ length: n }, (__, j) => (i === j ? 1 : 0)),
  );
  for (let sweep = 0; sweep < 60 && offDiagonal(a) > 0; sweep += 1) {
    for (let p = 0; p < n - 1; p += 1) {
      for (let q = p + 1; q < n; q += 1) rotate(a, v, p, q);
    }
  }
  const order = a
    .map((row, i) => ({ value: row[i] as number, i }))
    .sort((x, y) => y.value - x.value || x.i - y.i);
  return {
    values: order.map(({ value }) => value),
    vectors: order.map(({ i }) => oriented(v.map((row) => row[i] as number))),
  };
}

function offDiagonal(a: readonly Float64Array[]): number {
  let [off, on] = [0, 0];
  for (const [i, row] of a.entries()) {
    on += (row[i] as number) ** 2;
    for (let j = 0; j < i; j += 1) off += (row[j] as number) ** 2;
  }
  return off <= 1e-30 * on ? 0 : off;
}

function rotate(
  a: readonly Float64Array[],
  v: readonly Float64Array[],
  p: number,
  q: number,
): void {
  const [rowP, rowQ] = [a[p] as Float64Array, a[q] as Float64Array];
  const off = rowP[q] as number;
  if (off === 0) return;
  const tau = ((rowQ[q] as number) - (rowP[p] as number)) / (2 * off);
  const t = (tau >= 0 ? 1 : -1) / (Math.abs(tau) + Math.hypot(1, tau));
  const c = 1 / Math.hypot(1, t);
  const s = t * c;
  for (const row of [...a]) turn(row, p, q, c, s);
  for (let k = 0; k < a.length; k += 1) {
    const [x, y] = [rowP[k] as number, rowQ[k] as number];
    rowP[k] = c * x - s * y;
    rowQ[k] = s * x + c * y;
  }
  for (const row of v) turn(row, p, q, c, s);
}

function turn(row: Float64Array, p: number, q: number, c: number, s: number): void {
  const [x, y] = [row[p] as number, row[q] as number];
  row[p] = c * x - s * y;
  row[q] = s * x + c * y;
}

/** The sign of a direction means nothing: the largest entry, the first of equals, is made positive. */
function oriented(vector: readonly number[]): readonly number[] {
  const largest = vector.reduce((most, each) => (Math.abs(each) > Math.abs(most) ? each : most), 0);
  return largest < 0 ? vector.map((each) => -each) : vector;
}
