import type { Comparison, Run } from '@keelson/core';
import type { ComponentChildren, JSX } from 'preact';
import { api } from '../../api/client.ts';
import { useResource } from '../../api/resource.ts';
import { Empty, Heading, Scroll, Section, Shown, Status } from '../../parts/basics.tsx';
import { colorAt, showBytes, showNumber, showValue } from '../../parts/format.ts';
import { setView, to, view, viewList } from '../../routing/address.ts';
import { CurveChart, CurveTools } from '../charts/curve-chart.tsx';
import { GroupTests } from './group-tests.tsx';
import './compare.css';

/** Runs side by side: what differs, and what came of it. */
export function Compare(): JSX.Element {
  const runIds = viewList('runs');
  const baseline = view('baseline', runIds[0]);
  const comparison = useResource(
    JSON.stringify(['compare', runIds, baseline]),
    async (signal) => {
      const [compared, runs] = await Promise.all([
        api.compare.runs({ body: { runIds: [...runIds], baseline } }, { signal }),
        Promise.all(runIds.map((runId) => api.runs.get({ runId }, { signal }))),
      ]);
      return { compared, runs };
    },
    { on: ['run.'], matters: ({ subject }) => runIds.some((id) => subject === `run:${id}`) },
  );
  if (runIds.length < 2) {
    return (
      <Empty title="Two runs or more">
        <p>
          Choose them in <a href={to('runs')}>the table of runs</a>.
        </p>
      </Empty>
    );
  }
  return (
    <>
      <Heading above={[['Runs', to('runs')]]} title={`${runIds.length} runs compared`} />
      <Shown of={comparison}>
        {({ compared, runs }) => <Parts compared={compared} runs={runs} baseline={baseline} />}
      </Shown>
    </>
  );
}

interface PartsProps {
  readonly compared: Comparison;
  readonly runs: readonly Run[];
  readonly baseline: string;
}

function Parts({ compared, runs, baseline }: PartsProps): JSX.Element {
  const { metrics, params, environment, tags, artifacts, same } = compared;
  const own = metrics.filter(({ name }) => !name.startsWith('system.'));
  const drawn = runs.map(({ id, name, startedAt }, i) => ({
    id,
    name,
    startedAt,
    color: colorAt(i),
  }));
  return (
    <>
      <Section
        title="Metrics"
        actions={
          <label>
            Held against{' '}
            <select
              value={baseline}
              onChange={({ currentTarget }) => setView({ baseline: currentTarget.value })}
            >
              {runs.map(({ id, name }) => (
                <option key={id} value={id}>
                  {name}
                </option>
              ))}
            </select>
          </label>
        }
      >
        <Table runs={runs}>
          {own.map((metric) => (
            <tr key={metric.name}>
              <th scope="row">
                {metric.name}
                {metric.unit !== undefined && <span class="faint"> {metric.unit}</span>}
              </th>
              {runs.map(({ id }, i) => (
                <MetricCell
                  key={id}
                  metric={metric}
                  place={i}
                  isBest={metric.bestRuns.includes(id)}
                  isBaseline={id === baseline}
                />
              ))}
            </tr>
          ))}
        </Table>
        <p class="faint">
          The last value of each; ★ has the best of its curve, where it is known which way is
          better.
        </p>
      </Section>
      <GroupTests runs={runs} metrics={own.map(({ name }) => name)} />
      <Section title="Params that differ">
        <Diff runs={runs} of={params} same={same.params} what="params" />
      </Section>
      <Section title="Curves" actions={<CurveTools />}>
        <div class="charts">
          {own.slice(0, 12).map(({ name }) => (
            <CurveChart
              key={name}
              metric={name}
              runs={drawn.filter((_, i) => runs[i]?.metrics[name] !== undefined)}
              isLive={runs.some(({ status }) => status === 'RUNNING')}
            />
          ))}
        </div>
      </Section>
      <Section title="Environment that differs">
        <Diff runs={runs} of={environment} same={same.environment} what="facts" />
      </Section>
      <Section title="Tags that differ">
        <Diff runs={runs} of={tags} same={same.tags} what="tags" />
      </Section>
      <Section title="Files">
        <Files runs={runs} artifacts={artifacts} />
      </Section>
    </>
  );
}

function Table({
  runs,
  children,
}: {
  readonly runs: readonly Run[];
  readonly children: ComponentChildren;
}): JSX.Element {
  return (
    <Scroll>
      <table class="beside">
        <thead>
          <tr>
            <td />
            {runs.map(({ id, name, status }, i) => (
              <th key={id} class="number">
                <span class="dot" style={{ background: colorAt(i) }} aria-hidden="true" />
                <a href={to('run', id)}>{name}</a>
                <br />
                <Status of={status} />
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </Scroll>
  );
}

function MetricCell({
  metric,
  place,
  isBest,
  isBaseline,
}: {
  readonly metric: Comparison['metrics'][number];
  readonly place: number;
  readonly isBest: boolean;
  readonly isBaseline: boolean;
}): JSX.Element {
  const change = metric.fromBaseline?.[place];
  return (
    <td class="number">
      {isBest && metric.direction !== undefined && <span title="The best of these">★ </span>}
      {showNumber(metric.figures[place]?.final)}
      {!isBaseline && change !== undefined && change !== null && (
        <span class={`change ${change.verdict ?? ''}`}>
          {change.difference > 0 ? '+' : ''}
          {showNumber(change.difference)} {change.verdict === undefined ? '' : change.verdict}
        </span>
      )}
    </td>
  );
}

function Diff({
  runs,
  of,
  same,
  what,
}: {
  readonly runs: readonly Run[];
  readonly of: Comparison['params'];
  readonly same: number;
  readonly what: string;
}): JSX.Element {
  return (
    <>
      {of.length > 0 && (
        <Table runs={runs}>
          {of.map(({ key, values }) => (
            <tr key={key}>
              <th scope="row">{key}</th>
              {runs.map(({ id }, i) => (
                <td key={id} class="number wrap">
                  {showValue(values[i])}
                </td>
              ))}
            </tr>
          ))}
        </Table>
      )}
      <p class="faint">
        {same} {what} are the same in all.
      </p>
    </>
  );
}

function Files({
  runs,
  artifacts,
}: {
  readonly runs: readonly Run[];
  readonly artifacts: Comparison['artifacts'];
}): JSX.Element {
  if (artifacts.length === 0) return <p class="faint">None of these runs has files.</p>;
  return (
    <Table runs={runs}>
      {artifacts.map(({ path, sha256, sizeBytes, same }) => (
        <tr key={path}>
          <th scope="row">
            {path} <span class="faint">{same ? 'the same in all' : 'differs'}</span>
          </th>
          {runs.map(({ id }, i) => {
            const digest = sha256[i];
            return (
              <td key={id} class="number">
                {digest === undefined || digest === null ? (
                  '–'
                ) : (
                  <a href={to('run', id, { tab: 'artifacts', file: path })} title={digest}>
                    {showBytes(sizeBytes[i] ?? 0)} · {digest.slice(0, 8)}
                  </a>
                )}
              </td>
            );
          })}
        </tr>
      ))}
    </Table>
  );
}
