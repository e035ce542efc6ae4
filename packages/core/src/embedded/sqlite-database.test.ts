import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SqliteDatabase } from './sqlite-database.ts';
import { createSharedTables, findRid, kidOf, ridOf } from './sqlite-schema.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'keelson-sqlite-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

describe('SqliteDatabase', () => {
  test('writes in the order asked for, rolls back what throws, and goes on', async () => {
    await using db = await SqliteDatabase.open(join(directory, 'a.db'));
    await db.write(() => db.exec('CREATE TABLE t (a INTEGER NOT NULL) STRICT'));
    const results = await Promise.allSettled([
      db.write(() => db.prepare('INSERT INTO t VALUES (?)').run(1)),
      db.write(() => {
        db.prepare('INSERT INTO t VALUES (?)').run(2);
        throw new Error('no');
      }),
      db.write(() => db.prepare('INSERT INTO t VALUES (?)').run(3)),
    ]);
    expect(results.map((r) => r.status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(db.prepare('SELECT a FROM t ORDER BY rowid').all()).toEqual([{ a: 1 }, { a: 3 }]);
  });

  test('writes asked for at once share commits; each is undone alone, and resolves when durable', async () => {
    const path = join(directory, 'a.db');
    await using db = await SqliteDatabase.open(path);
    await using other = await SqliteDatabase.open(path);
    await db.write(() => db.exec('CREATE TABLE t (a INTEGER PRIMARY KEY) STRICT'));
    const version = (): unknown => other.prepare('PRAGMA data_version').get();
    const before = version();
    let announced = 0;
    const insert = (a: number) => {
      db.afterCommit(() => {
        announced += 1;
      });
      db.prepare('INSERT INTO t VALUES (?)').run(a);
      if (a % 3 === 0) throw new Error('no');
      return a;
    };
    const durable: unknown[] = [];
    const results = await Promise.allSettled(
      Array.from({ length: 30 }, async (_, i) => {
        const a = await db.write(() => insert(i));
        durable.push(other.prepare('SELECT a FROM t WHERE a = ?').get(a)?.['a']);
        return a;
      }),
    );
    const kept = Array.from({ length: 30 }, (_, i) => i).filter((i) => i % 3 !== 0);
    expect(results.flatMap((r) => (r.status === 'fulfilled' ? [r.value] : []))).toEqual(kept);
    expect(durable).toEqual(kept);
    expect(announced).toBe(kept.length);
    expect(other.prepare('SELECT count(*) AS n FROM t').get()).toEqual({ n: kept.length });
    expect(version()).not.toEqual(before);
  });

  test('only what may be lost with the power is not synced, and that with others is', async () => {
    await using db = await SqliteDatabase.open(join(directory, 'a.db'));
    await using other = await SqliteDatabase.open(join(directory, 'a.db'));
    await db.write(() => db.exec('CREATE TABLE t (a INTEGER PRIMARY KEY) STRICT'));
    const write = (a: number, options?: { synced: boolean }) =>
      db.write(() => {
        db.prepare('INSERT INTO t VALUES (?)').run(a);
        return db.prepare('PRAGMA synchronous').get()?.['synchronous'];
      }, options);
    const [normal, full] = [1, 2];
    expect(await write(1)).toBe(full);
    expect(await write(2, { synced: false })).toBe(normal);
    expect(await write(3)).toBe(full);
    expect(await Promise.all([write(4, { synced: false }), write(5)])).toEqual([full, full]);
    expect(await Promise.all([4, 5].map((n) => write(n + 2, { synced: false })))).toEqual([1, 1]);
    expect(db.writeSync(() => db.prepare('PRAGMA synchronous').get()?.['synchronous'])).toBe(full);
    // Other processes see it at once.
    expect(other.prepare('SELECT count(*) AS n FROM t').get()).toEqual({ n: 7 });
  });

  test('a full disk amid writes that share a commit fails only those that do not fit', async () => {
    const path = join(directory, 'a.db');
    await using db = await SqliteDatabase.open(path);
    await db.write(() => db.exec('CREATE TABLE t (a BLOB) STRICT'));
    db.exec('PRAGMA max_page_count = 20');
    const sizes = [10, 10, 1_000_000, 10, 1_000_000, 10];
    const results = await Promise.allSettled(
      sizes.map((size) =>
        db.write(() => db.prepare('INSERT INTO t VALUES (zeroblob(?))').run(size)),
      ),
    );
    expect(results.map((r) => (r.status === 'rejected' ? r.reason.code : 'ok'))).toEqual(
      sizes.map((size) => (size > 10 ? 'EXHAUSTED' : 'ok')),
    );
    expect(db.prepare('SELECT count(*) AS n FROM t').get()).toEqual({ n: 4 });
  });

  test('a writer that waits for another connection leaves the event loop free', async () => {
    const path = join(directory, 'a.db');
    await using one = await SqliteDatabase.open(path);
    await using two = await SqliteDatabase.open(path);
    await one.write(() => one.exec('CREATE TABLE t (a INTEGER) STRICT'));
    one.exec('BEGIN IMMEDIATE');
    const waiting = two.write(() => two.prepare('INSERT INTO t VALUES (1)').run());
    let turns = 0;
    while (turns < 20) {
      turns += 1;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    one.exec('COMMIT');
    await waiting;
    expect(turns).toBe(20);
    expect(one.prepare('SELECT count(*) AS n FROM t').get()).toEqual({ n: 1 });
  });

  test('gives up with UNAVAILABLE after the time allowed, and with ABORTED when aborted', async () => {
    const path = join(directory, 'a.db');
    await using one = await SqliteDatabase.open(path);
    await using two = await SqliteDatabase.open(path);
    one.exec('BEGIN IMMEDIATE');
    await expect(two.write(() => 1, { timeoutMs: 30 })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining(path),
    });
    expect(() => two.writeSync(() => 1, { timeoutMs: 30 })).toThrow(/holds the lock of/);
    const controller = new AbortController();
    const waiting = two.write(() => 1, { signal: controller.signal });
    controller.abort(new Error('enough'));
    await expect(waiting).rejects.toMatchObject({ code: 'ABORTED' });
    one.exec('ROLLBACK');
    await expect(two.write(() => 7)).resolves.toBe(7);
  });

  test('commits awaited one after another let the event loop turn', async () => {
    await using db = await SqliteDatabase.open(join(directory, 'a.db'));
    await db.write(() => db.exec('CREATE TABLE t (a INTEGER) STRICT'));
    let turns = 0;
    const timer = setInterval(() => {
      turns += 1;
    }, 1);
    // Without turns of its own this loop would never end.
    for (let i = 0; turns < 5; i += 1) {
      await db.write(() => db.prepare('INSERT INTO t VALUES (?)').run(i));
    }
    clearInterval(timer);
    expect(turns).toBe(5);
  });

  test('the log is copied into the database beside commits, and begins anew', async () => {
    const path = join(directory, 'a.db');
    await using db = await SqliteDatabase.open(path);
    await db.write(() => db.exec('CREATE TABLE t (a BLOB) STRICT'));
    const logBytes = (): number => statSync(`${path}-wal`).size;
    let written = 0;
    let largest = 0;
    // 40 MB would do; a slow thread may need more of them.
    while (largest <= logBytes() && written < 4_000) {
      largest = Math.max(largest, logBytes());
      await db.write(() => db.prepare('INSERT INTO t VALUES (zeroblob(100000))').run());
      written += 1;
    }
    expect(largest).toBeGreaterThan(16 * 2 ** 20);
    expect(logBytes()).toBeLessThan(largest);
    expect(db.prepare('SELECT count(*) AS n FROM t').get()).toEqual({ n: written });
    expect(db.prepare('PRAGMA integrity_check').get()).toEqual({ integrity_check: 'ok' });
  });

  test('a full disk is EXHAUSTED and leaves nothing behind', async () => {
    const path = join(directory, 'a.db');
    await using db = await SqliteDatabase.open(path);
    await db.write(() =>
      db.exec('CREATE TABLE t (a BLOB) STRICT; INSERT INTO t VALUES (zeroblob(9))'),
    );
    // SQLite reports a page limit and a disk without space alike.
    db.exec('PRAGMA max_page_count = 10');
    await expect(
      db.write(() => {
        db.prepare('INSERT INTO t VALUES (zeroblob(10))').run();
        db.prepare('INSERT INTO t VALUES (zeroblob(1000000))').run();
      }),
    ).rejects.toMatchObject({ code: 'EXHAUSTED', message: expect.stringContaining(path) });
    expect(db.prepare('SELECT count(*) AS n FROM t').get()).toEqual({ n: 1 });
    db.exec('PRAGMA max_page_count = 1000000');
    await db.write(() => db.prepare('INSERT INTO t VALUES (zeroblob(1000000))').run());
  });

  test('what is no database is CORRUPT; what cannot be written is UNAVAILABLE', async () => {
    const path = join(directory, 'a.db');
    writeFileSync(path, 'x'.repeat(5_000));
    await expect(SqliteDatabase.open(path)).rejects.toMatchObject({
      code: 'CORRUPT',
      cause: expect.any(Error),
    });
    await expect(SqliteDatabase.open(join(directory, 'no', 'a.db'))).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    });
    const good = join(directory, 'b.db');
    await using writer = await SqliteDatabase.open(good);
    await writer.write(() => writer.exec('CREATE TABLE t (a) '));
    await using reader = await SqliteDatabase.open(good, { readOnly: true });
    expect(reader.read(() => reader.prepare('SELECT count(*) AS n FROM t').get())).toEqual({
      n: 0,
    });
    await expect(reader.write(() => reader.exec('DROP TABLE t'))).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('read-only'),
    });
  });

  test('close waits for queued writes, may be called again, and everything then says CLOSED', async () => {
    const db = await SqliteDatabase.open(join(directory, 'a.db'));
    const queued = db.write(() => db.exec('CREATE TABLE t (a) '));
    await db.close();
    await queued;
    await db.close();
    await expect(db.write(() => 1)).rejects.toMatchObject({ code: 'CLOSED' });
    expect(() => db.read(() => 1)).toThrow(expect.objectContaining({ code: 'CLOSED' }));
    expect(() => db.writeSync(() => 1)).toThrow(expect.objectContaining({ code: 'CLOSED' }));
  });

  test('a read sees one state throughout, whatever is committed meanwhile', async () => {
    const path = join(directory, 'a.db');
    await using one = await SqliteDatabase.open(path);
    await using two = await SqliteDatabase.open(path);
    await one.write(() => one.exec('CREATE TABLE t (a INTEGER) STRICT'));
    const count = (db: SqliteDatabase): unknown => db.prepare('SELECT count(*) AS n FROM t').get();
    const seen = one.read(() => {
      const before = count(one);
      two.writeSync(() => two.exec('INSERT INTO t VALUES (1)'));
      return [before, count(one)];
    });
    expect(seen).toEqual([{ n: 0 }, { n: 0 }]);
    expect(count(one)).toEqual({ n: 1 });
  });

  test('many openings at once of a new file all succeed', async () => {
    const path = join(directory, 'a.db');
    const all = await Promise.all(
      Array.from({ length: 10 }, async () => {
        const db = await SqliteDatabase.open(path);
        await createSharedTables(db);
        return db;
      }),
    );
    for (const db of all) await db.close();
  });
});

describe('numbers of entities and keys', () => {
  test('numbers allotted in a write that rolled back are not remembered', async () => {
    await using db = await SqliteDatabase.open(join(directory, 'a.db'));
    await createSharedTables(db);
    let lost = 0;
    const failing = db.write(() => {
      lost = ridOf(db, 'w', 'a');
      ridOf(db, 'w', 'a');
      kidOf(db, { workspace: 'w', kind: 'k', facet: 'f', key: 'x' });
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect(findRid(db, 'w', 'a')).toBeUndefined();
    const other = await db.write(() => ridOf(db, 'w', 'b'));
    expect(other).toBe(lost);
    const again = await db.write(() => ridOf(db, 'w', 'a'));
    expect(again).not.toBe(other);
    expect(findRid(db, 'w', 'a')).toBe(again);
  });

  test('workspaces do not share numbers, nor do keys whose parts run together', async () => {
    await using db = await SqliteDatabase.open(join(directory, 'a.db'));
    await createSharedTables(db);
    const numbers = await db.write(() => [
      ridOf(db, 'w', 'a'),
      ridOf(db, 'v', 'a'),
      kidOf(db, { workspace: 'w', kind: 'k', facet: 'f', key: 'xy' }),
      kidOf(db, { workspace: 'w', kind: 'k', facet: 'fx', key: 'y' }),
      kidOf(db, { workspace: 'w', kind: 'k', facet: 'fx', key: 'z'.repeat(1_000_000) }),
      kidOf(db, { workspace: 'w', kind: 'k', facet: 'fx', key: 'z'.repeat(1_000_000) }),
    ]);
    expect(numbers).toEqual([1, 2, 1, 2, 3, 3]);
  });
});
