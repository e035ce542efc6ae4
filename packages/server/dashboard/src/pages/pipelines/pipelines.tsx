import type { Execution } from '@keelson/core';
import type { JSX } from 'preact';
import { api } from '../../api/client.ts';
import { useResource } from '../../api/resource.ts';
import { Ago, Empty, Heading, Scroll, Section, Shown } from '../../parts/basics.tsx';
import { address, setView, to, view } from '../../routing/address.ts';
import { ExecutionPage } from './execution.tsx';
import { ExecutionTable, statuses } from './execution-table.tsx';
import { PipelinePage } from './pipeline.tsx';
import './pipelines.css';
import { Queue, Resources } from './resources.tsx';
import { Schedules, Triggers } from './schedules.tsx';

const tabs = [
  ['', 'Executions'],
  ['definitions', 'Definitions'],
  ['schedules', 'Schedules and triggers'],
  ['queue', 'Queue and resources'],
] as const;

const begin = `import { definePipeline } from '@keelson/core';

const nightly = definePipeline('nightly', { version: '1.0.0' }, (p) => {
  const rows = p.step('load', {}, () => [1, 2, 3]);
  return p.step('sum', { rows }, ({ inputs }) => inputs.rows.reduce((a, b) => a + b));
});
const execution = await platform.pipelines.start(nightly);
console.log(await platform.pipelines.wait(execution));`;

/** Pipelines: all, one, or one execution, as the address says. */
export function Pipelines(): JSX.Element {
  const [, pipeline, executionId] = address.value.path;
  if (pipeline === undefined) return <All />;
  if (executionId === undefined) return <PipelinePage key={pipeline} pipeline={pipeline} />;
  return <ExecutionPage key={executionId} pipeline={pipeline} executionId={executionId} />;
}

function All(): JSX.Element {
  const tab = view('tab');
  return (
    <div class="pipelines">
      <Heading title="Pipelines" />
      <nav class="tabs" aria-label="Of pipelines">
        {tabs.map(([name, title]) => (
          <a
            key={name}
            href={to('pipelines', { tab: name })}
            aria-current={tab === name ? 'page' : undefined}
          >
            {title}
          </a>
        ))}
      </nav>
      {tab === 'definitions' && <Definitions />}
      {tab === 'schedules' && (
        <>
          <Schedules />
          <Triggers />
        </>
      )}
      {tab === 'queue' && (
        <>
          <Queue />
          <Resources />
        </>
      )}
      {tab === '' && <Executions />}
    </div>
  );
}

function Executions(): JSX.Element {
  const status = view('status');
  const limit = Math.min(1000, Number(view('limit', '50')) || 50);
  const executions = useResource(
    `executions ${status} ${limit}`,
    (signal) =>
      api.executions.list(
        { limit, ...(status === '' ? {} : { status: status as Execution['status'] }) },
        { signal },
      ),
    { on: ['pipeline.', 'step.'] },
  );
  return (
    <Section
      title="Executions"
      actions={
        <label>
          Status{' '}
          <select
            value={status}
            onChange={({ currentTarget }) => setView({ status: currentTarget.value })}
          >
            <option value="">any</option>
            {statuses.map((each) => (
              <option key={each} value={each}>
                {each.toLowerCase()}
              </option>
            ))}
          </select>
        </label>
      }
    >
      <Shown of={executions}>
        {({ executions: all, cursor }) =>
          all.length === 0 ? (
            <Empty
              title={status === '' ? 'Nothing was executed yet' : `None is ${status.toLowerCase()}`}
              {...(status === '' ? { code: begin } : {})}
            >
              {status === '' && <p>This defines a pipeline of two steps and executes it:</p>}
            </Empty>
          ) : (
            <>
              <ExecutionTable executions={all} />
              {cursor !== undefined && limit < 1000 && (
                <button
                  type="button"
                  onClick={() => setView({ limit: String(Math.min(1000, limit * 4)) }, 'replace')}
                >
                  Show more
                </button>
              )}
            </>
          )
        }
      </Shown>
    </Section>
  );
}

function Definitions(): JSX.Element {
  const definitions = useResource('definitions', (signal) =>
    api.pipelines.definitions({ limit: 1000 }, { signal }),
  );
  return (
    <Section title="Definitions">
      <Shown of={definitions}>
        {({ definitions: all }) =>
          all.length === 0 ? (
            <Empty title="No definition is stored" code={begin}>
              <p>One is stored when it is started first, or by `putDefinition`:</p>
            </Empty>
          ) : (
            <Scroll>
              <table>
                <thead>
                  <tr>
                    <th>Pipeline</th>
                    <th>Version</th>
                    <th class="number">Steps</th>
                    <th>Stored</th>
                    <th>By</th>
                    <th>What it does</th>
                  </tr>
                </thead>
                <tbody>
                  {all.map((each) => (
                    <tr key={each.digest}>
                      <td>
                        <a href={to('pipelines', each.name, { version: each.version })}>
                          {each.name}
                        </a>
                      </td>
                      <td>{each.version}</td>
                      <td class="number">{each.steps}</td>
                      <td>
                        <Ago at={each.createdAt} />
                      </td>
                      <td>{each.createdBy}</td>
                      <td class="wrap">{each.description}</td>
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
