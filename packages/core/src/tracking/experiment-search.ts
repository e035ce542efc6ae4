import { z } from 'zod';
import { checkOptions } from '../check-options.ts';
import type { Order, Predicate } from '../contracts/query.ts';
import type { Scope } from '../contracts/scope.ts';
import type {
  FilterAttribute,
  FilterVocabulary,
  ValueType,
} from '../language/filter-vocabulary.ts';
import { parseFilter, parseOrder } from '../language/parse-filter.ts';
import { experimentFromRecord, type StoredExperiment } from './experiment.ts';

/** What to look for. */
export interface ExperimentSearch {
  /** The filter language: `name LIKE 'fraud/%' AND tags.team = 'risk'`. */
  readonly filter?: string;
  /** Such as `name ASC`; missing values come last. Newest first when left out. */
  readonly orderBy?: readonly string[];
  /** Those that are not deleted when left out. */
  readonly lifecycle?: 'active' | 'archived' | 'deleted' | 'kept' | 'all';
  /** 1 to 1,000; 50 when left out. */
  readonly limit?: number;
  readonly cursor?: string;
}

/** Finds experiments. */
export interface ExperimentSearches {
  /** One page, nothing counted. SYNTAX, with the position, for a filter that does not parse. */
  searchExperiments(
    search?: ExperimentSearch,
  ): Promise<{ readonly experiments: readonly StoredExperiment[]; readonly cursor?: string }>;
}

const shape = z.strictObject({
  filter: z.string().optional(),
  orderBy: z.array(z.string()).optional(),
  lifecycle: z.enum(['active', 'archived', 'deleted', 'kept', 'all']).optional(),
  limit: z.number().optional(),
  cursor: z.string().optional(),
} satisfies Record<keyof ExperimentSearch, z.ZodType>);

/** What the words of a search of experiments mean, MLflow's among them. */
const vocabulary: FilterVocabulary = {
  scopes: {
    tags: { in: 'facet', facet: 'tags', holds: 'any' },
    tag: { in: 'facet', facet: 'tags', holds: 'any' },
    attributes: { in: 'attributes' },
    attribute: { in: 'attributes' },
    attr: { in: 'attributes' },
  },
  attributes: {
    id: column('id', 'text'),
    experiment_id: column('id', 'text'),
    name: column('name', 'text'),
    lifecycle: column('lifecycle', 'text'),
    created_by: column('createdBy', 'text'),
    creation_time: column('createdAt', 'time'),
    created: column('createdAt', 'time'),
    last_update_time: column('updatedAt', 'time'),
    updated: column('updatedAt', 'time'),
  },
};

/** Ids ascend with time. */
const newestFirst: readonly Order[] = [{ by: { from: 'column', name: 'id' }, direction: 'desc' }];

const lifecycles = {
  ...{ active: ['active'], archived: ['archived'], deleted: ['deleted'] },
  ...{ kept: ['active', 'archived'], all: ['active', 'archived', 'deleted'] },
} as const;

/** Searches bound to a scope. */
export function createExperimentSearches({
  metadata,
  workspace,
}: Pick<Scope, 'metadata' | 'workspace'>): ExperimentSearches {
  return {
    async searchExperiments(search = {}) {
      checkOptions(shape, search, 'A search of experiments');
      const values = lifecycles[search.lifecycle ?? 'kept'];
      const alive: Predicate = { op: 'in', left: { from: 'column', name: 'lifecycle' }, values };
      const filter = parseFilter(search.filter ?? '', vocabulary);
      const { records, cursor } = await metadata.query(workspace, 'experiment', {
        where: filter === undefined ? alive : { op: 'and', of: [alive, filter] },
        orderBy: search.orderBy?.map((text) => parseOrder(text, vocabulary)) ?? newestFirst,
        limit: search.limit ?? 50,
        facets: ['tags'],
        ...(search.cursor === undefined ? {} : { cursor: search.cursor }),
      });
      const experiments = records.map(experimentFromRecord);
      return cursor === undefined ? { experiments } : { experiments, cursor };
    },
  };
}

function column(name: string, holds: ValueType): FilterAttribute {
  return { selector: { from: 'column', name }, holds };
}
