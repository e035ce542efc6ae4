import type { LineageGraph } from '@keelson/core';
import type { JSX } from 'preact';
import { api } from '../../api/client.ts';
import { useResource } from '../../api/resource.ts';
import { Empty, Section, Shown } from '../../parts/basics.tsx';
import { Graph } from '../../parts/graph.tsx';
import { setView, to, view } from '../../routing/address.ts';

const directions = [
  ['both', 'both ways'],
  ['backward', 'what led to it'],
  ['forward', 'what came of it'],
] as const;

/** What led to anything that has an id, and what came of it. */
export function LineagePage(): JSX.Element {
  const id = view('id');
  return (
    <Section title="Lineage">
      <form class="filter-fields" onSubmit={(event) => event.preventDefault()}>
        <label class="wide">
          Id of a run, version, execution, step, dataset, deployment or content
          <input
            type="text"
            spellcheck={false}
            value={id}
            onChange={({ currentTarget }) => setView({ id: currentTarget.value.trim() })}
          />
        </label>
        <label>
          Shows
          <select
            value={view('direction', 'both')}
            onChange={({ currentTarget }) => setView({ direction: currentTarget.value })}
          >
            {directions.map(([value, text]) => (
              <option key={value} value={value}>
                {text}
              </option>
            ))}
          </select>
        </label>
        <label>
          Depth
          <input
            type="number"
            min="1"
            max="100"
            value={view('depth', '5')}
            onChange={({ currentTarget }) => setView({ depth: currentTarget.value })}
          />
        </label>
      </form>
      {id === '' ? (
        <Empty title="Of what?">
          <p>
            Enter an id, or come here from an execution. A node of the graph leads on to its own.
          </p>
        </Empty>
      ) : (
        <Found id={id} />
      )}
    </Section>
  );
}

function Found({ id }: { readonly id: string }): JSX.Element {
  const direction = view('direction', 'both') as 'both' | 'backward' | 'forward';
  const depth = Math.min(100, Math.max(1, Number(view('depth', '5')) || 5));
  const graph = useResource(`lineage ${id} ${direction} ${depth}`, (signal) =>
    api.lineage.of({ id, direction, depth, limit: 500 }, { signal }),
  );
  return (
    <Shown of={graph}>
      {({ nodes, edges, truncated }) => (
        <>
          {truncated && <p class="faint">There is more than is shown: choose a smaller depth.</p>}
          <Graph
            title={`Lineage of ${id}`}
            nodes={nodes.map((node) => ({
              ...{ id: node.id, title: node.label, about: aboutOf(node) },
              current: node.id === id || node.side === 'origin',
            }))}
            edges={edges.map(({ from, to: target, type }) => ({ from, to: target, label: type }))}
            onChoose={(chosen) => setView({ id: chosen })}
          />
          <ul class="plain-list">
            {nodes.map((node) => {
              const link = linkOf(node);
              return (
                link !== undefined && (
                  <li key={node.id}>
                    <a href={link}>{node.label}</a> <span class="faint">{aboutOf(node)}</span>
                  </li>
                )
              );
            })}
          </ul>
        </>
      )}
    </Shown>
  );
}

type Node = LineageGraph['nodes'][number];

function aboutOf({ type, stage, deleted }: Node): string {
  return [type.replaceAll('_', ' '), stage?.toLowerCase(), deleted === true ? 'deleted' : undefined]
    .filter((each) => each !== undefined)
    .join(', ');
}

function linkOf({ type, id, label }: Node): string | undefined {
  if (type === 'run') return to('run', id);
  if (type === 'deployment') return to('deployments', label);
  return undefined;
}
