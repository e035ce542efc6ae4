import { invalid, requireCount } from '../arguments.ts';
import { chiSquaredAbove } from '../distributions/chi-squared.ts';

/** A test of two rows of counts for having the same distribution. */
export interface ContingencyTest {
  readonly statistic: number;
  readonly degrees: number;
  readonly pValue: number;
  /** Expected counts of the columns that are used, [reference, current]. */
  readonly expected: readonly [readonly number[], readonly number[]];
  /** √(χ²/total) for two rows: from 0 to 1; 0 with a single column. */
  readonly cramersV: number;
}

/** Which statistic, and whether Yates's continuity correction applies (2×2 only). */
export interface ContingencyOptions {
  readonly statistic?: 'pearson' | 'likelihood-ratio';
  readonly yates?: boolean;
}

/**
 * The chi-squared test of a 2×K table (as scipy's `chi2_contingency`, without Yates's correction by default):
 * neither row is taken as exact. Columns that are empty on both sides are left out; with one column left
 * statistic and degrees are 0 and p is 1. INVALID for rows of different length or an empty row.
 */
export function contingencyTest(
  reference: readonly number[],
  current: readonly number[],
  options: ContingencyOptions = {},
): ContingencyTest {
  const table = usedColumns(reference, current);
  const n = sumOf(table.reference);
  const m = sumOf(table.current);
  if (n === 0 || m === 0)
    throw invalid('row', n === 0 ? 'reference' : 'current', 'a row with at least one count');
  const columns = table.reference.map((count, index) => count + (table.current[index] as number));
  const expected: [number[], number[]] = [
    columns.map((column) => (column * n) / (n + m)),
    columns.map((column) => (column * m) / (n + m)),
  ];
  const degrees = columns.length - 1;
  const correction = options.yates === true && degrees === 1 ? 0.5 : 0;
  const term = options.statistic === 'likelihood-ratio' ? likelihoodTerm : pearsonTerm;
  let statistic = 0;
  for (let index = 0; index < columns.length; index += 1) {
    statistic += term(table.reference[index] as number, expected[0][index] as number, correction);
    statistic += term(table.current[index] as number, expected[1][index] as number, correction);
  }
  return {
    statistic,
    degrees,
    pValue: degrees === 0 ? 1 : chiSquaredAbove(Math.max(0, statistic), degrees),
    expected,
    cramersV: degrees === 0 ? 0 : Math.sqrt(Math.max(0, statistic) / (n + m)),
  };
}

/** Whether the chi-squared approximation holds: expected counts of at least 5 in 80 % of cells, none below 1 (Cochran). */
export function isChiSquaredSafe(expected: ContingencyTest['expected']): boolean {
  const cells = expected.flat();
  return (
    cells.every((cell) => cell >= 1) &&
    cells.filter((cell) => cell >= 5).length >= 0.8 * cells.length
  );
}

function pearsonTerm(observed: number, expected: number, correction: number): number {
  const gap = Math.abs(observed - expected);
  return (gap - Math.min(correction, gap)) ** 2 / expected;
}

function likelihoodTerm(observed: number, expected: number, correction: number): number {
  const gap = observed - expected;
  const moved = observed - Math.sign(gap) * Math.min(correction, Math.abs(gap));
  return moved === 0 ? 0 : 2 * moved * Math.log(moved / expected);
}

function usedColumns(
  reference: readonly number[],
  current: readonly number[],
): { reference: number[]; current: number[] } {
  if (reference.length !== current.length) {
    throw invalid(
      'current',
      current.length,
      `as many counts as the reference has, ${reference.length}`,
    );
  }
  for (const count of [...reference, ...current]) requireCount('count', count);
  const used = (_: number, index: number) =>
    (reference[index] as number) + (current[index] as number) > 0;
  return { reference: reference.filter(used), current: current.filter(used) };
}

function sumOf(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}
