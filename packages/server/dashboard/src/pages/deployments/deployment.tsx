import type { Deployment, Rollout } from '@keelson/core';
import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { api } from '../../api/client.ts';
import { useResource } from '../../api/resource.ts';
import { Act } from '../../parts/act.tsx';
import { Ago, Empty, Facts, Heading, Section, Shown, Status } from '../../parts/basics.tsx';
import { to, view } from '../../routing/address.ts';
import { AbTests } from './ab-tests.tsx';
import { isOpen, liveOf } from './deployment-state.ts';
import { FiguresOf } from './figures.tsx';
import { Replicas } from './replicas.tsx';
import { Revisions } from './revisions.tsx';
import { RolloutOf } from './rollout.tsx';
import { TrafficOf } from './traffic.tsx';
import { TryIt } from './try-it.tsx';
import { Weights } from './weights.tsx';

const tabs = [
  ['', 'Rollout'],
  ['figures', 'Latency and errors'],
  ['ab', 'A/B tests'],
  ['revisions', 'Revisions'],
  ['replicas', 'Replicas'],
  ['try', 'Try it'],
] as const;

/** One deployment: who answers, what moves, and on which evidence. */
export function DeploymentPage({ name }: { readonly name: string }): JSX.Element {
  const live = liveOf(name);
  const deployment = useResource(
    `deployment ${name}`,
    (signal) => api.deployments.get({ deployment: name }, { signal }),
    live,
  );
  const route = useResource(
    `route ${name}`,
    (signal) => api.rollouts.route({ deployment: name }, { signal }),
    live,
  );
  const rollouts = useResource(
    `rollouts ${name}`,
    (signal) => api.rollouts.list({ deployment: name }, { signal }),
    live,
  );
  const isMoving = (rollouts.data?.rollouts ?? []).some(isOpen);
  // No event tells of a look that holds, and the evidence grows with each.
  useEffect(() => {
    if (!isMoving) return undefined;
    const timer = setInterval(() => {
      if (!document.hidden) rollouts.reload();
    }, 5_000);
    return () => clearInterval(timer);
  }, [isMoving]);
  const tab = view('tab');
  return (
    <Shown of={deployment}>
      {(data) => (
        <>
          <Heading
            above={[['Deployments', to('deployments')]]}
            title={data.name}
            beside={<Status of={data.status} />}
            actions={<Acts deployment={data} />}
          />
          <About deployment={data}>
            <Shown of={route}>{({ route: now }) => <Weights of={now} />}</Shown>
          </About>
          <nav class="tabs" aria-label="Of this deployment">
            {tabs.map(([key, title]) => (
              <a
                key={key}
                href={to('deployments', name, { tab: key })}
                aria-current={tab === key ? 'page' : undefined}
              >
                {title}
              </a>
            ))}
          </nav>
          {tab === '' && (
            <Shown of={rollouts}>
              {({ rollouts: all }) => <RolloutTab deployment={data} rollouts={all} />}
            </Shown>
          )}
          {tab === 'figures' && (
            <FiguresOf deployment={data} rollouts={rollouts.data?.rollouts ?? []} />
          )}
          {tab === 'ab' && <AbTests name={name} />}
          {tab === 'revisions' && <Revisions name={name} />}
          {tab === 'replicas' && <Replicas deployment={data} />}
          {tab === 'try' && <TryIt name={name} model={data.model} />}
        </>
      )}
    </Shown>
  );
}

function About({
  deployment,
  children,
}: {
  readonly deployment: Deployment;
  readonly children: JSX.Element;
}): JSX.Element {
  const { model, environment, lastHealthCheckAt, endpointUrl, onPromotion } = deployment;
  return (
    <Section title="Who answers">
      {children}
      <Facts
        of={[
          [
            'Model',
            <a key="model" href={to('models', model)}>
              {model}
            </a>,
          ],
          ['For', environment.toLowerCase()],
          ['Last heard of', <Ago key="heard" at={lastHealthCheckAt} />],
          endpointUrl !== undefined && ['Endpoint', <code key="url">{endpointUrl}</code>],
          [
            'Promotions',
            onPromotion === undefined
              ? 'are not followed'
              : `are rolled out: ${strategyOf(onPromotion)}`,
          ],
          ['Made', <Ago key="made" at={deployment.createdAt} />],
        ]}
      />
    </Section>
  );
}

function strategyOf(onPromotion: object): string {
  return (onPromotion as { readonly strategy?: string }).strategy ?? 'canary';
}

function Acts({ deployment }: { readonly deployment: Deployment }): JSX.Element {
  const { name, status, lastRevision } = deployment;
  const body = (reason: string): object => (reason === '' ? {} : { body: { reason } });
  return (
    <>
      {status === 'STOPPED' ? (
        <Act
          name="Start"
          title={`Start ${name}?`}
          does={['deployments.start', `deployment:${name}`]}
          consequence={<p>Its versions are loaded, and it answers again.</p>}
          ask="Reason"
          run={(reason) => api.deployments.start({ deployment: name, ...body(reason) })}
        />
      ) : (
        <Act
          name="Stop"
          title={`Stop ${name}?`}
          does={['deployments.stop', `deployment:${name}`]}
          tone="danger"
          consequence={
            <p>Its versions are unloaded, and nothing is answered until it is started again.</p>
          }
          ask="Reason"
          run={(reason) => api.deployments.stop({ deployment: name, ...body(reason) })}
        />
      )}
      <Act
        name="Roll back"
        title={`Roll ${name} back?`}
        does={['rollouts.rollback', `deployment:${name}`]}
        tone="danger"
        consequence={
          <p>
            All requests go at once to the newest earlier revision that was good and whose content
            is whole. It is watched for half an hour, and left for the one before should it fail.
            “Revisions” goes back to another one.
          </p>
        }
        ask="Reason"
        isNeeded
        refused={lastRevision < 2 ? 'There is no earlier revision to go back to' : undefined}
        run={(reason) => api.rollouts.rollback({ deployment: name, body: { reason } })}
      />
    </>
  );
}

function RolloutTab({
  deployment,
  rollouts,
}: {
  readonly deployment: Deployment;
  readonly rollouts: readonly Rollout[];
}): JSX.Element {
  const chosen = view('rollout');
  const newestFirst = rollouts.toReversed();
  const shown =
    newestFirst.find(({ id }) => id === chosen) ?? newestFirst.find(isOpen) ?? newestFirst[0];
  return (
    <>
      {shown === undefined ? (
        <Empty
          title="No version was rolled out yet"
          code={`await platform.deployments.deploy('${deployment.name}', {\n  versionId, strategy: 'canary', reason: 'retrained',\n});`}
        >
          <p>A rollout brings a version in step by step, as long as its gates let it:</p>
        </Empty>
      ) : (
        <RolloutOf key={shown.id} rollout={shown} name={deployment.name} />
      )}
      <TrafficOf name={deployment.name} rollouts={rollouts} shown={shown} />
      {rollouts.length > 1 && (
        <Section title="All rollouts">
          <ol class="rollouts">
            {newestFirst.map(({ id, candidate, status, beganAt, reason }) => (
              <li key={id}>
                <a
                  href={to('deployments', deployment.name, { rollout: id })}
                  aria-current={id === shown?.id ? 'true' : undefined}
                >
                  {candidate}
                </a>{' '}
                <Status of={status} /> <Ago at={beganAt} /> <span class="faint">{reason}</span>
              </li>
            ))}
          </ol>
        </Section>
      )}
    </>
  );
}
