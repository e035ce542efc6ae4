import type { SqliteDatabase } from './sqlite-database.ts';

/**
 * Tables that records and series share. Rows of both are never deleted: an id once allotted means the
 * same thing for ever, in this process's cache and in that of every other one.
 *
 * - `entity` numbers what has an id within a workspace; `rec_<kind>.rid` and `summary.rid` are its rid,
 *   so that searching runs joins the summaries of their metrics.
 * - `dict` numbers (workspace, kind, facet, key); `facet.kid` and `summary.kid` are its kid.
 */
const sharedTables = `
CREATE TABLE IF NOT EXISTS entity (
  rid INTEGER PRIMARY KEY,
  ws TEXT NOT NULL,
  id TEXT NOT NULL,
  UNIQUE (ws, id)
) STRICT;
CREATE TABLE IF NOT EXISTS dict (
  kid INTEGER PRIMARY KEY,
  ws TEXT NOT NULL,
  kind TEXT NOT NULL,
  facet TEXT NOT NULL,
  key TEXT NOT NULL,
  UNIQUE (ws, kind, facet, key)
) STRICT;
`;

/** Creates the shared tables where they are missing. Both stores call it when they open. */
export async function createSharedTables(db: SqliteDatabase): Promise<void> {
  const made = db.read(() =>
    db.prepare("SELECT count(*) AS n FROM sqlite_schema WHERE name IN ('entity', 'dict')").get(),
  );
  if (made?.['n'] === 2) return;
  await db.write(() => db.exec(sharedTables));
}

/** What a facet key belongs to. Metric series have kind `series` and facet `metrics`. */
export interface DictionaryKey {
  readonly workspace: string;
  readonly kind: string;
  readonly facet: string;
  readonly key: string;
}

const cacheSize = 100_000;

/** Caches per connection; they hold committed numbers only. */
interface Caches {
  readonly rids: Map<string, number>;
  readonly kids: Map<string, number>;
}

const cachesOf = new WeakMap<SqliteDatabase, Caches>();

/** The number of an entity, or undefined if none has been allotted. */
export function findRid(db: SqliteDatabase, workspace: string, id: string): number | undefined {
  return find(db, 'rids', cacheKey(workspace, id), () =>
    db.prepare('SELECT rid AS n FROM entity WHERE ws = ? AND id = ?').get(workspace, id),
  );
}

/** The number of an entity, allotted if need be. Only inside a write. */
export function ridOf(db: SqliteDatabase, workspace: string, id: string): number {
  const found = findRid(db, workspace, id);
  if (found !== undefined) return found;
  const insert = db.prepare('INSERT INTO entity (ws, id) VALUES (?, ?)');
  return Number(insert.run(workspace, id).lastInsertRowid);
}

/** The number of a facet key, or undefined if none has been allotted. */
export function findKid(db: SqliteDatabase, key: DictionaryKey): number | undefined {
  const { workspace, kind, facet } = key;
  return find(db, 'kids', cacheKey(workspace, kind, facet, key.key), () =>
    db
      .prepare('SELECT kid AS n FROM dict WHERE ws = ? AND kind = ? AND facet = ? AND key = ?')
      .get(workspace, kind, facet, key.key),
  );
}

/** The number of a facet key, allotted if need be. Only inside a write. */
export function kidOf(db: SqliteDatabase, key: DictionaryKey): number {
  const found = findKid(db, key);
  if (found !== undefined) return found;
  const insert = db.prepare('INSERT INTO dict (ws, kind, facet, key) VALUES (?, ?, ?, ?)');
  return Number(insert.run(key.workspace, key.kind, key.facet, key.key).lastInsertRowid);
}

function find(
  db: SqliteDatabase,
  cache: keyof Caches,
  name: string,
  look: () => Record<string, unknown> | undefined,
): number | undefined {
  const map = caches(db)[cache];
  const cached = map.get(name);
  if (cached !== undefined) return cached;
  const row = look();
  if (row === undefined) return undefined;
  const number = Number(row['n']);
  // Inside a write the row may be one that is rolled back later, its number then given to another.
  if (db.writing) db.afterCommit(() => remember(map, name, number));
  else remember(map, name, number);
  return number;
}

function remember(map: Map<string, number>, name: string, number: number): void {
  if (name.length > 1_000) return;
  if (map.size >= cacheSize) map.clear();
  map.set(name, number);
}

function caches(db: SqliteDatabase): Caches {
  let found = cachesOf.get(db);
  if (found === undefined) {
    found = { rids: new Map(), kids: new Map() };
    cachesOf.set(db, found);
  }
  return found;
}

/** Parts joined by NUL, which no text that we store contains. */
function cacheKey(...parts: readonly string[]): string {
  return parts.join('\u0000');
}
