import { escapeHtml } from './html-page.ts';

/** One line of a chart; points that are not finite leave a gap. */
export interface ChartLine {
  readonly name: string;
  readonly points: readonly { readonly x: number; readonly y: number }[];
  /** A CSS colour, and an SVG dash pattern; by the line's place when left out. */
  readonly colour?: string;
  readonly dash?: string;
}

/** What a chart shows. */
export interface ChartOptions {
  readonly title: string;
  readonly lines: readonly ChartLine[];
  /** How a tick is written. */
  readonly formatX: (x: number) => string;
  readonly formatY: (y: number) => string;
  /** Vertical marks, such as alerts. */
  readonly marks?: readonly { readonly x: number; readonly name: string }[];
  readonly yMin?: number;
  readonly yMax?: number;
}

const width = 640;
const height = 220;
const left = 52;
const bottom = 24;
const top = 10;
const colours = ['#1b6ca8', '#c2571a', '#2a7d2a', '#8b3fa0', '#a08000', '#4a6a6a', '#b3261e'];

/** A line chart as a figure with an inline SVG and a legend; no script. */
export function lineChart(options: ChartOptions): string {
  const all = options.lines.flatMap((line) => line.points).filter((p) => Number.isFinite(p.y));
  if (all.length === 0) {
    return `<figure><figcaption>${escapeHtml(options.title)}: nothing yet</figcaption></figure>`;
  }
  const [x0, x1] = rangeOf(all.map((point) => point.x));
  const [low, high] = rangeOf(all.map((point) => point.y));
  const y0 = options.yMin ?? low;
  const y1 = options.yMax ?? high;
  const x = (value: number): string =>
    (left + ((value - x0) / (x1 - x0 || 1)) * (width - left - 10)).toFixed(1);
  const y = (value: number): string =>
    (height - bottom - ((value - y0) / (y1 - y0 || 1)) * (height - bottom - top)).toFixed(1);
  const parts = [
    ...[0, 0.5, 1].map((share) => yTick(y0 + share * (y1 - y0), y, options.formatY)),
    ...[0, 0.25, 0.5, 0.75, 1].map((share) =>
      xTick(share, x(x0 + share * (x1 - x0)), options.formatX(x0 + share * (x1 - x0))),
    ),
    ...(options.marks ?? []).map(
      (mark) =>
        `<line x1="${x(mark.x)}" x2="${x(mark.x)}" y1="${top}" y2="${height - bottom}" stroke="#b3261e" stroke-dasharray="4 3"><title>${escapeHtml(mark.name)}</title></line>`,
    ),
    ...options.lines.flatMap((line, i) =>
      pieces(line).map(
        (piece) =>
          `<polyline style="${strokeOf(line, i)}${piece.length === 1 ? dot : ''}" points="${visible(
            piece,
          )
            .map((p) => `${x(p.x)},${y(p.y)}`)
            .join(' ')}"/>`,
      ),
    ),
  ];
  const legend = options.lines.map(
    (line, i) =>
      `<span><span style="color:${colourOf(line, i)}">━</span>${escapeHtml(line.name)}</span>`,
  );
  return `<figure class="chart"><figcaption><b>${escapeHtml(options.title)}</b></figcaption><svg viewBox="0 0 ${width} ${height}" role="img">${parts.join('')}</svg><div class="legend">${legend.join(' ')}</div></figure>`;
}

function colourOf(line: ChartLine, index: number): string {
  return line.colour ?? (colours[index % colours.length] as string);
}

function strokeOf(line: ChartLine, index: number): string {
  const dash = line.dash === undefined || line.dash === '' ? '' : `;stroke-dasharray:${line.dash}`;
  return `stroke:${colourOf(line, index)}${dash}`;
}

// Not by spreading: many runs have more points than a call takes arguments.
function rangeOf(values: readonly number[]): readonly [low: number, high: number] {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

function yTick(
  value: number,
  y: (value: number) => string,
  format: (value: number) => string,
): string {
  return `<line class="axis" x1="${left}" x2="${width - 10}" y1="${y(value)}" y2="${y(value)}"/><text x="${left - 6}" y="${y(value)}" dy="3" text-anchor="end">${escapeHtml(format(value))}</text>`;
}

// The outermost ticks are written inwards, so that nothing is cut off.
function xTick(share: number, at: string, label: string): string {
  const anchor = share === 0 ? 'start' : share === 1 ? 'end' : 'middle';
  return `<text x="${at}" y="${height - 8}" text-anchor="${anchor}">${escapeHtml(label)}</text>`;
}

const dot = ';stroke-linecap:round;stroke-width:5';

/** A point by itself is drawn from itself to itself: a dot. */
function visible<T>(piece: readonly T[]): readonly T[] {
  return piece.length === 1 ? [...piece, ...piece] : piece;
}

/** The stretches of a line between its gaps. */
function pieces(line: ChartLine): (typeof line.points)[number][][] {
  const all: (typeof line.points)[number][][] = [[]];
  for (const point of line.points) {
    if (Number.isFinite(point.y)) all.at(-1)?.push(point);
    else all.push([]);
  }
  return all.filter((piece) => piece.length > 0);
}
