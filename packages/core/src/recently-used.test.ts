import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { RecentlyUsed } from './recently-used.ts';

interface Value {
  readonly name: string;
  readonly busy: boolean;
}

function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}

test('keeps what was used last and what may not go; the rest while somebody else holds it', async () => {
  const all = new RecentlyUsed<Value>(3, ({ busy }) => !busy);
  const held: Value = { name: 'held', busy: false };
  all.set('held', held);
  all.set('busy', { name: 'busy', busy: true });
  for (let i = 0; i < 1000; i += 1) all.set(`k${i}`, { name: `k${i}`, busy: false });
  await expect
    .poll(
      () => {
        collectGarbage();
        return all.size;
      },
      { timeout: 10_000 },
    )
    .toBeLessThan(10);
  expect(all.get('held')).toBe(held);
  expect(all.get('busy')?.name).toBe('busy');
  expect(all.get('k999')?.name).toBe('k999');
  expect(all.get('k0')).toBeUndefined();
  expect(all.values()).toContain(held);
});

test('a key may be used again after its object has gone', async () => {
  const all = new RecentlyUsed<Value>(1, () => true);
  all.set('a', { name: 'old', busy: false });
  all.set('b', { name: 'b', busy: false });
  await expect
    .poll(() => {
      collectGarbage();
      return all.size;
    })
    .toBe(1);
  all.set('a', { name: 'new', busy: false });
  expect(all.get('a')?.name).toBe('new');
});
