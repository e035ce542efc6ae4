import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';

/** One thing in the lineage. */
export interface LineageNode {
  readonly id: string;
  readonly type: 'dataset' | 'run' | 'execution' | 'model_version' | 'unknown';
  readonly label: string;
  /** Steps from where the question began. */
  readonly depth: number;
}

/** What led to something, or what came of it. */
export interface LineageGraph {
  readonly nodes: readonly LineageNode[];
  readonly edges: readonly { readonly from: string; readonly to: string; readonly role: string }[];
  /** True when the limit cut the graph. */
  readonly truncated: boolean;
}

const labels: Readonly<Record<string, (record: StoredRecord) => string>> = {
  dataset: ({ columns }) => `${columns['name']} (${String(columns['digest']).slice(0, 12)})`,
  run: ({ columns }) => String(columns['name']),
  execution: ({ columns }) => `${columns['pipeline']} ${columns['version']}`,
  model_version: ({ columns }) => `${columns['modelName']} ${columns['version']}`,
};

/** Reads the graph around one id, breadth first. */
export async function readLineage(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  id: string,
  options: {
    readonly direction: 'backward' | 'forward';
    readonly depth: number;
    readonly limit: number;
  },
): Promise<LineageGraph> {
  const reach = await scope.metadata.reach(scope.workspace, [id], options);
  const ids = reach.nodes.map((node) => node.id);
  const known = new Map<string, { readonly type: LineageNode['type']; readonly label: string }>();
  for (const [type, label] of Object.entries(labels)) {
    for (let from = 0; from < ids.length; from += 1000) {
      const batch = ids.slice(from, from + 1000);
      for (const record of await scope.metadata.findMany(scope.workspace, type, batch)) {
        known.set(record.id, { type: type as LineageNode['type'], label: label(record) });
      }
    }
  }
  const nodes = reach.nodes.map((node) => ({
    ...node,
    ...(known.get(node.id) ?? { type: 'unknown' as const, label: node.id }),
  }));
  return { nodes, edges: reach.edges, truncated: reach.truncated };
}
