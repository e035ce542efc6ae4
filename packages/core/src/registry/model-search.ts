import { z } from 'zod';
import { checkOptions, signalOption } from '../check-options.ts';
import type { Order, Predicate } from '../contracts/query.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { assertText, digestJson } from '../json.ts';
import { parseFilter, parseOrder } from '../language/parse-filter.ts';
import { everyRecord } from '../operations/every-record.ts';
import { lacks } from './model-records.ts';
import { type Model, modelFromRecord } from './model-version.ts';
import { nameMatcher } from './name-similarity.ts';
import { modelVocabulary } from './version-vocabulary.ts';

/** What to look for. */
export interface ModelSearch {
  /**
   * A name, a part of one or a misspelt one, in any case: those that are like it are ranked, the most alike
   * first.
   */
  readonly name?: string;
  /** The filter language: `tags.team = 'risk' AND production_version_id IS NOT NULL`. */
  readonly filter?: string;
  /** Such as `created DESC`; by name when left out. Not beside `name`, which ranks. */
  readonly orderBy?: readonly string[];
  /** 1 to 1,000; 50 when left out. */
  readonly limit?: number;
  readonly cursor?: string;
  readonly includeDeleted?: boolean;
  readonly signal?: AbortSignal;
}

/** A model that was found. */
export interface FoundModel extends Model {
  /** How much its name is like the one that was looked for, 0 to 1. */
  readonly similarity?: number;
}

/** One page of models. */
export interface ModelPage {
  readonly models: readonly FoundModel[];
  /** Where the next page begins; left out at the end. */
  readonly cursor?: string;
}

/** Finds models. */
export interface ModelSearches {
  /**
   * One page; pages hold while models are made. A search by name looks at the names of all models that the
   * filter leaves. SYNTAX, with the position, for a filter that does not parse.
   */
  searchModels(search?: ModelSearch): Promise<ModelPage>;
}

const shape = z.strictObject({
  name: z.string().optional(),
  filter: z.string().optional(),
  orderBy: z.array(z.string()).optional(),
  limit: z.number().int().min(1).max(1_000).optional(),
  cursor: z.string().optional(),
  includeDeleted: z.boolean().optional(),
  signal: signalOption.optional(),
} satisfies Record<keyof ModelSearch, z.ZodType>);

const byName: readonly Order[] = [{ by: { from: 'column', name: 'name' }, direction: 'asc' }];
const facets = ['tags'];

/** Searches bound to a scope. */
export function createModelSearches(scope: Scope): ModelSearches {
  const { metadata, workspace } = scope;

  async function filtered(search: ModelSearch, where: Predicate): Promise<ModelPage> {
    const orders = search.orderBy?.map((text) => parseOrder(text, modelVocabulary));
    const query = { where, orderBy: orders ?? byName, limit: search.limit ?? 50, facets };
    const { records, cursor } = await metadata.query(
      workspace,
      'model',
      { ...query, ...(search.cursor === undefined ? {} : { cursor: search.cursor }) },
      search.signal === undefined ? {} : { signal: search.signal },
    );
    const models = records.map(modelFromRecord);
    return cursor === undefined ? { models } : { models, cursor };
  }

  async function ranked(search: ModelSearch, name: string, where: Predicate): Promise<ModelPage> {
    const { signal, limit = 50 } = search;
    const identity = digestJson({ name, where });
    const after = search.cursor === undefined ? undefined : readRank(search.cursor, identity);
    const similarity = nameMatcher(name);
    const ranks: (Rank & { readonly id: string })[] = [];
    const all = { where, body: false, limit: 1000, ...(signal === undefined ? {} : { signal }) };
    for await (const { id, columns } of everyRecord(scope, 'model', all)) {
      const given = String(columns['name']);
      const rank = { similarity: similarity(given), name: given, id };
      if (rank.similarity > 0 && (after === undefined || compareRanks(rank, after) > 0)) {
        ranks.push(rank);
      }
    }
    const page = ranks.sort(compareRanks).slice(0, limit);
    const ids = page.map(({ id }) => id);
    const found = await metadata.findMany(workspace, 'model', ids, { facets });
    const likeness = new Map(page.map((rank) => [rank.id, rank.similarity]));
    const models = found.map((record) => ({
      ...modelFromRecord(record),
      similarity: likeness.get(record.id) ?? 0,
    }));
    const last = ranks.length > limit ? page.at(-1) : undefined;
    return last === undefined ? { models } : { models, cursor: writeRank(last, identity) };
  }

  return {
    async searchModels(search = {}) {
      checkOptions(shape, search, 'A search of models');
      const of: Predicate[] = search.includeDeleted === true ? [] : [lacks('deletedAt')];
      const filter = parseFilter(search.filter ?? '', modelVocabulary);
      const where: Predicate = { op: 'and', of: filter === undefined ? of : [...of, filter] };
      if (search.name === undefined) return await filtered(search, where);
      assertText(search.name, 'A name to look for', 255);
      if (search.name.trim() === '' || search.orderBy !== undefined) {
        throw new KeelsonError(
          'INVALID',
          search.orderBy === undefined
            ? 'A blank name is like none; leave it out to find all models.'
            : 'A search by name ranks the models by their names; leave orderBy out.',
        );
      }
      return await ranked(search, search.name, where);
    },
  };
}

/** A model's place among those that are like a name. */
interface Rank {
  readonly similarity: number;
  readonly name: string;
}

function compareRanks(a: Rank, b: Rank): number {
  return b.similarity - a.similarity || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
}

function writeRank({ similarity, name }: Rank, identity: string): string {
  return Buffer.from(JSON.stringify([identity.slice(0, 16), similarity, name])).toString(
    'base64url',
  );
}

const rankShape = z.tuple([z.string(), z.number(), z.string()]);

/** INVALID for what {@link writeRank} did not write, and for the cursor of another search. */
function readRank(cursor: string, identity: string): Rank {
  const parsed = rankShape.safeParse(jsonIn(cursor));
  if (parsed.success && parsed.data[0] === identity.slice(0, 16)) {
    return { similarity: parsed.data[1], name: parsed.data[2] };
  }
  throw new KeelsonError(
    'INVALID',
    'This cursor is not of this search; begin again without one, or give the same name and filter.',
  );
}

function jsonIn(cursor: string): unknown {
  try {
    return JSON.parse(Buffer.from(cursor, 'base64url').toString());
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
