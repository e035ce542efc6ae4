import type { Comparison, Literal, Predicate } from '../contracts/query.ts';
import { prefixLength, splitText } from './facet-value.ts';
import type { RowNames, SearchContext } from './search-context.ts';
import { allOf, anyOf, never, noneOf, type SqlBuilder } from './sql-builder.ts';
import { type ValueSql, valueAt } from './value-sql.ts';

/** A predicate that looks at one value. */
export type Leaf = Exclude<Predicate, { readonly op: 'and' | 'or' | 'not' }>;

/**
 * The SQL condition of a predicate that passed `checkPredicate`: true exactly where the reference
 * evaluator says true; otherwise false or NULL.
 */
export function predicateSql(
  context: SearchContext,
  builder: SqlBuilder,
  names: RowNames,
  predicate: Predicate,
): string {
  switch (predicate.op) {
    case 'and':
      return allOf(predicate.of.map((part) => predicateSql(context, builder, names, part)));
    case 'or':
      return anyOf(predicate.of.map((part) => predicateSql(context, builder, names, part)));
    case 'not':
      return noneOf(predicateSql(context, builder, names, predicate.of));
    default: {
      const on = valueAt(context, builder, names, predicate.left);
      return on((value) => leafSql(builder, value, predicate));
    }
  }
}

/** The condition of one leaf on a value that is already at hand. */
export function leafSql(builder: SqlBuilder, value: ValueSql, leaf: Leaf): string {
  switch (leaf.op) {
    case 'present':
      return value.present;
    case 'compare':
      return compareSql(builder, value, leaf.cmp, leaf.value);
    case 'between':
      return allOf([
        compareSql(builder, value, '>=', leaf.low),
        compareSql(builder, value, '<=', leaf.high),
      ]);
    case 'in':
      return inSql(builder, value, leaf.values);
    case 'like': {
      const text = textOf(builder, value);
      if (text === undefined) return never;
      const { pattern, caseSensitive } = leaf;
      const { dialect } = builder;
      const place = builder.bind(dialect.likeValue(pattern, caseSensitive));
      return dialect.like(text, place, caseSensitive);
    }
  }
}

function compareSql(
  builder: SqlBuilder,
  value: ValueSql,
  cmp: Comparison,
  literal: Literal,
): string {
  switch (typeof literal) {
    case 'number':
      if (value.number === undefined || Number.isNaN(literal)) return never;
      return `${value.number} ${operator(cmp)} ${builder.bind(literal)}`;
    case 'boolean':
      return booleanSql(builder, value, cmp, literal);
    case 'string':
      if (cmp === '=') return sameText(builder, value, literal);
      if (cmp === '!=') return otherText(builder, value, literal);
      return orderedText(builder, value, cmp, literal);
  }
}

function booleanSql(
  builder: SqlBuilder,
  value: ValueSql,
  cmp: Comparison,
  literal: boolean,
): string {
  if (cmp !== '=' && cmp !== '!=') return never;
  const wanted = literal === (cmp === '=');
  if (value.boolean !== undefined) return `${value.boolean} = ${wanted ? 1 : 0}`;
  return value.text === undefined ? never : sameText(builder, value, String(wanted));
}

/** A number's text equals a literal exactly where the literal is the shortest text of that number. */
function numberWithText(literal: string): number | undefined {
  const number = Number(literal);
  return String(number) === literal && !Number.isNaN(number) ? number : undefined;
}

function sameText(builder: SqlBuilder, value: ValueSql, literal: string): string {
  if (value.split !== undefined) {
    const { str, long } = splitText(literal);
    const prefix = `${value.split.str} = ${builder.bind(str)}`;
    if (long !== null) return `(${prefix} AND ${value.split.long} = ${builder.bind(long)})`;
    // Only of texts that are cut is there a rest: this one is none, and an index alone can tell.
    if (str.length < prefixLength) return prefix;
    return `(${prefix} AND ${value.split.long} IS NULL)`;
  }
  if (value.text !== undefined) return `${value.text} = ${builder.bind(literal)}`;
  if (literal === 'NaN') return value.nan ?? never;
  const number = numberWithText(literal);
  return number === undefined ? never : `${value.number} = ${builder.bind(number)}`;
}

function otherText(builder: SqlBuilder, value: ValueSql, literal: string): string {
  if (value.text !== undefined) return `${value.text} <> ${builder.bind(literal)}`;
  if (literal === 'NaN') return `${value.number} IS NOT NULL`;
  const number = numberWithText(literal);
  if (number === undefined) return value.present;
  return anyOf([`${value.number} <> ${builder.bind(number)}`, value.nan ?? never]);
}

function orderedText(
  builder: SqlBuilder,
  value: ValueSql,
  cmp: Comparison,
  literal: string,
): string {
  const text = textOf(builder, value);
  return text === undefined ? never : `${text} ${operator(cmp)} ${builder.bind(literal)}`;
}

function inSql(builder: SqlBuilder, value: ValueSql, values: readonly Literal[]): string {
  const numbers = values.filter((v) => typeof v === 'number').filter((v) => !Number.isNaN(v));
  const texts = values.filter((v) => typeof v === 'string');
  const parts = [...new Set(values)]
    .filter((v) => typeof v === 'boolean')
    .map((v) => booleanSql(builder, value, '=', v));
  if (numbers.length > 0 && value.number !== undefined) {
    // Bound one by one: a list as JSON would be read back by another reader of decimal numbers.
    const places = numbers.map((number) => builder.bind(number));
    parts.push(`${value.number} IN (${places.join(', ')})`);
  }
  if (texts.length > 0) parts.push(textInSql(builder, value, texts));
  return anyOf(parts);
}

function textInSql(builder: SqlBuilder, value: ValueSql, texts: readonly string[]): string {
  if (value.text !== undefined) {
    return builder.dialect.isAnyOf(value.text, builder.bind(builder.dialect.list(texts)));
  }
  const numbers = texts.map(numberWithText).filter((number) => number !== undefined);
  const places = numbers.map((number) => builder.bind(number));
  return anyOf([
    places.length === 0 ? never : `${value.number} IN (${places.join(', ')})`,
    texts.includes('NaN') ? (value.nan ?? never) : never,
  ]);
}

/** The text carried, also by values that are always numbers. */
function textOf(builder: SqlBuilder, value: ValueSql): string | undefined {
  if (value.text !== undefined) return value.text;
  if (value.number === undefined) return undefined;
  if (value.integer === true) return builder.dialect.textOfInteger(value.number);
  const text = builder.dialect.textOfNumber(value.number);
  return value.nan === undefined ? text : `CASE WHEN ${value.nan} THEN 'NaN' ELSE ${text} END`;
}

function operator(cmp: Comparison): string {
  return cmp === '!=' ? '<>' : cmp;
}
