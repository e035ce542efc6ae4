import type { JSX } from 'preact';
import { api } from '../../api/client.ts';
import { useResource } from '../../api/resource.ts';
import { Ago, Empty, Heading, Scroll, Section, Shown, Status } from '../../parts/basics.tsx';
import { showDuration } from '../../parts/format.ts';
import { to } from '../../routing/address.ts';

const begin = `import { openPlatform } from '@keelson/core';

await using platform = await openPlatform();
await using run = await platform.tracking.startRun({ experiment: 'first' });
run.logMetric('loss', 0.3);`;

/** How everything stands. */
export function Overview(): JSX.Element {
  return (
    <>
      <Heading title="Overview" />
      <div class="grid two">
        <HealthPart />
        <AlertsPart />
        <DeploymentsPart />
        <PipelinesPart />
      </div>
      <RunsPart />
    </>
  );
}

function HealthPart(): JSX.Element {
  const health = useResource('health', (signal) => api.system.health({}, { signal }), {
    on: ['health.', 'component.', 'system.'],
  });
  return (
    <Section title="Health" actions={<a href={to('system')}>All checks</a>}>
      <Shown of={health}>
        {({ status, checks }) => {
          const faults = checks.filter((check) => check.status !== 'HEALTHY');
          return (
            <>
              <p>
                <Status of={status} /> <span class="faint">{checks.length} checks</span>
              </p>
              {faults.map(({ name, status: how, message }) => (
                <p key={name}>
                  <Status of={how} /> <b>{name}</b> {message}
                </p>
              ))}
            </>
          );
        }}
      </Shown>
    </Section>
  );
}

function DeploymentsPart(): JSX.Element {
  const deployments = useResource('deployments', (signal) => api.deployments.list({}, { signal }), {
    on: ['deployment.', 'rollout.', 'traffic.'],
  });
  return (
    <Section title="Deployments" actions={<a href={to('deployments')}>All</a>}>
      <Shown of={deployments}>
        {({ deployments: all }) =>
          all.length === 0 ? (
            <Empty title="Nothing is deployed">
              <p>A deployment serves versions of a model, and moves traffic between them.</p>
            </Empty>
          ) : (
            <table>
              <tbody>
                {all.map(({ name, model, status, activeRolloutId }) => (
                  <tr key={name}>
                    <td>
                      <a href={to('deployments', name)}>{name}</a>
                    </td>
                    <td>{model}</td>
                    <td>
                      <Status of={status} />
                    </td>
                    <td>
                      {activeRolloutId !== undefined && (
                        <a href={to('deployments', name)}>
                          <Status of="change under way" tone="busy" />
                        </a>
                      )}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          )
        }
      </Shown>
    </Section>
  );
}

/** More deployments than this are asked about on their own page. */
const mostAsked = 20;

function AlertsPart(): JSX.Element {
  const alerts = useResource(
    'active alerts',
    async (signal) => {
      const { deployments } = await api.deployments.list({ limit: mostAsked }, { signal });
      const each = deployments.map(({ name }) =>
        api.monitoring.alerts({ name, status: 'active' }, { signal }),
      );
      return (await Promise.all(each)).flatMap(({ alerts: some }) => some);
    },
    { on: ['alert.'] },
  );
  return (
    <Section title="Active alerts" actions={<a href={to('monitoring')}>Monitoring</a>}>
      <Shown of={alerts}>
        {(all) =>
          all.length === 0 ? (
            <p class="faint">None.</p>
          ) : (
            <ul class="plain">
              {all.map(({ id, deployment, state, severity, summary, firstAt }) => (
                <li key={id}>
                  <Status of={state} tone={state === 'FIRING' ? 'bad' : 'warn'} />{' '}
                  <a href={to('monitoring', deployment)}>{deployment}</a> {severity.toLowerCase()}:{' '}
                  {summary}{' '}
                  <span class="faint">
                    <Ago at={firstAt} />
                  </span>
                </li>
              ))}
            </ul>
          )
        }
      </Shown>
    </Section>
  );
}

function PipelinesPart(): JSX.Element {
  const running = useResource(
    'running executions',
    (signal) => api.executions.list({ status: 'RUNNING', limit: 10 }, { signal }),
    { on: ['pipeline.', 'step.'] },
  );
  return (
    <Section title="Running pipelines" actions={<a href={to('pipelines')}>All</a>}>
      <Shown of={running}>
        {({ executions }) =>
          executions.length === 0 ? (
            <p class="faint">None.</p>
          ) : (
            <ul class="plain">
              {executions.map(({ id, pipeline, openSteps, startedAt }) => (
                <li key={id}>
                  <Status of="RUNNING" /> <a href={to('pipelines', pipeline, id)}>{pipeline}</a>{' '}
                  <span class="faint">
                    {openSteps} steps open · <Ago at={startedAt} />
                  </span>
                </li>
              ))}
            </ul>
          )
        }
      </Shown>
    </Section>
  );
}

function RunsPart(): JSX.Element {
  const runs = useResource(
    'recent runs',
    (signal) =>
      api.runs.search({ body: { limit: 10, orderBy: ['attributes.start_time DESC'] } }, { signal }),
    { on: ['run.'] },
  );
  return (
    <Section title="Recent runs" actions={<a href={to('runs')}>All</a>}>
      <Shown of={runs}>
        {({ runs: all }) =>
          all.length === 0 ? (
            <Empty title="No runs yet" code={begin}>
              <p>This logs the first:</p>
            </Empty>
          ) : (
            <Scroll>
              <table>
                <tbody>
                  {all.map((run) => (
                    <tr key={run.id}>
                      <td>
                        <a href={to('run', run.id)}>{run.name}</a>
                      </td>
                      <td>
                        <Status of={run.status} />
                      </td>
                      <td>
                        <Ago at={run.startedAt} />
                      </td>
                      <td class="number">{showDuration(run.durationMs)}</td>
                      <td>{run.userId}</td>
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
