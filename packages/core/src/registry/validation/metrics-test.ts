import { formatNumber } from '../../tracking/format-figures.ts';
import { type MetricFigure, metricFigure } from './metric-figure.ts';
import { readPredictions } from './read-predictions.ts';
import type { MetricsFigures } from './report.ts';
import type { MetricLimit, MetricsTest } from './suite.ts';
import type { TestContext, Verdict } from './test-context.ts';

/** Figures on labelled rows. */
export async function runMetrics(context: TestContext, test: MetricsTest): Promise<Verdict> {
  const rows = context.rows(test.data);
  const outputs = await context.outputs(test.data);
  const labelled = readPredictions(context.model.signature, test, rows, outputs);
  const judged: MetricsFigures['figures'][number][] = [];
  for (const limit of test.limits) {
    const figure = await metricFigure(limit.metric, labelled, context.metrics);
    judged.push({ ...limit, ...figure, passed: isWithin(figure, limit) });
  }
  const failed = judged.filter(({ passed }) => !passed);
  const figures: MetricsFigures = { test: 'metrics', rows: rows.length, figures: judged };
  const told = (failed.length === 0 ? judged : failed).map(sentence).join('; ');
  return {
    outcome: failed.length === 0 ? 'PASSED' : 'FAILED',
    detail: `${told} (${rows.length} rows)`,
    figures,
  };
}

/** Whether a figure, or its whole interval, is within the limits. What is no number never is. */
function isWithin(
  { value, interval }: Pick<MetricFigure, 'value' | 'interval'>,
  { min = -Infinity, max = Infinity, judge = 'estimate' }: MetricLimit,
): boolean {
  if (value === null) return false;
  if (judge === 'estimate') return value >= min && value <= max;
  return interval !== undefined && interval.low >= min && interval.high <= max;
}

function sentence({
  metric,
  value,
  interval,
  min,
  max,
  judge,
}: MetricsFigures['figures'][number]): string {
  if (value === null) return `${metric} has no value: there is nothing to divide by`;
  const between = intervalText(interval);
  if (judge === 'bound' && interval === undefined) {
    return `${metric} ${formatNumber(value)} has no interval to be judged by`;
  }
  const bounds = [
    ...(min === undefined ? [] : [`at least ${formatNumber(min)}`]),
    ...(max === undefined ? [] : [`at most ${formatNumber(max)}`]),
  ];
  const whole = judge === 'bound' ? ' for the whole interval' : '';
  return `${metric} ${formatNumber(value)}${between}, allowed ${bounds.join(' and ')}${whole}`;
}

/** ` [low, high]`, or nothing. */
export function intervalText(interval: MetricFigure['interval']): string {
  if (interval === undefined) return '';
  return ` [${formatNumber(interval.low)}, ${formatNumber(interval.high)}]`;
}
