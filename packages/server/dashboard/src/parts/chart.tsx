import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import './chart.css';
import { Scroll } from './basics.tsx';
import { download } from './download.ts';
import { showDuration, showNumber } from './format.ts';

/** One line of a chart, with the band between its extremes where it has one. */
export interface Line {
  readonly label: string;
  readonly color: string;
  readonly values: readonly (number | null)[];
  readonly low?: readonly (number | null)[];
  readonly high?: readonly (number | null)[];
  readonly dashed?: boolean;
  readonly width?: number;
}

/** What a chart shows. */
export interface ChartProps {
  readonly title: string;
  readonly x: readonly number[];
  readonly lines: readonly Line[];
  /** `time`: x is epoch seconds; `duration`: milliseconds. */
  readonly axis?: 'number' | 'time' | 'duration';
  readonly logY?: boolean;
  /** Counts and shares, whose least is nothing: the axis begins there. */
  readonly fromZero?: boolean;
  readonly height?: number;
  /** Charts of one key share their cursor. */
  readonly sync?: string;
  /** The range of x that was chosen by dragging; null for all. */
  readonly onZoom?: (range: readonly [number, number] | null) => void;
  readonly range?: readonly [number, number] | undefined;
}

/** Lines over x, drawn by uPlot; beside it its table and its CSV, for who reads rather than looks. */
export function Chart(props: ChartProps): JSX.Element {
  const { title, x, lines, height = 220 } = props;
  const holder = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const shape = JSON.stringify([
    lines.map(({ label, color, low, dashed }) => [label, color, low !== undefined, dashed]),
    props.axis,
    props.logY,
    height,
  ]);

  useEffect(() => {
    const at = holder.current;
    if (at === null) return;
    const made = new uPlot(optionsOf(props, at.clientWidth), dataOf(props), at);
    plot.current = made;
    const watcher = new ResizeObserver(() => {
      if (at.clientWidth > 0) made.setSize({ width: at.clientWidth, height });
    });
    watcher.observe(at);
    const theme = matchMedia('(prefers-color-scheme: dark)');
    const redraw = (): void => made.redraw(false, true);
    theme.addEventListener('change', redraw);
    return () => {
      theme.removeEventListener('change', redraw);
      watcher.disconnect();
      made.destroy();
      plot.current = undefined;
    };
  }, [shape]);

  useEffect(() => {
    plot.current?.setData(dataOf(props));
    const { range } = props;
    if (range !== undefined) plot.current?.setScale('x', { min: range[0], max: range[1] });
  }, [x, lines, props.range?.[0], props.range?.[1]]);

  return (
    <figure class="chart">
      <figcaption>
        {title}
        <span class="legend">
          {lines.map(({ label, color }) => (
            <span key={label}>
              <i style={{ background: color }} aria-hidden="true" />
              {label}
            </span>
          ))}
        </span>
      </figcaption>
      <div ref={holder} role="img" aria-label={describe(props)} />
      <details>
        <summary>Table</summary>
        <Scroll class="table-of-chart">
          <ChartTable {...props} />
        </Scroll>
        <button
          type="button"
          onClick={() =>
            download(`${title.replaceAll(/[^\w.-]+/g, '-')}.csv`, csv(props), 'text/csv')
          }
        >
          CSV
        </button>
      </details>
    </figure>
  );
}

const tableRows = 200;

function ChartTable({ x, lines, axis = 'number' }: ChartProps): JSX.Element {
  const every = Math.max(1, Math.ceil(x.length / tableRows));
  return (
    <table>
      <thead>
        <tr>
          <th class="number">{axis === 'number' ? 'step' : 'time'}</th>
          {lines.map(({ label }) => (
            <th key={label} class="number">
              {label}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {x.map((at, i) =>
          i % every !== 0 && i !== x.length - 1 ? null : (
            <tr key={at}>
              <td class="number">{showX(at, axis)}</td>
              {lines.map(({ label, values }) => (
                <td key={label} class="number">
                  {showNumber(values[i])}
                </td>
              ))}
            </tr>
          ),
        )}
      </tbody>
    </table>
  );
}

function showX(at: number, axis: NonNullable<ChartProps['axis']>): string {
  if (axis === 'time') return new Date(at * 1000).toLocaleString();
  return axis === 'duration' ? showDuration(at) : showNumber(at);
}

function csv({ x, lines }: ChartProps): string {
  const head = ['x', ...lines.map(({ label }) => `"${label.replaceAll('"', '""')}"`)].join(',');
  return [
    head,
    ...x.map((at, i) => [at, ...lines.map(({ values }) => values[i] ?? '')].join(',')),
  ].join('\r\n');
}

function describe({ title, x, lines }: ChartProps): string {
  const ends = lines.slice(0, 5).map(({ label, values }) => {
    const known = values.filter((each): each is number => each !== null);
    return `${label} from ${showNumber(known[0])} to ${showNumber(known.at(-1))}`;
  });
  return `${title}: ${x.length} points. ${ends.join('; ')}. The table below holds them.`;
}

function dataOf({ x, lines }: ChartProps): uPlot.AlignedData {
  const columns: (readonly (number | null)[])[] = [x];
  for (const { values, low, high } of lines) {
    columns.push(values);
    if (low !== undefined && high !== undefined) columns.push(low, high);
  }
  return columns as unknown as uPlot.AlignedData;
}

function optionsOf(props: ChartProps, width: number): uPlot.Options {
  const {
    lines,
    axis = 'number',
    logY = false,
    fromZero = false,
    height = 220,
    sync,
    onZoom,
  } = props;
  const series: uPlot.Series[] = [{}];
  const bands: uPlot.Band[] = [];
  for (const { label, color, low, high, dashed, width: lineWidth = 1.5 } of lines) {
    series.push({
      label,
      stroke: color,
      width: lineWidth,
      spanGaps: true,
      points: { show: false },
      ...(dashed === true ? { dash: [5, 4] } : {}),
    });
    if (low === undefined || high === undefined) continue;
    const at = series.length;
    const edge = { stroke: 'transparent', width: 0, points: { show: false }, spanGaps: true };
    series.push({ ...edge, label: `${label} min` }, { ...edge, label: `${label} max` });
    bands.push({ series: [at + 1, at], fill: `${color}2e` });
  }
  const text = (): string => css('--faint');
  const grid = { stroke: () => css('--line'), width: 1 };
  return {
    width: Math.max(120, width),
    height,
    series,
    bands,
    legend: { show: false },
    cursor: {
      ...(sync === undefined ? {} : { sync: { key: sync, setSeries: false } }),
      drag: { x: true, y: false },
      points: { size: 5 },
    },
    scales: {
      x: { time: axis === 'time' },
      y: logY
        ? { distr: 3 }
        : fromZero
          ? { range: (_: uPlot, __: number, most: number) => [0, most > 0 ? most * 1.08 : 1] }
          : {},
    },
    axes: [
      {
        stroke: text,
        grid,
        ticks: grid,
        ...(axis === 'duration'
          ? { values: (_: uPlot, all: number[]) => all.map((each) => showDuration(each)) }
          : {}),
      },
      {
        stroke: text,
        grid,
        ticks: grid,
        size: 58,
        values: (_: uPlot, all: number[]) =>
          all.map((each) => (each === null ? '' : showNumber(each))),
      },
    ],
    hooks: {
      setCursor: [showHover],
      ...(onZoom === undefined
        ? {}
        : {
            setSelect: [
              (u: uPlot) => {
                if (u.select.width < 4) return;
                onZoom([
                  u.posToVal(u.select.left, 'x'),
                  u.posToVal(u.select.left + u.select.width, 'x'),
                ]);
              },
            ],
          }),
    },
  };
}

/** What is under the cursor, in a box beside it. */
function showHover(u: uPlot): void {
  const { idx, left = -1 } = u.cursor;
  let box = u.over.querySelector<HTMLElement>('.hover');
  if (box === null) {
    box = document.createElement('div');
    box.className = 'hover';
    u.over.append(box);
  }
  const isOver = idx !== null && idx !== undefined && left >= 0;
  box.hidden = !isOver;
  if (!isOver) return;
  const rows = u.series.slice(1).flatMap((one, i) => {
    const value = u.data[i + 1]?.[idx];
    if (one.stroke === undefined || one.width === 0 || value === null || value === undefined)
      return [];
    const row = document.createElement('div');
    const mark = document.createElement('i');
    mark.style.background = String(
      typeof one.stroke === 'function' ? one.stroke(u, i + 1) : one.stroke,
    );
    row.append(mark, `${String(one.label)}  ${showNumber(value)}`);
    return [row];
  });
  const head = document.createElement('div');
  const x = u.data[0]?.[idx];
  head.textContent =
    x === undefined
      ? ''
      : u.scales['x']?.time === true
        ? new Date(x * 1000).toLocaleString()
        : showNumber(x);
  box.replaceChildren(head, ...rows.slice(0, 24));
  box.classList.toggle('left', left > u.over.clientWidth / 2);
}

function css(name: string): string {
  // light-dark() is resolved only where it is used.
  const probe = document.documentElement.style;
  probe.setProperty('--probe', `var(${name})`);
  const at = document.getElementById('app') as HTMLElement;
  at.style.outlineColor = `var(${name})`;
  const color = getComputedStyle(at).outlineColor;
  at.style.outlineColor = '';
  probe.removeProperty('--probe');
  return color;
}
