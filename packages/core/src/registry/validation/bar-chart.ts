import type { Interval } from '../../statistics/index.ts';
import { escapeHtml } from '../../tracking/html-page.ts';

const width = 640;

/** Counts side by side from left to right, over named edges; a figure with inline SVG. */
export function histogramChart(options: {
  readonly title: string;
  readonly counts: readonly number[];
  /** Under the left, middle and right end. */
  readonly labels: readonly [string, string, string];
  readonly marks: readonly { readonly at: number; readonly name: string }[];
}): string {
  const { title, counts, labels, marks } = options;
  const [height, base] = [180, 150];
  const top = counts.reduce((a, b) => Math.max(a, b), 1);
  const step = width / counts.length;
  const bars = counts.map((count, i) => {
    const tall = (count / top) * (base - 24);
    return `<rect x="${n(i * step + 1)}" y="${n(base - tall)}" width="${n(step - 2)}" height="${n(tall)}"><title>${count}</title></rect>`;
  });
  const ticks = labels.map((label, i) => {
    const anchor = ['start', 'middle', 'end'][i];
    return `<text x="${(i * width) / 2}" y="${base + 18}" text-anchor="${anchor}">${escapeHtml(label)}</text>`;
  });
  const lines = marks.map(({ at, name }, i) => {
    const x = Math.min(1, Math.max(0, at)) * width;
    const side = x > width * 0.8 ? 'end' : 'start';
    const beside = side === 'end' ? x - 4 : x + 4;
    return `<line class="mark" x1="${n(x)}" x2="${n(x)}" y1="4" y2="${base}"/><text x="${n(beside)}" y="${14 + 13 * i}" text-anchor="${side}">${escapeHtml(name)}</text>`;
  });
  const axis = `<line x1="0" x2="${width}" y1="${base}" y2="${base}"/>`;
  return figure(title, height, [...bars, axis, ...ticks, ...lines]);
}

/** Values as bars below each other, with their intervals; a figure with inline SVG. */
export function barChart(options: {
  readonly title: string;
  readonly bars: readonly {
    readonly name: string;
    readonly value: number | null;
    readonly interval?: Interval;
    readonly text: string;
    readonly tone: 'plain' | 'bad' | 'weak';
  }[];
  /** The value of all together. */
  readonly mark?: number;
}): string {
  const { title, bars, mark } = options;
  const [left, right, row] = [150, width - 130, 24];
  const all = bars.flatMap(({ value, interval }) => [
    ...(value === null ? [] : [value]),
    ...(interval === undefined ? [] : [interval.low, interval.high]),
  ]);
  const finite = [...all, ...(mark === undefined ? [] : [mark]), 0].filter(Number.isFinite);
  const low = finite.reduce((a, b) => Math.min(a, b), 0);
  const high = finite.reduce((a, b) => Math.max(a, b), 0) || 1;
  const x = (value: number): number => left + ((value - low) / (high - low || 1)) * (right - left);
  const shown = bars.map(({ name, value, interval, text, tone }, i) => {
    const y = i * row + 6;
    const label = `<text x="${left - 8}" y="${y + 13}" text-anchor="end">${escapeHtml(shorten(name))}<title>${escapeHtml(name)}</title></text>`;
    const said = `<text x="${right + 10}" y="${y + 13}">${escapeHtml(text)}</text>`;
    if (value === null || !Number.isFinite(value)) return label + said;
    const [from, to] = [Math.min(x(0), x(value)), Math.max(x(0), x(value))];
    const bar = `<rect class="${tone}" x="${n(from)}" y="${y}" width="${n(to - from)}" height="16"/>`;
    const whisker =
      interval === undefined
        ? ''
        : `<line class="whisker" x1="${n(x(interval.low))}" x2="${n(x(interval.high))}" y1="${y + 8}" y2="${y + 8}"/>`;
    return label + bar + whisker + said;
  });
  const height = bars.length * row + 12;
  const whole =
    mark === undefined || !Number.isFinite(mark)
      ? ''
      : `<line class="mark" x1="${n(x(mark))}" x2="${n(x(mark))}" y1="2" y2="${height - 4}"/>`;
  return figure(title, height, [...shown, whole]);
}

function figure(title: string, height: number, parts: readonly string[]): string {
  return `<figure class="bars"><figcaption><b>${escapeHtml(title)}</b></figcaption><svg viewBox="0 0 ${width} ${height}" role="img">${parts.join('')}</svg></figure>`;
}

function shorten(name: string): string {
  return name.length > 22 ? `${name.slice(0, 21)}…` : name;
}

function n(value: number): string {
  return value.toFixed(1);
}
