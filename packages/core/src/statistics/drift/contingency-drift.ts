import { chiSquaredQuantileAbove } from '../distributions/chi-squared.ts';
import { contingencyTest, isChiSquaredSafe } from '../hypothesis/contingency.ts';
import { seededRandom } from '../random/seeded-random.ts';
import type { Measurement } from './drift-result.ts';

const draws = 1999;

/**
 * Chi-squared as a measurement of drift: the score is √(χ²·(1/n + 1/m)), which does not grow with the sample.
 * Where expected counts are too small for the approximation, the rarest columns are pooled; where that does not
 * help, p comes from 1,999 seeded permutations.
 */
export function contingencyDrift(
  reference: readonly number[],
  current: readonly number[],
  alpha: number,
): Measurement {
  const table = pooled(reference, current);
  const test = contingencyTest(table.reference, table.current);
  const n = sumOf(reference);
  const m = sumOf(current);
  const noise = 1 / n + 1 / m;
  const notes: string[] = [];
  if (table.merged > 0) notes.push(`the ${table.merged} rarest categories were pooled`);
  if (test.degrees === 0) return { score: 0, chanceThreshold: 0, pValue: 1, notes };
  let { pValue } = test;
  if (!isChiSquaredSafe(test.expected)) {
    pValue = permutedPValue(table.reference, table.current, test.statistic);
    notes.push('expected counts are too small for chi-squared: p is from permutations');
  }
  const chanceThreshold = Math.sqrt(noise * chiSquaredQuantileAbove(alpha, test.degrees));
  return { score: Math.sqrt(noise * test.statistic), chanceThreshold, pValue, notes };
}

interface Table {
  readonly reference: readonly number[];
  readonly current: readonly number[];
  readonly merged: number;
}

/** Merges the rarest columns into one until chi-squared is safe, but never below two columns. */
function pooled(reference: readonly number[], current: readonly number[]): Table {
  const columns = reference
    .map((count, index) => ({ r: count, c: current[index] as number }))
    .filter(({ r, c }) => r + c > 0)
    .sort((a, b) => b.r + b.c - (a.r + a.c));
  const original = columns.length;
  const split = () => ({
    reference: columns.map(({ r }) => r),
    current: columns.map(({ c }) => c),
  });
  for (;;) {
    const table = split();
    const isSafe = isChiSquaredSafe(contingencyTest(table.reference, table.current).expected);
    if (isSafe || columns.length <= 2) {
      return { ...table, merged: columns.length === original ? 0 : original - columns.length + 1 };
    }
    const last = columns.pop() ?? { r: 0, c: 0 };
    const before = columns.pop() ?? { r: 0, c: 0 };
    columns.push({ r: last.r + before.r, c: last.c + before.c });
  }
}

function permutedPValue(
  reference: readonly number[],
  current: readonly number[],
  statistic: number,
): number {
  const labels = reference.flatMap((count, index) =>
    new Array<number>(count + (current[index] as number)).fill(index),
  );
  const n = sumOf(reference);
  const random = seededRandom(`permutation:${reference.join()}:${current.join()}`);
  let reached = 1;
  for (let draw = 0; draw < draws; draw += 1) {
    random.shuffle(labels);
    const drawn = reference.map(() => 0);
    for (const label of labels.slice(0, n)) drawn[label] = (drawn[label] as number) + 1;
    const rest = reference.map(
      (count, index) => count + (current[index] as number) - (drawn[index] as number),
    );
    if (contingencyTest(drawn, rest).statistic >= statistic * (1 - 1e-9)) reached += 1;
  }
  return reached / (draws + 1);
}

function sumOf(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}
