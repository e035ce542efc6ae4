import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { SqliteTransactions } from './sqlite-transactions.ts';
import { WriteQueue } from './write-queue.ts';

/** A queue over a database whose statements fail when told to. */
function openQueue(committed = (): void => undefined): {
  queue: WriteQueue;
  fail: Set<string>;
  rows: () => number;
} {
  const database = new DatabaseSync(':memory:');
  database.exec('CREATE TABLE t(a)');
  const fail = new Set<string>();
  const connection = new Proxy(database, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]) => {
        if (name === 'exec' && fail.has(String(args[0]))) {
          throw Object.assign(new Error('disk I/O error'), { errcode: 10 });
        }
        return Reflect.apply(value, target, args);
      };
    },
  });
  const transactions = new SqliteTransactions(':memory:', connection, committed);
  const queue = new WriteQueue(':memory:', transactions, async () => undefined);
  const rows = (): number => Number(database.prepare('SELECT count(*) AS n FROM t').get()?.['n']);
  return { queue, fail, rows };
}

test('a rollback that the disk refuses rejects its write, and the next ones go on', async () => {
  const { queue, fail, rows } = openQueue();
  const add = (work: () => unknown) => queue.add(work, {});
  const broken = () => {
    throw new Error('no');
  };
  fail.add('ROLLBACK');
  await expect(add(broken)).rejects.toThrow('no');
  fail.clear();
  await expect(add(() => 1)).resolves.toBe(1);
  fail.add('ROLLBACK TO part; RELEASE part');
  const group = await Promise.allSettled([add(() => 1), add(broken), add(() => 3)]);
  expect(group.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  fail.clear();
  fail.add('COMMIT').add('ROLLBACK');
  await expect(add(() => 1)).rejects.toMatchObject({ details: { outcome: 'unknown' } });
  fail.clear();
  await expect(add(() => 2)).resolves.toBe(2);
  expect(rows()).toBe(0);
  await queue.drained();
});

test('what is told of a commit and throws leaves the queue working', async () => {
  let throwing = true;
  const { queue, rows } = openQueue(() => {
    if (throwing) throw new Error('no');
  });
  const add = () => queue.add(() => undefined, {});
  const both = await Promise.allSettled([add(), add()]);
  const internal = { code: 'INTERNAL', details: { outcome: 'unknown' } };
  expect(both).toMatchObject([{ reason: internal }, { reason: internal }]);
  throwing = false;
  await add();
  expect(rows()).toBe(0);
  await queue.drained();
});
