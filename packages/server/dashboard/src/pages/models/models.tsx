import type { JSX } from 'preact';
import { api } from '../../api/client.ts';
import { useResource } from '../../api/resource.ts';
import { Ago, Empty, Heading, Scroll, Section, Shown } from '../../parts/basics.tsx';
import { address, setView, to, view } from '../../routing/address.ts';
import { ComparePage } from './compare.tsx';
import { ModelPage } from './model.tsx';
import './models.css';
import { VersionPage } from './version.tsx';

const begin = `await platform.registry.register({
  model: 'weather',
  from: { runId: run.id, path: 'model' },
  bump: 'minor',
});`;

/** Models: all of them, one, one of its versions, or several versions beside each other. */
export function Models(): JSX.Element {
  const [, name, version] = address.value.path;
  if (name === undefined) return <ModelList />;
  if (version === undefined) return <ModelPage key={name} name={name} />;
  if (version === 'compare') return <ComparePage name={name} />;
  return <VersionPage key={`${name}@${version}`} name={name} version={version} />;
}

function ModelList(): JSX.Element {
  const part = view('name');
  const cursor = view('cursor');
  const live = { on: ['model.', 'promotion.', 'validation.'] };
  const models = useResource(
    `models ${part} ${cursor}`,
    (signal) =>
      api.models.list(
        {
          limit: 50,
          ...(part === '' ? {} : { name: part }),
          ...(cursor === '' ? {} : { cursor }),
        },
        { signal },
      ),
    live,
  );
  const staged = useResource(
    'staged versions',
    (signal) =>
      api.models.searchVersions(
        { body: { filter: "stage = 'PRODUCTION' OR stage = 'STAGING'", limit: 500 } },
        { signal },
      ),
    live,
  );
  const inStage = (modelId: string, stage: string): JSX.Element[] =>
    (staged.data?.versions ?? [])
      .filter((each) => each.modelId === modelId && each.stage === stage)
      .map(({ id, model, version }) => (
        <a key={id} class="version" href={to('models', model, version)}>
          {version}
        </a>
      ));
  return (
    <>
      <Heading title="Models" />
      <Section title="All models" actions={<Search />}>
        <Shown of={models}>
          {({ models: all, cursor: next }) =>
            all.length === 0 ? (
              <NoModels isSearch={part !== ''} />
            ) : (
              <>
                <Scroll>
                  <table>
                    <thead>
                      <tr>
                        <th>Model</th>
                        <th>Production</th>
                        <th>Staging</th>
                        <th>Aliases</th>
                        <th>Tags</th>
                        <th>Changed</th>
                        <th>By</th>
                      </tr>
                    </thead>
                    <tbody>
                      {all.map(({ id, name, description, aliases, tags, updatedAt, createdBy }) => (
                        <tr key={id}>
                          <td class="name">
                            <a href={to('models', name)}>{name}</a>
                            {description !== '' && <div class="faint wrap">{description}</div>}
                          </td>
                          <td>{orDash(inStage(id, 'PRODUCTION'))}</td>
                          <td>{orDash(inStage(id, 'STAGING'))}</td>
                          <td class="wrap">{Object.keys(aliases).join(', ') || '–'}</td>
                          <td class="wrap">
                            {Object.entries(tags)
                              .map(([key, value]) => `${key}: ${value}`)
                              .join(', ') || '–'}
                          </td>
                          <td>
                            <Ago at={updatedAt} />
                          </td>
                          <td>{createdBy}</td>
                        </tr>
                      ))}
                    </tbody>
                  </table>
                </Scroll>
                {(next !== undefined || cursor !== '') && (
                  <p class="pages">
                    {cursor !== '' && <a href={to('models', { name: part })}>First page</a>}{' '}
                    {next !== undefined && (
                      <a href={to('models', { name: part, cursor: next })}>Next page</a>
                    )}
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

function orDash(links: readonly JSX.Element[]): JSX.Element {
  return links.length === 0 ? <span class="faint">–</span> : <>{links}</>;
}

function NoModels({ isSearch }: { readonly isSearch: boolean }): JSX.Element {
  return isSearch ? (
    <Empty title="No model has such a name" />
  ) : (
    <Empty title="No models yet" code={begin}>
      <p>A model is a line of versions, made from the files of runs. This registers the first:</p>
    </Empty>
  );
}

function Search(): JSX.Element {
  return (
    <label>
      <span class="hidden">Find by name</span>
      <input
        type="search"
        placeholder="Name, also misspelt"
        value={view('name')}
        onInput={({ currentTarget }) =>
          setView({ name: currentTarget.value, cursor: undefined }, 'replace')
        }
      />
    </label>
  );
}
