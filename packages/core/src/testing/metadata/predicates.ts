import type { MetadataStore } from '../../contracts/metadata-store.ts';
import type { Comparison, Literal, Order, Predicate, Selector } from '../../contracts/query.ts';
import type { Json } from '../../json.ts';
import { equal } from '../assertions.ts';
import { home, item, write } from './scene.ts';

export const column = (name: string): Selector => ({ from: 'column', name });
export const param = (key: string): Selector => ({ from: 'facet', facet: 'params', key });
export const body = (...path: readonly string[]): Selector => ({ from: 'body', path });

export const compare = (left: Selector, cmp: Comparison, value: Literal): Predicate => ({
  op: 'compare',
  left,
  cmp,
  value,
});
export const between = (left: Selector, low: Literal, high: Literal): Predicate => ({
  op: 'between',
  left,
  low,
  high,
});
export const within = (left: Selector, ...values: readonly Literal[]): Predicate => ({
  op: 'in',
  left,
  values,
});
export const like = (left: Selector, pattern: string, caseSensitive = true): Predicate => ({
  op: 'like',
  left,
  pattern,
  caseSensitive,
});
export const present = (left: Selector): Predicate => ({ op: 'present', left });
export const not = (of: Predicate): Predicate => ({ op: 'not', of });
export const and = (...of: readonly Predicate[]): Predicate => ({ op: 'and', of });
export const or = (...of: readonly Predicate[]): Predicate => ({ op: 'or', of });

export const asc = (by: Selector): Order => ({ by, direction: 'asc' });
export const desc = (by: Selector): Order => ({ by, direction: 'desc' });

/** The two places that hold any JSON: a param, and a property of the body. */
export const anywhere: readonly Selector[] = [param('x'), body('x')];

/** Items whose param `x` and body property `x` are the values given; ids are the keys. */
export async function storeValues(
  store: MetadataStore,
  values: Readonly<Record<string, Json>>,
): Promise<void> {
  await write(
    store,
    ...Object.entries(values).map(([id, x]) =>
      item(id, {}, { body: { x }, facets: { params: { x } } }),
    ),
  );
}

/** Holds when exactly these items match, ids in ascending order joined by blanks; and are counted. */
export async function matches(
  store: MetadataStore,
  where: Predicate,
  expected: string,
  what: string = JSON.stringify(where),
): Promise<void> {
  const { records } = await store.query(home, 'item', { where, limit: 1_000 });
  const ids = records.map((record) => record.id).toSorted();
  equal(ids.join(' '), expected, `Which items match ${what.slice(0, 300)}`);
}

/** Holds when the items come in this order, ids joined by blanks. */
export async function sorts(
  store: MetadataStore,
  orderBy: readonly Order[],
  expected: string,
): Promise<void> {
  const { records } = await store.query(home, 'item', { orderBy, limit: 1_000 });
  const ids = records.map((record) => record.id);
  equal(ids.join(' '), expected, `The order by ${JSON.stringify(orderBy)}`);
}
