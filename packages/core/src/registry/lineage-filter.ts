import type { Literal, Predicate, Selector } from '../contracts/query.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { everyRecord } from '../operations/every-record.ts';
import { datasetRoles } from '../tracking/dataset.ts';
import { dataRolePrefix, lineagePrefixes } from './lineage-edges.ts';

// Below the bound of a predicate, so that the filter's own lists find room beside.
const mostNamed = 8_000;

type Leaf = Exclude<Predicate, { readonly op: 'and' | 'or' | 'not' }>;

/** The facet by which a parsed filter names what versions come from; no record has it. */
export const lineageFacet = 'lineage';

/** By which edge a version knows what it comes from, and where it says so itself if that is one thing. */
interface Source {
  readonly prefix: string;
  readonly role: string;
  readonly own?: Selector;
}

const inLineage = (...path: readonly string[]): Selector => ({
  from: 'body',
  path: ['lineage', ...path],
});

const sources: Readonly<Record<string, Source>> = {
  parent: { prefix: '', role: 'parent' },
  execution: { prefix: '', role: 'executed', own: inLineage('pipelineExecutionId') },
  commit: { prefix: lineagePrefixes.commit, role: 'code', own: inLineage('codeCommit') },
  features: { prefix: lineagePrefixes.features, role: 'features' },
  image: {
    prefix: lineagePrefixes.image,
    role: 'environment',
    own: inLineage('environment', 'image'),
  },
  lock: {
    prefix: lineagePrefixes.lock,
    role: 'environment',
    own: inLineage('environment', 'lockHash'),
  },
};

/** What of a dataset a filter may ask for, and the dataset's column. */
const datasetColumns: Readonly<Record<string, string>> = {
  dataset: 'digest',
  dataset_name: 'name',
};

/** What a filter may ask of the lineage. */
export const lineageKeys: readonly string[] = [
  'run',
  ...Object.keys(sources),
  ...Object.keys(datasetColumns),
];

/** A predicate over versions alone, and how far the edges were read. */
export interface ResolvedLineage {
  readonly predicate: Predicate;
  /** When the youngest edge that counts was made; undefined where no edge was looked at. */
  readonly until: number | undefined;
}

/**
 * Puts versions in the place of what a filter asks of their lineage: one step back, and the datasets of the
 * source run. Each comparison holds for a version with at least one such source for which it holds; `!=`
 * too. Edges younger than `until` are left out, so that all pages of a search have the same versions.
 * INVALID where more than 8,000 sources or versions would have to be named.
 */
export async function resolveLineage(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  filter: Predicate,
  until?: number,
): Promise<ResolvedLineage> {
  let youngest: number | undefined;
  const predicate = await resolve(filter);
  return { predicate, until: until ?? youngest };

  async function resolve(part: Predicate): Promise<Predicate> {
    switch (part.op) {
      case 'and':
      case 'or': {
        const of: Predicate[] = [];
        for (const inner of part.of) of.push(await resolve(inner));
        return { op: part.op, of };
      }
      case 'not':
        return { op: 'not', of: await resolve(part.of) };
      default: {
        const key = keyOf(part);
        return key === undefined ? part : await sourced(part, key);
      }
    }
  }

  async function sourced(leaf: Leaf, key: string): Promise<Predicate> {
    if (key === 'run') return { ...leaf, left: column('sourceRunId') };
    const datasetColumn = datasetColumns[key];
    if (datasetColumn !== undefined) return await ofDatasets(leaf, datasetColumn, key);
    const { prefix, role, own } = sources[key] as Source;
    const exact = leaf.op === 'in' || (leaf.op === 'compare' && leaf.cmp === '=');
    // Few have one source in common; what is not of few is looked at where it stands.
    if (own !== undefined && !exact) return { ...leaf, left: own };
    const where = [is('role', role), prefixed(leaf, prefix)];
    const found = await targets(where, key);
    return among(
      'id',
      found.map(({ to }) => to),
    );
  }

  async function ofDatasets(leaf: Leaf, name: string, key: string): Promise<Predicate> {
    const ids: string[] = [];
    const where: Predicate = { ...leaf, left: column(name) };
    for await (const { id } of everyRecord(scope, 'dataset', { where, limit: 1000 })) {
      ids.push(id);
      if (ids.length > mostNamed) throw tooMany('datasets', key);
    }
    const found = ids.length === 0 ? [] : await targets([among('from', ids)], key);
    youngest ??= 0;
    const runs = found.filter(({ role }) => datasetRoles.some((each) => each === role));
    const made =
      runs.length === 0
        ? []
        : await targets(
            [
              is('role', 'produced'),
              among(
                'from',
                runs.map(({ to }) => to),
              ),
            ],
            key,
          );
    const direct = found.filter(({ role }) => role.startsWith(dataRolePrefix));
    return among(
      'id',
      [...direct, ...made].map(({ to }) => to),
    );
  }

  /** Where edges lead. */
  async function targets(
    of: readonly Predicate[],
    key: string,
  ): Promise<readonly { readonly to: string; readonly role: string }[]> {
    youngest ??= 0;
    const time: Predicate[] =
      until === undefined
        ? []
        : [{ op: 'compare', left: column('createdAt'), cmp: '<=', value: until }];
    const where: Predicate = { op: 'and', of: [...of, ...time] };
    const found: { to: string; role: string }[] = [];
    for await (const edge of everyRecord(scope, 'edge', { where, body: false, limit: 1000 })) {
      found.push({ to: String(edge.columns['to']), role: String(edge.columns['role']) });
      if (found.length > mostNamed) throw tooMany('versions', key);
      youngest = Math.max(youngest, edge.createdAt);
    }
    return found;
  }
}

/** What is asked of a source, asked of where its edges begin. */
function prefixed(leaf: Leaf, prefix: string): Predicate {
  const left = column('from');
  const named = (value: Literal): string => `${prefix}${value}`;
  switch (leaf.op) {
    case 'compare':
      return { ...leaf, left, value: named(leaf.value) };
    case 'between':
      return { ...leaf, left, low: named(leaf.low), high: named(leaf.high) };
    case 'in':
      return { ...leaf, left, values: leaf.values.map(named) };
    case 'like':
      return { ...leaf, left, pattern: `${prefix}${leaf.pattern}` };
    case 'present':
      return { op: 'like', left, pattern: `${prefix}%`, caseSensitive: true };
  }
}

function keyOf({ left }: Leaf): string | undefined {
  return left.from === 'facet' && left.facet === lineageFacet ? left.key : undefined;
}

// Sorted: a cursor belongs to the very predicate that gave it.
function among(name: string, ids: readonly string[]): Predicate {
  return { op: 'in', left: column(name), values: [...new Set(ids)].sort() };
}

function is(name: string, value: string): Predicate {
  return { op: 'compare', left: column(name), cmp: '=', value };
}

function column(name: string): Selector {
  return { from: 'column', name };
}

function tooMany(what: string, key: string): KeelsonError {
  return new KeelsonError(
    'INVALID',
    `More than ${mostNamed} ${what} fit what the filter asks of lineage.${key}; ask for one of them by = or IN.`,
    { details: { key } },
  );
}
