import type { Reach } from '../contracts/metadata-store.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { dataRolePrefix, lineagePrefixes } from './lineage-edges.ts';
import type { Stage } from './model-version.ts';

/** What a node of the lineage is. */
export type LineageNodeType =
  | 'dataset'
  | 'run'
  | 'execution'
  /** A step of an execution, or an item of its fan-out. */
  | 'step'
  | 'model_version'
  | 'deployment'
  | 'rollout'
  | 'commit'
  /** Content that a step took or put out, by its hash. */
  | 'artifact'
  /** What a step runs: a version of its function, a module, a command. */
  | 'code'
  /** The image of a container, or a lock file. */
  | 'environment'
  | 'feature_set'
  /** The id is nothing that this workspace knows. */
  | 'unknown';

/** One thing in the lineage. */
export interface LineageNode {
  readonly id: string;
  readonly type: LineageNodeType;
  readonly label: string;
  /** Steps from where the question began. */
  readonly depth: number;
  /** Whether it led there, or came of it. */
  readonly side: 'origin' | 'upstream' | 'downstream';
  /** Of a version. */
  readonly stage?: Stage;
  /** Of a version or run that was deleted. */
  readonly deleted?: true;
}

/** How one thing led to another. */
export type LineageEdgeType =
  /** A dataset went into a run or a version. */
  | 'data'
  /** A run made the version. */
  | 'produced'
  /** A step registered the version. */
  | 'registered'
  /** A file of the version has the content. */
  | 'content'
  /** The step is one of the execution. */
  | 'step'
  /** An attempt of the step is the run. */
  | 'attempt'
  /** The step, or the execution that a step asked for, took what the other step or content is. */
  | 'input'
  /** The step put the content out. */
  | 'output'
  /** The content was kept of an attempt of the step that failed. */
  | 'kept'
  /** The item is one of the fan-out. */
  | 'item'
  /** The step's result is that of the other. */
  | 'cached'
  /** A step of the execution asked for the other. */
  | 'continued'
  /** An execution of a pipeline made the version. */
  | 'executed'
  /** The version was fine-tuned or composed from the other. */
  | 'parent'
  | 'code'
  | 'environment'
  | 'features'
  /** The version serves in the deployment. */
  | 'deployed'
  /** The version is what the rollout brings. */
  | 'candidate'
  /** The rollout is one of the deployment. */
  | 'rollout'
  | 'other';

/** That one thing led to another. */
export interface LineageEdge {
  readonly from: string;
  readonly to: string;
  readonly type: LineageEdgeType;
  /** Of data, what it was used for, such as `train`; otherwise the type. */
  readonly role: string;
}

/** What led to something, or what came of it. */
export interface LineageGraph {
  /** By distance from where the question began, then id. */
  readonly nodes: readonly LineageNode[];
  readonly edges: readonly LineageEdge[];
  /** True when the limit cut the graph. */
  readonly truncated: boolean;
}

/** How far to look. */
export interface LineageReach {
  readonly direction: 'backward' | 'forward' | 'both';
  readonly depth: number;
  readonly limit: number;
}

/** The kinds of record that are nodes, the most frequent first. */
const kinds = [
  ...(['model_version', 'run', 'step_execution', 'dataset', 'execution'] as const),
  ...(['deployment', 'rollout'] as const),
] as const;
type NodeKind = (typeof kinds)[number];

const labels: Readonly<Record<NodeKind, (record: StoredRecord) => string>> = {
  model_version: ({ columns }) => `${columns['modelName']}@${columns['version']}`,
  run: ({ columns }) => String(columns['name']),
  dataset: ({ columns }) => `${columns['name']} (${String(columns['digest']).slice(0, 12)})`,
  execution: ({ columns }) => `${columns['pipeline']} ${columns['version']}`,
  step_execution: ({ columns: { step, mapKey, pipeline } }) =>
    `${step}${mapKey === '' ? '' : `[${Number(mapKey)}]`} (${pipeline})`,
  deployment: ({ columns }) => String(columns['name']),
  rollout: ({ id }) => `rollout ${id.slice(-8)}`,
};

/** What lies at the two ends of an edge of a role. */
const ends: Readonly<
  Record<string, readonly [from: NodeKind | undefined, to: NodeKind | undefined]>
> = {
  train: ['dataset', 'run'],
  validation: ['dataset', 'run'],
  test: ['dataset', 'run'],
  produced: ['run', 'model_version'],
  executed: ['execution', 'model_version'],
  parent: ['model_version', 'model_version'],
  code: [undefined, 'model_version'],
  environment: [undefined, 'model_version'],
  features: [undefined, 'model_version'],
  deployed: ['model_version', 'deployment'],
  candidate: ['model_version', 'rollout'],
  rollout: ['rollout', 'deployment'],
  registered: ['step_execution', 'model_version'],
  content: [undefined, 'model_version'],
  'step:step': ['execution', 'step_execution'],
  'step:attempt': ['run', 'step_execution'],
  'step:input': [undefined, 'step_execution'],
  'step:item': ['step_execution', 'step_execution'],
  'step:cached': ['step_execution', 'step_execution'],
  'step:code': [undefined, 'step_execution'],
  'step:environment': [undefined, 'step_execution'],
  'step:output': ['step_execution', undefined],
  'step:kept': ['step_execution', undefined],
  'execution:continued': ['execution', 'execution'],
  'execution:input': [undefined, 'execution'],
  'execution:attempt': ['run', 'execution'],
};
const ofData: readonly [NodeKind, NodeKind] = ['dataset', 'model_version'];

/** Reads the graph around some nodes, breadth first. */
export async function readLineage(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  ids: readonly string[],
  options: LineageReach,
): Promise<LineageGraph> {
  const { direction, ...bounds } = options;
  const follow = (way: 'backward' | 'forward'): Promise<Reach> =>
    scope.metadata.reach(scope.workspace, ids, { direction: way, ...bounds });
  const reached = await Promise.all([
    direction === 'forward' ? undefined : follow('backward'),
    direction === 'backward' ? undefined : follow('forward'),
  ]);
  const { places, edges, truncated } = joined(reached, options.limit);
  const known = await facts(scope, [...places.keys()], edges);
  const nodes = [...places].map(([id, place]) => ({
    id,
    ...(known.get(id) ?? { type: 'unknown' as const, label: id }),
    ...place,
  }));
  return { nodes, edges: edges.map(edgeOf), truncated };
}

type Place = Pick<LineageNode, 'depth' | 'side'>;

/** Both directions in one: the nearest nodes, as many as the limit allows, and the edges between them. */
function joined(
  [back, on]: readonly (Reach | undefined)[],
  limit: number,
): {
  readonly places: ReadonlyMap<string, Place>;
  readonly edges: Reach['edges'];
  readonly truncated: boolean;
} {
  const sides = [...sided(back, 'upstream'), ...sided(on, 'downstream')];
  if (back !== undefined && on !== undefined) sides.sort(byDistance);
  const places = new Map<string, Place>();
  let truncated = back?.truncated === true || on?.truncated === true;
  for (const [id, place] of sides) {
    if (places.has(id)) continue;
    if (places.size === limit) {
      truncated = true;
      break;
    }
    places.set(id, place);
  }
  const edges = new Map<string, Reach['edges'][number]>();
  for (const edge of [...(back?.edges ?? []), ...(on?.edges ?? [])]) {
    if (!places.has(edge.from) || !places.has(edge.to)) continue;
    edges.set(JSON.stringify([edge.from, edge.to, edge.role]), edge);
  }
  return { places, edges: [...edges.values()], truncated };
}

function sided(reach: Reach | undefined, side: LineageNode['side']): [string, Place][] {
  return (reach?.nodes ?? []).map(({ id, depth }) => [
    id,
    { depth, side: depth === 0 ? 'origin' : side },
  ]);
}

function byDistance([a, at]: [string, Place], [b, bt]: [string, Place]): number {
  return at.depth - bt.depth || (a < b ? -1 : a > b ? 1 : 0);
}

type Facts = Omit<LineageNode, 'id' | 'depth' | 'side'>;

/** What the nodes are: by their ids, or by the records that the roles of their edges point to. */
async function facts(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  ids: readonly string[],
  edges: Reach['edges'],
): Promise<ReadonlyMap<string, Facts>> {
  const known = new Map<string, Facts>();
  const hints = hintsOf(edges);
  const byKind = Map.groupBy(ids, (id) => (isRecordless(id, known) ? undefined : hints.get(id)));
  await Promise.all(kinds.map((kind) => read(kind, byKind.get(kind) ?? [])));
  for (const [id, kind] of hints) {
    if (!known.has(id)) known.set(id, { type: typeOf(kind), label: id });
  }
  // No edge tells of these: one that has none, or a role that came after this was written.
  let left = (byKind.get(undefined) ?? []).filter((id) => !known.has(id));
  for (const kind of kinds) {
    await read(kind, left);
    left = left.filter((id) => !known.has(id));
  }
  return known;

  async function read(kind: NodeKind, some: readonly string[]): Promise<void> {
    for (let from = 0; from < some.length; from += 1000) {
      const batch = some.slice(from, from + 1000);
      for (const record of await scope.metadata.findMany(scope.workspace, kind, batch, {
        body: false,
      })) {
        known.set(record.id, factsOf(kind, record));
      }
    }
  }
}

function hintsOf(edges: Reach['edges']): ReadonlyMap<string, NodeKind> {
  const hints = new Map<string, NodeKind>();
  for (const { from, to, role } of edges) {
    const [before, after] = role.startsWith(dataRolePrefix)
      ? ofData
      : Object.hasOwn(ends, role)
        ? (ends[role] as (typeof ends)[string])
        : [];
    if (before !== undefined) hints.set(from, before);
    if (after !== undefined) hints.set(to, after);
  }
  return hints;
}

function typeOf(kind: NodeKind): LineageNodeType {
  return kind === 'step_execution' ? 'step' : kind;
}

function factsOf(kind: NodeKind, record: StoredRecord): Facts {
  const { columns } = record;
  const deleted = columns['deletedAt'] !== undefined;
  return {
    type: typeOf(kind),
    label: labels[kind](record),
    ...(kind === 'model_version' ? { stage: columns['stage'] as Stage } : {}),
    ...(deleted ? { deleted: true } : {}),
  };
}

/** Of what has no record, the id says all; answers whether it did. */
function isRecordless(id: string, known: Map<string, Facts>): boolean {
  const { commit, image, lock, features, artifact, code } = lineagePrefixes;
  const tell = (type: LineageNodeType, label: string): boolean => {
    known.set(id, { type, label });
    return true;
  };
  if (id.startsWith(commit)) return tell('commit', id.slice(commit.length, 19));
  if (id.startsWith(image)) return tell('environment', id.slice(image.length));
  if (id.startsWith(lock)) return tell('environment', `lock file ${id.slice(lock.length, 17)}`);
  if (id.startsWith(artifact)) return tell('artifact', id.slice(artifact.length, 21));
  if (id.startsWith(code)) return tell('code', codeLabel(id.slice(code.length)));
  if (id.startsWith(features)) return tell('feature_set', id.slice(features.length));
  return false;
}

/** Digests to twelve letters. */
function codeLabel(what: string): string {
  return what.replace(/@([0-9a-f]{12})[0-9a-f]{52}$/, '@$1');
}

function edgeOf({ from, to, role }: Reach['edges'][number]): LineageEdge {
  if (role.startsWith(dataRolePrefix)) {
    return { from, to, type: 'data', role: role.slice(dataRolePrefix.length) };
  }
  if (!Object.hasOwn(ends, role)) return { from, to, type: 'other', role };
  if (ends[role]?.[0] === 'dataset') return { from, to, type: 'data', role };
  // Of a step or an execution; before it stands only of which.
  const type = role.slice(role.indexOf(':') + 1);
  return { from, to, type: type as LineageEdgeType, role: type };
}
