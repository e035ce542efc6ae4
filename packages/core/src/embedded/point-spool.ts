import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { decodeBlock, encodeBlock, type PointBlock, type StoredBlock } from './point-block.ts';
import { fromSqliteError, isBusy } from './sqlite-error.ts';
import { loadSqlite } from './sqlite-module.ts';

const suffix = '.points';
const pageBytes = 4_096;

/**
 * A local file that keeps numbered blocks of points while their store is away. The file is locked as
 * long as its owner lives; after that any process may adopt it and carry its blocks to the store, which
 * ignores those it has by their numbers.
 */
export class PointSpool {
  readonly path: string;
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  #points: number;

  private constructor(path: string, database: DatabaseSync) {
    this.path = path;
    this.#database = database;
    this.#points = Number(database.prepare('SELECT total(n) AS n FROM block').get()?.['n']);
  }

  /** The spool of a writer, made if need be, of at most `bytes`. */
  static open(directory: string, writer: string, bytes: number): PointSpool {
    mkdirSync(directory, { recursive: true });
    return PointSpool.#open(join(directory, `${writer}${suffix}`), bytes);
  }

  /** Whether there are spools in a directory, of writers that live or not. */
  static isIn(directory: string): boolean {
    return existsSync(directory) && readdirSync(directory).some((name) => name.endsWith(suffix));
  }

  /** Takes over the spools in a directory whose writers are gone; says which cannot be read, and why. */
  static adopt(directory: string): {
    readonly spools: readonly PointSpool[];
    readonly faults: readonly unknown[];
  } {
    const spools: PointSpool[] = [];
    const faults: unknown[] = [];
    if (!existsSync(directory)) return { spools, faults };
    for (const name of readdirSync(directory)) {
      if (!name.endsWith(suffix)) continue;
      try {
        spools.push(PointSpool.#open(join(directory, name), Number.MAX_SAFE_INTEGER));
      } catch (error) {
        // A busy one belongs to a writer that lives.
        if (!(error instanceof Error && isBusy(error.cause))) faults.push(error);
      }
    }
    return { spools, faults };
  }

  static #open(path: string, bytes: number): PointSpool {
    const { DatabaseSync } = loadSqlite();
    let database: DatabaseSync | undefined;
    try {
      database = new DatabaseSync(path, { timeout: 0 });
      // Exclusive: the first transaction takes the lock and keeps it until the owner closes or dies.
      database.exec(`
        PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
        BEGIN EXCLUSIVE;
        CREATE TABLE IF NOT EXISTS block(
          sequence INTEGER PRIMARY KEY, writer TEXT NOT NULL, n INTEGER NOT NULL,
          series TEXT NOT NULL, automatic BLOB, data BLOB NOT NULL
        ) STRICT;
        COMMIT;
        PRAGMA max_page_count = ${Math.max(16, Math.min(2 ** 32 - 2, Math.floor(bytes / pageBytes)))};
      `);
      return new PointSpool(path, database);
    } catch (error) {
      database?.close();
      throw fromSqliteError(error, path);
    }
  }

  /** Points in it. */
  get points(): number {
    return this.#points;
  }

  /** Keeps a block, durably. EXHAUSTED when the spool or its disk is full; the block is not kept then. */
  put(block: PointBlock): void {
    const { series, automatic, data } = encodeBlock(block);
    const count = block.steps.length;
    this.#run(
      'INSERT INTO block(sequence, writer, n, series, automatic, data) VALUES (?, ?, ?, ?, ?, ?)',
      [block.sequence, block.writer, count, series, automatic, data],
    );
    this.#points += count;
  }

  /** The block with the least number, or undefined. */
  first(): PointBlock | undefined {
    const row = this.#get('SELECT * FROM block ORDER BY sequence LIMIT 1');
    if (row === undefined) return undefined;
    const stored = row as unknown as StoredBlock;
    return decodeBlock(String(row['writer']), Number(row['sequence']), stored);
  }

  /** Forgets a block of `points` points. */
  remove(sequence: number, points: number): void {
    this.#run('DELETE FROM block WHERE sequence = ?', [sequence]);
    this.#points -= points;
  }

  /**
   * Puts the block with the least number aside, for people: it stays in the file, which is then never
   * empty, and is no block any more. Answers how many points it has.
   */
  setFirstAside(why: string): number {
    const row = this.#get('SELECT sequence, n FROM block ORDER BY sequence LIMIT 1');
    if (row === undefined) return 0;
    const points = Number(row['n']);
    this.#exec('CREATE TABLE IF NOT EXISTS aside AS SELECT *, NULL AS why FROM block WHERE false');
    this.#exec('BEGIN');
    try {
      const place = [row['sequence'] as number];
      this.#run('INSERT INTO aside SELECT *, ? FROM block WHERE sequence = ?', [why, ...place]);
      this.#run('DELETE FROM block WHERE sequence = ?', place);
      this.#exec('COMMIT');
    } catch (error) {
      if (this.#database.isTransaction) this.#exec('ROLLBACK');
      throw error;
    }
    this.#points -= points;
    return points;
  }

  /** Lets go of the file, and removes it when it is empty. */
  close(): void {
    const empty = this.#isEmpty();
    this.#statements.clear();
    this.#database.close();
    if (empty) rmSync(this.path, { force: true });
  }

  #isEmpty(): boolean {
    if (this.#get('SELECT 1 FROM block LIMIT 1') !== undefined) return false;
    return this.#get("SELECT 1 FROM sqlite_schema WHERE name = 'aside'") === undefined;
  }

  #exec(sql: string): void {
    try {
      this.#database.exec(sql);
    } catch (error) {
      throw fromSqliteError(error, this.path);
    }
  }

  #run(sql: string, values: readonly (string | number | null | Uint8Array)[]): void {
    try {
      this.#prepare(sql).run(...values);
    } catch (error) {
      throw fromSqliteError(error, this.path);
    }
  }

  #get(sql: string): Record<string, unknown> | undefined {
    try {
      return this.#prepare(sql).get();
    } catch (error) {
      throw fromSqliteError(error, this.path);
    }
  }

  #prepare(sql: string): StatementSync {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    const statement = this.#database.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }
}
