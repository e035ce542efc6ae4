import type { Model, ModelVersion, StageTransition } from '@keelson/core';
import type { JSX } from 'preact';
import { api } from '../../api/client.ts';
import { useResource } from '../../api/resource.ts';
import { Act } from '../../parts/act.tsx';
import { Ago, Empty, Facts, Heading, Scroll, Section, Shown, Status } from '../../parts/basics.tsx';
import { showBytes, showNumber } from '../../parts/format.ts';
import { asList, setView, to, viewList } from '../../routing/address.ts';
import { AuditTrail } from './audit-trail.tsx';
import { Transition } from './transition.tsx';

const mostMetrics = 6;

/** A model with its versions. */
export function ModelPage({ name }: { readonly name: string }): JSX.Element {
  const live = {
    on: ['model.', 'promotion.', 'validation.', 'deployment.'],
    matters: ({ subject, type }: { readonly subject: string; readonly type: string }) =>
      subject === `model:${name}` || type.startsWith('deployment.'),
  };
  const model = useResource(
    `model ${name}`,
    (signal) => api.models.get({ name }, { signal }),
    live,
  );
  const versions = useResource(
    `versions ${name}`,
    (signal) => api.versions.list({ name }, { signal }),
    live,
  );
  return (
    <>
      <Shown of={model}>
        {(data) => (
          <>
            <Heading
              above={[['Models', to('models')]]}
              title={data.name}
              beside={data.deletedAt !== undefined && <Status of="DELETED" tone="warn" />}
              actions={<RollBack model={data} />}
            />
            <About model={data} versions={versions.data?.versions ?? []} />
          </>
        )}
      </Shown>
      <Shown of={versions}>
        {({ versions: all }) => (
          <>
            <Waiting name={name} versions={all} />
            <Versions name={name} versions={all.toReversed()} />
          </>
        )}
      </Shown>
      <AuditTrail name={name} />
    </>
  );
}

function RollBack({ model }: { readonly model: Model }): JSX.Element {
  return (
    <Act
      name="Roll back"
      tone="danger"
      title={`Roll ${model.name} back?`}
      does={['models.rollback', `model:${model.name}`]}
      consequence={
        <p>
          The version that was in production before comes back at once, without approvals; the
          present one goes to staging, and an incident is opened. Deployments that follow promotions
          follow this too.
        </p>
      }
      ask="Reason"
      isNeeded
      refused={model.productionVersionId === undefined ? 'No version is in production' : undefined}
      run={(reason) => api.models.rollback({ name: model.name, body: { reason } })}
    />
  );
}

function About({
  model,
  versions,
}: {
  readonly model: Model;
  readonly versions: readonly ModelVersion[];
}): JSX.Element {
  const production = versions.find(({ id }) => id === model.productionVersionId);
  return (
    <Section title="About">
      {model.description !== '' && <p>{model.description}</p>}
      <Facts
        of={[
          [
            'In production',
            production === undefined ? (
              'nothing'
            ) : (
              <a key="in" href={to('models', model.name, production.version)}>
                {production.version}
              </a>
            ),
          ],
          ['Versions', showNumber(versions.length)],
          ['Came by', model.source.toLowerCase()],
          ['Made', <Ago key="at" at={model.createdAt} />],
          ['By', model.createdBy],
          [
            'Aliases',
            Object.entries(model.aliases)
              .map(([alias, id]) => {
                const found = versions.find((each) => each.id === id);
                return `${alias} → ${found?.version ?? '?'}`;
              })
              .join(', ') || 'none',
          ],
        ]}
      />
      {Object.keys(model.tags).length > 0 && (
        <p class="tags">
          {Object.entries(model.tags).map(([key, value]) => (
            <span key={key} class="tag">
              {key}: {value}
            </span>
          ))}
        </p>
      )}
      <details class="policy">
        <summary>Policy of stages</summary>
        <Scroll>
          <table>
            <thead>
              <tr>
                <th>From</th>
                <th>To</th>
                <th>Checks</th>
                <th>Approvals</th>
              </tr>
            </thead>
            <tbody>
              {model.policy.transitions.map((rule) => (
                <tr key={`${rule.from} ${rule.to}`}>
                  <td>{rule.from.toLowerCase()}</td>
                  <td>{rule.to.toLowerCase()}</td>
                  <td class="wrap">
                    {rule.checks.map(({ check }) => check).join(', ') || 'none'}
                    {rule.confirmation === true && '; on confirmation'}
                  </td>
                  <td>
                    {rule.approvals}
                    {rule.approverRoles.length > 0 && ` of ${rule.approverRoles.join(', ')}`}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
        <p class="faint">
          {model.policy.selfApproval
            ? 'Who asks may approve.'
            : 'Who asks cannot approve: somebody else must.'}{' '}
          {model.policy.singleProduction && 'One version at most is in production.'}
        </p>
      </details>
    </Section>
  );
}

/** What waits for people, to be decided here. */
function Waiting({
  name,
  versions,
}: {
  readonly name: string;
  readonly versions: readonly ModelVersion[];
}): JSX.Element | null {
  const asked = versions.filter(({ stage }) => stage !== 'ARCHIVED').slice(-12);
  const waiting = useResource(
    `waiting ${asked.map(({ id, revision }) => id + revision).join()}`,
    async (signal) => {
      const all = await Promise.all(
        asked.map(async (version) => {
          const { transitions } = await api.stages.transitions(
            { name, version: version.version },
            { signal },
          );
          return transitions
            .filter(({ status }) => status === 'PENDING' || status === 'APPLYING')
            .map((transition) => ({ version, transition }));
        }),
      );
      return all.flat();
    },
    { on: ['model.', 'promotion.'], matters: ({ subject }) => subject === `model:${name}` },
  );
  if (waiting.data === undefined || waiting.data.length === 0) return null;
  return (
    <Section title="Waits for a decision">
      {waiting.data.map(({ version, transition }) => (
        <WaitingOne key={transition.id} version={version} transition={transition} />
      ))}
    </Section>
  );
}

function WaitingOne({
  version,
  transition,
}: {
  readonly version: ModelVersion;
  readonly transition: StageTransition;
}): JSX.Element {
  return (
    <>
      <p>
        <a href={to('models', version.model, version.version)}>
          {version.model} {version.version}
        </a>
      </p>
      <Transition of={transition} model={version.model} version={version.version} />
    </>
  );
}

function Versions({
  name,
  versions,
}: {
  readonly name: string;
  readonly versions: readonly ModelVersion[];
}): JSX.Element {
  if (versions.length === 0) {
    return (
      <Empty
        title="No versions"
        code={`await platform.registry.register({ model: '${name}', from: { runId, path: 'model' }, bump: 'minor' });`}
      >
        <p>This registers the first:</p>
      </Empty>
    );
  }
  const metrics = [...new Set(versions.flatMap((each) => Object.keys(each.metrics)))]
    .sort()
    .slice(0, mostMetrics);
  const chosen = viewList('chosen');
  const choose = (version: string, isChosen: boolean): void => {
    const rest = chosen.filter((each) => each !== version);
    setView({ chosen: asList(isChosen ? [...rest, version] : rest) }, 'replace');
  };
  const compare =
    chosen.length < 2 ? (
      <span class="faint">Choose two to compare</span>
    ) : (
      <a class="button" href={to('models', name, 'compare', { of: asList(chosen) })}>
        Compare {chosen.length}
      </a>
    );
  return (
    <Section title={`${versions.length} versions`} actions={compare}>
      <Scroll>
        <table>
          <thead>
            <tr>
              <th>
                <span class="hidden">Chosen</span>
              </th>
              <th>Version</th>
              <th>Stage</th>
              <th>Aliases</th>
              {metrics.map((metric) => (
                <th key={metric} class="number">
                  {metric}
                </th>
              ))}
              <th>Format</th>
              <th class="number">Size</th>
              <th>Registered</th>
              <th>By</th>
            </tr>
          </thead>
          <tbody>
            {versions.map((each) => (
              <tr key={each.id}>
                <td>
                  <input
                    type="checkbox"
                    aria-label={`Choose ${each.version}`}
                    checked={chosen.includes(each.version)}
                    onChange={({ currentTarget }) => choose(each.version, currentTarget.checked)}
                  />
                </td>
                <td>
                  <a href={to('models', name, each.version)}>{each.version}</a>
                  {each.deprecated !== undefined && <span class="tag">deprecated</span>}
                </td>
                <td>
                  <Status of={each.stage} />{' '}
                  {each.status === 'FAILED' && <Status of="damaged" tone="bad" />}
                </td>
                <td class="wrap">{each.aliases.join(', ') || '–'}</td>
                {metrics.map((metric) => (
                  <td key={metric} class="number">
                    {showNumber(each.metrics[metric])}
                  </td>
                ))}
                <td>{each.format}</td>
                <td class="number">{showBytes(each.sizeBytes)}</td>
                <td>
                  <Ago at={each.createdAt} />
                </td>
                <td>{each.createdBy}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    </Section>
  );
}
