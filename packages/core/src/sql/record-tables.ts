import type { ColumnDeclaration, KindDeclaration } from '../contracts/record.ts';
import { KeelsonError } from '../errors.ts';
import { builtInColumns } from '../language/select-value.ts';

/** The table of a kind's records. */
export function recordTable(kind: string): string {
  return `rec_${kind}`;
}

/** The column of a record's table that holds a declared or built-in column. */
export function recordColumn(name: string): string {
  switch (name) {
    case 'id':
      return 'id';
    case 'revision':
      return 'rev';
    case 'createdAt':
      return 'created_at';
    case 'updatedAt':
      return 'updated_at';
    default:
      return `"c_${name}"`;
  }
}

/**
 * The column beside a real column that says what a database cannot hold in it: 1 NaN (NULL there),
 * 2 −0 (0 there), NULL anything else.
 */
export function flagColumn(name: string): string {
  return `"x_${name}"`;
}

/** The column that holds a merged facet whole, as JSON, for showing it. */
export function facetColumn(facet: string): string {
  return `"f_${facet}"`;
}

/** The declaration of a column, the built-in ones included; undefined for what is not declared. */
export function columnOf(kind: KindDeclaration, name: string): ColumnDeclaration | undefined {
  if (name === 'id') return { type: 'text', immutable: true };
  if (builtInColumns.some((builtIn) => builtIn === name)) return { type: 'integer' };
  return Object.hasOwn(kind.columns, name) ? kind.columns[name] : undefined;
}

/** The facets of a kind that commits write. */
export function mergedFacets(kind: KindDeclaration): readonly string[] {
  return Object.entries(kind.facets ?? {})
    .filter(([, facet]) => facet.source === 'merged')
    .map(([name]) => name);
}

/** An index over records: workspace first, then `columns`. */
export interface RecordIndex {
  readonly name: string;
  readonly columns: readonly string[];
  readonly unique: boolean;
}

/** The indexes that a kind's table has: by id, its unique keys, those declared. */
export function recordIndexes(kind: KindDeclaration): readonly RecordIndex[] {
  const table = recordTable(kind.name);
  const named = (prefix: string, columns: readonly string[], unique: boolean): RecordIndex => ({
    name: `${table}_${prefix}_${columns.join('_')}`.toLowerCase(),
    columns,
    unique,
  });
  return [
    named('by', ['id'], true),
    ...(kind.unique ?? []).map((key) => named('key', key.columns, true)),
    ...(kind.indexes ?? []).map((columns) => named('by', columns, false)),
  ];
}

/** Refuses, as INVALID and by name, a declaration that no store can turn into a table. */
export function checkKind(kind: KindDeclaration): void {
  if (!/^[a-z][a-z0-9]*(_[a-z0-9]+)*$/.test(kind.name)) {
    throw invalid(`'${kind.name}' is no name for a kind: use lower-case words joined by _.`);
  }
  checkNames(kind, Object.keys(kind.columns), 'column');
  checkNames(kind, Object.keys(kind.facets ?? {}), 'facet');
  checkWord(kind, 'history', kind.history, ['kept', 'none']);
  for (const [name, { type }] of Object.entries(kind.columns)) {
    checkWord(kind, `the type of ${name}`, type, ['text', 'integer', 'real', 'boolean']);
  }
  for (const [name, { source }] of Object.entries(kind.facets ?? {})) {
    checkWord(kind, `the source of ${name}`, source, ['merged', 'projected']);
  }
  for (const name of Object.keys(kind.columns)) {
    if (builtInColumns.some((builtIn) => builtIn === name)) {
      throw invalid(`The kind ${kind.name} declares ${name}, which every kind has by itself.`);
    }
  }
  for (const key of kind.unique ?? []) {
    for (const name of key.columns) {
      const type = columnOf(kind, name)?.type;
      if (type === undefined) throw unknownColumn(kind, key.name, name);
      // NaN would be a key in one database and none in another.
      if (type === 'real') {
        throw invalid(`The unique key ${key.name} of ${kind.name} has a real column, ${name}.`);
      }
    }
  }
  for (const columns of kind.indexes ?? []) {
    for (const name of columns) {
      if (columnOf(kind, name) === undefined) throw unknownColumn(kind, 'an index', name);
    }
  }
}

/** What a declaration may choose from becomes a part of statements. */
function checkWord(kind: KindDeclaration, what: string, word: unknown, words: string[]): void {
  if (words.some((each) => each === word)) return;
  throw invalid(`${what} in ${kind.name} is one of ${words.join(', ')}, not '${String(word)}'.`);
}

function checkNames(kind: KindDeclaration, names: readonly string[], what: string): void {
  const seen = new Set<string>();
  for (const name of names) {
    if (!/^[a-z][A-Za-z0-9]*$/.test(name)) {
      throw invalid(`'${name}' of ${kind.name} is no name for a ${what}: use camelCase letters.`);
    }
    const folded = name.toLowerCase();
    if (seen.has(folded)) {
      throw invalid(`Two names of a ${what} of ${kind.name} differ in case only: ${name}.`);
    }
    seen.add(folded);
  }
}

function unknownColumn(kind: KindDeclaration, what: string, name: string): KeelsonError {
  return invalid(`The kind ${kind.name} has no column ${name}, which ${what} names.`);
}

function invalid(message: string): KeelsonError {
  return new KeelsonError('INVALID', message);
}
