import type { SeriesBucket, SeriesSummary } from '../contracts/series-store.ts';
import { axisNumber, formatNumber } from './format-figures.ts';
import { escapeHtml, table } from './html-page.ts';

const width = 320;
const height = 130;
const left = 54;
const right = 6;
const top = 8;
const bottom = 18;

/** A metric with what is drawn of it. */
export interface DrawnMetric {
  readonly summary: SeriesSummary;
  readonly buckets: readonly SeriesBucket[];
}

/** Metrics as HTML: a chart for each that has a course, a table of those with a single point. */
export function metricCards(metrics: readonly DrawnMetric[]): string {
  const single = metrics.filter(({ summary }) => summary.count === 1);
  const courses = metrics.filter(({ summary }) => summary.count > 1);
  const cards = courses.map(({ summary, buckets }) => metricCard(summary, buckets));
  const grid = cards.length === 0 ? '' : `<div class="grid">${cards.join('')}</div>`;
  const rows = single.map(({ summary }) => [
    summary.key,
    formatNumber(summary.last),
    String(summary.lastStep),
  ]);
  return `${grid}${table(['metric', 'value', 'step'], rows)}`;
}

function metricCard(summary: SeriesSummary, buckets: readonly SeriesBucket[]): string {
  const figures = [
    ['last', formatNumber(summary.last)],
    ['min', formatNumber(summary.min)],
    ['max', formatNumber(summary.max)],
    ['points', summary.count.toLocaleString('en')],
    ...(summary.nanCount === 0 ? [] : [['NaN', summary.nanCount.toLocaleString('en')]]),
  ];
  const facts = figures.map(([name, value]) => `<span>${name} <b>${value ?? '–'}</b></span>`);
  return `<figure class="metric"><figcaption><strong>${escapeHtml(summary.key)}</strong><div class="figures">${facts.join(' ')}</div></figcaption>${courseOf(buckets)}</figure>`;
}

/** A band from each bucket's least to its greatest value, over its steps; gaps where nothing is finite. */
function courseOf(buckets: readonly SeriesBucket[]): string {
  const pieces = finitePieces(buckets);
  const drawn = pieces.flat();
  const first = drawn[0];
  const last = drawn.at(-1);
  if (first === undefined || last === undefined) return '<p class="empty">no finite values</p>';
  const low = Math.min(...drawn.map((b) => b.min));
  const high = Math.max(...drawn.map((b) => b.max));
  const x = (step: number): string =>
    (left + share(step, first.stepMin, last.stepMax, 0) * (width - left - right)).toFixed(1);
  const y = (value: number): string =>
    (height - bottom - share(value, low, high, 0.5) * (height - bottom - top)).toFixed(1);
  const lines = pieces.map((piece) => {
    const points = piece.flatMap((b) => {
      const ends = [`${x(b.minStep)},${y(b.min)}`, `${x(b.maxStep)},${y(b.max)}`];
      return b.minStep <= b.maxStep ? ends : ends.reverse();
    });
    const dot = points.length === 2 && points[0] === points[1] ? ' class="dot"' : '';
    return `<polyline${dot} points="${points.join(' ')}"/>`;
  });
  const label = (at: string, anchor: string, text: string): string =>
    `<text ${at} text-anchor="${anchor}">${escapeHtml(text)}</text>`;
  const rule = (value: number): string =>
    `<line x1="${left}" x2="${width - right}" y1="${y(value)}" y2="${y(value)}"/>`;
  const edges = low === high ? [low] : [low, high];
  const [from, to] = [String(first.stepMin), String(last.stepMax)];
  return `<svg viewBox="0 0 ${width} ${height}" role="img">${[
    ...edges.map(rule),
    ...edges.map((value) =>
      label(`x="${left - 5}" y="${y(value)}" dy="3"`, 'end', tickLabel(value)),
    ),
    label(`x="${left}" y="${height - 4}"`, 'start', from),
    ...(from === to ? [] : [label(`x="${width - right}" y="${height - 4}"`, 'end', to)]),
    ...lines,
  ].join('')}</svg>`;
}

/** Short enough for the margin. */
function tickLabel(value: number): string {
  const text = axisNumber(value);
  return text.length > 8 ? value.toExponential(1) : text;
}

/** Stretches of buckets between those that hold nothing finite. */
function finitePieces(buckets: readonly SeriesBucket[]): SeriesBucket[][] {
  const pieces: SeriesBucket[][] = [[]];
  for (const bucket of buckets) {
    if (Number.isFinite(bucket.min) && Number.isFinite(bucket.max)) pieces.at(-1)?.push(bucket);
    else pieces.push([]);
  }
  return pieces.filter((piece) => piece.length > 0);
}

/** Where a value lies between two others, as a share; `alone` where they are one. */
function share(value: number, low: number, high: number, alone: number): number {
  if (low === high) return alone;
  // The difference of two numbers may be beyond all numbers, that of their halves is not.
  return Number.isFinite(high - low)
    ? (value - low) / (high - low)
    : (value / 2 - low / 2) / (high / 2 - low / 2);
}
