import type { Run } from '@keelson/core';
import type { JSX } from 'preact';
import { api } from '../../api/client.ts';
import { type Resource, useResource } from '../../api/resource.ts';
import {
  Ago,
  Empty,
  Facts,
  Heading,
  Id,
  Scroll,
  Section,
  Shown,
  Status,
} from '../../parts/basics.tsx';
import { colorOf, showDuration, showNumber, showValue } from '../../parts/format.ts';
import { address, to, view } from '../../routing/address.ts';
import { CurveChart, CurveTools } from '../charts/curve-chart.tsx';
import { Artifacts } from './artifacts.tsx';
import './run.css';

const tabs = [
  ['', 'Metrics'],
  ['params', 'Params'],
  ['artifacts', 'Artifacts'],
  ['system', 'System'],
  ['inputs', 'Inputs and lineage'],
  ['history', 'History'],
] as const;

/** One run: what went in, what it does, what came out. */
export function RunPage(): JSX.Element {
  const [, runId = ''] = address.value.path;
  const run = useResource(`run ${runId}`, (signal) => api.runs.get({ runId }, { signal }), {
    on: ['run.', 'artifact.'],
    matters: ({ subject }) => subject === `run:${runId}`,
  });
  const tab = view('tab');
  return (
    <div class="run">
      <Shown of={run}>
        {(data) => (
          <>
            <Heading
              above={[
                ['Runs', to('runs')],
                [`Experiment`, to('runs', { experiment: data.experimentId })],
              ]}
              title={data.name}
              beside={
                <>
                  <span class="dot" style={{ background: colorOf(data.id) }} aria-hidden="true" />
                  <Status of={data.status} />
                </>
              }
            />
            <Summary run={data} />
            <nav class="tabs" aria-label="Of this run">
              {tabs.map(([name, title]) => (
                <a
                  key={name}
                  href={to('run', runId, { tab: name })}
                  aria-current={tab === name ? 'page' : undefined}
                >
                  {title}
                </a>
              ))}
            </nav>
            <Tab name={tab} run={data} />
          </>
        )}
      </Shown>
    </div>
  );
}

function Summary({ run }: { readonly run: Run }): JSX.Element {
  const lost = Object.entries(run.lostPoints);
  return (
    <Section title="About">
      {run.statusReason !== undefined && run.statusReason !== '' && (
        <p class={run.status === 'FAILED' ? 'bad' : undefined}>{run.statusReason}</p>
      )}
      {run.description !== '' && <p>{run.description}</p>}
      <Facts
        of={[
          ['Id', <Id key="id" of={run.id} />],
          ['Started', <Ago key="at" at={run.startedAt} />],
          ['Took', run.endedAt === undefined ? 'goes on' : showDuration(run.durationMs)],
          ['By', run.userId],
          ['From', [run.sourceType.toLowerCase(), run.sourceName].filter(Boolean).join(' ')],
          run.parentRunId !== undefined && [
            'Part of',
            <a key="parent" href={to('run', run.parentRunId)}>
              its parent
            </a>,
          ],
          lost.length > 0 && ['Lost points', lost.map(([key, n]) => `${key}: ${n}`).join(', ')],
        ]}
      />
      {Object.keys(run.tags).length > 0 && (
        <p class="tags">
          {Object.entries(run.tags).map(([key, value]) => (
            <span key={key} class="tag">
              {key}: {value}
            </span>
          ))}
        </p>
      )}
    </Section>
  );
}

function Tab({ name, run }: { readonly name: string; readonly run: Run }): JSX.Element {
  if (name === 'params') return <Params run={run} />;
  if (name === 'artifacts') return <Artifacts runId={run.id} />;
  if (name === 'system') return <System run={run} />;
  if (name === 'inputs') return <Inputs run={run} />;
  if (name === 'history') return <History run={run} />;
  return <Metrics run={run} isSystem={false} />;
}

function useSummaries(run: Run): Resource<Awaited<ReturnType<typeof api.runs.metrics>>> {
  return useResource(
    `metrics ${run.id}`,
    (signal) => api.runs.metrics({ runId: run.id }, { signal }),
    {
      on: ['run.'],
      matters: ({ subject }) => subject === `run:${run.id}`,
    },
  );
}

function Metrics({
  run,
  isSystem,
}: {
  readonly run: Run;
  readonly isSystem: boolean;
}): JSX.Element {
  const summaries = useSummaries(run);
  return (
    <Shown of={summaries}>
      {({ metrics }) => {
        const shown = metrics.filter(({ key }) => key.startsWith('system.') === isSystem);
        if (shown.length === 0) return <NoMetrics isSystem={isSystem} />;
        const { id, name, startedAt } = run;
        const drawn = [{ id, name, startedAt, color: colorOf(id) }];
        return (
          <>
            <Section title="Curves" actions={<CurveTools />}>
              <div class="charts">
                {shown
                  .filter(({ count }) => count > 1)
                  .slice(0, 24)
                  .map(({ key }) => (
                    <CurveChart
                      key={key}
                      metric={key}
                      runs={drawn}
                      isLive={run.status === 'RUNNING'}
                    />
                  ))}
              </div>
            </Section>
            <Section title="Figures">
              <Scroll>
                <table>
                  <thead>
                    <tr>
                      <th>Metric</th>
                      {[
                        'Last',
                        'Least',
                        'At step',
                        'Greatest',
                        'At step',
                        'Mean',
                        'Points',
                        'NaN',
                      ].map((title, i) => (
                        <th key={`${title}${i}`} class="number">
                          {title}
                        </th>
                      ))}
                    </tr>
                  </thead>
                  <tbody>
                    {shown.map((each) => (
                      <tr key={each.key}>
                        <td>{each.key}</td>
                        {[
                          each.last,
                          each.min,
                          each.minStep,
                          each.max,
                          each.maxStep,
                          each.mean,
                          each.count,
                          each.nanCount,
                        ].map((value, i) => (
                          <td key={`${each.key}${i}`} class="number">
                            {showNumber(value)}
                          </td>
                        ))}
                      </tr>
                    ))}
                  </tbody>
                </table>
              </Scroll>
            </Section>
          </>
        );
      }}
    </Shown>
  );
}

function NoMetrics({ isSystem }: { readonly isSystem: boolean }): JSX.Element {
  return isSystem ? (
    <Empty title="No system metrics">
      <p>
        CPU, memory and disk are measured while a run goes on, unless it was started with
        systemMetrics: false.
      </p>
    </Empty>
  ) : (
    <Empty title="No metrics yet" code={`run.logMetric('loss', loss, { step });`}>
      <p>A metric is a number that changes while the run goes on:</p>
    </Empty>
  );
}

function Params({ run }: { readonly run: Run }): JSX.Element {
  const entries = Object.entries(run.params).sort(([a], [b]) => (a < b ? -1 : 1));
  if (entries.length === 0) {
    return (
      <Empty
        title="No params"
        code={`await run.logParams({ depth: 6, optimizer: { name: 'adam' } });`}
      >
        <p>Params are what a run was told: what makes it another run.</p>
      </Empty>
    );
  }
  return (
    <Section title={`${entries.length} params`}>
      <Scroll>
        <table>
          <tbody>
            {entries.map(([key, value]) => (
              <tr key={key}>
                <th scope="row">{key}</th>
                <td class="wrap">{showValue(value)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    </Section>
  );
}

function System({ run }: { readonly run: Run }): JSX.Element {
  return (
    <>
      <Section title="Environment">
        <Scroll>
          <table>
            <tbody>
              {Object.entries(flat(run.environment)).map(([key, value]) => (
                <tr key={key}>
                  <th scope="row">{key}</th>
                  <td class="wrap">{showValue(value)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      </Section>
      <Metrics run={run} isSystem={true} />
    </>
  );
}

function flat(value: object, above = ''): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, each]) => {
      const name = above === '' ? key : `${above}.${key}`;
      const isNested = typeof each === 'object' && each !== null && !Array.isArray(each);
      return isNested ? Object.entries(flat(each as object, name)) : [[name, each] as const];
    }),
  );
}

function Inputs({ run }: { readonly run: Run }): JSX.Element {
  const datasets = useResource(`datasets ${run.id}`, (signal) =>
    api.runs.datasets({ runId: run.id }, { signal }),
  );
  return (
    <Section title="Datasets">
      <Shown of={datasets}>
        {({ datasets: all }) =>
          all.length === 0 ? (
            <Empty
              title="No datasets"
              code={`await run.logDataset({ name: 'rain-2025', digest, role: 'train' });`}
            >
              <p>
                Datasets are what a run learnt from: they link it to all that was learnt from the
                same.
              </p>
            </Empty>
          ) : (
            <Scroll>
              <table>
                <thead>
                  <tr>
                    <th>Name</th>
                    <th>Role</th>
                    <th class="number">Rows</th>
                    <th>Digest</th>
                    <th>Source</th>
                  </tr>
                </thead>
                <tbody>
                  {all.map(({ id, name, role, rowCount, digest, sourceUri }) => (
                    <tr key={id}>
                      <td>{name}</td>
                      <td>{role}</td>
                      <td class="number">{showNumber(rowCount)}</td>
                      <td>
                        <code title={digest}>{digest.slice(0, 12)}</code>
                      </td>
                      <td class="wrap">{sourceUri ?? '–'}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </Scroll>
          )
        }
      </Shown>
    </Section>
  );
}

function History({ run }: { readonly run: Run }): JSX.Element {
  const history = useResource(`history ${run.id} ${run.revision}`, (signal) =>
    api.runs.history({ runId: run.id }, { signal }),
  );
  return (
    <Section title="What was changed">
      <Shown of={history}>
        {({ revisions }) => (
          <ol class="revisions">
            {revisions.map((each, i) => (
              // Revisions have their place and no other name.
              <li key={i}>
                <code>{JSON.stringify(each)}</code>
              </li>
            ))}
          </ol>
        )}
      </Shown>
    </Section>
  );
}
