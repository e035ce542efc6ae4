import { z } from 'zod';
import { checkOptions, signalOption } from '../check-options.ts';
import type { Order, Predicate } from '../contracts/query.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { parseFilter, parseOrder } from '../language/parse-filter.ts';
import { datasetFacet, type ResolvedFilter, resolveDatasets } from './dataset-filter.ts';
import type { StoredExperiments } from './experiments.ts';
import { placeText, readPlace } from './page-place.ts';
import type { Run } from './run.ts';
import { runVocabulary } from './run-vocabulary.ts';

/** What to look for. */
export interface RunSearch {
  /** Name or id; several are searched together; all of the workspace when left out. */
  readonly experiment?: string | readonly string[];
  /**
   * The filter language: `metrics.accuracy > 0.9 AND params.model.type LIKE 'cnn%'`. What it asks of
   * `datasets.name`, `.digest` and `.context` (the role) holds for runs with one such dataset.
   */
  readonly filter?: string;
  /** Such as `metrics.accuracy DESC`; missing values come last. Newest first when left out. */
  readonly orderBy?: readonly string[];
  /** 1 to 1,000; 50 when left out. */
  readonly limit?: number;
  readonly cursor?: string;
  readonly parentRunId?: string;
  /** `active` when left out. */
  readonly lifecycle?: 'active' | 'deleted' | 'all';
  readonly signal?: AbortSignal;
}

const shape = z.strictObject({
  experiment: z.union([z.string(), z.array(z.string())]).optional(),
  filter: z.string().optional(),
  orderBy: z.array(z.string()).optional(),
  limit: z.number().optional(),
  cursor: z.string().optional(),
  parentRunId: z.string().optional(),
  lifecycle: z.enum(['active', 'deleted', 'all']).optional(),
  signal: signalOption.optional(),
} satisfies Record<keyof RunSearch, z.ZodType>);

const countShape = shape.extend({ exact: z.boolean().optional() });

/** One page of runs. */
export interface RunPage {
  readonly runs: readonly Run[];
  /** Where the next page begins; left out at the end. */
  readonly cursor?: string;
}

/** Finds runs; those of deleted experiments only where the experiment is named by its id. */
export interface RunSearches {
  /** One page. SYNTAX, with the position, for a filter that does not parse. */
  searchRuns(search?: RunSearch): Promise<RunPage>;
  /** All that match, page after page. */
  eachRun(search?: RunSearch): AsyncIterable<Run>;
  /** How many match; an estimate where that is much cheaper, unless `exact`. */
  countRuns(
    search?: RunSearch & { readonly exact?: boolean },
  ): Promise<{ readonly count: number; readonly exact: boolean }>;
}

/** What searches need beside the scope. */
export interface RunSearchParts {
  readonly experiments: Pick<StoredExperiments, 'get' | 'deletedExperimentIds'>;
  read(records: readonly StoredRecord[]): Promise<readonly Run[]>;
  /** Marks runs whose process died, so that a search by status finds them. */
  sweep(): Promise<void>;
}

/** Searches bound to a scope. */
export function createRunSearches(scope: Scope, parts: RunSearchParts): RunSearches {
  const { metadata, workspace } = scope;
  const { experiments } = parts;

  async function predicate(search: RunSearch, until?: number): Promise<ResolvedFilter> {
    const of: Predicate[] = [inLifecycle(search.lifecycle ?? 'active')];
    if (search.experiment === undefined) {
      const values = await experiments.deletedExperimentIds();
      const left = column('experimentId');
      if (values.length > 0) of.push({ op: 'not', of: { op: 'in', left, values } });
    } else {
      const names = [search.experiment].flat();
      const found = await Promise.all(names.map((name) => experiments.get(name)));
      const ids = found.map((experiment) => experiment.id);
      of.push(
        ids.length === 1
          ? equal('experimentId', ids[0] as string)
          : { op: 'in', left: column('experimentId'), values: ids },
      );
    }
    if (search.parentRunId !== undefined) of.push(equal('parentRunId', search.parentRunId));
    const filter = parseFilter(search.filter ?? '', runVocabulary);
    if (filter === undefined) return { predicate: { op: 'and', of }, until: undefined };
    const resolved = await resolveDatasets(scope, filter, until);
    return { predicate: { op: 'and', of: [...of, resolved.predicate] }, until: resolved.until };
  }

  async function searchRuns(search: RunSearch = {}): Promise<RunPage> {
    checkOptions(shape, search, 'A search of runs');
    if (search.cursor === undefined) await parts.sweep();
    const orderBy: readonly Order[] =
      search.orderBy === undefined
        ? [{ by: column('startedAt'), direction: 'desc' }]
        : search.orderBy.map(orderOf);
    const place = search.cursor === undefined ? undefined : readPlace(search.cursor);
    const { predicate: where, until } = await predicate(search, place?.until);
    const page = await metadata.query(
      workspace,
      'run',
      {
        where,
        orderBy,
        limit: search.limit ?? 50,
        facets: ['params', 'tags'],
        ...(place === undefined ? {} : { cursor: place.cursor }),
      },
      search.signal === undefined ? {} : { signal: search.signal },
    );
    const runs = await parts.read(page.records);
    return page.cursor === undefined ? { runs } : { runs, cursor: placeText(page.cursor, until) };
  }

  return {
    searchRuns,

    async *eachRun(search = {}) {
      checkOptions(shape, search, 'A search of runs');
      let cursor = search.cursor;
      do {
        const page = await searchRuns({ ...search, ...(cursor === undefined ? {} : { cursor }) });
        yield* page.runs;
        cursor = page.cursor;
      } while (cursor !== undefined);
    },

    async countRuns(search = {}) {
      checkOptions(countShape, search, 'A count of runs');
      await parts.sweep();
      const { predicate: where } = await predicate(search);
      return metadata.count(workspace, 'run', where, {
        exact: search.exact ?? false,
        ...(search.signal === undefined ? {} : { signal: search.signal }),
      });
    },
  };
}

function column(name: string): { readonly from: 'column'; readonly name: string } {
  return { from: 'column', name };
}

function equal(name: string, value: string): Predicate {
  return { op: 'compare', left: column(name), cmp: '=', value };
}

function inLifecycle(lifecycle: 'active' | 'deleted' | 'all'): Predicate {
  if (lifecycle !== 'all') return equal('lifecycle', lifecycle);
  // Not those that are being removed for good.
  return { op: 'in', left: column('lifecycle'), values: ['active', 'deleted'] };
}

function orderOf(text: string): Order {
  const order = parseOrder(text, runVocabulary);
  if (order.by.from === 'facet' && order.by.facet === datasetFacet) {
    throw new KeelsonError(
      'INVALID',
      `Runs cannot be sorted by ${JSON.stringify(text)}: a run may have several datasets. Sort by params, tags, metrics or attributes.`,
    );
  }
  return order;
}
