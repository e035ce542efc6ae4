import { answersOf, type MeasureOptions, type PerformanceRow, taskOf } from './measured-rows.ts';

/**
 * How wrong each row is: 0 or 1 for classes (a failed answer is wrong), |predicted − actual| for numbers; NaN where that
 * cannot be said.
 */
export function lossesOf(
  rows: readonly PerformanceRow[],
  options: Pick<MeasureOptions, 'task' | 'threshold'> = {},
): Float64Array {
  const task = options.task ?? taskOf(rows);
  if (task === 'regression') {
    return Float64Array.from(rows, ({ actual, predicted }) =>
      Number.isFinite(actual) && Number.isFinite(predicted)
        ? finite(Math.abs((predicted as number) - (actual as number)))
        : Number.NaN,
    );
  }
  return Float64Array.from(answersOf(rows, options.threshold ?? 0.5), ({ actual, predicted }) =>
    actual === predicted ? 0 : 1,
  );
}

function finite(value: number): number {
  return Number.isFinite(value) ? value : Number.NaN;
}
