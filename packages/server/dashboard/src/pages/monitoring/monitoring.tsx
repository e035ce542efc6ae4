import type { JSX } from 'preact';
import { api } from '../../api/client.ts';
import { useResource } from '../../api/resource.ts';
import { Empty, Heading, Scroll, Section, Shown } from '../../parts/basics.tsx';
import { showNumber, showShare } from '../../parts/format.ts';
import { address, to } from '../../routing/address.ts';
import { Alerts } from './alerts.tsx';
import { Watched } from './watched.tsx';

const begin = `await platform.monitoring.setBaseline({ deploymentId, versionId, rows });
// From here on predictions are counted, compared with it, and told of when they differ.`;

/** What is watched, and what is wrong with it. */
export function Monitoring(): JSX.Element {
  const [, name] = address.value.path;
  return name === undefined ? <All /> : <Watched key={name} name={name} />;
}

function All(): JSX.Element {
  const deployments = useResource('deployments', (signal) => api.deployments.list({}, { signal }), {
    on: ['deployment.', 'alert.'],
  });
  return (
    <>
      <Heading title="Monitoring" />
      <Shown of={deployments}>
        {({ deployments: all }) =>
          all.length === 0 ? (
            <Empty title="Nothing is watched yet" code={begin}>
              <p>
                Deployments are watched: how many predictions, how fast, how right, and whether what
                comes in is what was learnt from.
              </p>
            </Empty>
          ) : (
            <>
              <Section title="Deployments, in the last hour">
                <Scroll>
                  <table>
                    <thead>
                      <tr>
                        <th>Deployment</th>
                        <th>Model</th>
                        <th class="number">Predictions</th>
                        <th class="number">Failed</th>
                        <th class="number">p50</th>
                        <th class="number">p99</th>
                      </tr>
                    </thead>
                    <tbody>
                      {all.map(({ name, model }) => (
                        <Line key={name} name={name} model={model} />
                      ))}
                    </tbody>
                  </table>
                </Scroll>
              </Section>
              {all.map(({ name }) => (
                <Alerts key={name} name={name} title={`Alerts of ${name}`} isActive={true} />
              ))}
            </>
          )
        }
      </Shown>
    </>
  );
}

function Line({ name, model }: { readonly name: string; readonly model: string }): JSX.Element {
  const figures = useResource(
    `recent ${name}`,
    (signal) =>
      api.monitoring.realtime(
        { name, window: '1h', names: ['requests', 'error_rate', 'latency_p50', 'latency_p99'] },
        { signal },
      ),
    { on: ['monitoring.', 'alert.', 'prediction.'] },
  );
  const last = (wanted: string): number | undefined =>
    figures.data?.metrics.find(({ name: of }) => of === wanted)?.points.at(-1)?.value;
  const ms = (value: number | undefined): string =>
    value === undefined ? '–' : `${showNumber(value)} ms`;
  return (
    <tr>
      <td>
        <a href={to('monitoring', name)}>{name}</a>
      </td>
      <td>{model}</td>
      <td class="number">{showNumber(last('requests'))}</td>
      <td class="number">{showShare(last('error_rate'))}</td>
      <td class="number">{ms(last('latency_p50'))}</td>
      <td class="number">{ms(last('latency_p99'))}</td>
    </tr>
  );
}
