import type { SQLInputValue, SQLOutputValue } from 'node:sqlite';
import type { Json } from '../json.ts';
import { decodeJson } from '../json.ts';
import { selectValue } from '../language/select-value.ts';
import { numberOf, readNumber, textOf } from '../language/stored-value.ts';
import type { SqlDialect } from '../sql/index.ts';
import type { SqliteDatabase } from './sqlite-database.ts';
import { subjectSlot } from './sqlite-events.ts';

/** SQLite's words for what databases say differently; some of them are {@link defineFunctions}. */
export const sqliteDialect: SqlDialect = {
  placeholder: (n) => `?${n}`,
  isAnyOf: (expression, placeholder) =>
    `${expression} IN (SELECT value FROM json_each(${placeholder}))`,
  list: (texts) => JSON.stringify(texts),
  // LIKE folds ASCII letters, and no others, whatever one wishes; GLOB folds none.
  like: (expression, placeholder, caseSensitive) =>
    caseSensitive ? `${expression} GLOB ${placeholder}` : `${expression} LIKE ${placeholder}`,
  likeValue: (pattern, caseSensitive) => (caseSensitive ? globPattern(pattern) : pattern),
  numberOfText: (expression) => `keelson_number(${expression})`,
  textOfNumber: (expression) => `keelson_text(${expression})`,
  textOfInteger: (expression) => `CAST(${expression} AS TEXT)`,
  body: {
    number: (body, path) => `keelson_body_number(${body}, ${path})`,
    text: (body, path) => `keelson_body_text(${body}, ${path})`,
    sortText: (body, path) => `keelson_body_sort_text(${body}, ${path})`,
    present: (body, path) => `keelson_body_present(${body}, ${path})`,
  },
  // Without the plus SQLite makes a join of it and may begin at the wrong end: seconds, not milliseconds.
  exists: (select) => `+EXISTS (${select})`,
  // The name that SQLite gives the primary key of a WITHOUT ROWID table. Left to itself, it prefers any
  // index that covers the columns asked for.
  clustered: (table, alias) => `${table} ${alias} INDEXED BY sqlite_autoindex_${table}_1`,
  through: (table, alias, index) => `${table} ${alias} INDEXED BY ${index}`,
  // SQLite keeps the order of a CROSS JOIN, and that of a LEFT JOIN it cannot change.
  lookUp: (how, table, alias, condition) =>
    `${how === 'left' ? 'LEFT' : 'CROSS'} JOIN ${table} ${alias} ON ${condition}`,
};

function globPattern(pattern: string): string {
  return pattern.replace(/[*?[%_]/g, (c) => (c === '%' ? '*' : c === '_' ? '?' : `[${c}]`));
}

/**
 * Defines the functions that {@link sqliteDialect} calls. Numbers are read and written by JavaScript
 * on purpose: SQLite's own conversions do not always give the nearest double or the shortest text.
 */
export function defineFunctions(db: SqliteDatabase): void {
  const at = bodyReader();
  db.defineFunction('keelson_number', (text) =>
    typeof text === 'string' ? (readNumber(text) ?? null) : null,
  );
  db.defineFunction('keelson_slot', (text) => subjectSlot(String(text)));
  db.defineFunction('keelson_text', (number) => (number === null ? null : String(number)));
  db.defineFunction('keelson_body_number', (body, path) => {
    const number = numberOf(at(body, path));
    return number === undefined || Number.isNaN(number) ? null : number;
  });
  db.defineFunction('keelson_body_text', (body, path) => textOf(at(body, path)) ?? null);
  db.defineFunction('keelson_body_sort_text', (body, path) => sortText(at(body, path)));
  db.defineFunction('keelson_body_present', (body, path) => (at(body, path) === undefined ? 0 : 1));
}

function sortText(value: Json | undefined): SQLInputValue {
  if (typeof value === 'number' || numberOf(value) !== undefined) return null;
  return textOf(value) ?? null;
}

/** Reads bodies; one predicate often asks the same body several things, so the last one is kept. */
function bodyReader(): (body: SQLOutputValue, path: SQLOutputValue) => Json | undefined {
  let lastText: string | undefined;
  let last: Json = null;
  const paths = new Map<string, readonly string[]>();
  return (body, path) => {
    if (typeof body !== 'string' || typeof path !== 'string') return undefined;
    if (body !== lastText) {
      last = decodeJson(body);
      lastText = body;
    }
    let keys = paths.get(path);
    if (keys === undefined) {
      keys = JSON.parse(path) as readonly string[];
      if (paths.size >= 100) paths.clear();
      paths.set(path, keys);
    }
    const record = { columns: {}, body: last as { [key: string]: Json }, facets: {} };
    return selectValue(record, { from: 'body', path: keys });
  };
}
