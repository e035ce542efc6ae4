import type { Run } from '@keelson/core';
import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import { Empty, Heading, Section, Shown } from '../../parts/basics.tsx';
import { colorAt, colorOf } from '../../parts/format.ts';
import { asList, setView, to, view, viewList } from '../../routing/address.ts';
import { CurveChart, CurveTools } from './curve-chart.tsx';
import { type Axis, axesOf } from './figures.ts';
import { Parallel } from './parallel.tsx';
import { Contour, Groups, Importances, Scatter } from './plots.tsx';
import { useRunSet } from './run-set.ts';
import './charts.css';

/** Curves beyond so many runs are a thicket. */
const mostCurves = 40;

/** Runs as pictures: their curves, and what their params do to their metrics. */
export function Charts(): JSX.Element {
  const runs = useRunSet();
  const kind = view('kind');
  return (
    <>
      <Heading above={[['Runs', to('runs')]]} title="Charts" />
      <nav class="tabs" aria-label="Kinds of charts">
        {[
          ['', 'Curves'],
          ['params', 'Params against metrics'],
        ].map(([name, title]) => (
          <button
            key={name}
            type="button"
            aria-current={kind === name ? 'page' : undefined}
            onClick={() => setView({ kind: name })}
          >
            {title}
          </button>
        ))}
      </nav>
      <Shown of={runs}>
        {(all) =>
          all.length === 0 ? (
            <Empty title="No runs">
              <p>
                Choose some in <a href={to('runs')}>the table of runs</a>.
              </p>
            </Empty>
          ) : kind === 'params' ? (
            <ParamCharts runs={all} />
          ) : (
            <Curves runs={all} />
          )
        }
      </Shown>
    </>
  );
}

function Curves({ runs }: { readonly runs: readonly Run[] }): JSX.Element {
  const shown = runs.slice(0, mostCurves);
  const keys = [...new Set(runs.flatMap((run) => Object.keys(run.metrics)))].sort();
  const own = keys.filter((key) => !key.startsWith('system.'));
  const chosen = viewList('metrics', own.slice(0, 6));
  // Few runs are told apart better by neighbouring colours than by those of their names.
  const drawn = shown.map(({ id, name, startedAt }, i) => ({
    ...{ id, name, startedAt },
    color: shown.length <= 10 ? colorAt(i) : colorOf(id),
  }));
  const toggle = (key: string, isShown: boolean): void =>
    setView(
      { metrics: asList(isShown ? [...chosen, key] : chosen.filter((each) => each !== key)) },
      'replace',
    );
  return (
    <>
      <Section title="Metrics" actions={<CurveTools />}>
        <div class="choices">
          {keys.map((key) => (
            <label key={key}>
              <input
                type="checkbox"
                checked={chosen.includes(key)}
                onChange={({ currentTarget }) => toggle(key, currentTarget.checked)}
              />{' '}
              {key}
            </label>
          ))}
        </div>
        {runs.length > mostCurves && (
          <p class="faint">
            {mostCurves} of {runs.length} runs are drawn; choose fewer to see the others.
          </p>
        )}
      </Section>
      <Section title="Curves">
        <div class="charts">
          {chosen.map((metric) => (
            <CurveChart
              key={metric}
              metric={metric}
              runs={drawn.filter((_, i) => shown[i]?.metrics[metric] !== undefined)}
              isLive={shown.some(({ status }) => status === 'RUNNING')}
            />
          ))}
        </div>
      </Section>
    </>
  );
}

function ParamCharts({ runs }: { readonly runs: readonly Run[] }): JSX.Element {
  const axes = useMemo(() => axesOf(runs), [runs]);
  const metrics = axes.filter(
    ({ isMetric, field }) => isMetric && !field.startsWith('metrics.system.'),
  );
  const params = axes.filter(({ isMetric }) => !isMetric);
  const find = (key: string, otherwise: Axis | undefined): Axis | undefined =>
    axes.find(({ field }) => field === view(key)) ?? otherwise;
  const target = find('target', metrics[0]);
  const x = find('over', params[0]);
  const y = find(
    'and',
    params.find((each) => each !== x),
  );
  if (target === undefined || x === undefined) {
    return (
      <Empty title="These runs do not differ">
        <p>It takes runs with other params and other metrics; these have the same, or none.</p>
      </Empty>
    );
  }
  return (
    <>
      <Section
        title="What is drawn"
        actions={
          <>
            <Choice label="Metric" name="target" of={target} among={metrics} />
            <Choice label="Over" name="over" of={x} among={axes} />
            {y !== undefined && <Choice label="And" name="and" of={y} among={axes} />}
          </>
        }
      >
        <Parallel runs={runs} axes={[...params.slice(0, 8), target]} color={target} />
      </Section>
      <div class="grid">
        <Section title="Importance">
          <Importances target={target} axes={params} />
        </Section>
        <Section title="Scatter">
          <Scatter runs={runs} x={x} y={target} color={y ?? target} />
        </Section>
        {y !== undefined && (
          <Section title="Contour">
            <Contour runs={runs} x={x} y={y} of={target} />
          </Section>
        )}
        <Section title="Groups">
          <Groups by={x} of={target} />
        </Section>
      </div>
    </>
  );
}

function Choice({
  label,
  name,
  of,
  among,
}: {
  readonly label: string;
  readonly name: string;
  readonly of: Axis;
  readonly among: readonly Axis[];
}): JSX.Element {
  return (
    <label>
      {label}{' '}
      <select
        value={of.field}
        onChange={({ currentTarget }) => setView({ [name]: currentTarget.value })}
      >
        {among.map(({ field, title }) => (
          <option key={field} value={field}>
            {title}
          </option>
        ))}
      </select>
    </label>
  );
}
