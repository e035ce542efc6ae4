import { z } from 'zod';
import { checkOptions } from '../check-options.ts';
import type { Reach } from '../contracts/metadata-store.ts';
import type { Predicate } from '../contracts/query.ts';
import type { RevisionEntry, StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { assertText } from '../json.ts';
import { everyRecord } from '../operations/every-record.ts';
import { optional } from '../tracking/run.ts';
import { lineagePrefixes } from './lineage-edges.ts';
import { dataWith } from './lineage-start.ts';
import type { Stage } from './model-version.ts';

/** What may have done harm, and when. Exactly one thing is named. */
export interface ImpactQuestion {
  /** All datasets with the digest, whatever they are called; and what a step took or put out, by its SHA-256. */
  readonly datasetDigest?: string;
  readonly datasetId?: string;
  readonly commit?: string;
  readonly runId?: string;
  /** The version itself is among the answers. */
  readonly versionId?: string;
  /** Epoch ms or a Date; since ever when left out. */
  readonly from?: number | Date;
  /** Until now when left out. */
  readonly until?: number | Date;
}

/** A time in production, by the store's clock. */
export interface ProductionPeriod {
  readonly from: number;
  /** Left out while it lasts. */
  readonly until?: number;
}

/** A version that descends from what was asked about, and was in production. */
export interface ImpactedVersion {
  readonly id: string;
  readonly model: string;
  readonly version: string;
  readonly number: number;
  readonly stage: Stage;
  readonly deleted?: true;
  /** The ids of the shortest way from what was asked about to this version, both included. */
  readonly path: readonly string[];
  /** Those that touch the time asked about, whole. */
  readonly periods: readonly ProductionPeriod[];
}

/** Which versions were in production and descend from something. */
export interface Impact {
  /** The nodes that were asked about. */
  readonly origins: readonly string[];
  /** By model, then number. */
  readonly versions: readonly ImpactedVersion[];
  /** True when there are more than 100,000 descendants: then some were not looked at. */
  readonly truncated: boolean;
}

const things = ['datasetDigest', 'datasetId', 'commit', 'runId', 'versionId'] as const;
const time = z.union([z.number(), z.date()]);
const shape = z.strictObject({
  datasetDigest: z.string().optional(),
  datasetId: z.string().optional(),
  commit: z.string().optional(),
  runId: z.string().optional(),
  versionId: z.string().optional(),
  from: time.optional(),
  until: time.optional(),
} satisfies Record<keyof ImpactQuestion, z.ZodType>);

/** So many histories are read together. */
const atOnce = 20;

const bounds = { depth: 1_000, limit: 100_000 };

/** Answers by the lineage, and by the kept revisions of the versions. */
export async function impactOf(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  question: ImpactQuestion,
): Promise<Impact> {
  checkOptions(shape, question, 'A question of impact');
  const from = question.from === undefined ? -Infinity : Number(question.from);
  const until = question.until === undefined ? Infinity : Number(question.until);
  if (from > until) {
    throw new KeelsonError(
      'INVALID',
      'The time of an impact ends before it begins: swap from and until.',
    );
  }
  const origins = await originsOf(scope, question);
  const reach = await scope.metadata.reach(scope.workspace, origins, {
    direction: 'forward',
    ...bounds,
  });
  const ways = waysOf(reach);
  const versions: ImpactedVersion[] = [];
  const records = await everInProduction(scope, reach);
  for (let at = 0; at < records.length; at += atOnce) {
    const some = records.slice(at, at + atOnce);
    const histories = await Promise.all(some.map(({ id }) => wholeHistory(scope, id)));
    for (const [i, record] of some.entries()) {
      const periods = productionPeriods(histories[i] ?? []).filter(
        (period) => period.from <= until && (period.until ?? Infinity) >= from,
      );
      if (periods.length > 0) versions.push(impacted(record, pathTo(ways, record.id), periods));
    }
  }
  versions.sort((a, b) => (a.model < b.model ? -1 : a.model > b.model ? 1 : a.number - b.number));
  return { origins, versions, truncated: reach.truncated };
}

async function originsOf(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  question: ImpactQuestion,
): Promise<readonly string[]> {
  const named = things.filter((thing) => question[thing] !== undefined);
  const [thing] = named;
  if (thing === undefined || named.length > 1) {
    throw new KeelsonError(
      'INVALID',
      `A question of impact names exactly one of ${things.join(', ')}, not ${named.join(' and ') || 'none'}.`,
    );
  }
  const id = assertText(question[thing] as string, `The ${thing}`, 1000);
  if (thing === 'datasetDigest') return await dataWith(scope, id);
  return [thing === 'commit' ? `${lineagePrefixes.commit}${id}` : id];
}

/** The versions that are reached and have, or had, a place in production. */
async function everInProduction(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  { nodes }: Reach,
): Promise<readonly StoredRecord[]> {
  const found: StoredRecord[] = [];
  for (let from = 0; from < nodes.length; from += 1000) {
    const ids = nodes.slice(from, from + 1000).map(({ id }) => id);
    const versions = await scope.metadata.findMany(scope.workspace, 'model_version', ids);
    const were = await promotedAmong(scope, versions);
    found.push(...versions.filter(({ id, columns }) => were.has(id) || inProduction({ columns })));
  }
  return found;
}

/** Nothing comes into production but by a transition, an emergency's included. */
async function promotedAmong(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  versions: readonly StoredRecord[],
): Promise<ReadonlySet<string>> {
  const promoted = new Set<string>();
  if (versions.length === 0) return promoted;
  const values = versions.map(({ id }) => id);
  const where: Predicate = {
    op: 'and',
    of: [
      { op: 'in', left: { from: 'column', name: 'versionId' }, values },
      {
        op: 'compare',
        left: { from: 'column', name: 'toStage' },
        cmp: '=',
        value: 'PRODUCTION',
      },
    ],
  };
  for await (const { columns } of everyRecord(scope, 'stage_transition', { where, limit: 1000 })) {
    promoted.add(String(columns['versionId']));
  }
  return promoted;
}

async function wholeHistory(
  { metadata, workspace }: Pick<Scope, 'metadata' | 'workspace'>,
  id: string,
): Promise<readonly RevisionEntry[]> {
  return await metadata.history(workspace, 'model_version', id, { limit: 100_000 });
}

/** When the kept revisions of a version, oldest first, had it in production; deleted, it is not. */
export function productionPeriods(
  history: readonly Pick<RevisionEntry, 'at' | 'columns' | 'removed'>[],
): readonly ProductionPeriod[] {
  const periods: ProductionPeriod[] = [];
  let since: number | undefined;
  for (const entry of history) {
    const there = !entry.removed && inProduction(entry);
    if (there) since ??= entry.at;
    else if (since !== undefined) {
      periods.push({ from: since, until: entry.at });
      since = undefined;
    }
  }
  return since === undefined ? periods : [...periods, { from: since }];
}

function inProduction({ columns }: Pick<RevisionEntry, 'columns'>): boolean {
  return columns['stage'] === 'PRODUCTION' && columns['deletedAt'] === undefined;
}

/** For each node the one before it on a shortest way. */
function waysOf({ nodes, edges }: Reach): ReadonlyMap<string, string> {
  const depths = new Map(nodes.map(({ id, depth }) => [id, depth]));
  const ways = new Map<string, string>();
  for (const { from, to } of edges) {
    const nearer = (depths.get(from) ?? 0) + 1 === depths.get(to);
    const before = ways.get(to);
    if (nearer && (before === undefined || from < before)) ways.set(to, from);
  }
  return ways;
}

function pathTo(ways: ReadonlyMap<string, string>, id: string): readonly string[] {
  const path = [id];
  for (let at = ways.get(id); at !== undefined; at = ways.get(at)) path.unshift(at);
  return path;
}

function impacted(
  { id, columns }: StoredRecord,
  path: readonly string[],
  periods: readonly ProductionPeriod[],
): ImpactedVersion {
  return {
    id,
    model: String(columns['modelName']),
    version: String(columns['version']),
    number: Number(columns['number']),
    stage: columns['stage'] as Stage,
    ...optional('deleted', columns['deletedAt'] === undefined ? undefined : (true as const)),
    path,
    periods,
  };
}
