import { expect, test } from 'vitest';
import { AccessCache } from './access-cache.ts';

function gate<T>(): { readonly promise: Promise<T>; open(value: T): void } {
  const { promise, resolve } = Promise.withResolvers<T>();
  return { promise, open: resolve };
}

test('a value is read again when it is a second old, counted from before it was read', async () => {
  let now = 0;
  const cache = new AccessCache<number>({ maxAgeMs: 1000, maxEntries: 10, now: () => now });
  let reads = 0;
  const read = async () => {
    reads += 1;
    now += 300;
    return reads;
  };
  expect(await cache.get('a', read)).toBe(1);
  now = 999;
  expect(await cache.get('a', read)).toBe(1);
  now = 1000;
  expect(cache.peek('a')).toBeUndefined();
  expect(await cache.get('a', read)).toBe(2);
});

test('what was dropped while it was read is not kept, and who asks then reads anew', async () => {
  const cache = new AccessCache<string>({ maxAgeMs: 1000, maxEntries: 10 });
  const old = gate<string>();
  const first = cache.get('a', () => old.promise);
  cache.drop('a');
  expect(await cache.get('a', async () => 'new')).toBe('new');
  old.open('old');
  expect(await first).toBe('old');
  expect(cache.peek('a')).toBe('new');

  const late = gate<string>();
  const second = cache.get('b', () => late.promise);
  cache.drop();
  late.open('old');
  await second;
  expect(cache.peek('b')).toBeUndefined();
});

test('those who ask at once share one reading; a failed one is tried again', async () => {
  const cache = new AccessCache<string>({ maxAgeMs: 1000, maxEntries: 10 });
  let reads = 0;
  const failing = async (): Promise<string> => {
    reads += 1;
    throw new Error('away');
  };
  const asked = [cache.get('a', failing), cache.get('a', failing)];
  for (const each of asked) await expect(each).rejects.toThrow('away');
  expect(reads).toBe(1);
  expect(await cache.get('a', async () => 'back')).toBe('back');
});

test('holds no more than it may, and drops what matches', async () => {
  const cache = new AccessCache<number>({ maxAgeMs: 1000, maxEntries: 3 });
  for (let i = 0; i < 100; i += 1) await cache.get(`k${i}`, async () => i);
  expect(cache.size).toBe(3);
  expect(cache.peek('k0')).toBeUndefined();
  cache.dropWhere((key) => key.startsWith('k9'));
  expect(cache.size).toBe(0);
});
