import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Change, MetadataStore } from '../src/contracts/metadata-store.ts';
import type { Comparison, Literal, Order, Predicate, Selector } from '../src/contracts/query.ts';
import type { KindDeclaration } from '../src/contracts/record.ts';
import type { SeriesStore } from '../src/contracts/series-store.ts';
import type { Json } from '../src/json.ts';
import { compareRecords } from '../src/language/compare-records.ts';
import { evaluatePredicate } from '../src/language/evaluate-predicate.ts';
import type { Evaluable, Figures } from '../src/language/select-value.ts';
import {
  type MatchCount,
  type PageEntry,
  type PageRequest,
  type SearchBudgets,
  searchBudgets,
} from '../src/sql/index.ts';

/** The kind that is searched. */
export const thingKind: KindDeclaration = {
  name: 'thing',
  columns: {
    word: { type: 'text', optional: true },
    label: { type: 'text' },
    whole: { type: 'integer', optional: true },
    size: { type: 'real', optional: true },
    live: { type: 'boolean', optional: true },
    plain: { type: 'text', optional: true },
  },
  indexes: [['word', 'whole'], ['whole'], ['size'], ['label', 'size'], ['live']],
  facets: {
    params: { source: 'merged' },
    tags: { source: 'merged' },
    metrics: { source: 'projected' },
  },
  history: 'none',
};

const long = 'x'.repeat(600);
const texts = [
  ...['', '1', '1.0', '0', '-0', '1e3', '1000', ' 1', '0x10', 'NaN', 'Infinity', '-Infinity'],
  ...['abc', 'ABC', 'aBc', 'a%c', 'a_c', 'a*c', 'a?c', 'a[b]c', 'true', 'false', 'null', '1e-7'],
  ...[
    'é',
    'É',
    '😀',
    '\uffee',
    '�',
    '1e21',
    '1e999',
    long,
    `${long}a`,
    `${long}b`,
    'x'.repeat(499),
  ],
  ...[
    `${'x'.repeat(499)}😀`,
    `${'x'.repeat(499)}😀z`,
    'x'.repeat(500),
    `${'x'.repeat(499)}\ufffe`,
    '__proto__',
  ],
];
const numbers = [
  ...[0, -0, 1, -1, 1.5, 1000, 1e21, 1e-7, 0.1, 0.30000000000000004, Number.NaN],
  ...[Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 2 ** 53 - 1, 123456789.123],
];
const text = fc.constantFrom(...texts);
const number = fc.constantFrom(...numbers);
const whole = fc.constantFrom(0, 1, -1, 5, 1000, 2 ** 53 - 1, -(2 ** 53 - 1));
const json: fc.Arbitrary<Json> = fc.oneof(
  { weight: 3, arbitrary: text },
  { weight: 3, arbitrary: number },
  fc.boolean(),
  fc.constantFrom<Json>(null, [], [1], {}, { a: 1 }),
);
const keys = ['a', 'b', '__proto__', ''];
const key = fc.constantFrom(...keys);
const map = fc
  .array(fc.tuple(key, json), { maxLength: 4 })
  .map((entries) => Object.fromEntries(entries));
const optional = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined });

const thing = fc.record({
  columns: fc.record({
    word: optional(text),
    label: text,
    whole: optional(whole),
    size: optional(number),
    live: optional(fc.boolean()),
    plain: optional(text),
  }),
  body: fc.record(
    { a: json, b: map, c: fc.record({ '': json, 'x"y': json }) },
    { requiredKeys: [] },
  ),
  facets: fc.record({ params: map, tags: map }),
  points: fc.array(
    fc.tuple(fc.constantFrom('a', 'b'), fc.array(number, { minLength: 1, maxLength: 3 })),
    {
      maxLength: 2,
    },
  ),
});
type Thing = typeof thing extends fc.Arbitrary<infer T> ? T : never;

const literal: fc.Arbitrary<Literal> = fc.oneof(text, number, fc.boolean());
const cmp = fc.constantFrom<Comparison>('=', '!=', '>', '>=', '<', '<=');
const pattern = fc.oneof(
  fc.constantFrom(
    '%',
    '_',
    '',
    'a%',
    '%c',
    'a_c',
    'A%',
    '%b%c%',
    '*',
    'a[b]c',
    '%😀',
    '%__',
    'x%x',
    '1%',
  ),
  text,
);
const metricSelector = fc.record(
  {
    from: fc.constant('facet' as const),
    facet: fc.constant('metrics'),
    key: fc.constantFrom('a', 'b', 'never'),
    figure: fc.constantFrom('last', 'min', 'max', 'mean', 'first', 'count'),
  },
  { requiredKeys: ['from', 'facet', 'key'] },
);

/** What is asked, with or without metrics. */
function arbitraries(metrics: boolean): {
  readonly predicate: fc.Arbitrary<Predicate>;
  readonly orderBy: fc.Arbitrary<readonly Order[]>;
  readonly keyed: fc.Arbitrary<Selector>;
} {
  const selector: fc.Arbitrary<Selector> = fc.oneof(
    fc.record({
      from: fc.constant('column' as const),
      name: fc.constantFrom('word', 'label', 'whole', 'size', 'live', 'plain', 'id', 'revision'),
    }),
    fc.record({
      from: fc.constant('facet' as const),
      facet: fc.constantFrom('params', 'tags'),
      key: fc.constantFrom(...keys, 'never'),
    }),
    ...(metrics ? [metricSelector] : []),
    fc.record({
      from: fc.constant('body' as const),
      path: fc.constantFrom(
        ['a'],
        ['b', 'a'],
        ['b', '__proto__'],
        ['c', ''],
        ['c', 'x"y'],
        [],
        ['a', 'a'],
      ),
    }),
  ) as fc.Arbitrary<Selector>;
  const leaf: fc.Arbitrary<Predicate> = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        op: fc.constant('compare' as const),
        left: selector,
        cmp,
        value: literal,
      }),
    },
    fc.record({ op: fc.constant('between' as const), left: selector, low: literal, high: literal }),
    fc.record({
      op: fc.constant('in' as const),
      left: selector,
      values: fc.array(literal, { maxLength: 25 }),
    }),
    fc.record({
      op: fc.constant('like' as const),
      left: selector,
      pattern,
      caseSensitive: fc.boolean(),
    }),
    fc.record({ op: fc.constant('present' as const), left: selector }),
  );
  const predicate: fc.Arbitrary<Predicate> = fc.letrec<{ node: Predicate }>((tie) => ({
    node: fc.oneof(
      { maxDepth: 3, withCrossShrink: true },
      leaf,
      fc.record({ op: fc.constant('not' as const), of: tie('node') }),
      fc.record({ op: fc.constant('and' as const), of: fc.array(tie('node'), { maxLength: 3 }) }),
      fc.record({ op: fc.constant('or' as const), of: fc.array(tie('node'), { maxLength: 3 }) }),
    ),
  })).node;
  const orderBy: fc.Arbitrary<readonly Order[]> = fc.array(
    fc.record({ by: selector, direction: fc.constantFrom('asc' as const, 'desc' as const) }),
    { maxLength: 3 },
  );

  const keyed = fc.oneof(
    fc.record({
      from: fc.constant('facet' as const),
      facet: fc.constant('params'),
      key: fc.constantFrom('a', 'b'),
    }),
    ...(metrics
      ? [
          fc.record({
            from: fc.constant('facet' as const),
            facet: fc.constant('metrics'),
            key: fc.constantFrom('a', 'b'),
            figure: fc.constantFrom('last' as const, 'min' as const),
          }),
        ]
      : []),
  );
  return { predicate, orderBy, keyed };
}

/** Budgets that send a search over a few dozen records down each of its ways. */
const allBudgets: readonly SearchBudgets[] = [
  searchBudgets,
  { glance: 0, drive: 0, walk: 1_000, compare: 30 },
  { glance: 2, drive: 0, walk: 5, compare: 30 },
  { glance: 1, drive: 3, walk: 10, compare: 5 },
  { glance: 0, drive: 0, walk: 0, compare: 1 },
  { glance: 0, drive: 3_000, walk: 4_000, compare: 20_000 },
];

/** A store that is searched, by its planner with budgets of ours. */
export interface SearchedStores {
  readonly store: MetadataStore;
  /** Of the same database; left out where there is none. */
  readonly series: SeriesStore | undefined;
  page(
    workspace: string,
    request: PageRequest,
    budgets: SearchBudgets,
  ): Promise<readonly PageEntry[]>;
  count(workspace: string, where: Predicate, budgets: SearchBudgets): Promise<MatchCount>;
}

const seed = Number(process.env['KEELSON_SEED'] ?? Date.now() % 1_000_000);
const runs = Number(process.env['KEELSON_RUNS'] ?? 800);
const records = 80;

/** Fills a workspace with things; answers what should be there. */
async function fill(
  { store, series }: SearchedStores,
  workspace: string,
  things: readonly Thing[],
): Promise<readonly Evaluable[]> {
  const made: Evaluable[] = [];
  for (const [i, { columns, body, facets, points }] of things.entries()) {
    const id = `t${String((i * 37) % things.length).padStart(3, '0')}`;
    await store.commit({
      workspace,
      principal: 'test',
      changes: [{ op: 'create', kind: 'thing', id, columns, body: body as never, facets }],
    });
    made.push({ id, revision: 1, columns, body: body as never, facets, figures: {} });
    if (series === undefined) continue;
    for (const [name, values] of points) await append(series, workspace, id, name, values);
  }
  if (series === undefined) return made;
  await series.fold();
  const all: Evaluable[] = [];
  for (const record of made) {
    const summaries = await series.summaries(workspace, record.id ?? '');
    const last = summaries.map((s): [string, Json] => [s.key, s.last]);
    const figures = summaries.map((s): [string, Figures] => {
      const { last: l, min, max, mean, first, count } = s;
      const some = Object.entries({ last: l, min, max, mean, first, count });
      return [s.key, Object.fromEntries(some.filter(([, value]) => value !== undefined))];
    });
    const metrics = Object.fromEntries(last);
    all.push({
      ...record,
      facets: { ...record.facets, metrics },
      figures: { metrics: Object.fromEntries(figures) },
    });
  }
  return all;
}

let writers = 0;
async function append(
  series: SeriesStore,
  workspace: string,
  owner: string,
  name: string,
  values: readonly number[],
): Promise<void> {
  writers += 1;
  await series.appendPoints({
    writer: `writer-${writers}`,
    sequence: 1,
    series: [{ workspace, owner, key: name }],
    seriesIndex: new Uint32Array(values.length),
    steps: Float64Array.from(values, (_, i) => i),
    timestamps: Float64Array.from(values, (_, i) => i),
    values: Float64Array.from(values),
  });
}

function thingOf(value: Json): Thing {
  const isText = typeof value === 'string';
  const isNumber = typeof value === 'number';
  return {
    columns: {
      word: isText ? value : undefined,
      label: isText ? value : 'none',
      whole: Number.isSafeInteger(value) ? Number(value) + 0 : undefined,
      size: isNumber ? value : undefined,
      live: typeof value === 'boolean' ? value : undefined,
      plain: isText ? value : undefined,
    },
    body: { a: value },
    facets: { params: { a: value }, tags: {} },
    points: isNumber ? [['a', [value]]] : [],
  };
}

/**
 * Tests of searches that are answered as the reference evaluator answers them, whatever way the planner
 * goes. `open` is called once; the test file closes what it opened. `share` of the random runs are made.
 */
export function testSearch(
  open: () => Promise<SearchedStores>,
  options: { readonly metrics: boolean; readonly share?: number },
): void {
  const share = options.share ?? 1;
  const numRuns = (all: number): number => Math.ceil(all * share);
  let opened: SearchedStores | undefined;
  let model: readonly Evaluable[];
  /** One thing for each value there is, with that value wherever it may stand. */
  let grid: readonly Evaluable[];
  const tested = (): SearchedStores => {
    if (opened === undefined) throw new Error('Nothing has been opened.');
    return opened;
  };
  const { predicate, orderBy, keyed } = arbitraries(options.metrics);

  beforeAll(async () => {
    opened = await open();
    const things = fc.sample(thing, { numRuns: 2 * records, seed });
    model = await fill(opened, 'home', things.slice(0, records));
    await fill(opened, 'elsewhere', things.slice(records));
    const values: readonly Json[] = [...texts, ...numbers, true, false, null, [1], { a: 1 }];
    grid = await fill(opened, 'grid', values.map(thingOf));
  });

  /** All matching ids, page by page. */
  async function search(
    budgets: SearchBudgets,
    where: Predicate,
    order: readonly Order[],
    limit: number,
    workspace = 'home',
  ): Promise<readonly string[]> {
    const found: PageEntry[] = [];
    for (;;) {
      const request = { where, orderBy: order, limit, after: found.at(-1) };
      const page = await tested().page(workspace, request, budgets);
      found.push(...page);
      if (page.length < limit) return found.map(({ id }) => id);
      if (found.length > 2 * records) throw new Error('The pages do not end.');
    }
  }

  describe(`search over random records (KEELSON_SEED=${seed})`, () => {
    test('answers as the reference evaluator does, in its order, whatever way the planner goes', async () => {
      await fc.assert(
        fc.asyncProperty(
          predicate,
          orderBy,
          fc.integer({ min: 1, max: 30 }),
          fc.nat({ max: allBudgets.length - 1 }),
          async (where, order, limit, budget) => {
            const expected = model
              .filter((record) => evaluatePredicate(where, record))
              .toSorted(compareRecords(order))
              .map(({ id }) => id);
            const budgets = allBudgets[budget] ?? searchBudgets;
            expect(await search(budgets, where, order, limit)).toEqual(expected);
            const count = await tested().count('home', where, budgets);
            expect(count).toEqual({ count: expected.length, exact: true });
          },
        ),
        { numRuns: numRuns(runs), seed },
      );
    });

    const places: readonly Selector[] = [
      ...['word', 'whole', 'size', 'live', 'plain'].map(
        (name): Selector => ({ from: 'column', name }),
      ),
      { from: 'facet', facet: 'params', key: 'a' },
      ...(options.metrics
        ? ([
            { from: 'facet', facet: 'metrics', key: 'a' },
            { from: 'facet', facet: 'metrics', key: 'a', figure: 'max' },
          ] as const)
        : []),
      { from: 'body', path: ['a'] },
    ];

    test('compares every value with every literal as the reference evaluator does', async () => {
      const literals: readonly Literal[] = [...texts, ...numbers, true, false];
      for (const left of places) {
        for (const value of literals) {
          for (const sign of ['=', '!=', '<'] as const) {
            const where: Predicate = { op: 'compare', left, cmp: sign, value };
            const expected = grid
              .filter((record) => evaluatePredicate(where, record))
              .toSorted(compareRecords([]))
              .map(({ id }) => id);
            for (const budgets of allBudgets.slice(0, 2).concat(allBudgets.slice(-1))) {
              const found = await search(budgets, where, [], 200, 'grid');
              expect(found, JSON.stringify(where)).toEqual(expected);
            }
          }
        }
      }
    });

    test('sorts every value as the reference does, in both directions, page by page', async () => {
      const everything: Predicate = { op: 'and', of: [] };
      for (const by of places) {
        for (const direction of ['asc', 'desc'] as const) {
          const order = [{ by, direction }];
          const expected = grid.toSorted(compareRecords(order)).map(({ id }) => id);
          for (const budgets of allBudgets) {
            expect(await search(budgets, everything, order, 7, 'grid')).toEqual(expected);
          }
        }
      }
    });

    test('joins sets of records as the reference evaluator does', async () => {
      const range = fc.oneof(
        fc.record({
          op: fc.constant('compare' as const),
          left: fc.constantFrom<Selector>(...places.slice(5, 7)),
          cmp,
          value: number,
        }),
        fc.record({
          op: fc.constant('compare' as const),
          left: fc.constant<Selector>({ from: 'column', name: 'whole' }),
          cmp,
          value: whole,
        }),
      ) as fc.Arbitrary<Predicate>;
      const both = fc.array(range, { minLength: 1, maxLength: 2 });
      const either = fc.array(
        both.map((of): Predicate => ({ op: 'and', of })),
        { minLength: 1, maxLength: 3 },
      );
      await fc.assert(
        fc.asyncProperty(either, both, async (of, also) => {
          const where: Predicate = { op: 'and', of: [{ op: 'or', of }, ...also.slice(1)] };
          const expected = model
            .filter((record) => evaluatePredicate(where, record))
            .toSorted(compareRecords([]))
            .map(({ id }) => id);
          for (const budgets of allBudgets) {
            expect(await search(budgets, where, [], 100)).toEqual(expected);
          }
        }),
        { numRuns: numRuns(200), seed },
      );
    });

    test('filters by one key and sorts by another of the same facet', async () => {
      const direction = fc.constantFrom('asc' as const, 'desc' as const);
      await fc.assert(
        fc.asyncProperty(
          keyed,
          cmp,
          number,
          keyed,
          direction,
          async (left, sign, value, by, way) => {
            const where: Predicate = { op: 'compare', left, cmp: sign, value };
            const order = [{ by, direction: way }];
            const expected = model
              .filter((record) => evaluatePredicate(where, record))
              .toSorted(compareRecords(order))
              .map(({ id }) => id);
            for (const budgets of allBudgets) {
              expect(await search(budgets, where, order, 9)).toEqual(expected);
            }
          },
        ),
        { numRuns: numRuns(300), seed },
      );
    });

    test('finds neither a removed record by its facets nor the one that has its id after it', async () => {
      const workspace = 'removal';
      const write = (...changes: readonly Change[]): Promise<unknown> =>
        tested().store.commit({ workspace, principal: 'test', changes });
      const create = (facets: Thing['facets']): Change => {
        return { op: 'create', kind: 'thing', id: 'a', columns: { label: 'x' }, facets };
      };
      const find = async (facetKey: string): Promise<number> => {
        const left: Selector = { from: 'facet', facet: 'params', key: facetKey };
        return (await tested().store.query(workspace, 'thing', { where: { op: 'present', left } }))
          .records.length;
      };
      await write(create({ params: { old: 1, both: 'x' }, tags: {} }));
      expect([await find('old'), await find('both')]).toEqual([1, 1]);
      await write({ op: 'remove', kind: 'thing', id: 'a', expect: 1 });
      expect([await find('old'), await find('both')]).toEqual([0, 0]);
      await write(create({ params: { both: 'y' }, tags: {} }));
      expect([await find('old'), await find('both')]).toEqual([0, 1]);
    });

    test('pages hold each record that matched throughout exactly once, whatever comes and goes', async () => {
      let round = 0;
      const stranger = fc.record({ id: fc.integer({ min: 0, max: 999 }), thing });
      await fc.assert(
        fc.asyncProperty(
          fc.array(thing, { minLength: 5, maxLength: 15 }),
          fc.array(stranger, { maxLength: 12 }),
          predicate,
          orderBy,
          fc.integer({ min: 1, max: 4 }),
          async (things, strangers, where, order, limit) => {
            round += 1;
            const workspace = `round-${round}`;
            const create = async (id: string, { columns, body, facets }: Thing): Promise<void> => {
              const change = { op: 'create', kind: 'thing', id, columns, body, facets } as never;
              await tested().store.commit({ workspace, principal: 'test', changes: [change] });
            };
            for (const [i, one] of things.entries()) await create(`m${i}`, one);
            const stays = await allPages(
              tested().store,
              workspace,
              where,
              order,
              limit,
              async () => undefined,
            );
            const left = strangers.map(({ id, thing: one }, i) => ({
              id: `s${id}-${i}`,
              thing: one,
            }));
            const come: string[] = [];
            const found = await allPages(
              tested().store,
              workspace,
              where,
              order,
              limit,
              async () => {
                const next = left.pop();
                if (next !== undefined) {
                  await create(next.id, next.thing);
                  come.push(next.id);
                }
                if (come.length > 2) {
                  const id = come.shift() ?? '';
                  const change = { op: 'remove', kind: 'thing', id, expect: 1 } as const;
                  await tested().store.commit({ workspace, principal: 'test', changes: [change] });
                }
              },
            );
            expect(found.filter((id) => id.startsWith('m'))).toEqual(stays);
            expect(new Set(found).size).toBe(found.length);
          },
        ),
        { numRuns: numRuns(runs / 13), seed },
      );
    });
  });
}

async function allPages(
  store: MetadataStore,
  workspace: string,
  where: Predicate,
  order: readonly Order[],
  limit: number,
  between: () => Promise<void>,
): Promise<readonly string[]> {
  const found: string[] = [];
  let cursor: string | undefined;
  do {
    const query = { where, orderBy: order, limit, ...(cursor === undefined ? {} : { cursor }) };
    const page = await store.query(workspace, 'thing', query);
    found.push(...page.records.map(({ id }) => id));
    cursor = page.cursor;
    await between();
  } while (cursor !== undefined);
  return found;
}
