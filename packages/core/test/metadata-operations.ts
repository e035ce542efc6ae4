import fc from 'fast-check';
import type { Change, Claimed, ClaimKey, MetadataStore } from '../src/contracts/metadata-store.ts';
import type { Order, Predicate, Query, Selector } from '../src/contracts/query.ts';
import type { Columns } from '../src/contracts/record.ts';
import type { Json } from '../src/json.ts';
import { edge, event } from '../src/testing/metadata/scene.ts';
import { numbers, texts } from './filter-arbitraries.ts';

/** What both stores have been told and have answered so far: what later operations refer to. */
export interface Told {
  /** Current revisions, read from the reference store. */
  revision(workspace: string, kind: string, id: string): number;
  claims: readonly Claimed[];
  /** Of each reader: how far a page looks beyond what passed its filter is the store's own affair. */
  readonly eventCursors: Map<string, string>;
  pageCursor:
    | { readonly workspace: string; readonly query: Query; readonly cursor: string }
    | undefined;
  eventNumber: number;
}

/**
 * One thing to do to a store. What it answers is compared between the stores; what only one store can
 * understand, such as cursors, goes into `told`.
 */
export interface Operation {
  readonly what: string;
  readonly run: (store: MetadataStore, told: Told) => Promise<unknown>;
}

const workspace = fc.constantFrom('home', 'home', 'home', 'away');
const ids = ['a', 'b', 'c', 'd'] as const;
const id = fc.constantFrom(...ids);
const text = fc.constantFrom(...texts);
const number = fc.constantFrom(...numbers, Number.NaN);
const integer = fc.constantFrom(0, 1, 2, 3, -1, 2 ** 40);
const key = fc.constantFrom('p', 'q', '__proto__', 'a.b', '');
const json: fc.Arbitrary<Json> = fc.oneof(
  text,
  number,
  fc.boolean(),
  fc.constantFrom<Json>(null, [1], { n: -0 }),
);
const map: fc.Arbitrary<Record<string, Json>> = fc
  .array(fc.tuple(key, json), { maxLength: 3 })
  .map((entries) => Object.fromEntries(entries));

const some = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(value, { nil: undefined });

const itemColumns: fc.Arbitrary<Columns> = fc.record(
  {
    name: some(text),
    code: some(fc.constantFrom('x', 'y')),
    batch: some(fc.constantFrom('m', 'n')),
    part: some(fc.constantFrom(1, 2)),
    count: some(integer),
    size: some(number),
    live: some(fc.boolean()),
    origin: some(fc.constantFrom('here', 'there')),
  },
  { requiredKeys: [] },
);

const jobColumns: fc.Arbitrary<Columns> = fc.record({
  state: fc.constantFrom('due', 'done'),
  dueAt: some(integer),
});

/** A change whose expectation is mostly right when it comes to be made. */
type Plan = (workspace: string, told: Told) => Change | undefined;

const kindAndColumns = fc.oneof(
  itemColumns.map((columns) => ({ kind: 'item', columns })),
  jobColumns.map((columns) => ({ kind: 'job', columns })),
  fc.constant({ kind: 'note', columns: { title: 'a note' } }),
);

const off = fc.constantFrom(0, 0, 0, 0, 1, -1);

const change: fc.Arbitrary<Plan> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.tuple(kindAndColumns, id, some(map), map).map(
      ([{ kind, columns }, target, body, params]): Plan =>
        () => ({
          op: 'create',
          kind,
          id: target,
          columns,
          ...(body === undefined ? {} : { body }),
          ...(kind === 'item' ? { facets: { params } } : {}),
        }),
    ),
  },
  {
    weight: 4,
    arbitrary: fc.tuple(kindAndColumns, id, off, some(map)).map(
      ([{ kind, columns }, target, wrong, body]): Plan =>
        (where, told) => ({
          op: 'replace',
          kind,
          id: target,
          expect: told.revision(where, kind, target) + wrong,
          columns,
          ...(body === undefined ? {} : { body }),
        }),
    ),
  },
  {
    weight: 3,
    arbitrary: fc.tuple(id, map, map, fc.array(key, { maxLength: 2 })).map(
      ([target, params, tags, unset]): Plan =>
        () => ({
          op: 'merge',
          kind: 'item',
          id: target,
          set: { params, tags },
          unset: { params: unset },
        }),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(fc.constantFrom('item', 'job', 'note'), id, off).map(
      ([kind, target, wrong]): Plan =>
        (where, told) => ({
          op: 'remove',
          kind,
          id: target,
          expect: told.revision(where, kind, target) + wrong,
        }),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(id, off, fc.boolean()).map(
      ([target, wrong, absent]): Plan =>
        (where, told) => ({
          op: 'assert',
          kind: 'item',
          id: target,
          expect: absent ? 'absent' : told.revision(where, 'item', target) + wrong,
        }),
    ),
  },
  {
    weight: 3,
    arbitrary: fc
      .tuple(
        id,
        fc.constantFrom('count', 'size', 'part'),
        fc.constantFrom(1, -1, 3),
        some(integer),
        some(integer),
      )
      .map(
        ([target, column, by, min, max]): Plan =>
          () => ({
            op: 'adjust',
            kind: 'item',
            id: target,
            column,
            by,
            ...(min === undefined ? {} : { min }),
            ...(max === undefined ? {} : { max }),
          }),
      ),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom(...ids), fc.constantFrom(...ids), fc.constantFrom('made', 'used'))
      .map(
        ([from, to, role]): Plan =>
          () =>
            edge(from, to, role),
      ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(id, fc.constantFrom('x.made', 'x.done'), fc.boolean()).map(
      ([subject, type, again]): Plan =>
        (_where, told) => {
          const n = again ? told.eventNumber : told.eventNumber + 1;
          return { op: 'emit', event: event(n, { subject, type }) };
        },
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(fc.nat(9), off, fc.boolean()).map(
      ([which, wrong, thief]): Plan =>
        (_where, told) => {
          const claimed = told.claims[which % Math.max(1, told.claims.length)];
          if (claimed === undefined) return undefined;
          const { record, owner, fence } = claimed;
          return {
            op: 'hold',
            kind: 'job',
            id: record.id,
            owner: thief ? 'thief' : owner,
            fence: fence + wrong,
          };
        },
    ),
  },
);

const selector: fc.Arbitrary<Selector> = fc.oneof(
  fc
    .constantFrom('id', 'revision', 'name', 'count', 'size', 'live', 'code', 'origin')
    .map((name): Selector => ({ from: 'column', name })),
  key.map((one): Selector => ({ from: 'facet', facet: 'params', key: one })),
  key.map((one): Selector => ({ from: 'body', path: [one] })),
);

const literal = fc.oneof(text, number, fc.boolean());

const predicate: fc.Arbitrary<Predicate> = fc.letrec<{ predicate: Predicate }>((tie) => ({
  predicate: fc.oneof(
    { depthSize: 'small' },
    fc
      .tuple(selector, fc.constantFrom('=', '!=', '<', '<=', '>', '>='), literal)
      .map(([left, cmp, value]): Predicate => ({ op: 'compare', left, cmp, value })),
    selector.map((left): Predicate => ({ op: 'present', left })),
    fc
      .tuple(selector, fc.array(literal, { maxLength: 3 }))
      .map(([left, values]): Predicate => ({ op: 'in', left, values })),
    tie('predicate').map((of): Predicate => ({ op: 'not', of })),
    fc
      .tuple(fc.constantFrom('and', 'or'), fc.array(tie('predicate'), { maxLength: 3 }))
      .map(([op, of]): Predicate => ({ op, of })),
  ),
})).predicate;

const orderBy: fc.Arbitrary<readonly Order[]> = fc.array(
  fc.record({ by: selector, direction: fc.constantFrom('asc', 'desc') }),
  { maxLength: 2 },
);

const commit = fc.tuple(workspace, fc.array(change, { minLength: 1, maxLength: 4 })).map(
  ([where, plans]): Operation => ({
    what: 'commit',
    run: async (store, told) => {
      const planned = plans.flatMap((plan) => plan(where, told) ?? []);
      // Where several changes are at fault, events are refused last.
      const changes = planned.toSorted((a, b) => Number(a.op === 'emit') - Number(b.op === 'emit'));
      return await store.commit({
        workspace: where,
        principal: 'model',
        reason: 'because',
        changes,
      });
    },
  }),
);

const query = fc.tuple(workspace, some(predicate), orderBy, fc.constantFrom(1, 2, 50)).map(
  ([where, condition, order, limit]): Operation => ({
    what: 'query',
    run: async (store, told) => {
      const asked: Query = {
        orderBy: order,
        limit,
        facets: ['params', 'tags'],
        ...(condition === undefined ? {} : { where: condition }),
      };
      const page = await store.query(where, 'item', asked);
      told.pageCursor =
        page.cursor === undefined
          ? undefined
          : { workspace: where, query: asked, cursor: page.cursor };
      return { records: page.records, more: page.cursor !== undefined };
    },
  }),
);

const nextPage = fc.constant<Operation>({
  what: 'next page',
  run: async (store, told) => {
    if (told.pageCursor === undefined) return undefined;
    const { workspace: where, query: asked, cursor } = told.pageCursor;
    const page = await store.query(where, 'item', { ...asked, cursor });
    told.pageCursor =
      page.cursor === undefined ? undefined : { ...told.pageCursor, cursor: page.cursor };
    return { records: page.records, more: page.cursor !== undefined };
  },
});

const reads: fc.Arbitrary<Operation> = fc
  .tuple(workspace, fc.constantFrom('item', 'job', 'note'), id)
  .chain(([where, kind, target]) =>
    fc.constantFrom<Operation>(
      { what: 'findMany', run: (store) => store.findMany(where, kind, ids) },
      { what: 'history', run: (store) => store.history(where, kind, target) },
      { what: 'count', run: (store) => store.count(where, kind, undefined, { exact: true }) },
      {
        what: 'owners',
        run: async (store) => [...(await store.claimOwners('job', where))].toSorted(),
      },
    ),
  );

const reach = fc
  .tuple(
    workspace,
    fc.uniqueArray(id, { minLength: 1, maxLength: 2 }),
    fc.boolean(),
    fc.nat(3),
    some(fc.constantFrom('made', 'used')),
  )
  .map(
    ([where, starts, forward, depth, role]): Operation => ({
      what: 'reach',
      run: async (store) => {
        const found = await store.reach(where, starts, {
          direction: forward ? 'forward' : 'backward',
          depth,
          limit: 100,
          ...(role === undefined ? {} : { roles: [role] }),
        });
        const edges = found.edges
          .map(({ from, to, role: how }) => `${from}-${how}-${to}`)
          .toSorted();
        return { ...found, edges };
      },
    }),
  );

const readEvents = fc
  .tuple(some(workspace), fc.constantFrom(1, 3, 100), some(fc.constantFrom('x.made')), fc.boolean())
  .map(
    ([where, limit, type, anew]): Operation => ({
      what: 'readEvents',
      run: async (store, told) => {
        const reader = JSON.stringify([where, type]);
        const after = told.eventCursors.get(reader);
        const page = await store.readEvents({
          limit,
          ...(where === undefined ? {} : { workspace: where }),
          ...(anew || after === undefined ? {} : { after }),
          ...(type === undefined ? {} : { filter: { types: [type] } }),
        });
        told.eventCursors.set(reader, page.cursor);
        return page.events.map(({ cursor: _own, ...rest }) => rest);
      },
    }),
  );

const keyOf = ({ record, owner, fence }: Claimed): ClaimKey => {
  return { workspace: record.workspace, kind: 'job', id: record.id, owner, fence };
};

const claim = fc
  .tuple(
    some(workspace),
    fc.constantFrom('one', 'two'),
    fc.constantFrom(1, 2, 9),
    fc.boolean(),
    some(fc.constant('one')),
  )
  .map(
    ([where, owner, limit, sets, dead]): Operation => ({
      what: 'claim',
      run: async (store, told) => {
        const claimed = await store.claim('job', {
          limit,
          owner,
          leaseMs: 100,
          where: { op: 'compare', left: { from: 'column', name: 'state' }, cmp: '=', value: 'due' },
          ...(where === undefined ? {} : { workspace: where }),
          ...(sets ? { set: { worker: owner } } : {}),
          ...(dead === undefined ? {} : { takeFrom: [dead] }),
          // Without a workspace two jobs may have one id: nothing says which of them comes first.
          orderBy: [{ by: { from: 'column', name: 'dueAt' }, direction: 'asc' }],
        });
        for (const { record, fence } of claimed) {
          const rises = told.claims
            .filter(
              (one) => one.record.id === record.id && one.record.workspace === record.workspace,
            )
            .every((one) => one.fence < fence);
          if (!rises)
            throw new Error(`The fence ${fence} of ${record.id} is not above all before.`);
        }
        told.claims = [...told.claims, ...claimed];
        // How far a fence rises is the store's own affair.
        return claimed.map(({ fence: _own, ...rest }) => rest);
      },
    }),
  );

const claims = fc.tuple(fc.boolean(), fc.array(fc.nat(9), { maxLength: 3 })).map(
  ([renews, which]): Operation => ({
    what: renews ? 'renew' : 'release',
    run: async (store, told) => {
      const all = told.claims.map(keyOf);
      const chosen = [...new Set(which)].flatMap((n) => all[n] ?? []);
      if (!renews) return await store.release(chosen);
      const renewed = await store.renew(chosen, 100);
      return renewed.map(({ fence: _own, ...rest }) => rest);
    },
  }),
);

/** Anything that may be done to a metadata store. */
export const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 8, arbitrary: commit },
  { weight: 3, arbitrary: query },
  { weight: 1, arbitrary: nextPage },
  { weight: 2, arbitrary: reads },
  { weight: 1, arbitrary: reach },
  { weight: 2, arbitrary: readEvents },
  { weight: 3, arbitrary: claim },
  { weight: 2, arbitrary: claims },
);
