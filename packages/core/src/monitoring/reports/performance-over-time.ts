import {
  type MeasureOptions,
  measureRows,
  type PerformanceRow,
} from '../performance/measured-rows.ts';
import { mainFigure, type PerformanceReportData } from './performance-report-data.ts';

const periods = 24;

/** The main figure over at most 24 stretches of equal time; rows without a time are left out. */
export function performanceOverTime(
  rows: readonly { readonly row: PerformanceRow; readonly at: number }[],
  options: MeasureOptions,
): PerformanceReportData['overTime'] {
  const timed = rows.filter(({ at }) => Number.isFinite(at));
  if (timed.length === 0) return [];
  const from = timed.reduce((least, { at }) => Math.min(least, at), Infinity);
  const to = timed.reduce((most, { at }) => Math.max(most, at), -Infinity);
  const width = (to - from) / periods || 1;
  const byPeriod = Map.groupBy(timed, ({ at }) =>
    Math.min(periods - 1, Math.floor((at - from) / width)),
  );
  return [...byPeriod]
    .sort(([a], [b]) => a - b)
    .map(([period, some]) => {
      const measured = measureRows(
        some.map(({ row }) => row),
        options,
      );
      const { value = null, interval = null } = mainFigure(measured) ?? {};
      return { from: from + period * width, rows: some.length, value, interval };
    });
}
