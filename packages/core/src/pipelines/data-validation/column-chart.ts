import { type Category, countInBins } from '../../statistics/index.ts';
import { distributionFigure } from './distribution-figure.ts';
import { figure } from './finding.ts';

const maxBars = 24;
const maxCategories = 8;

/** What is shown of a column. */
export interface ColumnChart {
  readonly column: string;
  readonly current: readonly Category[];
  /** Drawn as outlines. */
  readonly baseline?: readonly Category[];
  readonly caption: string;
  readonly bad: boolean;
}

/** The distribution of a column beside that of the baseline, as a figure with inline SVG; empty without values. */
export function columnChart(chart: ColumnChart): string {
  const { current, baseline = [] } = chart;
  const all = [...current, ...baseline];
  if (all.length === 0) return '';
  const numbers = all.filter((value) => typeof value === 'number').length;
  const { shares, outlines, labels } =
    numbers * 2 >= all.length ? ofNumbers(current, baseline) : ofCategories(current, baseline);
  return distributionFigure({
    ...{ title: chart.column, caption: chart.caption, bad: chart.bad },
    ...{ bins: labels.bars, current: shares, reference: outlines },
    ends: [labels.low, labels.high],
  });
}

interface Bars {
  readonly shares: readonly number[];
  readonly outlines: readonly number[];
  readonly labels: {
    readonly bars: readonly string[];
    readonly low: string;
    readonly high: string;
  };
}

function ofNumbers(current: readonly Category[], baseline: readonly Category[]): Bars {
  const [now, before] = [current, baseline].map((values) =>
    values.filter((value) => typeof value === 'number'),
  ) as [number[], number[]];
  const ascending = Float64Array.from([...now, ...before]).sort();
  const [low, high] = [ascending[0] as number, ascending.at(-1) as number];
  const span = high - low;
  // Equal widths; a span beyond what a float holds has one bar.
  const count = span > 0 && span < Infinity ? maxBars : 1;
  const edges = Array.from({ length: count - 1 }, (_, i) => low + (span * (i + 1)) / count);
  const ends = [low, ...edges, high];
  return {
    shares: sharesIn(countInBins({ edges }, now)),
    outlines: before.length === 0 ? [] : sharesIn(countInBins({ edges }, before)),
    labels: {
      bars: ends.slice(1).map((end, i) => `${figure(ends[i] as number)} to ${figure(end)}`),
      low: figure(low),
      high: figure(high),
    },
  };
}

function ofCategories(current: readonly Category[], baseline: readonly Category[]): Bars {
  const [now, before] = [tally(current), tally(baseline)];
  const rank = (name: string): number => (now.get(name) ?? 0) + (before.get(name) ?? 0);
  const names = [...new Set([...before.keys(), ...now.keys()])].sort((a, b) => rank(b) - rank(a));
  const shown = names.slice(0, maxCategories);
  const rest = names.slice(maxCategories);
  const counts = (of: ReadonlyMap<string, number>): number[] => [
    ...shown.map((name) => of.get(name) ?? 0),
    ...(rest.length === 0 ? [] : [rest.reduce((sum, name) => sum + (of.get(name) ?? 0), 0)]),
  ];
  const bars = [...shown, ...(rest.length === 0 ? [] : [`${rest.length} others`])];
  return {
    shares: sharesIn(counts(now)),
    outlines: baseline.length === 0 ? [] : sharesIn(counts(before)),
    labels: { bars, low: bars[0] ?? '', high: bars.length > 1 ? (bars.at(-1) ?? '') : '' },
  };
}

function tally(values: readonly Category[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const value of values) {
    const name = String(value);
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}

function sharesIn(counts: readonly number[]): number[] {
  const total = counts.reduce((sum, count) => sum + count, 0);
  return counts.map((count) => (total === 0 ? 0 : count / total));
}
