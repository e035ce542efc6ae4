import type { JsonObject, PipelineDefinition } from '@keelson/core';
import type { JSX } from 'preact';
import { api } from '../../api/client.ts';
import { useResource } from '../../api/resource.ts';
import { Act } from '../../parts/act.tsx';
import { Code, Empty, Facts, Heading, Section, Shown } from '../../parts/basics.tsx';
import { showDuration } from '../../parts/format.ts';
import { Graph } from '../../parts/graph.tsx';
import { go, setView, to, view } from '../../routing/address.ts';
import { ExecutionTable } from './execution-table.tsx';
import { graphOf } from './pipeline-graph.ts';
import { Schedules, Triggers } from './schedules.tsx';

/** One pipeline: what it does, when it starts, and how it went. */
export function PipelinePage({ pipeline }: { readonly pipeline: string }): JSX.Element {
  const asked = view('version');
  const versions = useResource(`versions ${pipeline}`, (signal) =>
    api.pipelines.definitions({ name: pipeline, limit: 1000 }, { signal }),
  );
  const definition = useResource(`definition ${pipeline} ${asked}`, (signal) =>
    api.pipelines.get({ pipeline, ...(asked === '' ? {} : { version: asked }) }, { signal }),
  );
  const executions = useResource(
    `executions of ${pipeline}`,
    (signal) => api.pipelines.list({ pipeline, limit: 50 }, { signal }),
    { on: ['pipeline.', 'step.'], matters: ({ payload }) => payload['pipeline'] === pipeline },
  );
  return (
    <div class="pipelines">
      <Heading
        above={[['Pipelines', to('pipelines')]]}
        title={pipeline}
        beside={
          <label>
            <span class="hidden">Version</span>
            <select
              value={asked || (definition.data?.version ?? '')}
              onChange={({ currentTarget }) => setView({ version: currentTarget.value })}
            >
              {(versions.data?.definitions ?? []).map(({ version }) => (
                <option key={version} value={version}>
                  {version}
                </option>
              ))}
            </select>
          </label>
        }
        actions={definition.data !== undefined && <Start of={definition.data} />}
      />
      <Shown of={definition}>{(data) => <Definition of={data} />}</Shown>
      <Section title="Executions">
        <Shown of={executions}>
          {({ executions: all }) =>
            all.length === 0 ? (
              <Empty
                title="It was never executed"
                code={`await platform.pipelines.start(${JSON.stringify(pipeline)});`}
              />
            ) : (
              <ExecutionTable executions={all} isOfOne />
            )
          }
        </Shown>
      </Section>
      <Schedules pipeline={pipeline} />
      <Triggers pipeline={pipeline} />
    </div>
  );
}

function Definition({ of }: { readonly of: PipelineDefinition }): JSX.Element {
  const { description, steps, output, parameters, timeoutMs } = of;
  return (
    <Section title="Steps">
      {description !== '' && <p>{description}</p>}
      <Facts
        of={[
          ['Steps', String(steps.length)],
          ['Answers', output === undefined ? undefined : `what ${output} puts out`],
          timeoutMs !== undefined && ['At most', showDuration(timeoutMs)],
        ]}
      />
      <Graph {...graphOf(of)} title={`Steps of ${of.name}`} />
      {parameters !== undefined && (
        <details>
          <summary>Parameters</summary>
          <Code text={JSON.stringify(parameters, undefined, 2)} />
        </details>
      )}
    </Section>
  );
}

function Start({ of }: { readonly of: PipelineDefinition }): JSX.Element {
  const { name: pipeline, version } = of;
  return (
    <Act
      name="Start"
      does={['pipelines.start', `pipeline:${pipeline}`]}
      tone="main"
      title={`Start ${pipeline}@${version}?`}
      consequence="Its steps run where a process of the platform has what they need. It can be paused and cancelled."
      ask="Parameters, as JSON"
      run={async (text) => {
        const parameters = text === '' ? {} : parametersOf(text);
        const begun = await api.pipelines.start({ pipeline, body: { version, parameters } });
        go(to('pipelines', pipeline, begun.id));
      }}
    />
  );
}

function parametersOf(text: string): JsonObject {
  const parsed: unknown = JSON.parse(text);
  if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) {
    return parsed as JsonObject;
  }
  throw new Error('Parameters are an object, such as { "year": 2015 }.');
}
