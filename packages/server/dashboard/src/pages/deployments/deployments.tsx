import type { Deployment } from '@keelson/core';
import type { JSX } from 'preact';
import { api } from '../../api/client.ts';
import { useResource } from '../../api/resource.ts';
import { Ago, Empty, Heading, Scroll, Section, Shown, Status } from '../../parts/basics.tsx';
import { address, to, view } from '../../routing/address.ts';
import { DeploymentPage } from './deployment.tsx';
import './deployments.css';
import { Weights } from './weights.tsx';

const begin = `await platform.deployments.create({
  name: 'weather', versionId: version.id, environment: 'PRODUCTION',
});
await serve(platform, { deployments: ['weather'] });`;

/** Deployments: all of them, or one. */
export function Deployments(): JSX.Element {
  const [, name] = address.value.path;
  return name === undefined ? <DeploymentList /> : <DeploymentPage key={name} name={name} />;
}

function DeploymentList(): JSX.Element {
  const cursor = view('cursor');
  const deployments = useResource(
    `deployments ${cursor}`,
    async (signal) => {
      const page = await api.deployments.list(
        { limit: 50, ...(cursor === '' ? {} : { cursor }) },
        { signal },
      );
      const rows = await Promise.all(
        page.deployments.map(async (deployment) => {
          const { route } = await api.rollouts.route({ deployment: deployment.name }, { signal });
          const rollout =
            deployment.activeRolloutId === undefined
              ? undefined
              : (
                  await api.rollouts.list({ deployment: deployment.name }, { signal })
                ).rollouts.find(({ id }) => id === deployment.activeRolloutId);
          return { deployment, route, rollout };
        }),
      );
      return { rows, next: page.cursor };
    },
    { on: ['deployment.', 'rollout.', 'traffic.', 'abtest.'] },
  );
  return (
    <>
      <Heading title="Deployments" />
      <Section title="All deployments">
        <Shown of={deployments}>
          {({ rows, next }) =>
            rows.length === 0 ? (
              <Empty title="Nothing is deployed" code={begin}>
                <p>A deployment serves versions of a model and moves traffic between them:</p>
              </Empty>
            ) : (
              <>
                <Scroll>
                  <table>
                    <thead>
                      <tr>
                        <th>Deployment</th>
                        <th>Model</th>
                        <th>State</th>
                        <th>Environment</th>
                        <th>Versions that answer</th>
                        <th>Under way</th>
                        <th>Changed</th>
                      </tr>
                    </thead>
                    <tbody>
                      {rows.map(({ deployment, route, rollout }) => (
                        <tr key={deployment.id}>
                          <td>
                            <a href={to('deployments', deployment.name)}>{deployment.name}</a>
                          </td>
                          <td>
                            <a href={to('models', deployment.model)}>{deployment.model}</a>
                          </td>
                          <td>
                            <Status of={deployment.status} />
                          </td>
                          <td>{deployment.environment.toLowerCase()}</td>
                          <td>
                            <Weights of={route} />
                          </td>
                          <td>{underWay(deployment, rollout)}</td>
                          <td>
                            <Ago at={deployment.updatedAt} />
                          </td>
                        </tr>
                      ))}
                    </tbody>
                  </table>
                </Scroll>
                {next !== undefined && (
                  <p class="pages">
                    <a href={to('deployments', { cursor: next })}>Next page</a>
                  </p>
                )}
              </>
            )
          }
        </Shown>
      </Section>
    </>
  );
}

function underWay(
  { name, activeRolloutId }: Deployment,
  rollout:
    | { readonly status: string; readonly stepIndex: number; readonly steps: readonly object[] }
    | undefined,
): JSX.Element {
  if (activeRolloutId === undefined) return <span class="faint">–</span>;
  if (rollout === undefined) return <a href={to('deployments', name, { tab: 'ab' })}>A/B test</a>;
  return (
    <a href={to('deployments', name)}>
      <Status of={rollout.status} /> step {rollout.stepIndex + 1} of {rollout.steps.length}
    </a>
  );
}
