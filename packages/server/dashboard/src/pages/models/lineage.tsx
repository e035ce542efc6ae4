import type { LineageNode } from '@keelson/core';
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
    { on: ['model.', 'deployment.', 'rollout.'] },
  );
  const choice = (
    <label>
      Steps{' '}
      <select
        value={depth}
        onChange={({ currentTarget }) => setView({ depth: currentTarget.value })}
      >
        {depths.map((each) => (
          <option key={each}>{each}</option>
        ))}
      </select>
    </label>
  );
  return (
    <Section title="Lineage" actions={choice}>
      <Shown of={graph}>
        {({ nodes, edges, truncated }) => (
          <>
            <Graph
              title={`What led to ${name} ${version}, and what came of it`}
              nodes={nodes.map((node) => ({
                id: node.id,
                title: node.label,
                about: words[node.type] ?? node.type,
                current: node.id === versionId,
                ...(node.stage === undefined ? {} : { status: node.stage }),
                ...hrefOf(node),
              }))}
              edges={edges.map(({ from, to: target, role }) => ({ from, to: target, label: role }))}
            />
            {truncated && (
              <p class="faint">There is more: {most} things are shown. Choose fewer steps.</p>
            )}
          </>
        )}
      </Shown>
    </Section>
  );
}

function hrefOf({ id, type, label, deleted }: LineageNode): { readonly href?: string } {
  if (deleted === true) return {};
  const [model = '', version = ''] = label.split('@');
  switch (type) {
    case 'run':
      return { href: to('run', id) };
    case 'model_version':
      return { href: to('models', model, version, { tab: 'lineage' }) };
    case 'deployment':
      return { href: to('deployments', label) };
    default:
      return {};
  }
}
