import { expect, test } from 'vitest';
import { openTestPlatform } from '../../test/open-test-platform.ts';
import { openTestScope } from '../../test/open-test-scope.ts';
import type { MetadataStore } from '../contracts/metadata-store.ts';
import { KeelsonError } from '../errors.ts';
import { platformKinds } from '../platform-kinds.ts';

/** A store that is away while it is told to be, and how often it was called. */
function unreliable(store: MetadataStore): {
  readonly store: MetadataStore;
  readonly calls: { count: number };
  away: boolean;
} {
  const calls = { count: 0 };
  const each = {
    calls,
    away: false,
    store: new Proxy(store, {
      get(target, name) {
        const method = Reflect.get(target, name) as unknown;
        if (typeof method !== 'function' || name === 'close') return method;
        return async (...args: unknown[]) => {
          calls.count += 1;
          if (each.away) throw new KeelsonError('UNAVAILABLE', 'The server is away.');
          return Reflect.apply(method, target, args);
        };
      },
    }),
  };
  return each;
}

test('a database that was handed over and is away is left alone, seen in health, and found again', async () => {
  await using t = await openTestScope({ kinds: platformKinds });
  const database = unreliable(t.scope.metadata);
  const { platform, logs } = await openTestPlatform({
    metadata: { openMetadata: async () => database.store },
  });
  const list = () => platform.tracking.listExperiments();
  await list();
  database.away = true;
  for (let i = 0; i < 100; i += 1) {
    await expect(list()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  }
  const { count } = database.calls;
  for (let i = 0; i < 100; i += 1) await expect(list()).rejects.toThrow('left alone');
  expect(database.calls.count).toBe(count);
  const health = await platform.operations.health({ fresh: true });
  const stand = Object.fromEntries(health.checks.map((check) => [check.name, check]));
  expect(stand['breakers']).toMatchObject({
    status: 'DEGRADED',
    details: { 'the database': { breaker: 'open' } },
  });
  // The check of the database itself asks it past the breaker.
  expect([health.status, stand['database']?.message]).toEqual(['UNHEALTHY', 'The server is away.']);
  database.away = false;
  await expect.poll(list, { timeout: 10_000 }).toMatchObject({ experiments: [] });
  const told = logs.filter(({ fields }) => fields['operation'] === 'breaker');
  expect(told.map(({ fields }) => fields['state'])).toEqual(
    expect.arrayContaining(['open', 'half-open', 'closed']),
  );
  const after = await platform.operations.health({ fresh: true });
  expect(after.checks.find(({ name }) => name === 'breakers')?.status).toBe('HEALTHY');
});
