import type { Order } from '../contracts/query.ts';
import type { SqlValue } from './dialect.ts';
import { columnOf, recordColumn } from './record-tables.ts';
import type { RowNames, SearchContext } from './search-context.ts';
import { allOf, anyOf, never, type SqlBuilder } from './sql-builder.ts';
import { isProjected, keyCondition } from './value-sql.ts';

/**
 * One expression to sort by, NULL last in both directions. An `Order` is one of them, or three: a
 * merged facet sorts by number, then by the indexed prefix of its text, then by the whole of a long one.
 */
export interface SortKey {
  readonly expression: string;
  readonly direction: 'asc' | 'desc';
  /** NULL cannot occur. */
  readonly required?: boolean;
  /** NULL wherever the key before it is NULL. */
  readonly absentWithPrevious?: boolean;
  /** Where its values lie in this order already. */
  readonly index?: SortIndex;
}

/** What an index needs to be walked: a declared column, or the rows of a facet key. */
export type SortIndex =
  | { readonly of: 'column'; readonly name: string }
  | {
      readonly of: 'facet';
      readonly order: Extract<Order['by'], { readonly from: 'facet' }>;
      readonly part: 'number' | 'text';
    };

/** The sort keys of a query and the joins that they need. */
export interface Sorting {
  readonly keys: readonly SortKey[];
  readonly joins: string;
}

/** A row of a facet's key that a statement has at hand: it needs no join to be sorted by. */
export interface HeldRow {
  readonly alias: string;
  readonly facet: string;
  readonly key: string;
}

/** Translates `orderBy`, the first key under which ties are settled by id not included. */
export function sortingSql(
  context: SearchContext,
  builder: SqlBuilder,
  names: RowNames,
  orderBy: readonly Order[],
  held?: HeldRow,
): Sorting {
  const keys: SortKey[] = [];
  const joins: string[] = [];
  for (const [i, order] of orderBy.entries()) {
    const { by, direction } = order;
    switch (by.from) {
      case 'column': {
        const declared = columnOf(context.kind, by.name);
        keys.push({
          expression: `${names.record}.${recordColumn(by.name)}`,
          direction,
          required: declared?.optional !== true && declared?.type !== 'real',
          index: { of: 'column', name: by.name },
        });
        break;
      }
      case 'body': {
        const body = `${names.record}.body`;
        const path = builder.bind(JSON.stringify(by.path));
        keys.push({ expression: context.dialect.body.number(body, path), direction });
        keys.push({ expression: context.dialect.body.sortText(body, path), direction });
        break;
      }
      case 'facet': {
        if (held?.facet === by.facet && held.key === by.key) {
          keys.push(...facetKeys(context, held.alias, by, direction));
          break;
        }
        const alias = `o${i}`;
        const key = keyCondition(context, builder, alias, by);
        const table = isProjected(context, by) ? context.summary.table : 'facet';
        const condition = allOf([key, `${alias}.rid = ${names.rid}`]);
        joins.push(context.dialect.lookUp('left', table, alias, condition));
        keys.push(...facetKeys(context, alias, by, direction));
      }
    }
  }
  return { keys, joins: joins.join(' ') };
}

/** The columns of the row at hand that are sorted by. */
export function heldColumns(
  context: SearchContext,
  orderBy: readonly Order[],
  held: HeldRow | undefined,
): readonly string[] {
  const columns = orderBy.flatMap(({ by }) => {
    if (by.from !== 'facet' || by.facet !== held?.facet || by.key !== held.key) return [];
    if (isProjected(context, by)) return [context.summary.column(by.figure ?? 'last')];
    return ['num', 'nan', 'str', 'long'];
  });
  return [...new Set(columns)];
}

function facetKeys(
  context: SearchContext,
  alias: string,
  order: Extract<Order['by'], { readonly from: 'facet' }>,
  direction: 'asc' | 'desc',
): SortKey[] {
  if (isProjected(context, order)) {
    const column = context.summary.column(order.figure ?? 'last');
    return [
      {
        expression: `${alias}.${column}`,
        direction,
        index: { of: 'facet', order, part: 'number' },
      },
    ];
  }
  const isText = `${alias}.num IS NULL AND ${alias}.nan IS NULL`;
  return [
    { expression: `${alias}.num`, direction, index: { of: 'facet', order, part: 'number' } },
    {
      expression: `CASE WHEN ${isText} THEN ${alias}.str END`,
      direction,
      index: { of: 'facet', order, part: 'text' },
    },
    // Shorter texts come first among those of one prefix, so '' and not NULL where none is cut.
    {
      expression: `CASE WHEN ${isText} AND ${alias}.str IS NOT NULL THEN coalesce(${alias}.long, '') END`,
      direction,
      absentWithPrevious: true,
    },
  ];
}

/** The ORDER BY list; ties by id. */
export function orderBySql(keys: readonly SortKey[], names: RowNames): string {
  const parts = keys.map((key) =>
    key.required === true
      ? `${key.expression} ${key.direction}`
      : `${key.expression} ${key.direction} NULLS LAST`,
  );
  return [...parts, `${names.record}.id asc`].join(', ');
}

/** A condition: the row comes after the one whose keys had these values and whose id this was. */
export function afterSql(
  builder: SqlBuilder,
  names: RowNames,
  keys: readonly SortKey[],
  after: { readonly values: readonly SqlValue[]; readonly id: string },
): string {
  const last = `${names.record}.id > ${builder.bind(after.id)}`;
  // From the last key to the first: after by this key, or equal by it and after by those behind it.
  return keys.reduceRight((rest, key, i) => {
    const value = after.values[i] ?? null;
    if (value === null) return allOf([`${key.expression} IS NULL`, rest]);
    const place = builder.bind(value);
    const beyond = `${key.expression} ${key.direction === 'asc' ? '>' : '<'} ${place}`;
    return anyOf([
      beyond,
      key.required === true ? never : `${key.expression} IS NULL`,
      allOf([`${key.expression} = ${place}`, rest]),
    ]);
  }, last);
}
