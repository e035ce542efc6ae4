import { canonicalJson, KeelsonError, type KindDeclaration } from '@keelson/core';
import {
  checkKind,
  columnOf,
  facetColumn,
  flagColumn,
  mergedFacets,
  type RecordIndex,
  recordColumn,
  recordIndexes,
  recordTable,
} from '@keelson/core/sql';
import type { PgDatabase } from '../connection/pg-database.ts';
import { isTakenKey } from '../connection/pg-error.ts';
import type { PgTransaction } from '../connection/pg-server.ts';
import type { PgRow } from '../connection/pg-session.ts';
import {
  declaredColumns,
  dispatchFunction,
  functionsVersion,
  kindFunctions,
} from './kind-functions.ts';
import { indexedBeginning } from './pg-dialect.ts';

/** Tables, indexes and functions have the kind's name in theirs, of which PostgreSQL keeps 63 bytes. */
const longestKind = 40;

/** Refuses, as INVALID and by name, declarations that cannot be made into tables. */
export function checkKinds(kinds: readonly KindDeclaration[]): void {
  for (const kind of kinds) {
    checkKind(kind);
    if (kind.name.length > longestKind) {
      throw new KeelsonError(
        'INVALID',
        `The name of the kind ${kind.name} is too long: at most ${longestKind} characters.`,
      );
    }
  }
}

/** Whether the tables fit the declarations already. The schema must have been migrated. */
export async function kindsFit(
  database: PgDatabase,
  kinds: readonly KindDeclaration[],
): Promise<boolean> {
  const rows = await database.read(
    `SELECT name, declaration, functions FROM ${database.name('kind')}`,
  );
  const stored = new Map(rows.map((row) => [String(row['name']), row]));
  return kinds.every((kind) => {
    const row = stored.get(kind.name);
    if (row === undefined || Number(row['functions']) < functionsVersion) return false;
    const declaration = JSON.parse(String(row['declaration'])) as KindDeclaration;
    return canonicalJson(joined(declaration, kind)) === canonicalJson(declaration);
  });
}

/**
 * Makes the tables fit the declarations: creates what is new (kinds, optional columns, indexes, unique
 * keys, facets), leaves what only the stored declarations have, and refuses with INCOMPATIBLE, naming
 * kind and column, what would change the meaning of stored records. The schema's lock must be held.
 */
export async function prepareKinds(
  transaction: PgTransaction,
  kinds: readonly KindDeclaration[],
): Promise<void> {
  const known = await transaction.query('SELECT name, declaration, functions FROM kind');
  const stored = new Map(known.map((row) => [String(row['name']), row]));
  const fresh = kinds.filter((kind) => !stored.has(kind.name));
  let changed = fresh.length > 0;
  if (changed) await createKinds(transaction, fresh);
  for (const kind of kinds) {
    const row = stored.get(kind.name);
    if (row !== undefined && (await prepareKind(transaction, kind, row))) changed = true;
  }
  if (!changed) return;
  const rows = await transaction.query('SELECT name FROM kind ORDER BY name');
  await transaction.query(dispatchFunction(rows.map((row) => String(row['name']))));
}

/** Hundreds of statements for tables that are not there yet, in one go: each on its own would be a way to the server. */
async function createKinds(
  transaction: PgTransaction,
  kinds: readonly KindDeclaration[],
): Promise<void> {
  const wholes = kinds.map((kind) => joined({ ...kind, columns: {} }, kind));
  const statements = wholes.flatMap((kind) => [
    tableStatement(kind),
    ...recordIndexes(kind).map((index) => indexStatement(kind, index)),
    triggerStatement(kind),
    ...kindFunctions(kind),
  ]);
  await transaction.query(statements.join(';\n'));
  await transaction.query(
    `INSERT INTO kind (name, declaration, functions)
     SELECT name, declaration, $3 FROM unnest($1::text[], $2::text[]) AS made (name, declaration)`,
    [wholes.map(({ name }) => name), wholes.map((kind) => canonicalJson(kind)), functionsVersion],
  );
}

/** What is declared, and what only another version of the program has declared: that stays. */
function joined(stored: KindDeclaration, kind: KindDeclaration): KindDeclaration {
  const unique = [...(stored.unique ?? []), ...(kind.unique ?? [])];
  const indexes = [...(stored.indexes ?? []), ...(kind.indexes ?? [])];
  const once = <T>(all: readonly T[], of: (one: T) => unknown): readonly T[] => [
    ...new Map(all.map((one) => [canonicalJson(of(one)), one])).values(),
  ];
  return {
    ...kind,
    columns: { ...stored.columns, ...kind.columns },
    unique: once(unique, ({ columns }) => columns),
    indexes: once(indexes, (columns) => columns),
    facets: { ...stored.facets, ...kind.facets },
  };
}

async function prepareKind(
  transaction: PgTransaction,
  kind: KindDeclaration,
  row: PgRow,
): Promise<boolean> {
  const stored = JSON.parse(String(row['declaration'])) as KindDeclaration;
  const whole = joined(stored, kind);
  const functions = Number(row['functions']);
  const fits = canonicalJson(whole) === canonicalJson(stored);
  if (fits && functions >= functionsVersion) return false;
  await assertCompatible(transaction, stored, kind);
  await addColumns(transaction, kind);
  for (const index of recordIndexes(kind)) await createIndex(transaction, kind, index);
  await transaction.query(triggerStatement(whole));
  for (const statement of kindFunctions(whole)) await transaction.query(statement);
  await transaction.query('UPDATE kind SET declaration = $2, functions = $3 WHERE name = $1', [
    ...[kind.name, canonicalJson(whole)],
    Math.max(functions, functionsVersion),
  ]);
  return true;
}

function definitions(kind: KindDeclaration): readonly (readonly [column: string, sql: string])[] {
  const columns = declaredColumns(kind).map(({ name, type, declared }) => {
    const check = kind.columns[declared]?.type === 'boolean' ? ` CHECK (${name} IN (0, 1))` : '';
    const collation = type === 'text' ? ' COLLATE "C"' : '';
    return [name, `${name} ${type}${collation}${check}`] as const;
  });
  const facets = mergedFacets(kind).map((facet) => {
    const name = facetColumn(facet);
    return [name, `${name} jsonb NOT NULL DEFAULT '{}'`] as const;
  });
  return [...columns, ...facets];
}

// The store, not the schema, demands required columns: so that one may become optional later.
function tableStatement(kind: KindDeclaration): string {
  const columns = [
    'rid bigint PRIMARY KEY',
    'ws text COLLATE "C" NOT NULL',
    'id text COLLATE "C" NOT NULL',
    'rev bigint NOT NULL',
    'created_at bigint NOT NULL',
    'updated_at bigint NOT NULL',
    ...definitions(kind).map(([, sql]) => sql),
    'body jsonb NOT NULL',
  ];
  return `CREATE TABLE ${recordTable(kind.name)} (${columns.join(', ')})`;
}

async function addColumns(transaction: PgTransaction, kind: KindDeclaration): Promise<void> {
  for (const [, sql] of definitions(kind)) {
    await transaction.query(
      `ALTER TABLE ${recordTable(kind.name)} ADD COLUMN IF NOT EXISTS ${sql}`,
    );
  }
}

async function assertCompatible(
  transaction: PgTransaction,
  stored: KindDeclaration,
  kind: KindDeclaration,
): Promise<void> {
  const table = recordTable(kind.name);
  const hasAny = async (where: string): Promise<boolean> =>
    (await transaction.query(`SELECT 1 FROM ${table} WHERE ${where} LIMIT 1`)).length > 0;
  for (const [name, column] of Object.entries(kind.columns)) {
    const before = Object.hasOwn(stored.columns, name) ? stored.columns[name] : undefined;
    if (before === undefined) {
      if (column.optional !== true && (await hasAny('true'))) {
        throw incompatible(kind, name, 'is new and required, but there are records without it');
      }
    } else if (before.type !== column.type) {
      throw incompatible(kind, name, `is stored as ${before.type}, declared as ${column.type}`);
    } else if (before.optional === true && column.optional !== true) {
      const missing = column.type === 'real' ? ` AND ${flagColumn(name)} IS NULL` : '';
      if (await hasAny(`${recordColumn(name)} IS NULL${missing}`)) {
        throw incompatible(kind, name, 'is declared required, but there are records without it');
      }
    }
  }
  for (const [name, column] of Object.entries(stored.columns)) {
    // A program of an older version may go on; what it does not know of stays missing.
    if (!Object.hasOwn(kind.columns, name) && column.optional !== true) {
      throw incompatible(
        kind,
        name,
        'is required by the stored declaration, but no longer declared',
      );
    }
  }
  for (const [name, facet] of Object.entries(kind.facets ?? {})) {
    const before = stored.facets?.[name];
    if (before !== undefined && before.source !== facet.source) {
      throw incompatible(kind, name, `is a ${before.source} facet, declared as ${facet.source}`);
    }
  }
}

function indexStatement(kind: KindDeclaration, index: RecordIndex): string {
  const isText = (name: string): boolean => name !== 'id' && columnOf(kind, name)?.type === 'text';
  const columns = [
    'ws',
    ...index.columns.map((name) =>
      isText(name) ? indexedBeginning(recordColumn(name)) : recordColumn(name),
    ),
    // What makes texts of one beginning different keys; the same for all that are no longer than that.
    ...index.columns
      .filter((name) => index.unique && isText(name))
      .map((name) => `rest_of(${recordColumn(name)})`),
  ].join(', ');
  const what = index.unique ? 'UNIQUE INDEX' : 'INDEX';
  return `CREATE ${what} IF NOT EXISTS ${indexName(index)} ON ${recordTable(kind.name)} (${columns})`;
}

async function createIndex(
  transaction: PgTransaction,
  kind: KindDeclaration,
  index: RecordIndex,
): Promise<void> {
  try {
    await transaction.query(indexStatement(kind, index));
  } catch (error) {
    if (!isTakenKey(error)) throw error;
    throw new KeelsonError(
      'INCOMPATIBLE',
      `The kind ${kind.name} declares (${index.columns.join(', ')}) unique, but there are records that share it.`,
      { cause: error, details: { kind: kind.name, columns: index.columns } },
    );
  }
}

/** PostgreSQL would cut a long name, and take two of the same beginning for one. */
function indexName({ name }: RecordIndex): string {
  if (name.length <= 63) return name;
  let hash = 0;
  for (const character of name) hash = (hash * 31 + character.charCodeAt(0)) % 2 ** 32;
  return `${name.slice(0, 54)}_${hash.toString(36)}`;
}

/** So that a statement which goes past the store cannot change what never changes either. */
function triggerStatement(kind: KindDeclaration): string {
  const table = recordTable(kind.name);
  const fixed = declaredColumns(kind)
    .filter(({ immutable }) => immutable)
    .map(({ name }) => name);
  const columns = ['rid', 'ws', 'id', 'created_at', ...fixed];
  if (kind.immutableBody === true) columns.push('body');
  const changed = columns.map((column) => `OLD.${column} IS DISTINCT FROM NEW.${column}`);
  return `CREATE OR REPLACE TRIGGER ${table}_immutable BEFORE UPDATE ON ${table} FOR EACH ROW
     WHEN (${changed.join(' OR ')}) EXECUTE FUNCTION refuse_change('a part of ${kind.name}')`;
}

function incompatible(kind: KindDeclaration, column: string, what: string): KeelsonError {
  return new KeelsonError(
    'INCOMPATIBLE',
    `The kind ${kind.name} cannot be opened as declared: its column ${column} ${what}. Use the version that wrote it, or migrate the records first.`,
    { details: { kind: kind.name, column } },
  );
}
