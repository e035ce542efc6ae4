import type { ClaimRequest, MetadataStore } from '../contracts/metadata-store.ts';
import type { Order, Predicate, Query } from '../contracts/query.ts';
import type { FacetMap, KindDeclaration, StoredRecord } from '../contracts/record.ts';
import type { SeriesStore } from '../contracts/series-store.ts';
import { KeelsonError } from '../errors.ts';
import { facetKeys } from '../sql/index.ts';

/**
 * A metadata store whose projected facets lie in a series store of another database. The facets that are
 * asked for come along, read from there after the records; conditions and orders over them are
 * UNSUPPORTED, because no one query sees both.
 */
export class MetadataBesideSeries implements MetadataStore {
  readonly #store: MetadataStore;
  readonly #series: SeriesStore;
  readonly #projected: ReadonlyMap<string, ReadonlySet<string>>;
  readonly now: MetadataStore['now'];
  readonly history: MetadataStore['history'];
  readonly reach: MetadataStore['reach'];
  readonly commit: MetadataStore['commit'];
  readonly readEvents: MetadataStore['readEvents'];
  readonly removeEvents: MetadataStore['removeEvents'];
  readonly latestEventCursor: MetadataStore['latestEventCursor'];
  readonly waitForEvents: MetadataStore['waitForEvents'];
  readonly claimOwners: MetadataStore['claimOwners'];
  readonly renew: MetadataStore['renew'];
  readonly release: MetadataStore['release'];
  readonly ping: MetadataStore['ping'];
  readonly close: MetadataStore['close'];

  constructor(store: MetadataStore, series: SeriesStore, kinds: readonly KindDeclaration[]) {
    this.#store = store;
    this.#series = series;
    this.#projected = new Map(
      kinds.map((kind) => [
        kind.name,
        new Set(
          Object.entries(kind.facets ?? {})
            .filter(([, facet]) => facet.source === 'projected')
            .map(([name]) => name),
        ),
      ]),
    );
    this.now = store.now.bind(store);
    this.history = store.history.bind(store);
    this.reach = store.reach.bind(store);
    this.commit = store.commit.bind(store);
    this.readEvents = store.readEvents.bind(store);
    this.removeEvents = store.removeEvents.bind(store);
    this.latestEventCursor = store.latestEventCursor.bind(store);
    this.waitForEvents = store.waitForEvents.bind(store);
    this.claimOwners = store.claimOwners.bind(store);
    this.renew = store.renew.bind(store);
    this.release = store.release.bind(store);
    this.ping = store.ping.bind(store);
    this.close = store.close.bind(store);
  }

  async find(
    workspace: string,
    kind: string,
    id: string,
    options: { readonly facets?: readonly string[] } = {},
  ): Promise<StoredRecord | undefined> {
    const [record] = await this.findMany(workspace, kind, [id], options);
    return record;
  }

  async findMany(
    workspace: string,
    kind: string,
    ids: readonly string[],
    options: { readonly facets?: readonly string[]; readonly body?: boolean } = {},
  ): Promise<readonly StoredRecord[]> {
    const { own, projected } = this.#split(kind, options.facets);
    const records = await this.#store.findMany(workspace, kind, ids, { ...options, facets: own });
    return await this.#project(workspace, records, projected);
  }

  async query(
    workspace: string,
    kind: string,
    query: Query,
    options: { readonly signal?: AbortSignal } = {},
  ): ReturnType<MetadataStore['query']> {
    this.#refuse(kind, query.where, query.orderBy);
    const { own, projected } = this.#split(kind, query.facets);
    const page = await this.#store.query(workspace, kind, { ...query, facets: own }, options);
    return { ...page, records: await this.#project(workspace, page.records, projected) };
  }

  async count(...args: Parameters<MetadataStore['count']>): ReturnType<MetadataStore['count']> {
    const [, kind, where] = args;
    this.#refuse(kind, where, undefined);
    return await this.#store.count(...args);
  }

  async claim(kind: string, request: ClaimRequest): ReturnType<MetadataStore['claim']> {
    this.#refuse(kind, request.where, request.orderBy);
    return await this.#store.claim(kind, request);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** The facets that the metadata store has itself, and those that are projected. */
  #split(
    kind: string,
    facets: readonly string[] = [],
  ): { readonly own: readonly string[]; readonly projected: readonly string[] } {
    const isProjected = (facet: string): boolean => this.#isProjected(kind, facet);
    return {
      own: facets.filter((facet) => !isProjected(facet)),
      projected: facets.filter(isProjected),
    };
  }

  async #project(
    workspace: string,
    records: readonly StoredRecord[],
    facets: readonly string[],
  ): Promise<readonly StoredRecord[]> {
    if (facets.length === 0 || records.length === 0) return records;
    const ids = records.map(({ id }) => id);
    const summaries = await this.#series.summariesOf(workspace, ids);
    return records.map((record) => {
      const last = [...(summaries.get(record.id) ?? [])].map(([key, summary]): [string, number] => [
        key,
        summary.last,
      ]);
      // fromEntries, because assigning `__proto__` would set a prototype.
      const projection: FacetMap = Object.fromEntries(last);
      const own = facets.map((facet): [string, FacetMap] => [facet, projection]);
      return { ...record, facets: { ...record.facets, ...Object.fromEntries(own) } };
    });
  }

  #refuse(kind: string, where: Predicate | undefined, orderBy: readonly Order[] | undefined): void {
    const key = facetKeys(where, orderBy ?? []).find(({ facet }) => this.#isProjected(kind, facet));
    if (key === undefined) return;
    throw new KeelsonError(
      'UNSUPPORTED',
      `${key.facet}.${key.key} of ${kind} cannot be searched or sorted by: metadata and series are in different databases. Hand openPlatform one backend as metadata and as series.`,
      { details: { kind, facet: key.facet, key: key.key } },
    );
  }

  #isProjected(kind: string, facet: string): boolean {
    return this.#projected.get(kind)?.has(facet) ?? false;
  }
}
