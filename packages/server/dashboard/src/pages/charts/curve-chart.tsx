import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import { useResource } from '../../api/resource.ts';
import { Problem } from '../../parts/basics.tsx';
import { Chart } from '../../parts/chart.tsx';
import { setView, view } from '../../routing/address.ts';
import { type Curve, linesOf, readBuckets } from './curves.ts';

/** A run whose curves are drawn. */
export interface DrawnRun {
  readonly id: string;
  readonly name: string;
  readonly color: string;
}

const buckets = 500;

/** One metric of some runs over its steps. What is zoomed to is read anew, with as many buckets. */
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
  const logY = view('log') === 'y';
  const zoom = rangeOf(view('zoom'));
  const key = JSON.stringify([metric, runs.map(({ id }) => id), zoom]);
  const curves = useResource<readonly Curve[]>(
    key,
    (signal) =>
      Promise.all(
        runs.map(async ({ id, name, color }) => ({
          ...{ runId: id, label: name, color },
          buckets: await readBuckets(id, metric, {
            ...{ buckets, signal },
            ...(zoom === undefined
              ? {}
              : { fromStep: Math.max(0, Math.floor(zoom[0])), toStep: Math.ceil(zoom[1]) }),
          }).catch(() => []),
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
  return (
    <Chart
      title={metric}
      x={drawn.x}
      lines={drawn.lines}
      logY={logY}
      sync="curves"
      range={zoom}
      onZoom={(range) =>
        setView({
          zoom: range === null ? undefined : range.map((each) => Math.round(each)).join('-'),
        })
      }
    />
  );
}

/** How curves are drawn, in the address: smoothing, axis, zoom. */
export function CurveTools(): JSX.Element {
  const smoothing = view('smooth', '0');
  const zoom = view('zoom');
  return (
    <div class="row">
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
          Steps {zoom}: show all
        </button>
      )}
    </div>
  );
}

function rangeOf(text: string): readonly [number, number] | undefined {
  const [, from, to] = /^(\d+)-(\d+)$/.exec(text) ?? [];
  return from === undefined || to === undefined ? undefined : [Number(from), Number(to)];
}
