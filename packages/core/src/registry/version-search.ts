import { z } from 'zod';
import { checkOptions, signalOption } from '../check-options.ts';
import type { Order, Predicate } from '../contracts/query.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { assertText } from '../json.ts';
import { parseFilter, parseOrder } from '../language/parse-filter.ts';
import { versionRange } from '../language/version-order.ts';
import { comingOwners } from '../operations/audit/chain-origin.ts';
import { everyRecord } from '../operations/every-record.ts';
import { placeText, readPlace } from '../tracking/page-place.ts';
import { lineageFacet, type ResolvedLineage, resolveLineage } from './lineage-filter.ts';
import { findModel, getModelRecord, is, lacks } from './model-records.ts';
import { type ModelVersion, modelVersionFromRecord, versionFacets } from './model-version.ts';
import { versionVocabulary } from './version-vocabulary.ts';

/** What to look for. */
export interface VersionSearch {
  /** Names; all models when left out. */
  readonly model?: string | readonly string[];
  /**
   * The filter language: `metrics.auc > 0.9 AND stage = 'PRODUCTION' AND alias = 'champion' AND
   * card.team = 'risk' AND validations.golden = 'PASSED' AND lineage.dataset = 'f00d'`.
   */
  readonly filter?: string;
  /** Such as `^1.2`, `1.x || >=3` or `>=2.0.0-beta <2.1`, as npm has it. */
  readonly versionRange?: string;
  /** Such as `version DESC` or `metrics.auc DESC`; missing values come last. Newest first when left out. */
  readonly orderBy?: readonly string[];
  /** 1 to 1,000; 50 when left out. */
  readonly limit?: number;
  readonly cursor?: string;
  /** Those that were deleted, or whose model was, too. */
  readonly includeDeleted?: boolean;
  readonly signal?: AbortSignal;
}

/** One page of versions. */
export interface VersionPage {
  readonly versions: readonly ModelVersion[];
  /** Where the next page begins; left out at the end. */
  readonly cursor?: string;
}

/** Finds versions. */
export interface VersionSearches {
  /**
   * One page; pages hold while versions are registered. SYNTAX, with the position, for a filter that does
   * not parse; NOT_FOUND for a model that is not there.
   */
  searchVersions(search?: VersionSearch): Promise<VersionPage>;
  /** All that match, page after page. */
  eachVersion(search?: VersionSearch): AsyncIterable<ModelVersion>;
  /** How many match; an estimate where that is much cheaper, unless `exact`. */
  countVersions(
    search?: VersionSearch & { readonly exact?: boolean },
  ): Promise<{ readonly count: number; readonly exact: boolean }>;
}

const shape = z.strictObject({
  model: z.union([z.string(), z.array(z.string()).max(1_000)]).optional(),
  filter: z.string().optional(),
  versionRange: z.string().optional(),
  orderBy: z.array(z.string()).optional(),
  limit: z.number().optional(),
  cursor: z.string().optional(),
  includeDeleted: z.boolean().optional(),
  signal: signalOption.optional(),
} satisfies Record<keyof VersionSearch, z.ZodType>);

const countShape = shape.extend({ exact: z.boolean().optional() });

/** Searches bound to a scope. */
export function createVersionSearches(scope: Scope): VersionSearches {
  const { metadata, workspace } = scope;

  async function predicate(search: VersionSearch, until?: number): Promise<ResolvedLineage> {
    const of: Predicate[] = [];
    if (search.model !== undefined) of.push(await ofModels(scope, [search.model].flat(), search));
    if (search.includeDeleted !== true) {
      of.push(lacks('deletedAt'));
      if (search.model === undefined) of.push(...(await ofLiveModels(scope)));
    }
    // A model is seen when all that is its own has come.
    const coming = search.model === undefined ? await comingOwners(scope) : [];
    if (coming.length > 0) of.push(ofOthers(coming));
    if (search.versionRange !== undefined) {
      of.push(versionRange(search.versionRange, { from: 'column', name: 'versionKey' }));
    }
    const filter = parseFilter(search.filter ?? '', versionVocabulary);
    if (filter === undefined) return { predicate: { op: 'and', of }, until: undefined };
    const resolved = await resolveLineage(scope, filter, until);
    return { predicate: { op: 'and', of: [...of, resolved.predicate] }, until: resolved.until };
  }

  async function searchVersions(search: VersionSearch = {}): Promise<VersionPage> {
    checkOptions(shape, search, 'A search of versions');
    const orderBy = search.orderBy?.map(orderOf) ?? newestFirst;
    const place = search.cursor === undefined ? undefined : readPlace(search.cursor);
    const { predicate: where, until } = await predicate(search, place?.until);
    const page = await metadata.query(
      workspace,
      'model_version',
      {
        where,
        orderBy,
        limit: search.limit ?? 50,
        facets: versionFacets,
        ...(place === undefined ? {} : { cursor: place.cursor }),
      },
      search.signal === undefined ? {} : { signal: search.signal },
    );
    const versions = page.records.map(modelVersionFromRecord);
    if (page.cursor === undefined) return { versions };
    return { versions, cursor: placeText(page.cursor, until) };
  }

  return {
    searchVersions,

    async *eachVersion(search = {}) {
      checkOptions(shape, search, 'A search of versions');
      let cursor = search.cursor;
      do {
        const from = cursor === undefined ? {} : { cursor };
        const page = await searchVersions({ ...search, ...from });
        yield* page.versions;
        cursor = page.cursor;
      } while (cursor !== undefined);
    },

    async countVersions(search = {}) {
      checkOptions(countShape, search, 'A count of versions');
      const { predicate: where } = await predicate(search);
      return await metadata.count(workspace, 'model_version', where, {
        exact: search.exact ?? false,
        ...(search.signal === undefined ? {} : { signal: search.signal }),
      });
    },
  };
}

/** Ids ascend with time. */
const newestFirst: readonly Order[] = [{ by: { from: 'column', name: 'id' }, direction: 'desc' }];

async function ofModels(
  scope: Scope,
  names: readonly string[],
  { includeDeleted }: VersionSearch,
): Promise<Predicate> {
  for (const name of names) {
    assertText(name, 'A model name');
    if (includeDeleted === true && (await findModel(scope, name)) !== undefined) continue;
    await getModelRecord(scope, name);
  }
  const [one] = names;
  if (names.length === 1 && one !== undefined) return is('modelName', one);
  return { op: 'in', left: { from: 'column', name: 'modelName' }, values: names };
}

/** Nothing where no model was deleted. */
async function ofLiveModels(scope: Scope): Promise<readonly Predicate[]> {
  const where: Predicate = { op: 'present', left: { from: 'column', name: 'deletedAt' } };
  const values: string[] = [];
  for await (const { id } of everyRecord(scope, 'model', { where, body: false, limit: 1000 })) {
    values.push(id);
  }
  return values.length === 0 ? [] : [ofOthers(values)];
}

function ofOthers(modelIds: readonly string[]): Predicate {
  const left = { from: 'column', name: 'modelId' } as const;
  return { op: 'not', of: { op: 'in', left, values: modelIds } };
}

function orderOf(text: string): Order {
  const order = parseOrder(text, versionVocabulary);
  if (order.by.from === 'facet' && order.by.facet === lineageFacet) {
    throw new KeelsonError(
      'INVALID',
      `Versions cannot be sorted by ${JSON.stringify(text)}: one may have several. Sort by metrics, tags, card or attributes.`,
    );
  }
  return order;
}
