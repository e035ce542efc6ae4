import fc from 'fast-check';
import type { Change, Claimed, ClaimKey, MetadataStore } from '../../contracts/metadata-store.ts';
import type { Order, Predicate, Query, Selector } from '../../contracts/query.ts';
import type { Columns } from '../../contracts/record.ts';
import type { Json } from '../../json.ts';
import { edge, event, item, job, note, writeIn } from '../metadata/scene.ts';
import { numbers, texts } from './story-values.ts';

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

const workspace = fc.constantFrom('home', 'home', 'home', 'home', 'away');
const ids = ['a', 'b', 'c'] as const;
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

/** Rarely given: what mostly makes a commit fail should not make every one fail. */
const seldom = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.oneof({ weight: 5, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: value });

const itemColumns: fc.Arbitrary<Columns> = fc
  .record(
    { name: some(text), count: some(integer), size: some(number), live: some(fc.boolean()) },
    { requiredKeys: [] },
  )
  .chain((columns) =>
    fc
      .record({
        code: seldom(fc.constantFrom('x', 'y')),
        part: seldom(fc.constantFrom(1, 2)),
        batch: seldom(fc.constantFrom('m', 'n')),
        origin: seldom(fc.constantFrom('here', 'there')),
      })
      .map((more) => {
        const given = Object.entries(more).filter(([, value]) => value !== undefined);
        return { ...columns, ...Object.fromEntries(given) };
      }),
  );

const jobColumns: fc.Arbitrary<Columns> = fc.record({
  state: fc.constantFrom('due', 'due', 'done'),
  dueAt: some(integer),
});

/** A change that fits what is there when it comes to be made, mostly. */
type Plan = (workspace: string, told: Told) => Change | undefined;

const kindAndColumns = fc.oneof(
  { weight: 4, arbitrary: itemColumns.map((columns) => ({ kind: 'item', columns })) },
  { weight: 2, arbitrary: jobColumns.map((columns) => ({ kind: 'job', columns })) },
  { weight: 1, arbitrary: fc.constant({ kind: 'note', columns: { title: 'a note' } }) },
);

const off = fc.constantFrom(0, 0, 0, 0, 0, 0, 0, 1, -1);
const which = fc.nat(11);

/** One of the ids that are there; now and then, or where none is there, any id. */
function target(told: Told, where: string, kind: string, n: number): string {
  const there = ids.filter((one) => told.revision(where, kind, one) > 0);
  return there[n % (there.length + (n > 9 ? 1 : 0))] ?? ids[n % ids.length] ?? 'a';
}

/** One of the ids that are free; now and then one that is taken. */
function freeId(told: Told, where: string, kind: string, n: number): string {
  const free = ids.filter((one) => told.revision(where, kind, one) === 0);
  return (n > 9 ? undefined : free[n % free.length]) ?? ids[n % ids.length] ?? 'a';
}

const create = fc.tuple(kindAndColumns, which, some(map), map).map(
  ([{ kind, columns }, n, body, params]): Plan =>
    (where, told) => ({
      op: 'create',
      kind,
      id: freeId(told, where, kind, n),
      columns,
      ...(body === undefined ? {} : { body }),
      ...(kind === 'item' ? { facets: { params } } : {}),
    }),
);

const revisions = fc
  .uniqueArray(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 3 })
  .map((all) => all.toSorted((a, b) => a - b));

/** A record as it was elsewhere, perhaps with its history. */
const restoration = fc.tuple(kindAndColumns, which, map, map, some(revisions), some(text)).map(
  ([{ kind, columns }, n, body, params, history, reason]): Plan =>
    (where, told) => ({
      op: 'restore',
      record: {
        kind,
        id: freeId(told, where, kind, n),
        revision: history?.at(-1) ?? 3,
        createdAt: 1_000 + n,
        updatedAt: 2_000 + n,
        columns,
        body,
        facets: kind === 'item' ? { params } : {},
      },
      ...(history === undefined || kind === 'note'
        ? {}
        : {
            history: history.map((revision) => ({
              revision,
              at: 1_000 + revision,
              by: `person ${revision}`,
              ...(reason === undefined ? {} : { reason, correlationId: reason }),
              columns,
              body: params,
              removed: false,
            })),
          }),
    }),
);

const replace = fc.tuple(kindAndColumns, which, off, some(map)).map(
  ([{ kind, columns }, n, wrong, body]): Plan =>
    (where, told) => {
      const id = target(told, where, kind, n);
      const expect = told.revision(where, kind, id) + wrong;
      const change = { op: 'replace', kind, id, expect, columns } as const;
      return body === undefined || (kind === 'note' && n > 1) ? change : { ...change, body };
    },
);

const merge = fc.tuple(which, map, map, fc.array(key, { maxLength: 2 })).map(
  ([n, params, tags, unset]): Plan =>
    (where, told) => {
      const id = target(told, where, 'item', n);
      return { op: 'merge', kind: 'item', id, set: { params, tags }, unset: { params: unset } };
    },
);

const remove = fc.tuple(fc.constantFrom('item', 'job', 'note'), which, off).map(
  ([kind, n, wrong]): Plan =>
    (where, told) => {
      const id = target(told, where, kind, n);
      return { op: 'remove', kind, id, expect: told.revision(where, kind, id) + wrong };
    },
);

const assertion = fc.tuple(which, off, fc.boolean()).map(
  ([n, wrong, absent]): Plan =>
    (where, told) => {
      if (absent)
        return { op: 'assert', kind: 'item', id: freeId(told, where, 'item', n), expect: 'absent' };
      const id = target(told, where, 'item', n);
      return { op: 'assert', kind: 'item', id, expect: told.revision(where, 'item', id) + wrong };
    },
);

const adjust = fc
  .tuple(
    which,
    fc.constantFrom('count', 'count', 'size', 'part'),
    fc.constantFrom(1, -1, 3),
    seldom(integer),
    seldom(integer),
  )
  .map(
    ([n, column, by, min, max]): Plan =>
      (where, told) => ({
        op: 'adjust',
        kind: 'item',
        id: target(told, where, 'item', n),
        column,
        by,
        ...(min === undefined ? {} : { min }),
        ...(max === undefined ? {} : { max }),
      }),
  );

const newEdge = fc
  .tuple(fc.constantFrom(...ids), fc.constantFrom(...ids), fc.constantFrom('made', 'used'))
  .map(
    ([from, to, role]): Plan =>
      () =>
        edge(from, to, role),
  );

const emission = fc
  .tuple(fc.constantFrom(...ids), fc.constantFrom('x.made', 'x.done'), fc.nat(9), map)
  .map(
    ([subject, type, again, payload]): Plan =>
      (_where, told) => {
        const n = again === 0 ? told.eventNumber - 1 : told.eventNumber;
        const parts = again > 6 ? { causationId: event(n).id } : {};
        return { op: 'emit', event: event(n, { subject, type, payload, ...parts }) };
      },
  );

const holding = fc.tuple(which, off, fc.nat(9)).map(
  ([n, wrong, thief]): Plan =>
    (where, told) => {
      const here = told.claims.filter((one) => one.record.workspace === where);
      const claimed = here.at(-1 - (n % 3));
      if (claimed === undefined) return undefined;
      const { record, owner, fence } = claimed;
      return {
        op: 'hold',
        kind: 'job',
        id: record.id,
        owner: thief === 0 ? 'thief' : owner,
        // Far off: how fences rise is the store's own affair.
        fence: fence + wrong * 1_000_000,
      };
    },
);

const change: fc.Arbitrary<Plan> = fc.oneof(
  { weight: 6, arbitrary: create },
  { weight: 3, arbitrary: restoration },
  { weight: 6, arbitrary: replace },
  { weight: 4, arbitrary: merge },
  { weight: 3, arbitrary: remove },
  { weight: 3, arbitrary: assertion },
  { weight: 3, arbitrary: adjust },
  { weight: 2, arbitrary: newEdge },
  { weight: 3, arbitrary: emission },
  { weight: 4, arbitrary: holding },
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

const plans = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(change) },
  { weight: 3, arbitrary: fc.tuple(change, change) },
  { weight: 1, arbitrary: fc.array(change, { minLength: 3, maxLength: 5 }) },
);

const commit = fc.tuple(workspace, plans).map(
  ([where, planned]): Operation => ({
    what: 'commit',
    run: async (store, told) => {
      const made = planned.flatMap((plan) => plan(where, told) ?? []);
      // Where several changes are at fault, events are refused last.
      const changes = made.toSorted((a, b) => Number(a.op === 'emit') - Number(b.op === 'emit'));
      const why = made.length > 1 ? { reason: 'because', correlationId: 'all of this' } : {};
      return await store.commit({ workspace: where, principal: 'model', ...why, changes });
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
  .tuple(workspace, fc.constantFrom('item', 'job', 'note'), fc.constantFrom(...ids))
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
    fc.uniqueArray(fc.constantFrom(...ids), { minLength: 1, maxLength: 2 }),
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
        const answer = await store.claim('job', {
          // Without a workspace two jobs may have one id, and nothing says which of them comes first.
          limit: where === undefined ? 9 : limit,
          owner,
          leaseMs: 100,
          where: { op: 'compare', left: { from: 'column', name: 'state' }, cmp: '=', value: 'due' },
          ...(where === undefined ? {} : { workspace: where }),
          ...(sets ? { set: { worker: owner } } : {}),
          ...(dead === undefined ? {} : { takeFrom: [dead] }),
          orderBy: [{ by: { from: 'column', name: 'dueAt' }, direction: 'asc' }],
        });
        const claimed =
          where === undefined
            ? answer.toSorted((a, b) => (a.record.workspace < b.record.workspace ? -1 : 1))
            : answer;
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
      const all = told.claims.map(keyOf).toReversed();
      const chosen = [...new Set(which)].flatMap((n) => all[n] ?? []);
      if (!renews) return await store.release(chosen);
      const renewed = await store.renew(chosen, 100);
      return renewed.map(({ fence: _own, ...rest }) => rest);
    },
  }),
);

/** Anything that may be done to a metadata store. */
export const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 12, arbitrary: commit },
  { weight: 3, arbitrary: query },
  { weight: 1, arbitrary: nextPage },
  { weight: 2, arbitrary: reads },
  { weight: 1, arbitrary: reach },
  { weight: 2, arbitrary: readEvents },
  { weight: 3, arbitrary: claim },
  { weight: 2, arbitrary: claims },
);

/** What every story begins with, so that there is something to change, claim, follow and find. */
export async function begin(store: MetadataStore): Promise<void> {
  const params = { p: 1, q: 'text' };
  const items = [
    item('a', { name: 'first', count: 1 }, { facets: { params } }),
    item('b', { size: 0.5 }),
  ];
  await writeIn(
    store,
    'home',
    ...items,
    note('a'),
    job('a', { dueAt: 1 }),
    job('b'),
    edge('a', 'b'),
  );
  await writeIn(store, 'away', item('a'), job('a'), edge('b', 'c'));
}

/** Everything that can be read of a store: what two stores that were told the same should agree on. */
export async function wholeOf(store: MetadataStore): Promise<unknown> {
  const whole: unknown[] = [];
  for (const where of ['home', 'away']) {
    for (const [kind, facets] of [
      ['item', ['params', 'tags']],
      ['job', []],
      ['note', []],
    ] as const) {
      whole.push(await store.findMany(where, kind, ids, { facets }));
      for (const one of ids) whole.push(await store.history(where, kind, one));
    }
    for (const name of ['count', 'size', 'name', 'live']) {
      for (const direction of ['asc', 'desc'] as const) {
        const order = [
          { by: { from: 'column', name }, direction },
          { by: { from: 'facet', facet: 'params', key: 'p' }, direction: 'desc' },
        ] as const;
        const { records } = await store.query(where, 'item', { orderBy: order });
        whole.push(records.map((record) => record.id));
      }
    }
    for (const direction of ['forward', 'backward'] as const) {
      const { nodes } = await store.reach(where, ['a'], { direction, depth: 10, limit: 9 });
      whole.push(nodes);
    }
    whole.push([...(await store.claimOwners('job', where))].toSorted());
    const { events } = await store.readEvents({ workspace: where, limit: 1_000 });
    whole.push(events.map(({ cursor: _own, ...rest }) => rest));
  }
  return whole;
}
