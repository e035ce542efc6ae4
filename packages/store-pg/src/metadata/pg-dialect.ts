import type { SqlDialect, SqlValue } from '@keelson/core/sql';

/**
 * PostgreSQL's words for what databases say differently. Functions are those of value-functions.ts.
 *
 * Values carry their type: an integer as bigint, so that an index over integers is used, any other number
 * as double precision. Texts carry their collation, so that whatever they are compared with is compared by
 * code points.
 */
const probing: SqlDialect = {
  beginnings: { expression: indexedBeginning, of: beginningOf },
  placeholder: (n, value) => `$${n}::${typeOf(value)}`,
  isAnyOf: (expression, placeholder) => `${expression} = ANY ((${placeholder})::text[])`,
  list: (texts) => `{${texts.map(arrayElement).join(',')}}`,
  // In the collation "C", ILIKE folds ASCII letters and no others. The escape is switched off.
  like: (expression, placeholder, caseSensitive) =>
    `${expression} ${caseSensitive ? 'LIKE' : 'ILIKE'} ${placeholder} ESCAPE ''`,
  likeValue: (pattern) => pattern,
  numberOfText: (expression) => `number_of_text(${expression})`,
  textOfNumber: (expression) => `text_of_number(${expression}) COLLATE "C"`,
  textOfInteger: (expression) => `(${expression})::text COLLATE "C"`,
  body: {
    number: (body, path) => `body_number(${body}, ${steps(path)})`,
    text: (body, path) => `body_text(${body}, ${steps(path)}) COLLATE "C"`,
    sortText: (body, path) => `body_sort_text(${body}, ${steps(path)}) COLLATE "C"`,
    present: (body, path) => `body_at(${body}, ${steps(path)}) IS NOT NULL`,
  },
  // OFFSET 0 keeps the planner from making a join of it, for which its estimates are too bad.
  exists: (select) => `EXISTS (${select} OFFSET 0)`,
  clustered: (table, alias) => `${table} ${alias}`,
  through: (table, alias) => `${table} ${alias}`,
  fence: (name, select) => `${name} AS MATERIALIZED (${select})`,
  lookUp: (how, table, alias, condition) => {
    const row = `LATERAL (SELECT * FROM ${table} ${alias} WHERE ${condition} OFFSET 0) ${alias}`;
    return how === 'left' ? `LEFT JOIN ${row} ON true` : `CROSS JOIN ${row}`;
  },
};

/** So many code points of a text are indexed: three such columns fit into the 2,704 bytes of an entry. */
export const indexedLength = 200;

/** What an index holds of a text column. */
export function indexedBeginning(column: string): string {
  return `left(${column}, ${indexedLength})`;
}

/** The same of a text. */
export function beginningOf(text: string): string {
  if (text.length <= indexedLength) return text;
  return [...text.slice(0, 2 * indexedLength)].slice(0, indexedLength).join('');
}

/** Among large sets, merge and hash joins are better than one look after another. */
export const pgDialect: SqlDialect = {
  ...probing,
  forLargeSets: {
    ...probing,
    exists: (select) => `EXISTS (${select})`,
    lookUp: (how, table, alias, condition) =>
      `${how === 'left' ? 'LEFT JOIN' : 'JOIN'} ${table} ${alias} ON ${condition}`,
  },
};

function typeOf(value: SqlValue): string {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? 'bigint' : 'double precision';
  return 'text COLLATE "C"';
}

/** The keys of a path, read once for each statement. */
function steps(path: string): string {
  return `ARRAY(SELECT jsonb_array_elements_text((${path})::jsonb))`;
}

function arrayElement(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}
