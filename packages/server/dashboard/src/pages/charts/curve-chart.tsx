import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import { useResource } from '../../api/resource.ts';
import { Problem } from '../../parts/basics.tsx';
import { Chart } from '../../parts/chart.tsx';
import { setView, view } from '../../routing/address.ts';
import { type Curve, linesOf, type Over, readCurve } from './curves.ts';

/** A run whose curves are drawn. */
export interface DrawnRun {
  readonly id: string;
  readonly name: string;
  readonly color: string;
  readonly startedAt: number;
}

const stretches = 500;

/** One metric of some runs. What is zoomed to is read anew, with as many stretches. */
export function CurveChart({
  metric,
  runs,
  isLive,
}: {
  readonly metric: string;
  readonly runs: readonly DrawnRun[];
  readonly isLive: boolean;
}): JSX.Element {
  const smoothing = Number(view('smooth', '0'));
  const over = overOf(view('x'));
  const zoom = rangeOf(view('zoom'));
  const key = JSON.stringify([metric, over, runs.map(({ id }) => id), zoom]);
  const curves = useResource<readonly Curve[]>(
    key,
    (signal) =>
      Promise.all(
        runs.map(async ({ id, name, color, startedAt }) => ({
          ...{ label: name, color },
          stretches: await readCurve({
            runId: id,
            key: metric,
            over,
            stretches,
            range: zoom,
            startedAt,
            signal,
          }),
        })),
      ),
    isLive ? { on: ['run.', 'metric.'] } : undefined,
  );
  const drawn = useMemo(
    () => (curves.data === undefined ? undefined : linesOf(curves.data, { smoothing, band: true })),
    [curves.data, smoothing],
  );
  if (curves.error !== undefined) return <Problem error={curves.error} retry={curves.reload} />;
  if (drawn === undefined) return <p class="loading">Reading {metric} …</p>;
  if (drawn.x.length === 0) return <NoCurve metric={metric} over={over} />;
  return (
    <Chart
      title={metric}
      x={drawn.x}
      lines={drawn.lines}
      axis={over === 'time' ? 'time' : over === 'relative' ? 'duration' : 'number'}
      logY={view('log') === 'y'}
      sync="curves"
      range={zoom}
      onZoom={(range) => setView({ zoom: range?.map((each) => Math.round(each)).join('-') })}
    />
  );
}

function NoCurve({ metric, over }: { readonly metric: string; readonly over: Over }): JSX.Element {
  return (
    <p class="faint">
      <b>{metric}</b>:{' '}
      {over === 'step'
        ? 'no points here.'
        : 'no points here, or more than can be drawn by time; draw it over steps.'}
    </p>
  );
}

/** How curves are drawn, in the address: x, smoothing, axis, zoom. */
export function CurveTools(): JSX.Element {
  const smoothing = view('smooth', '0');
  const zoom = view('zoom');
  return (
    <div class="row">
      <label>
        Over{' '}
        <select
          value={overOf(view('x'))}
          onChange={({ currentTarget }) => setView({ x: currentTarget.value, zoom: undefined })}
        >
          <option value="step">steps</option>
          <option value="relative">time since the start</option>
          <option value="time">time</option>
        </select>
      </label>
      <label>
        Smoothing{' '}
        <input
          type="range"
          min="0"
          max="0.99"
          step="0.01"
          value={smoothing}
          onInput={({ currentTarget }) =>
            setView(
              { smooth: currentTarget.value === '0' ? undefined : currentTarget.value },
              'replace',
            )
          }
        />{' '}
        <output>{smoothing}</output>
      </label>
      <label>
        <input
          type="checkbox"
          checked={view('log') === 'y'}
          onChange={({ currentTarget }) =>
            setView({ log: currentTarget.checked ? 'y' : undefined })
          }
        />{' '}
        Logarithmic
      </label>
      {zoom !== '' && (
        <button type="button" onClick={() => setView({ zoom: undefined })}>
          Zoomed in: show all
        </button>
      )}
    </div>
  );
}

function overOf(text: string): Over {
  return text === 'time' || text === 'relative' ? text : 'step';
}

function rangeOf(text: string): readonly [number, number] | undefined {
  const [, from, to] = /^(\d+)-(\d+)$/.exec(text) ?? [];
  return from === undefined || to === undefined ? undefined : [Number(from), Number(to)];
}
