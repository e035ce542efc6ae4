import type { KindDeclaration } from '../contracts/record.ts';
import { KeelsonError } from '../errors.ts';
import { canonicalJson } from '../json.ts';
import {
  checkKind,
  facetColumn,
  flagColumn,
  mergedFacets,
  recordColumn,
  recordIndexes,
  recordTable,
} from '../sql/index.ts';
import type { SqliteDatabase } from './sqlite-database.ts';
import { isConstraint } from './sqlite-error.ts';
import { metadataTables } from './sqlite-metadata-schema.ts';
import { createSharedTables } from './sqlite-schema.ts';
import { seriesTables } from './sqlite-series-schema.ts';

/**
 * Makes the tables fit the declarations: creates what is new (kinds, optional columns, indexes, unique
 * keys, facets), leaves what only the stored declarations have, and refuses with INCOMPATIBLE, naming
 * kind and column, what would change the meaning of stored records. Any number of processes may do
 * this at once; a database that fits already is not written.
 */
export async function prepareKindTables(
  db: SqliteDatabase,
  kinds: readonly KindDeclaration[],
): Promise<void> {
  for (const kind of kinds) checkKind(kind);
  await createSharedTables(db);
  if (db.read(() => fits(db, kinds))) return;
  await db.write(() => {
    for (const statement of metadataTables) db.exec(statement);
    // Projected facets read the summaries, also where no series store has been opened yet.
    const projects = kinds.some((kind) =>
      Object.values(kind.facets ?? {}).some((facet) => facet.source === 'projected'),
    );
    if (projects) for (const statement of seriesTables) db.exec(statement);
    for (const kind of kinds) prepareKind(db, kind);
  });
}

function fits(db: SqliteDatabase, kinds: readonly KindDeclaration[]): boolean {
  const made = db.prepare("SELECT count(*) AS n FROM sqlite_schema WHERE name = 'kind'").get();
  if (made?.['n'] !== 1) return false;
  return kinds.every((kind) => {
    const stored = storedKind(db, kind.name);
    return stored !== undefined && canonicalJson(joined(stored, kind)) === canonicalJson(stored);
  });
}

function storedKind(db: SqliteDatabase, name: string): KindDeclaration | undefined {
  const row = db.prepare('SELECT declaration FROM kind WHERE name = ?').get(name);
  return row === undefined
    ? undefined
    : (JSON.parse(String(row['declaration'])) as KindDeclaration);
}

/** What is declared, and what only a newer program has declared: its columns and facets stay. */
function joined(stored: KindDeclaration, kind: KindDeclaration): KindDeclaration {
  return {
    ...kind,
    columns: { ...stored.columns, ...kind.columns },
    facets: { ...stored.facets, ...kind.facets },
  };
}

function prepareKind(db: SqliteDatabase, kind: KindDeclaration): void {
  const stored = storedKind(db, kind.name);
  const whole = joined(stored ?? { ...kind, columns: {} }, kind);
  if (stored === undefined) {
    createTable(db, kind);
  } else {
    if (canonicalJson(whole) === canonicalJson(stored)) return;
    assertCompatible(db, stored, kind);
    addColumns(db, kind);
  }
  createIndexes(db, kind);
  createTriggers(db, whole);
  db.prepare(
    'INSERT INTO kind (name, declaration) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET declaration = excluded.declaration',
  ).run(kind.name, canonicalJson(whole));
}

const sqlTypes = { text: 'TEXT', integer: 'INTEGER', real: 'REAL', boolean: 'INTEGER' } as const;

function columnDefinitions(kind: KindDeclaration, names: readonly string[]): string[] {
  return names.flatMap((name) => {
    const type = kind.columns[name]?.type ?? 'text';
    const column = `${recordColumn(name)} ${sqlTypes[type]}`;
    if (type === 'real') return [column, `${flagColumn(name)} INTEGER`];
    const check = type === 'boolean' ? ` CHECK (${recordColumn(name)} IN (0, 1))` : '';
    return [`${column}${check}`];
  });
}

// The store, not the schema, demands required columns: so that one may become optional later.
function createTable(db: SqliteDatabase, kind: KindDeclaration): void {
  const columns = [
    'rid INTEGER PRIMARY KEY',
    'ws TEXT NOT NULL',
    'id TEXT NOT NULL',
    'rev INTEGER NOT NULL',
    'created_at INTEGER NOT NULL',
    'updated_at INTEGER NOT NULL',
    ...columnDefinitions(kind, Object.keys(kind.columns)),
    'body TEXT NOT NULL',
    ...mergedFacets(kind).map(facetDefinition),
  ];
  db.exec(`CREATE TABLE ${recordTable(kind.name)} (${columns.join(', ')}) STRICT`);
}

function facetDefinition(facet: string): string {
  return `${facetColumn(facet)} TEXT NOT NULL DEFAULT '{}'`;
}

function addColumns(db: SqliteDatabase, kind: KindDeclaration): void {
  const present = new Set(
    db
      .prepare('SELECT name FROM pragma_table_info(?)')
      .all(recordTable(kind.name))
      .map((row) => `"${String(row['name'])}"`),
  );
  const added = Object.keys(kind.columns).filter((name) => !present.has(recordColumn(name)));
  const facets = mergedFacets(kind).filter((facet) => !present.has(facetColumn(facet)));
  const definitions = [...columnDefinitions(kind, added), ...facets.map(facetDefinition)];
  for (const definition of definitions) {
    db.exec(`ALTER TABLE ${recordTable(kind.name)} ADD COLUMN ${definition}`);
  }
}

function assertCompatible(
  db: SqliteDatabase,
  stored: KindDeclaration,
  kind: KindDeclaration,
): void {
  const hasRecords =
    db.prepare(`SELECT 1 AS one FROM ${recordTable(kind.name)} LIMIT 1`).get() !== undefined;
  for (const [name, column] of Object.entries(kind.columns)) {
    const before = Object.hasOwn(stored.columns, name) ? stored.columns[name] : undefined;
    if (before === undefined) {
      if (column.optional !== true && hasRecords) {
        throw incompatible(kind, name, 'is new and required, but there are records without it');
      }
    } else if (before.type !== column.type) {
      throw incompatible(kind, name, `is stored as ${before.type}, declared as ${column.type}`);
    } else if (before.optional === true && column.optional !== true && hasMissing(db, kind, name)) {
      throw incompatible(kind, name, 'is declared required, but there are records without it');
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

function hasMissing(db: SqliteDatabase, kind: KindDeclaration, name: string): boolean {
  const missing =
    kind.columns[name]?.type === 'real'
      ? `${recordColumn(name)} IS NULL AND ${flagColumn(name)} IS NULL`
      : `${recordColumn(name)} IS NULL`;
  const text = `SELECT 1 AS one FROM ${recordTable(kind.name)} WHERE ${missing} LIMIT 1`;
  return db.prepare(text).get() !== undefined;
}

function createIndexes(db: SqliteDatabase, kind: KindDeclaration): void {
  for (const index of recordIndexes(kind)) {
    const columns = ['ws', ...index.columns.map(recordColumn)].join(', ');
    const what = index.unique ? 'UNIQUE INDEX' : 'INDEX';
    try {
      db.exec(
        `CREATE ${what} IF NOT EXISTS ${index.name} ON ${recordTable(kind.name)} (${columns})`,
      );
    } catch (error) {
      if (!isConstraint(error)) throw error;
      throw new KeelsonError(
        'INCOMPATIBLE',
        `The kind ${kind.name} declares (${index.columns.join(', ')}) unique, but there are records that share it.`,
        { cause: error, details: { kind: kind.name, columns: index.columns } },
      );
    }
  }
}

/** So that a statement which goes past the store cannot change what never changes either. */
function createTriggers(db: SqliteDatabase, kind: KindDeclaration): void {
  const table = recordTable(kind.name);
  const trigger = `${table}_immutable`;
  const fixed = Object.entries(kind.columns)
    .filter(([, column]) => column.immutable === true)
    .flatMap(([name, column]) =>
      column.type === 'real' ? [recordColumn(name), flagColumn(name)] : [recordColumn(name)],
    );
  const columns = ['rid', 'ws', 'id', 'created_at', ...fixed];
  if (kind.immutableBody === true) columns.push('body');
  const changed = columns.map((column) => `OLD.${column} IS NOT NEW.${column}`).join(' OR ');
  db.exec(`DROP TRIGGER IF EXISTS ${trigger}`);
  db.exec(
    `CREATE TRIGGER ${trigger} BEFORE UPDATE OF ${columns.join(', ')} ON ${table} WHEN ${changed}
     BEGIN SELECT RAISE(ABORT, 'IMMUTABLE: a part of ${kind.name} that never changes'); END`,
  );
}

function incompatible(kind: KindDeclaration, column: string, what: string): KeelsonError {
  return new KeelsonError(
    'INCOMPATIBLE',
    `The kind ${kind.name} cannot be opened as declared: its column ${column} ${what}. Use the version that wrote it, or migrate the records first.`,
    { details: { kind: kind.name, column } },
  );
}
