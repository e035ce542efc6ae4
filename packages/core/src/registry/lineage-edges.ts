import { z } from 'zod';
import { checkOptions } from '../check-options.ts';
import type { Change } from '../contracts/metadata-store.ts';
import type { Predicate } from '../contracts/query.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { asJson, type JsonObject } from '../json.ts';
import { everyRecord } from '../operations/every-record.ts';
import { datasetId } from '../tracking/dataset.ts';
import { optional, type Run } from '../tracking/run.ts';
import { raiseTies } from './model-tie.ts';
import type { LineageDataset, ModelLineage } from './model-version.ts';

/**
 * Ids of what has no record of its own: `commit:<sha>`, `image:<name>`, `lock:<hash>`, `features:<set@version>`,
 * `artifact:<sha256>` (content that a step took or put out), `code:<what a step runs>`.
 */
export const lineagePrefixes = {
  commit: 'commit:',
  image: 'image:',
  lock: 'lock:',
  features: 'features:',
  artifact: 'artifact:',
  code: 'code:',
} as const;

/** Whether a node of the lineage is an id and nothing else, so that it can lie nowhere. */
export function hasNoRecord(id: string): boolean {
  return Object.values(lineagePrefixes).some((prefix) => id.startsWith(prefix));
}

/** What steps of pipelines have to do with a version. */
export interface StepsBehind {
  /** The record of the step that registers it. */
  readonly stepExecutionId?: string;
  /** Nodes of the contents among its files that steps have put out. */
  readonly contents: readonly string[];
}

/** Before the role of a dataset that leads to a version, and not to a run. */
export const dataRolePrefix = 'data:';

// A commit holds 500 changes; these leave room for what else registering writes.
const text = z.string().min(1).max(255);
const shape = z.strictObject({
  sourceRunId: text.optional(),
  codeCommit: text.optional(),
  pipelineExecutionId: text.optional(),
  parentVersionIds: z.array(text).max(50).optional(),
  datasets: z
    .array(
      z.strictObject({
        digest: text,
        name: text.optional(),
        role: text.max(50).optional(),
      } satisfies Record<keyof LineageDataset, z.ZodType>),
    )
    .max(100)
    .optional(),
  environment: z
    .strictObject({ lockHash: text.optional(), image: z.string().min(1).max(500).optional() })
    .optional(),
  featureSets: z.array(text).max(100).optional(),
  cause: z.record(z.string(), z.unknown()).optional(),
} satisfies Record<keyof ModelLineage, z.ZodType>);

/**
 * The lineage of a version that is about to be: what was given, and what its run knows (commit, lock file,
 * image) where nothing was given, and the execution whose step registers it. INVALID, by name, for what a lineage has not.
 */
export function lineageOf(
  given: Partial<ModelLineage> = {},
  run?: Run,
  executionId?: string,
): ModelLineage {
  checkOptions(shape, given, 'The lineage of a version');
  if (run !== undefined && given.sourceRunId !== undefined && given.sourceRunId !== run.id) {
    throw new KeelsonError(
      'INVALID',
      `A version made from the artifacts of run ${run.id} has that run as its source, not ${given.sourceRunId}; leave lineage.sourceRunId out.`,
    );
  }
  const { parentVersionIds = [], datasets, environment, featureSets, cause } = given;
  return {
    ...optional('sourceRunId', run?.id ?? given.sourceRunId),
    ...optional('codeCommit', given.codeCommit ?? run?.sourceVersion),
    ...optional('pipelineExecutionId', given.pipelineExecutionId ?? executionId),
    parentVersionIds: [...new Set(parentVersionIds)],
    ...optional('datasets', datasets?.map(datasetOf)),
    ...optional('environment', environment ?? environmentOf(run)),
    ...optional('featureSets', featureSets && [...new Set(featureSets)]),
    ...optional('cause', cause && (asJson(cause, 'The cause') as JsonObject)),
  };
}

/**
 * What makes the lineage of a version whole, to be committed with it: its edges, records of datasets that
 * none has logged yet, and that its parents are there and not deleted meanwhile. Parents come first and
 * edges lead to a new version alone, so that no cycle can arise. NOT_FOUND, naming it, for a parent that is
 * not there or deleted.
 */
export async function lineageChanges(
  scope: Scope,
  versionId: string,
  lineage: ModelLineage,
  steps: StepsBehind = { contents: [] },
): Promise<Change[]> {
  const parents = await parentsTied(scope, lineage.parentVersionIds);
  const datasets = await datasetsOf(scope, lineage.datasets ?? []);
  const { commit, image, lock, features } = lineagePrefixes;
  const { sourceRunId, codeCommit, pipelineExecutionId, environment = {} } = lineage;
  const from: (readonly [string | undefined, string])[] = [
    ...lineage.parentVersionIds.map((id) => [id, 'parent'] as const),
    [sourceRunId, 'produced'],
    [pipelineExecutionId, 'executed'],
    [prefixed(commit, codeCommit), 'code'],
    [prefixed(image, environment.image), 'environment'],
    [prefixed(lock, environment.lockHash), 'environment'],
    [steps.stepExecutionId, 'registered'],
    ...steps.contents.map((id) => [id, 'content'] as const),
    ...(lineage.featureSets ?? []).map((set) => [`${features}${set}`, 'features'] as const),
    ...datasets.links,
  ];
  const edges = new Map<string, Change>();
  for (const [source, role] of from) {
    if (source === undefined) continue;
    const columns = { from: source, to: versionId, role };
    edges.set(`${role} ${source}`, { op: 'create', kind: 'edge', id: scope.ids.next(), columns });
  }
  return [...parents, ...datasets.creations, ...edges.values()];
}

function prefixed(prefix: string, name: string | undefined): string | undefined {
  return name === undefined ? undefined : `${prefix}${name}`;
}

function datasetOf({ digest, name, role }: LineageDataset): LineageDataset {
  return { digest, ...optional('name', name), ...optional('role', role) };
}

function environmentOf(run: Run | undefined): ModelLineage['environment'] {
  const lockHash = textAt(run?.environment['dependencies'], 'sha256');
  const image = textAt(run?.environment['container'], 'image');
  if (lockHash === undefined && image === undefined) return undefined;
  return { ...optional('lockHash', lockHash), ...optional('image', image) };
}

function textAt(facts: unknown, key: string): string | undefined {
  const value = (facts as Readonly<Record<string, unknown>> | null | undefined)?.[key];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** Whoever is about to delete one at the same moment looks again. */
async function parentsTied(scope: Scope, ids: readonly string[]): Promise<readonly Change[]> {
  if (ids.length === 0) return [];
  const found = await scope.metadata.findMany(scope.workspace, 'model_version', ids);
  const byId = new Map(found.map((record) => [record.id, record]));
  const parents = ids.map((id) => {
    const parent = byId.get(id);
    if (parent !== undefined && parent.columns['deletedAt'] === undefined) return parent;
    throw missingParent(id, parent);
  });
  const models = parents.map(({ columns }) => columns['modelId'] as string);
  const asserted = parents.map(
    ({ id, revision: expect }): Change => ({ op: 'assert', kind: 'model_version', id, expect }),
  );
  return [...asserted, ...(await raiseTies(scope, models))];
}

function missingParent(id: string, parent: StoredRecord | undefined): KeelsonError {
  const what =
    parent === undefined
      ? `There is no model version ${id}`
      : `Version ${parent.columns['version']} of ${parent.columns['modelName']} (${id}) was deleted`;
  return new KeelsonError(
    'NOT_FOUND',
    `${what}, so nothing can have it as its parent; name the id of a version that is there in lineage.parentVersionIds.`,
    { details: { parentVersionId: id } },
  );
}

interface DatasetLinks {
  readonly links: readonly (readonly [id: string, role: string])[];
  readonly creations: readonly Change[];
}

/** A dataset without a name is the first that is known by its digest, or one that is called so. */
async function datasetsOf(scope: Scope, given: readonly LineageDataset[]): Promise<DatasetLinks> {
  const names = await namesOf(
    scope,
    given.flatMap(({ digest, name }) => (name === undefined ? [digest] : [])),
  );
  const links: [string, string][] = [];
  const wanted = new Map<string, { readonly name: string; readonly digest: string }>();
  for (const { digest, name = names.get(digest) ?? digest, role = 'used' } of given) {
    const id = datasetId(name, digest);
    wanted.set(id, { name, digest });
    links.push([id, `${dataRolePrefix}${role}`]);
  }
  const known = await scope.metadata.findMany(scope.workspace, 'dataset', [...wanted.keys()]);
  for (const { id } of known) wanted.delete(id);
  const creations = [...wanted].map(
    ([id, columns]): Change => ({ op: 'create', kind: 'dataset', id, columns }),
  );
  return { links, creations };
}

/** Digest → the first of the names, by code points, under which it was logged. */
async function namesOf(
  scope: Scope,
  digests: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const names = new Map<string, string>();
  if (digests.length === 0) return names;
  const where: Predicate = { op: 'in', left: { from: 'column', name: 'digest' }, values: digests };
  for await (const { columns } of everyRecord(scope, 'dataset', { where, limit: 1000 })) {
    const [digest, name] = [String(columns['digest']), String(columns['name'])];
    const before = names.get(digest);
    if (before === undefined || name < before) names.set(digest, name);
  }
  return names;
}
