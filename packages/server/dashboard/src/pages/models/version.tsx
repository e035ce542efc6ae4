import type { ModelVersion } from '@keelson/core';
import type { JSX } from 'preact';
import { addressOf, api } from '../../api/client.ts';
import { useResource } from '../../api/resource.ts';
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
import { showBytes, showNumber } from '../../parts/format.ts';
import { to, view } from '../../routing/address.ts';
import { AuditTrail } from './audit-trail.tsx';
import { LineageOf } from './lineage.tsx';
import { SignatureOf } from './signature.tsx';
import { Transition } from './transition.tsx';
import { VersionActs } from './version-acts.tsx';

const tabs = [
  ['', 'Overview'],
  ['stages', 'Stages and approvals'],
  ['lineage', 'Lineage'],
  ['audit', 'Audit trail'],
] as const;

/** One version: what it is, how it came here, who decided what. */
export function VersionPage({
  name,
  version,
}: {
  readonly name: string;
  readonly version: string;
}): JSX.Element {
  const found = useResource(
    `version ${name} ${version}`,
    (signal) => api.versions.get({ name, version }, { signal }),
    {
      on: ['model.', 'promotion.', 'validation.'],
      matters: ({ subject }) => subject === `model:${name}`,
    },
  );
  const tab = view('tab');
  return (
    <Shown of={found}>
      {(data) => (
        <>
          <Heading
            above={[
              ['Models', to('models')],
              [name, to('models', name)],
            ]}
            title={`${data.model} ${data.version}`}
            beside={
              <>
                <Status of={data.stage} />
                {data.status === 'FAILED' && <Status of="damaged" tone="bad" />}
                {data.aliases.map((alias) => (
                  <span key={alias} class="tag">
                    {alias}
                  </span>
                ))}
              </>
            }
            actions={<VersionActs version={data} />}
          />
          {data.failure !== undefined && (
            <p class="problem" role="alert">
              Its content is damaged and is not handed out: {data.failure}
            </p>
          )}
          {data.deprecated !== undefined && (
            <p class="problem">
              Deprecated <Ago at={data.deprecated.at} />: {data.deprecated.reason}
            </p>
          )}
          <nav class="tabs" aria-label="Of this version">
            {tabs.map(([key, title]) => (
              <a
                key={key}
                href={to('models', name, version, { tab: key })}
                aria-current={tab === key ? 'page' : undefined}
              >
                {title}
              </a>
            ))}
          </nav>
          <Tab name={tab} version={data} />
        </>
      )}
    </Shown>
  );
}

function Tab({
  name,
  version,
}: {
  readonly name: string;
  readonly version: ModelVersion;
}): JSX.Element {
  if (name === 'stages') return <Stages version={version} />;
  if (name === 'audit') return <AuditTrail name={version.model} versionId={version.id} />;
  if (name === 'lineage')
    return <LineageOf name={version.model} version={version.version} versionId={version.id} />;
  return (
    <>
      <About version={version} />
      <SignatureOf of={version.signature} />
      <Files version={version} />
    </>
  );
}

function About({ version }: { readonly version: ModelVersion }): JSX.Element {
  const { lineage, metrics, validations, facts, sha256 } = version;
  return (
    <>
      <Section title="About">
        {version.description !== '' && <p>{version.description}</p>}
        <Facts
          of={[
            ['Registered', <Ago key="at" at={version.createdAt} />],
            ['By', version.createdBy],
            ['Format', [version.format, facts?.framework].filter(Boolean).join(', ')],
            ['Size', showBytes(version.sizeBytes)],
            ['SHA-256', <Id key="sha" of={sha256} />],
            lineage.sourceRunId !== undefined && [
              'Made by',
              <a key="run" href={to('run', lineage.sourceRunId)}>
                its run
              </a>,
            ],
            lineage.codeCommit !== undefined && [
              'Commit',
              <Id key="commit" of={lineage.codeCommit} />,
            ],
            lineage.featureSets !== undefined && ['Features', lineage.featureSets.join(', ')],
            Object.keys(validations).length > 0 && [
              'Validations',
              Object.entries(validations).map(([suite, outcome]) => (
                <div key={suite}>
                  <Status of={outcome} tone={outcome === 'PASSED' ? 'good' : 'bad'} /> {suite}
                </div>
              )),
            ],
          ]}
        />
        {Object.keys(version.tags).length > 0 && (
          <p class="tags">
            {Object.entries(version.tags).map(([key, value]) => (
              <span key={key} class="tag">
                {key}: {value}
              </span>
            ))}
          </p>
        )}
      </Section>
      <Section title="Metrics">
        {Object.keys(metrics).length === 0 ? (
          <p class="faint">None were given when it was registered.</p>
        ) : (
          <dl class="metrics">
            {Object.entries(metrics).map(([metric, value]) => (
              <div key={metric}>
                <dt>{metric}</dt>
                <dd>{showNumber(value)}</dd>
              </div>
            ))}
          </dl>
        )}
      </Section>
    </>
  );
}

function Files({ version }: { readonly version: ModelVersion }): JSX.Element {
  const { model: name, version: number, files } = version;
  return (
    <Section title={`${files.length} files`}>
      <Scroll>
        <table>
          <thead>
            <tr>
              <th>Path</th>
              <th class="number">Size</th>
              <th>SHA-256</th>
            </tr>
          </thead>
          <tbody>
            {files.slice(0, 500).map(({ path, sizeBytes, sha256 }) => (
              <tr key={path}>
                <td class="wrap">
                  <a
                    href={addressOf('versions.artifact', { name, version: number, path })}
                    download
                  >
                    {path}
                  </a>
                </td>
                <td class="number">{showBytes(sizeBytes)}</td>
                <td>
                  <code title={sha256}>{sha256.slice(0, 12)}</code>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    </Section>
  );
}

function Stages({ version }: { readonly version: ModelVersion }): JSX.Element {
  const { model: name, version: number } = version;
  const transitions = useResource(
    `transitions ${version.id} ${version.revision}`,
    (signal) => api.stages.transitions({ name, version: number }, { signal }),
    { on: ['model.', 'promotion.'], matters: ({ subject }) => subject === `model:${name}` },
  );
  return (
    <Section title="What it was asked to become">
      <Shown of={transitions}>
        {({ transitions: all }) =>
          all.length === 0 ? (
            <Empty
              title="It was never asked to move"
              code={`await platform.registry.requestTransition({ model: '${name}', version: '${number}', to: 'STAGING', reason: '…' });`}
            >
              <p>“Move” above asks for it, or code does:</p>
            </Empty>
          ) : (
            all.map((each) => <Transition key={each.id} of={each} model={name} version={number} />)
          )
        }
      </Shown>
    </Section>
  );
}
