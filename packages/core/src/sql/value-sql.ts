import type { Selector } from '../contracts/query.ts';
import { columnOf, flagColumn, recordColumn } from './record-tables.ts';
import type { RowNames, SearchContext } from './search-context.ts';
import { allOf, always, never, type SqlBuilder } from './sql-builder.ts';

/**
 * What SQL can say about the value at a selector. Parts that are left out do not exist for its type:
 * conditions on them never hold.
 */
export interface ValueSql {
  /** The number carried, NULL for none and for NaN. */
  readonly number?: string;
  /** The text carried, NULL for none. Left out for values that are always numbers: see `nan`. */
  readonly text?: string;
  /** `text` cut to an indexable prefix, and the whole text where it is cut. */
  readonly split?: { readonly str: string; readonly long: string };
  /** A condition: the value is NaN. For values that are always numbers. */
  readonly nan?: string;
  /** Stored as 1 and 0. */
  readonly boolean?: string;
  /** Integers have a simpler text than reals. */
  readonly integer?: boolean;
  /** A condition: there is a value, if only null. */
  readonly present: string;
}

/** Makes a condition on the value at a selector out of one on its parts. */
export type OnValue = (condition: (value: ValueSql) => string) => string;

/** How conditions on the value at `selector` are written. */
export function valueAt(
  context: SearchContext,
  builder: SqlBuilder,
  names: RowNames,
  selector: Selector,
): OnValue {
  switch (selector.from) {
    case 'column': {
      const value = columnValue(context, names, selector.name);
      return (condition) => condition(value);
    }
    case 'body': {
      const { body } = context.dialect;
      const at = `${names.record}.body`;
      const path = builder.bind(JSON.stringify(selector.path));
      const value = {
        number: body.number(at, path),
        text: body.text(at, path),
        present: body.present(at, path),
      };
      return (condition) => condition(value);
    }
    case 'facet': {
      const source = facetSource(context, selector, 'v');
      return (condition) => {
        const kids = keyCondition(context, builder, 'v', selector);
        const held = condition(source.value);
        if (kids === never || held === never) return never;
        const where = allOf([kids, `v.rid = ${names.rid}`, held]);
        const table = context.dialect.clustered(source.table, 'v');
        return context.dialect.exists(`SELECT 1 FROM ${table} WHERE ${where}`);
      };
    }
  }
}

type FacetSelector = Extract<Selector, { readonly from: 'facet' }>;

/** Where a facet's values lie, and how a row of it, named `alias`, is read. */
export interface FacetSource {
  readonly table: string;
  readonly value: ValueSql;
}

/** The table of a facet: rows (kid, rid) with values. */
export function facetSource(
  context: SearchContext,
  selector: FacetSelector,
  alias: string,
): FacetSource {
  if (isProjected(context, selector)) {
    const figure = selector.figure ?? 'last';
    const column = `${alias}.${context.summary.column(figure)}`;
    const present = context.summary.present(alias, figure);
    return {
      table: context.summary.table,
      value: { number: column, nan: `(${column} IS NULL AND ${present})`, present },
    };
  }
  const split = { str: `${alias}.str`, long: `${alias}.long` };
  return {
    table: 'facet',
    value: {
      number: `${alias}.num`,
      text: `coalesce(${split.long}, ${split.str})`,
      split,
      present: always,
    },
  };
}

/** Whether the facet is a projection of metric summaries. */
export function isProjected(context: SearchContext, selector: FacetSelector): boolean {
  return context.kind.facets?.[selector.facet]?.source === 'projected';
}

/** A condition: a facet row, named `alias`, is of the selector's key. */
export function keyCondition(
  context: SearchContext,
  builder: SqlBuilder,
  alias: string,
  selector: FacetSelector,
): string {
  const kids = context.keyNumbers(selector.facet, selector.key);
  if (kids.length === 0) return never;
  const places = kids.map((kid) => builder.bind(kid));
  return places.length === 1
    ? `${alias}.kid = ${places[0]}`
    : `${alias}.kid IN (${places.join(', ')})`;
}

function columnValue(context: SearchContext, names: RowNames, name: string): ValueSql {
  const column = `${names.record}.${recordColumn(name)}`;
  const present = `${column} IS NOT NULL`;
  switch (columnOf(context.kind, name)?.type) {
    case 'integer':
      return { number: column, integer: true, present };
    case 'real': {
      const nan = `${names.record}.${flagColumn(name)} = 1`;
      return { number: column, nan, present: `(${present} OR ${nan})` };
    }
    case 'boolean': {
      const text = `CASE ${column} WHEN 1 THEN 'true' WHEN 0 THEN 'false' END`;
      return { text, boolean: column, present };
    }
    default:
      return { number: context.dialect.numberOfText(column), text: column, present };
  }
}
