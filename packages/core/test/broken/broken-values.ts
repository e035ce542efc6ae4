import type { StoredRecord } from '../../src/contracts/record.ts';
import { isKeelsonError } from '../../src/errors.ts';
import type { Json, JsonObject } from '../../src/json.ts';
import { type BrokenStore, omitting, reading } from './broken-store.ts';

const column = (
  name: string,
  read: (value: unknown) => unknown,
): NonNullable<BrokenStore['wrap']> =>
  reading((record) => {
    const value = record.columns[name];
    if (value === undefined) return record;
    return { ...record, columns: { ...record.columns, [name]: read(value) } } as StoredRecord;
  });

const params = (read: (value: Json, key: string) => Json): NonNullable<BrokenStore['wrap']> =>
  reading((record) => {
    const before = record.facets['params'];
    if (before === undefined) return record;
    const after = Object.entries(before).map(([key, value]) => [key, read(value, key)]);
    return { ...record, facets: { ...record.facets, params: Object.fromEntries(after) } };
  });

export const brokenValues: readonly BrokenStore[] = [
  {
    breaks: 'values: text in columns comes back exactly',
    how: 'empty text is missing',
    wrap: column('name', (value) => (value === '' ? undefined : value)),
  },
  {
    breaks: 'values: text in columns comes back exactly',
    how: 'text is brought into normal form',
    wrap: column('name', (value) => String(value).normalize('NFC')),
  },
  {
    breaks: 'values: long text comes back exactly',
    how: 'text is cut after 65,535 characters',
    wrap: column('name', (value) => String(value).slice(0, 65_535)),
  },
  {
    breaks: 'values: finite numbers in columns come back exactly',
    how: 'reals have single precision',
    wrap: column('size', (value) => Math.fround(value as number)),
  },
  {
    breaks: 'values: NaN, infinities and −0 in columns come back exactly',
    how: '−0 becomes 0',
    wrap: column('size', (value) => (value === 0 ? 0 : value)),
  },
  {
    breaks: 'values: NaN, infinities and −0 in columns come back exactly',
    how: 'NaN is missing',
    wrap: column('size', (value) => (Number.isNaN(value) ? undefined : value)),
  },
  {
    breaks: 'values: safe integers in columns come back exactly',
    how: 'integers have 32 bits',
    wrap: column('count', (value) => (value as number) | 0),
  },
  {
    breaks: 'values: booleans in columns come back as booleans',
    how: 'booleans become 1 and 0',
    wrap: column('live', Number),
  },
  {
    breaks: 'values: text in facets and bodies comes back exactly',
    how: 'line separators are dropped',
    wrap: params((value) => (typeof value === 'string' ? value.replaceAll('\u2028', '') : value)),
  },
  {
    breaks: 'values: finite numbers in facets and bodies come back exactly',
    how: 'numbers have 15 digits',
    wrap: params((value) =>
      typeof value === 'number' && Number.isFinite(value) && value !== 0
        ? Number(value.toPrecision(15))
        : value,
    ),
  },
  {
    breaks: 'values: NaN, infinities and −0 in facets and bodies come back exactly',
    how: 'bodies are plain JSON',
    wrap: reading((record) => ({
      ...record,
      body: JSON.parse(JSON.stringify(record.body)) as JsonObject,
    })),
  },
  {
    breaks: 'values: keys of facets and bodies come back exactly',
    how: '__proto__ is assigned',
    wrap: reading((record) => {
      const body: Record<string, Json> = {};
      for (const [key, value] of Object.entries(record.body)) body[key] = value;
      return { ...record, body };
    }),
  },
  {
    breaks: 'values: ids are any text',
    how: 'ids are trimmed',
    wrap: (store) => ({
      find: (workspace, kind, id, options) => store.find(workspace, kind, id.trim(), options),
    }),
  },
];

export const brokenRefusals: readonly BrokenStore[] = [
  {
    breaks: 'refusals: an undeclared kind is INVALID',
    how: 'a kind nobody knows has no history',
    wrap: (store) => ({
      history: async (...request) => {
        try {
          return await store.history(...request);
        } catch (error) {
          if (isKeelsonError(error, 'INVALID')) return [];
          throw error;
        }
      },
    }),
  },
  {
    breaks: 'refusals: an undeclared column is INVALID in what is written',
    how: 'unknown columns are ignored',
    omits: ['column'],
  },
  {
    breaks: 'refusals: an undeclared facet is INVALID',
    how: 'unknown facets are empty',
    omits: ['facet'],
  },
  {
    breaks: 'refusals: a projected facet is not written by commits',
    how: 'projected facets are merged into',
    omits: ['projected'],
  },
  {
    breaks: 'refusals: a value of the wrong type is INVALID',
    how: 'columns take anything',
    omits: ['type'],
  },
  {
    breaks: 'refusals: adjusting what is no number is INVALID',
    how: 'text is adjusted',
    wrap: omitting(['adjust number', 'type'], (change) => change.op === 'adjust'),
  },
  {
    breaks: 'refusals: an integer that is not safe is INVALID',
    how: 'integers may be anything',
    omits: ['integer'],
  },
  {
    breaks: 'refusals: a required column may not be missing',
    how: 'every column may be missing',
    omits: ['required'],
  },
  {
    breaks: 'refusals: text with U+0000 or lone surrogates is INVALID in columns',
    how: 'columns take any string',
    omits: ['column text'],
  },
  {
    breaks: 'refusals: text with U+0000 or lone surrogates is INVALID in facets',
    how: 'facets take any string',
    omits: ['facet text'],
  },
  {
    breaks: 'refusals: text with U+0000 or lone surrogates is INVALID in bodies',
    how: 'bodies take any string',
    omits: ['body text'],
  },
  {
    breaks: 'refusals: text with U+0000 or lone surrogates is INVALID in ids and names',
    how: 'reasons may be any string',
    omits: ['reason text'],
  },
  {
    breaks: 'refusals: what is no JSON is INVALID in facets and bodies',
    how: 'what is no JSON becomes null',
    omits: ['no JSON'],
  },
  {
    breaks: 'refusals: an event of more than 1 MB is INVALID',
    how: 'events have any size',
    omits: ['event size'],
  },
  {
    breaks: 'refusals: searching what is not declared is INVALID',
    how: 'nothing has what is not declared',
    wrap: (store) => ({
      count: async (workspace, kind, where, options) =>
        JSON.stringify(where)?.includes('colour') === true
          ? { count: 0, exact: true }
          : await store.count(workspace, kind, where, options),
    }),
  },
  {
    breaks: 'refusals: a predicate beyond the bounds is INVALID',
    how: 'a list beyond the bound is empty',
    wrap: (store) => ({
      query: async (workspace, kind, query, options) =>
        query.where?.op === 'in' && query.where.values.length > 10_000
          ? { records: [] }
          : await store.query(workspace, kind, query, options),
    }),
  },
];
