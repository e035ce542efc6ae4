import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import { markOf, Scroll, wordOf } from './basics.tsx';
import './graph.css';
import {
  type GraphEdge,
  type GraphNode,
  layOut,
  nodeHeight,
  nodeWidth,
  type Placed,
  type Routed,
} from './graph-layout.ts';

/** What a graph shows. */
export interface GraphProps {
  readonly title: string;
  readonly nodes: readonly GraphNode[];
  readonly edges: readonly GraphEdge[];
  /** Called when a node without `href` is chosen. */
  readonly onChoose?: (id: string) => void;
}

/**
 * A directed graph in layers from left to right. Its nodes can be tabbed to; arrow keys go along edges and between
 * those of a layer. Beside it, its table.
 */
export function Graph({ title, nodes, edges, onChoose }: GraphProps): JSX.Element {
  const isWhole = useSignal(false);
  const near = useSignal<string | undefined>(undefined);
  const holder = useRef<SVGSVGElement>(null);
  // Live reads bring new objects; only another shape is laid out anew.
  const shape = JSON.stringify([nodes, edges]);
  const layout = useMemo(() => layOut(nodes, edges), [shape]);
  const { width, height } = layout;
  const current = layout.nodes.find(({ node }) => node.current === true);
  // What is looked at is in the middle at first.
  useEffect(() => {
    const frame = holder.current?.parentElement;
    if (frame === null || frame === undefined || current === undefined) return;
    frame.scrollLeft = current.x + nodeWidth / 2 - frame.clientWidth / 2;
    frame.scrollTop = current.y + nodeHeight / 2 - frame.clientHeight / 2;
  }, [current?.node.id, layout]);
  const move = (event: KeyboardEvent, at: Placed): void => {
    const next = neighbour(layout, at, event.key);
    if (next === undefined) return;
    event.preventDefault();
    holder.current?.querySelector<SVGElement>(`[data-id="${CSS.escape(next)}"]`)?.focus();
  };
  return (
    <figure class={`graph${isWhole.value ? ' fit' : ''}`}>
      <div class="tools">
        <span class="faint">
          {nodes.length} things, {edges.length} links
        </span>
        <button
          type="button"
          aria-pressed={isWhole.value}
          onClick={() => {
            isWhole.value = !isWhole.value;
          }}
        >
          Fit
        </button>
      </div>
      <section class="frame" tabIndex={0} aria-label={title}>
        <svg
          ref={holder}
          viewBox={`0 0 ${width} ${height}`}
          width={width}
          height={height}
          role="group"
          aria-label={title}
        >
          <defs>
            <marker
              id="arrow"
              viewBox="0 0 8 8"
              refX="7"
              refY="4"
              markerWidth="7"
              markerHeight="7"
              orient="auto"
            >
              <path d="M0 0 8 4 0 8z" />
            </marker>
          </defs>
          {layout.edges.map(({ edge, points }) => (
            <path
              key={`${edge.from} ${edge.to} ${edge.label}`}
              d={curve(points)}
              class={edge.from === near.value || edge.to === near.value ? 'near' : undefined}
              marker-end="url(#arrow)"
            >
              {edge.label !== undefined && <title>{edge.label}</title>}
            </path>
          ))}
          {layout.nodes.map((placed) => (
            <Node
              key={placed.node.id}
              placed={placed}
              onKey={move}
              onNear={(id) => {
                near.value = id;
              }}
              onChoose={onChoose}
            />
          ))}
        </svg>
      </section>
      <details>
        <summary>Table</summary>
        <EdgeTable nodes={nodes} edges={edges} />
      </details>
    </figure>
  );
}

function Node({
  placed,
  onKey,
  onNear,
  onChoose,
}: {
  readonly placed: Placed;
  readonly onKey: (event: KeyboardEvent, at: Placed) => void;
  readonly onNear: (id: string | undefined) => void;
  readonly onChoose: ((id: string) => void) | undefined;
}): JSX.Element {
  const { node, x, y } = placed;
  const { id, title, about, status, href, current = false } = node;
  const words = [title, about, status === undefined ? undefined : wordOf(status)];
  const common = {
    class: `node${current ? ' current' : ''}`,
    transform: `translate(${x} ${y})`,
    'data-id': id,
    onKeyDown: (event: KeyboardEvent) => onKey(event, placed),
    onFocus: () => onNear(id),
    onBlur: () => onNear(undefined),
    onMouseEnter: () => onNear(id),
    onMouseLeave: () => onNear(undefined),
  };
  const inside = (
    <>
      <title>{words.filter((each) => each !== undefined).join(', ')}</title>
      <rect width={nodeWidth} height={nodeHeight} rx="6" />
      <text class="title" x="10" y="19">
        {shortened(title, 25)}
      </text>
      <text class="about" x="10" y="36">
        {status !== undefined && (
          <tspan class={markOf(status).tone}>{`${markOf(status).mark} ${wordOf(status)} `}</tspan>
        )}
        {about !== undefined && shortened(about, status === undefined ? 28 : 15)}
      </text>
    </>
  );
  if (href !== undefined) {
    return (
      <a {...common} href={href} aria-current={current ? 'true' : undefined}>
        {inside}
      </a>
    );
  }
  if (onChoose === undefined) return <g {...common}>{inside}</g>;
  return (
    <g
      {...common}
      role="button"
      tabIndex={0}
      onClick={() => onChoose(id)}
      onKeyDown={(event: KeyboardEvent) => {
        if (event.key === 'Enter' || event.key === ' ') {
          event.preventDefault();
          onChoose(id);
        } else onKey(event, placed);
      }}
    >
      {inside}
    </g>
  );
}

function EdgeTable({ nodes, edges }: Pick<GraphProps, 'nodes' | 'edges'>): JSX.Element {
  const titles = new Map(nodes.map(({ id, title }) => [id, title]));
  return (
    <Scroll>
      <table>
        <thead>
          <tr>
            <th>From</th>
            <th>Link</th>
            <th>To</th>
          </tr>
        </thead>
        <tbody>
          {edges.map(({ from, to, label }) => (
            <tr key={`${from} ${to} ${label}`}>
              <td>{titles.get(from) ?? from}</td>
              <td>{label ?? '→'}</td>
              <td>{titles.get(to) ?? to}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

/** The node that an arrow key leads to. */
function neighbour(
  { nodes, edges }: { readonly nodes: readonly Placed[]; readonly edges: readonly Routed[] },
  { node, x, y }: Placed,
  key: string,
): string | undefined {
  if (key === 'ArrowRight') return edges.find(({ edge }) => edge.from === node.id)?.edge.to;
  if (key === 'ArrowLeft') return edges.find(({ edge }) => edge.to === node.id)?.edge.from;
  if (key !== 'ArrowDown' && key !== 'ArrowUp') return undefined;
  const column = nodes.filter((each) => each.x === x).sort((a, b) => a.y - b.y);
  const next =
    key === 'ArrowDown' ? column.find((each) => each.y > y) : column.findLast((each) => each.y < y);
  return next?.node.id;
}

/** A path through the points that leaves and arrives level. */
function curve(points: Routed['points']): string {
  const [first = [0, 0], ...rest] = points;
  let [x, y] = first;
  let path = `M${x} ${y}`;
  for (const [nextX, nextY] of rest) {
    const bend = (nextX - x) / 2;
    path +=
      nextY === y
        ? `L${nextX} ${nextY}`
        : `C${x + bend} ${y} ${nextX - bend} ${nextY} ${nextX} ${nextY}`;
    [x, y] = [nextX, nextY];
  }
  return path;
}

function shortened(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}

export type { GraphEdge, GraphNode };
