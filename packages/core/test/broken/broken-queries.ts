import type { MetadataStore } from '../../src/contracts/metadata-store.ts';
import type { Predicate } from '../../src/contracts/query.ts';
import { compareRecords } from '../../src/language/compare-records.ts';
import { evaluatePredicate } from '../../src/language/evaluate-predicate.ts';
import { matchesLike } from '../../src/language/like-pattern.ts';
import { type Evaluable, selectValue } from '../../src/language/select-value.ts';
import { readNumber } from '../../src/language/stored-value.ts';
import { type BrokenStore, judging, type Leaf, seeing } from './broken-store.ts';

/** Sorts records as if they were others. */
const sortingAs =
  (see: (record: Evaluable, descending: boolean) => Evaluable): typeof compareRecords =>
  (orderBy) => {
    const compare = compareRecords(orderBy);
    const descending = orderBy[0]?.direction === 'desc';
    return (a, b) => compare(see(a, descending), see(b, descending));
  };

const withColumn = (record: Evaluable, name: string, value: string | number): Evaluable => ({
  ...record,
  columns: { ...record.columns, [name]: value },
});

const comparesWith = (leaf: Leaf, type: string): boolean =>
  leaf.op === 'compare' && typeof leaf.value === type;

const judgingLike = (
  judge: (text: string, pattern: string, caseSensitive: boolean) => boolean | undefined,
): typeof evaluatePredicate =>
  judging((leaf, value) =>
    leaf.op === 'like' && typeof value === 'string'
      ? judge(value, leaf.pattern, leaf.caseSensitive)
      : undefined,
  );

export const brokenQueries: readonly BrokenStore[] = [
  {
    breaks: 'queries: a comparison with a missing value is false, also !=',
    how: 'what is missing is not 0',
    evaluate: judging((leaf, value) =>
      leaf.op === 'compare' && leaf.cmp === '!=' && leaf.value === 0 && value === undefined
        ? true
        : undefined,
    ),
  },
  {
    breaks: 'queries: a comparison with a missing value is false, also !=',
    how: 'a path that leads nowhere leads to empty text',
    evaluate: judging((leaf, value, record) =>
      leaf.op === 'compare' &&
      value === undefined &&
      leaf.left.from === 'body' &&
      leaf.left.path.length === 2
        ? evaluatePredicate(
            { ...leaf, left: { from: 'column', name: 'seen' } },
            { ...record, columns: { seen: '' } },
          )
        : undefined,
    ),
  },
  {
    breaks: 'queries: not inverts, also where the value is missing',
    how: 'not of what is unknown is unknown',
    evaluate: (predicate, record) => {
      const evaluate = (part: Predicate): boolean => {
        if (part.op === 'and') return part.of.every(evaluate);
        if (part.op === 'or') return part.of.some(evaluate);
        if (part.op !== 'not') return evaluatePredicate(part, record);
        const unknown = part.of.op === 'compare' && selectValue(record, part.of.left) === undefined;
        return !unknown && !evaluate(part.of);
      };
      return evaluate(predicate);
    },
  },
  {
    breaks: 'queries: a number compares with numbers and with text that reads as one',
    how: 'text in bodies is no number',
    evaluate: seeing((value, leaf) =>
      comparesWith(leaf, 'number') && typeof value === 'string' && leaf.left.from === 'body'
        ? undefined
        : value,
    ),
  },
  {
    breaks: 'queries: a number compares with numbers and with text that reads as one',
    how: 'text that begins with a number is that number',
    evaluate: seeing((value, leaf) =>
      comparesWith(leaf, 'number') && typeof value === 'string' && /^[0-9]/.test(value)
        ? Number.parseFloat(value)
        : value,
    ),
  },
  {
    breaks: 'queries: numbers are compared exactly',
    how: 'integers are compared as doubles of a driver that rounds',
    evaluate: seeing((value) =>
      value === Number.MAX_SAFE_INTEGER - 1 ? Number.MAX_SAFE_INTEGER : value,
    ),
  },
  {
    breaks: 'queries: NaN equals nothing and is ordered against nothing',
    how: 'NaN is above every number',
    evaluate: seeing((value, leaf) =>
      Number.isNaN(value) && comparesWith(leaf, 'number') ? Number.POSITIVE_INFINITY : value,
    ),
  },
  {
    breaks: 'queries: −0 equals 0 and infinities are ordered',
    how: 'infinities are not found',
    evaluate: seeing((value) => (value === Number.POSITIVE_INFINITY ? undefined : value)),
  },
  {
    breaks: 'queries: a boolean equals booleans and the texts true and false',
    how: 'the text true is no boolean',
    evaluate: seeing((value, leaf) =>
      value === 'true' && comparesWith(leaf, 'boolean') ? undefined : value,
    ),
  },
  {
    breaks: 'queries: null, arrays and objects are present and compare with nothing',
    how: 'null is not present',
    evaluate: seeing((value) => (value === null ? undefined : value)),
  },
  {
    breaks: 'queries: null, arrays and objects are present and compare with nothing',
    how: 'structures are compared by their JSON text',
    evaluate: seeing((value, leaf) =>
      typeof value === 'object' && leaf.op === 'compare' ? JSON.stringify(value) : value,
    ),
  },
  {
    breaks: 'queries: in is equality with any of the values',
    how: 'an empty list restricts nothing',
    evaluate: judging((leaf) => (leaf.op === 'in' && leaf.values.length === 0 ? true : undefined)),
  },
  {
    breaks: 'queries: between holds at both of its ends',
    how: 'the upper end is left out',
    evaluate: judging((leaf, value) =>
      leaf.op === 'between' && value === leaf.high ? false : undefined,
    ),
  },
  {
    breaks: 'queries: and, or and not nest',
    how: 'or of nothing is true',
    evaluate: (predicate, record) => {
      const evaluate = (part: Predicate): boolean => {
        if (part.op === 'and') return part.of.every(evaluate);
        if (part.op === 'or') return part.of.length === 0 || part.of.some(evaluate);
        return part.op === 'not' ? !evaluate(part.of) : evaluatePredicate(part, record);
      };
      return evaluate(predicate);
    },
  },
  {
    breaks: 'queries: id, revision, createdAt and updatedAt are columns of every kind',
    how: 'the revision cannot be searched by',
    evaluate: seeing((value, leaf) =>
      leaf.left.from === 'column' && leaf.left.name === 'revision' ? undefined : value,
    ),
  },
  {
    breaks: 'queries: a body path walks the keys of objects and no arrays',
    how: 'paths enter arrays',
    evaluate: judging((leaf, value, record) => {
      if (leaf.op !== 'present' || leaf.left.from !== 'body' || value !== undefined)
        return undefined;
      let at: unknown = record.body;
      for (const key of leaf.left.path) {
        at =
          typeof at === 'object' && at !== null && Object.hasOwn(at, key)
            ? (at as never)[key]
            : undefined;
      }
      return at !== undefined;
    }),
  },
  {
    breaks: 'queries: count counts what matches',
    how: 'counts stop at 100',
    wrap: (store) => ({
      count: async (...request) => {
        const { count, exact } = await store.count(...request);
        return { count: Math.min(count, 100), exact };
      },
    }),
  },
  {
    breaks: 'queries: text compares by Unicode code points',
    how: 'text is ordered by UTF-16 units',
    evaluate: judging((leaf, value) => {
      if (leaf.op !== 'compare' || typeof value !== 'string' || typeof leaf.value !== 'string')
        return undefined;
      if (leaf.cmp === '<') return value < leaf.value;
      return leaf.cmp === '>' ? value > leaf.value : undefined;
    }),
  },
  {
    breaks: 'queries: text is equal only to itself',
    how: 'normal forms are equal',
    evaluate: seeing((value, leaf) =>
      typeof value === 'string' &&
      leaf.op === 'compare' &&
      typeof leaf.value === 'string' &&
      leaf.value.length < 3
        ? value.normalize('NFC')
        : value,
    ),
  },
  {
    breaks: 'queries: a stored number or boolean has a text',
    how: 'a text equals no number',
    evaluate: seeing((value, leaf) =>
      leaf.op === 'compare' &&
      leaf.cmp === '=' &&
      typeof leaf.value === 'string' &&
      typeof value === 'number'
        ? undefined
        : value,
    ),
  },
  {
    breaks: 'queries: like has % and _ and nothing else',
    how: '* is any run of characters, too',
    evaluate: judgingLike((text, pattern, exact) =>
      pattern.includes('*') ? matchesLike(text, pattern.replaceAll('*', '%'), exact) : undefined,
    ),
  },
  {
    breaks: 'queries: like has % and _ and nothing else',
    how: 'a backslash escapes',
    evaluate: judgingLike((text, pattern) =>
      pattern === 'c\\%t' ? text.startsWith('c') : undefined,
    ),
  },
  {
    breaks: 'queries: _ is one character, also beyond the BMP',
    how: '_ is one UTF-16 unit',
    evaluate: judgingLike((text, pattern) =>
      /^_+$/.test(pattern) ? text.length === pattern.length : undefined,
    ),
  },
  {
    breaks: 'queries: like sees case',
    how: 'like folds case',
    evaluate: judgingLike((text, pattern) => matchesLike(text, pattern, false)),
  },
  {
    breaks: 'queries: like without case folds ASCII letters and no others',
    how: 'all letters are folded',
    evaluate: judgingLike((text, pattern, exact) =>
      exact ? undefined : matchesLike(text.toLowerCase(), pattern.toLowerCase(), true),
    ),
  },
  {
    breaks: 'queries: like sees the text of numbers and booleans',
    how: 'like sees text alone',
    evaluate: seeing((value, leaf) =>
      leaf.op === 'like' && typeof value !== 'string' ? undefined : value,
    ),
  },
  {
    breaks: 'queries: values are values, whatever they look like',
    how: 'quotes break the statement',
    evaluate: judging((leaf) =>
      leaf.op === 'compare' && typeof leaf.value === 'string' && leaf.value.includes("'")
        ? false
        : undefined,
    ),
  },
  {
    breaks: 'queries: keys are keys, whatever they look like',
    how: 'keys are JSON paths',
    evaluate: seeing((value, { left }) =>
      left.from === 'body' && left.path[0]?.includes('[') === true ? undefined : value,
    ),
  },
];

/** Reads pages by an offset, as if nothing were created meanwhile. */
function byOffset(store: MetadataStore): Partial<MetadataStore> {
  const offsets = new Map<string, number>();
  return {
    query: async (workspace, kind, query, options) => {
      const offset = query.cursor === undefined ? 0 : (offsets.get(query.cursor) ?? 0);
      const { limit = 50 } = query;
      // The real page tells whether the cursor is good.
      const real = await store.query(workspace, kind, query, options);
      const { cursor: _cursor, ...first } = query;
      const all = await store.query(workspace, kind, { ...first, limit: 1_000 }, options);
      const records = all.records.slice(offset, offset + limit);
      if (real.cursor === undefined) return { records };
      offsets.set(real.cursor, offset + limit);
      return { records, cursor: real.cursor };
    },
  };
}

export const brokenOrders: readonly BrokenStore[] = [
  {
    breaks: 'orders: columns sort by their type, in both directions',
    how: 'integers sort as text',
    compare: sortingAs((record) =>
      typeof record.columns['count'] === 'number'
        ? withColumn(record, 'count', String(record.columns['count']))
        : record,
    ),
  },
  {
    breaks: 'orders: columns sort by their type, in both directions',
    how: 'text sorts without case',
    compare: sortingAs((record) =>
      typeof record.columns['name'] === 'string'
        ? withColumn(record, 'name', record.columns['name'].replace('Z', 'zz').replace('é', 'e'))
        : record,
    ),
  },
  {
    breaks: 'orders: what is missing comes last, in both directions',
    how: 'a missing name comes first when descending',
    compare: sortingAs((record, descending) =>
      record.columns['name'] === undefined && descending
        ? withColumn(record, 'name', '\u{10ffff}')
        : record,
    ),
  },
  {
    breaks: 'orders: NaN comes last, in both directions',
    how: 'NaN is above every number',
    compare: sortingAs((record) =>
      Number.isNaN(record.columns['size'])
        ? withColumn(record, 'size', Number.POSITIVE_INFINITY)
        : record,
    ),
  },
  {
    breaks: 'orders: facets and bodies sort numbers, then text, then the rest',
    how: 'text that reads as a number sorts as text',
    compare: sortingAs((record) => {
      const x = record.facets['params']?.['x'];
      if (typeof x !== 'string' || readNumber(x) === undefined) return record;
      return { ...record, facets: { ...record.facets, params: { x: `${x}th` } } };
    }),
  },
  {
    breaks: 'orders: ties, and the lack of an order, are settled by id',
    how: 'descending turns the ids of ties round, too',
    compare: (orderBy) => {
      const compare = compareRecords(orderBy);
      const turns =
        orderBy.length === 1 && orderBy[0]?.direction === 'desc' && orderBy[0].by.from === 'column';
      return (a, b) => {
        const sign = compare(a, b);
        if (!turns || sign === 0 || a.columns['count'] === undefined) return sign;
        return a.columns['count'] === b.columns['count'] &&
          orderBy[0]?.by.from === 'column' &&
          orderBy[0].by.name === 'count'
          ? -sign
          : sign;
      };
    },
  },
  {
    breaks: 'orders: several keys sort one after another',
    how: 'only the first key counts',
    compare: (orderBy) => {
      const [first] = orderBy;
      const byLive = first?.by.from === 'column' && first.by.name === 'live';
      return compareRecords(byLive ? orderBy : orderBy.slice(0, 1));
    },
  },
  {
    breaks: 'pages: hold as many as the limit, 50 when it is left out',
    how: 'a page holds 100 without a limit',
    wrap: (store) => ({
      query: (workspace, kind, query, options) =>
        store.query(workspace, kind, { limit: 100, ...query }, options),
    }),
  },
  {
    breaks: 'pages: hold as many as the limit, 50 when it is left out',
    how: 'any limit is taken',
    omits: ['query limit'],
  },
  {
    breaks: 'pages: hold each record once, in the order of the whole',
    how: 'pages of four leave one out',
    wrap: (store) => ({
      query: async (workspace, kind, query, options) => {
        const page = await store.query(workspace, kind, query, options);
        return query.limit === 4 && page.cursor !== undefined
          ? { ...page, records: page.records.slice(1) }
          : page;
      },
    }),
  },
  {
    breaks: 'pages: stay right while records are created',
    how: 'a cursor is an offset',
    wrap: byOffset,
  },
  {
    breaks: "pages: another query's cursor is INVALID",
    how: "another query's cursor begins anew",
    wrap: (store) => ({
      query: async (workspace, kind, query, options) => {
        const { cursor, ...first } = query;
        if (cursor === undefined) return await store.query(workspace, kind, query, options);
        return await store
          .query(workspace, kind, query, options)
          .catch(() => store.query(workspace, kind, first, options));
      },
    }),
  },
  {
    breaks: 'pages: an aborted search is ABORTED',
    how: 'count knows no signal',
    wrap: (store) => ({
      count: (workspace, kind, where) => store.count(workspace, kind, where, { exact: true }),
    }),
  },
];
