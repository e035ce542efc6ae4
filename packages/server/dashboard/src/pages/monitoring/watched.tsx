import type { JSX } from 'preact';
import { api, Refusal } from '../../api/client.ts';
import { useResource } from '../../api/resource.ts';
import { Ago, Empty, Facts, Heading, Scroll, Section, Shown, Status } from '../../parts/basics.tsx';
import { Chart, type Line } from '../../parts/chart.tsx';
import { colorAt, showNumber } from '../../parts/format.ts';
import { setView, to, view } from '../../routing/address.ts';
import { Alerts } from './alerts.tsx';
import { Drift } from './drift.tsx';

/** Windows by how far back is looked. */
const spans = { '1h': '1m', '24h': '15m', '7d': '1h', '30d': '1d' } as const;

/** One deployment: its figures over time, its drift, its alerts, what it is held against. */
export function Watched({ name }: { readonly name: string }): JSX.Element {
  const span = view('span', '24h') as keyof typeof spans;
  return (
    <>
      <Heading
        above={[['Monitoring', to('monitoring')]]}
        title={name}
        actions={
          <>
            <a href={to('deployments', name)}>Deployment</a>
            <label>
              Last{' '}
              <select
                value={span}
                onChange={({ currentTarget }) => setView({ span: currentTarget.value })}
              >
                {Object.keys(spans).map((each) => (
                  <option key={each}>{each}</option>
                ))}
              </select>
            </label>
          </>
        }
      />
      <Alerts name={name} title="Active alerts" isActive={true} />
      <Figures name={name} span={span in spans ? span : '24h'} />
      <Drift name={name} span={span in spans ? span : '24h'} />
      <Analyses name={name} />
      <BaselinePart name={name} />
      <Alerts name={name} title="Alerts of the last 30 days" isActive={false} />
    </>
  );
}

const charts = [
  ['Predictions', ['requests']],
  ['Latency, ms', ['latency_p50', 'latency_p95', 'latency_p99']],
  ['Failed and refused, share', ['error_rate', 'invalid_request_rate']],
] as const;

function Figures({
  name,
  span,
}: {
  readonly name: string;
  readonly span: keyof typeof spans;
}): JSX.Element {
  const by = view('by');
  const figures = useResource(
    JSON.stringify(['figures', name, span, by]),
    (signal) =>
      api.monitoring.metrics(
        {
          name,
          startTime: span,
          aggregation: spans[span],
          ...(by === 'version' || by === 'segment' ? { by } : {}),
        },
        { signal },
      ),
    { on: ['monitoring.', 'prediction.', 'rollout.', 'traffic.'] },
  );
  return (
    <Section
      title="Figures"
      actions={
        <label>
          By{' '}
          <select value={by} onChange={({ currentTarget }) => setView({ by: currentTarget.value })}>
            <option value="">all together</option>
            <option value="version">version</option>
            <option value="segment">segment</option>
          </select>
        </label>
      }
    >
      <Shown of={figures}>
        {({ metrics }) =>
          metrics.every(({ points }) => points.length === 0) ? (
            <Empty title="Nothing was predicted in this time" />
          ) : (
            <div class="charts">
              {charts.map(([title, names]) => {
                const shown = metrics.filter(
                  (each) => names.some((one) => one === each.name) && each.points.length > 0,
                );
                const at = [
                  ...new Set(shown.flatMap(({ points }) => points.map((point) => point.at))),
                ].sort((a, b) => a - b);
                const lines = shown.map((each, i): Line => {
                  const values = new Map(
                    each.points.map((point) => [point.at, point.value ?? null]),
                  );
                  const of = Object.values(each.dimensions)
                    .filter((one) => one !== undefined)
                    .join(' ');
                  return {
                    label:
                      [names.length > 1 ? each.name : '', of]
                        .filter((one) => one !== '')
                        .join(' ') || title,
                    color: colorAt(i),
                    values: at.map((one) => values.get(one) ?? null),
                  };
                });
                return at.length === 0 ? null : (
                  <Chart
                    key={title}
                    title={title}
                    axis="time"
                    x={at.map((each) => each / 1000)}
                    lines={lines}
                    sync="figures"
                    fromZero={!title.startsWith('Latency')}
                  />
                );
              })}
            </div>
          )
        }
      </Shown>
    </Section>
  );
}

function Analyses({ name }: { readonly name: string }): JSX.Element {
  const kept = useResource(
    `analyses ${name}`,
    (signal) => api.monitoring.analyses({ name }, { signal }),
    {
      on: ['drift.', 'monitoring.', 'performance.'],
    },
  );
  return (
    <Section title="Analyses that were kept">
      <Shown of={kept}>
        {({ analyses }) =>
          analyses.length === 0 ? (
            <p class="faint">
              None yet: performance where labels come back, concept drift, and drift of all features
              together are analysed when they are asked for.
            </p>
          ) : (
            <Scroll>
              <table>
                <thead>
                  <tr>
                    <th>When</th>
                    <th>What</th>
                    <th>Found</th>
                    <th class="number">Score</th>
                    <th class="number">Threshold</th>
                    <th class="number">p</th>
                    <th>Carried by</th>
                    <th>Notes</th>
                  </tr>
                </thead>
                <tbody>
                  {analyses.map((each) => (
                    <tr key={each.id}>
                      <td>
                        <Ago at={each.at} />
                      </td>
                      <td>
                        {each.type.toLowerCase().replaceAll('_', ' ')}{' '}
                        <span class="faint">{each.method}</span>
                      </td>
                      <td>
                        {each.outcome === 'measured' ? (
                          <Status
                            of={each.detected ? `drift, ${each.severity}` : 'no drift'}
                            tone={each.detected ? 'bad' : 'good'}
                          />
                        ) : (
                          <Status of="not enough data" />
                        )}
                      </td>
                      <td class="number">{showNumber(each.score)}</td>
                      <td class="number">{showNumber(each.threshold)}</td>
                      <td class="number">{showNumber(each.pValue)}</td>
                      <td class="wrap">
                        {each.features
                          .slice(0, 3)
                          .map(({ feature }) => feature)
                          .join(', ')}
                      </td>
                      <td class="wrap">{each.notes.join(' ')}</td>
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

function BaselinePart({ name }: { readonly name: string }): JSX.Element {
  const baseline = useResource(
    `baseline ${name}`,
    async (signal) => {
      try {
        return await api.monitoring.baseline({ name }, { signal });
      } catch (error) {
        if (error instanceof Refusal && error.status === 404) return null;
        throw error;
      }
    },
    { on: ['baseline.'] },
  );
  return (
    <Section title="Baseline">
      <Shown of={baseline}>
        {(data) =>
          data === null ? (
            <Empty
              title="No baseline yet"
              code={`await platform.monitoring.setBaseline({ deploymentId, versionId, rows });`}
            >
              <p>
                A baseline is what data was like when all was well: that of the training, or of the
                first days.
              </p>
            </Empty>
          ) : (
            <Facts
              of={[
                ['Set', <Ago key="at" at={data.setAt} />],
                ['Of version', data.versionId],
                ['Rows', showNumber(data.baseline.rows)],
                ['Features', String(data.baseline.features.length)],
                data.provisional === true && ['Provisional', 'made of what was first predicted'],
                data.reason !== undefined && ['Why', data.reason],
              ]}
            />
          )
        }
      </Shown>
    </Section>
  );
}
