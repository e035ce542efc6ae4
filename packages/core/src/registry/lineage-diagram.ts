import { z } from 'zod';
import { checkOptions } from '../check-options.ts';
import type { LineageGraph, LineageNode, LineageNodeType } from './lineage-graph.ts';

/** A language that diagrams are drawn from. */
export type DiagramFormat = 'mermaid' | 'dot';

/**
 * A lineage as the text of a diagram, from what was first to what came of it: for Mermaid (which Markdown on
 * many sites draws) or Graphviz. The node that was asked about has a thick frame, deleted ones a dashed one.
 */
export function lineageDiagram(graph: LineageGraph, format: DiagramFormat = 'mermaid'): string {
  checkOptions(shape, { ...graph, format }, 'A diagram of a lineage');
  const numbers = new Map(graph.nodes.map(({ id }, i) => [id, `n${i}`]));
  const links = graph.edges.flatMap(({ from, to, role }) => {
    const [a, b] = [numbers.get(from), numbers.get(to)];
    return a === undefined || b === undefined ? [] : [{ a, b, role }];
  });
  const lines =
    format === 'mermaid'
      ? [
          'flowchart LR',
          ...graph.nodes.map((node, i) => `  n${i}${mermaidNode(node)}`),
          ...links.map(({ a, b, role }) => `  ${a} -->|"${mermaidText(role)}"| ${b}`),
          ...classes,
          ...(graph.truncated ? ['  %% cut at the limit: there is more'] : []),
        ]
      : [
          'digraph lineage {',
          '  rankdir=LR; node [fontname="sans-serif"];',
          ...graph.nodes.map((node, i) => `  n${i} [${dotNode(node)}];`),
          ...links.map(({ a, b, role }) => `  ${a} -> ${b} [label=${dotText(role)}];`),
          ...(graph.truncated ? ['  // cut at the limit: there is more'] : []),
          '}',
        ];
  return `${lines.join('\n')}\n`;
}

/** How a type looks: around its text in Mermaid, and as a shape of Graphviz. */
const shapes: Readonly<Record<LineageNodeType, readonly [string, string, string]>> = {
  model_version: ['(["', '"])', 'box, style=rounded'],
  dataset: ['[("', '")]', 'cylinder'],
  run: ['["', '"]', 'box'],
  execution: ['[["', '"]]', 'component'],
  step: ['("', '")', 'box'],
  artifact: ['[/"', '"\\]', 'tab'],
  code: ['>"', '"]', 'note'],
  deployment: ['{{"', '"}}', 'hexagon'],
  rollout: ['{{"', '"}}', 'hexagon'],
  commit: ['>"', '"]', 'note'],
  environment: ['[/"', '"/]', 'parallelogram'],
  feature_set: ['[/"', '"/]', 'folder'],
  unknown: ['["', '"]', 'plaintext'],
};

const text = z.string();
const shape = z.looseObject({
  nodes: z.array(
    z.looseObject({
      id: text,
      label: text,
      type: z.enum(Object.keys(shapes) as LineageNodeType[]),
      stage: text.optional(),
    }),
  ),
  edges: z.array(z.looseObject({ from: text, to: text, role: text })),
  format: z.enum(['mermaid', 'dot']),
});

const classes = [
  '  classDef origin stroke-width:3px',
  '  classDef deleted stroke-dasharray:4 3',
  '  classDef production stroke:#2a7d2a,stroke-width:2px',
];

function mermaidNode(node: LineageNode): string {
  const [open, close] = shapes[node.type];
  const marks = [
    ...(node.stage === 'PRODUCTION' ? ['production'] : []),
    ...(node.deleted === true ? ['deleted'] : []),
    ...(node.side === 'origin' ? ['origin'] : []),
  ];
  const mark = marks.at(-1);
  return `${open}${mermaidText(textOf(node))}${close}${mark === undefined ? '' : `:::${mark}`}`;
}

function dotNode(node: LineageNode): string {
  const width = node.side === 'origin' ? ', penwidth=3' : '';
  const dashes = node.deleted === true ? ', style=dashed' : '';
  return `label=${dotText(textOf(node))}, shape=${shapes[node.type][2]}${width}${dashes}`;
}

function textOf({ type, label, stage, deleted }: LineageNode): string {
  const about = [
    ...(stage === undefined || stage === 'DEVELOPMENT' ? [] : [stage]),
    ...(deleted === true ? ['deleted'] : []),
  ];
  const shown = label.length > 80 ? `${label.slice(0, 80).toWellFormed()}…` : label;
  return `${type.replace('_', ' ')}: ${shown}${about.length === 0 ? '' : ` (${about.join(', ')})`}`;
}

/** Whatever could end a quoted text, or be taken for markup, as an entity. */
function mermaidText(text: string): string {
  return text
    .replace(/[\s\p{Cc}]+/gu, ' ')
    .replace(/[#;"'`<>&|\\[\](){}]/g, (c) => `#${c.codePointAt(0)};`);
}

function dotText(text: string): string {
  return `"${text.replace(/[\s\p{Cc}]+/gu, ' ').replace(/[\\"]/g, '\\$&')}"`;
}
