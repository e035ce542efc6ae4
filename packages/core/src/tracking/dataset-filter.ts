import type { Predicate, Selector } from '../contracts/query.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { everyRecord } from '../operations/every-record.ts';
import { datasetRoles } from './dataset.ts';

// Below the bound of a predicate, so that the filter's own lists find room beside.
const mostNamed = 8_000;

type Leaf = Exclude<Predicate, { readonly op: 'and' | 'or' | 'not' }>;

/** The facet by which a parsed filter names datasets; no record has it. */
export const datasetFacet = 'datasets';

/** What a filter may ask of the datasets of a run. `context` is MLflow's word for the role. */
export const datasetKeys = ['name', 'digest', 'context', 'role'] as const;

/** A predicate over runs alone, and how far the links between runs and datasets were read. */
export interface ResolvedFilter {
  readonly predicate: Predicate;
  /** When the youngest link that counts was made; undefined where no dataset is asked for. */
  readonly until: number | undefined;
}

/**
 * Puts the ids of the runs in the place of what a filter asks of their datasets. Each comparison holds
 * for a run with at least one dataset for which it holds, as in MLflow; `!=` too. Links younger than
 * `until` are left out, so that all pages of a search have the same runs. INVALID where more than 8,000
 * datasets, or runs, would have to be named.
 */
export async function resolveDatasets(
  scope: Scope,
  filter: Predicate,
  until?: number,
): Promise<ResolvedFilter> {
  const links = new DatasetLinks(scope, until);
  const predicate = await resolve(filter);
  return { predicate, until: until ?? links.youngest };

  async function resolve(part: Predicate): Promise<Predicate> {
    switch (part.op) {
      case 'and':
        return conjunction(part.of);
      case 'or':
        return { op: 'or', of: await inTurn(part.of, resolve) };
      case 'not':
        return { op: 'not', of: await resolve(part.of) };
      default:
        return keyOf(part) === undefined ? part : among(await links.runsOf(part));
    }
  }

  // A context alone fits nearly every run: beside a name or a digest, only their runs are looked at.
  async function conjunction(parts: readonly Predicate[]): Promise<Predicate> {
    const narrow = parts.filter((part): part is Leaf => isNarrow(part));
    const found = await inTurn(narrow, (leaf) => links.runsOf(leaf));
    const within = inAll(found);
    const wide = await inTurn(
      parts.filter((part) => !isNarrow(part)),
      async (part) =>
        isLeaf(part) && keyOf(part) !== undefined
          ? among(await links.runsOf(part, within))
          : resolve(part),
    );
    return { op: 'and', of: [...(within === undefined ? [] : [among(within)]), ...wide] };
  }
}

/** Reads which runs a comparison means, by the datasets and the edges from them. */
class DatasetLinks {
  readonly #scope: Scope;
  readonly #until: number | undefined;
  youngest: number | undefined;

  constructor(scope: Scope, until: number | undefined) {
    this.#scope = scope;
    this.#until = until;
  }

  async runsOf(leaf: Leaf, within?: ReadonlySet<string>): Promise<Set<string>> {
    this.youngest ??= 0;
    const of: Predicate[] = [{ op: 'in', left: column('role'), values: datasetRoles }];
    if (this.#until !== undefined) {
      of.push({ op: 'compare', left: column('createdAt'), cmp: '<=', value: this.#until });
    }
    const key = keyOf(leaf);
    if (isRole(key)) of.push(roleIs(leaf));
    if (within !== undefined) of.push({ op: 'in', left: column('to'), values: [...within] });
    const runs = new Set<string>();
    for (const from of isRole(key) ? [undefined] : await this.#datasets(leaf, key)) {
      const one: Predicate[] =
        from === undefined ? [] : [{ op: 'in', left: column('from'), values: from }];
      const where: Predicate = { op: 'and', of: [...of, ...one] };
      for await (const edge of everyRecord(this.#scope, 'edge', { where, limit: 1000 })) {
        runs.add(String(edge.columns['to']));
        if (runs.size > mostNamed) throw tooMany('runs', key);
        this.youngest = Math.max(this.youngest, edge.createdAt);
      }
    }
    return runs;
  }

  /** The ids of the datasets, some at a time. */
  async #datasets(leaf: Leaf, key = ''): Promise<readonly (readonly string[])[]> {
    const ids: string[] = [];
    const where: Predicate = { ...leaf, left: column(key) };
    for await (const { id } of everyRecord(this.#scope, 'dataset', { where, limit: 1000 })) {
      ids.push(id);
      if (ids.length > mostNamed) throw tooMany('datasets', key);
    }
    const groups: string[][] = [];
    for (let i = 0; i < ids.length; i += 1000) groups.push(ids.slice(i, i + 1000));
    return groups;
  }
}

async function inTurn<T, R>(all: readonly T[], work: (one: T) => Promise<R>): Promise<R[]> {
  const done: R[] = [];
  for (const one of all) done.push(await work(one));
  return done;
}

function inAll(sets: readonly ReadonlySet<string>[]): ReadonlySet<string> | undefined {
  const [first, ...others] = sets;
  return first && new Set([...first].filter((id) => others.every((set) => set.has(id))));
}

function isLeaf(part: Predicate): part is Leaf {
  return part.op !== 'and' && part.op !== 'or' && part.op !== 'not';
}

function keyOf(leaf: Leaf): string | undefined {
  const { left } = leaf;
  return left.from === 'facet' && left.facet === datasetFacet ? left.key : undefined;
}

/** By the role, or the word that the caller had for it. */
function roleIs(leaf: Leaf): Predicate {
  const context: Selector = { from: 'body', path: ['context'] };
  return {
    op: 'or',
    of: [
      { ...leaf, left: column('role') },
      { ...leaf, left: context },
    ],
  };
}

function isRole(key: string | undefined): boolean {
  return key === 'context' || key === 'role';
}

function isNarrow(part: Predicate): boolean {
  if (!isLeaf(part) || part.op === 'present') return false;
  const key = keyOf(part);
  return key !== undefined && !isRole(key);
}

// Sorted: a cursor belongs to the very predicate that gave it.
function among(runs: ReadonlySet<string>): Predicate {
  return { op: 'in', left: column('id'), values: [...runs].sort() };
}

function column(name: string): Selector {
  return { from: 'column', name };
}

function tooMany(what: string, key: string | undefined): KeelsonError {
  return new KeelsonError(
    'INVALID',
    `More than ${mostNamed} ${what} fit what the filter asks of datasets.${key}; ask for a digest or a name beside it, joined by AND.`,
    { details: { key } },
  );
}
