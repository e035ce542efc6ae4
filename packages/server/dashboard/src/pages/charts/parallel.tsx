import type { Run } from '@keelson/core';
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import { asList, go, setView, to, viewList } from '../../routing/address.ts';
import type { Axis } from './figures.ts';
import { colorScale, placeOf, rangeOfAxis, tickText } from './scales.ts';

const [height, top, bottom, leastGap] = [320, 40, 22, 140];

/** Runs as lines across parallel axes, coloured by one; drag along an axis to keep those between. */
export function Parallel({
  runs,
  axes,
  color,
}: {
  readonly runs: readonly Run[];
  readonly axes: readonly Axis[];
  readonly color: Axis;
}): JSX.Element {
  const brushes = brushesOf(viewList('brush'));
  const drag = useRef<{ field: string; from: number } | undefined>(undefined);
  const holder = useRef<HTMLDivElement>(null);
  const room = useSignal(0);
  useEffect(() => {
    const watcher = new ResizeObserver(([entry]) => {
      room.value = entry?.contentRect.width ?? 0;
    });
    if (holder.current !== null) watcher.observe(holder.current);
    return () => watcher.disconnect();
  }, []);
  const gap = Math.max(leastGap, (room.value - 170) / Math.max(1, axes.length - 1));
  const width = (axes.length - 1) * gap + 160;
  const xOf = (i: number): number => 80 + i * gap;
  const paint = colorScale(color);
  const kept = useMemo(
    () =>
      runs.map((_, n) =>
        axes.every(({ field, values }) => {
          const brush = brushes.get(field);
          const value = values[n];
          return (
            brush === undefined || (value !== undefined && value >= brush[0] && value <= brush[1])
          );
        }),
      ),
    [runs, axes, viewList('brush').join('~')],
  );
  const count = kept.filter(Boolean).length;

  const valueAt = (axis: Axis, event: PointerEvent): number => {
    const svg = (event.currentTarget as SVGElement).ownerSVGElement as SVGSVGElement;
    const y = event.clientY - svg.getBoundingClientRect().top;
    const share = 1 - Math.min(1, Math.max(0, (y - top) / (height - top - bottom)));
    const [low, high] = rangeOfAxis(axis);
    return low + share * (high - low);
  };
  const end = (axis: Axis, event: PointerEvent): void => {
    const from = drag.current?.field === axis.field ? drag.current.from : undefined;
    drag.current = undefined;
    if (from === undefined) return;
    const till = valueAt(axis, event);
    const [low, high] = [Math.min(from, till), Math.max(from, till)];
    const [least, most] = rangeOfAxis(axis);
    const next = new Map(brushes);
    if ((high - low) / (most - least || 1) < 0.02) next.delete(axis.field);
    else next.set(axis.field, [low, high]);
    setView({
      brush: asList(
        [...next].map(([field, [a, b]]) => `${field}:${a.toPrecision(6)}:${b.toPrecision(6)}`),
      ),
    });
  };

  return (
    <figure class="chart">
      <figcaption>
        Parallel coordinates{' '}
        <span class="legend">
          coloured by {color.title}; drag along an axis to keep what lies between
        </span>
      </figcaption>
      <div class="scroll" ref={holder} tabIndex={0}>
        <svg
          width={width}
          height={height}
          role="img"
          aria-label={`${runs.length} runs across ${axes.length} axes; ${count} are kept. The table of runs holds them.`}
        >
          {runs.map((run, n) => (
            <path
              key={run.id}
              d={lineOf(axes, n, xOf)}
              fill="none"
              stroke={paint(color.values[n])}
              stroke-width={kept[n] ? 1.4 : 0.6}
              opacity={kept[n] ? 0.85 : 0.12}
              class="hit"
              onClick={() => go(to('run', run.id))}
            >
              <title>{run.name}</title>
            </path>
          ))}
          {axes.map((axis, i) => {
            const brush = brushes.get(axis.field);
            const yOf = (value: number): number =>
              top + (1 - placeOf(axis, value)) * (height - top - bottom);
            return (
              <g key={axis.field} transform={`translate(${xOf(i)} 0)`}>
                <text y="14" text-anchor="middle" class="axis-title">
                  {axis.title}
                </text>
                <line y1={top} y2={height - bottom} class="axis" />
                {tickText(axis).map(([value, text]) => (
                  <text key={text} x="6" y={yOf(value) + 4} class="tick">
                    {text}
                  </text>
                ))}
                {brush !== undefined && (
                  <rect
                    x="-7"
                    width="14"
                    y={yOf(brush[1])}
                    height={Math.max(2, yOf(brush[0]) - yOf(brush[1]))}
                    class="brush"
                  />
                )}
                <rect
                  x="-14"
                  y={top - 6}
                  width="28"
                  height={height - top - bottom + 12}
                  class="grip"
                  onPointerDown={(event) => {
                    (event.currentTarget as Element).setPointerCapture(event.pointerId);
                    drag.current = { field: axis.field, from: valueAt(axis, event) };
                  }}
                  onPointerUp={(event) => end(axis, event)}
                />
              </g>
            );
          })}
        </svg>
      </div>
      <p class="row">
        <span role="status">
          {count} of {runs.length} runs
        </span>
        {brushes.size > 0 && (
          <>
            <a href={to('runs', { filter: filterOf(axes, brushes) })}>Show them in the table</a>
            <button type="button" class="plain" onClick={() => setView({ brush: undefined })}>
              Keep all
            </button>
          </>
        )}
      </p>
    </figure>
  );
}

function lineOf(axes: readonly Axis[], n: number, xOf: (i: number) => number): string {
  let path = '';
  let isOpen = false;
  axes.forEach((axis, i) => {
    const value = axis.values[n];
    if (value === undefined) {
      isOpen = false;
      return;
    }
    const y = top + (1 - placeOf(axis, value)) * (height - top - bottom);
    path += `${isOpen ? 'L' : 'M'}${xOf(i)} ${y.toFixed(1)}`;
    isOpen = true;
  });
  return path;
}

function brushesOf(texts: readonly string[]): ReadonlyMap<string, readonly [number, number]> {
  return new Map(
    texts.flatMap((text) => {
      const [, field, low, high] = /^(.*):([^:]+):([^:]+)$/.exec(text) ?? [];
      return field === undefined ? [] : [[field, [Number(low), Number(high)] as const] as const];
    }),
  );
}

/** What the brushes keep, in the filter language. */
function filterOf(
  axes: readonly Axis[],
  brushes: ReadonlyMap<string, readonly [number, number]>,
): string {
  return axes
    .flatMap(({ field, words }) => {
      const brush = brushes.get(field);
      if (brush === undefined) return [];
      if (words === undefined) return [`${field} BETWEEN ${brush[0]} AND ${brush[1]}`];
      const kept = words.filter((_, i) => i >= brush[0] && i <= brush[1]);
      return [`${field} IN (${kept.map((word) => `'${word.replaceAll("'", "''")}'`).join(', ')})`];
    })
    .join(' AND ');
}
