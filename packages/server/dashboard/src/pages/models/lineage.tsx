import type { LineageGraph, LineageNode } from '@keelson/core';
import type { JSX } from 'preact';
import { api } from '../../api/client.ts';
import { useResource } from '../../api/resource.ts';
import { Section, Shown } from '../../parts/basics.tsx';
import { Graph } from '../../parts/graph.tsx';
import { setView, to, view } from '../../routing/address.ts';

const words: Readonly<Record<string, string>> = { model_version: 'model version' };
const depths = ['2', '4', '6', '10'];
const most = 120;

/** What led to a version, and what came of it. */
export function LineageOf({
  name,
  version,
  versionId,
}: {
  readonly name: string;
  readonly version: string;
  readonly versionId: string;
}): JSX.Element {
  const depth = view('depth', '4');
  const graph = useResource(
    `lineage ${versionId} ${depth}`,
    (signal) =>
      api.versions.lineage(
        { name, version, direction: 'both', depth: Number(depth), limit: most },
        { signal },
      ),
    { on: ['model.', 'promotion.', 'deployment.', 'rollout.'] },
  );
  const hasSteps = view('steps') === 'yes';
  const choice = (
    <>
      <label>
        <input
          type="checkbox"
          checked={hasSteps}
          onChange={({ currentTarget }) =>
            setView({ steps: currentTarget.checked ? 'yes' : undefined })
          }
        />{' '}
        Steps of pipelines and what they hand on
      </label>
      <label>
        As far as{' '}
        <select
          value={depth}
          onChange={({ currentTarget }) => setView({ depth: currentTarget.value })}
        >
          {depths.map((each) => (
            <option key={each}>{each}</option>
          ))}
        </select>
      </label>
    </>
  );
  return (
    <Section title="Lineage" actions={choice}>
      <Shown of={graph}>
        {(whole) => {
          const { nodes, edges, truncated } = hasSteps ? whole : withoutSteps(whole, versionId);
          return (
            <>
              <Graph
                title={`What led to ${name} ${version}, and what came of it`}
                nodes={nodes.map((node) => ({
                  id: node.id,
                  title: node.label,
                  about: words[node.type] ?? node.type,
                  current: node.id === versionId,
                  ...(node.stage === undefined ? {} : { status: node.stage }),
                  ...hrefOf(node, whole),
                }))}
                edges={edges.map(({ from, to: target, role }) => ({
                  from,
                  to: target,
                  label: role,
                }))}
              />
              {truncated && (
                <p class="faint">There is more: {most} things are shown. Choose fewer steps.</p>
              )}
            </>
          );
        }}
      </Shown>
    </Section>
  );
}

const within: ReadonlySet<string> = new Set(['step', 'artifact', 'code', 'environment']);

/** The graph without what goes on within executions, and what is only tied to that. */
function withoutSteps({ nodes, edges, truncated }: LineageGraph, versionId: string): LineageGraph {
  const hidden = new Set(nodes.filter(({ type }) => within.has(type)).map(({ id }) => id));
  const kept = edges.filter(({ from, to: target }) => !hidden.has(from) && !hidden.has(target));
  const tied = new Set([versionId, ...kept.flatMap(({ from, to: target }) => [from, target])]);
  return { nodes: nodes.filter(({ id }) => tied.has(id)), edges: kept, truncated };
}

function hrefOf(
  { id, type, label, deleted }: LineageNode,
  { nodes, edges }: LineageGraph,
): { readonly href?: string } {
  if (deleted === true) return {};
  const [model = '', version = ''] = label.split('@');
  switch (type) {
    case 'run':
      return { href: to('run', id) };
    case 'model_version':
      return { href: to('models', model, version, { tab: 'lineage' }) };
    case 'deployment':
      return { href: to('deployments', label) };
    case 'execution':
      return { href: to('pipelines', label.split(' ')[0] ?? '', id) };
    case 'rollout': {
      const next = edges.filter(({ from }) => from === id).map((edge) => edge.to);
      const of = nodes.find((node) => node.type === 'deployment' && next.includes(node.id));
      return of === undefined ? {} : { href: to('deployments', of.label, { rollout: id }) };
    }
    default:
      return {};
  }
}
