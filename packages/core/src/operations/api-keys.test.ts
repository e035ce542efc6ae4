import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openTestPlatform, temporaryDirectory } from '../../test/open-test-platform.ts';
import { testBackends } from '../../test/test-backends.ts';
import { openPlatform, type Platform } from '../open-platform.ts';

const lead = { id: 'user:lead', roles: [] };
const forbidden = { code: 'FORBIDDEN' };

async function open() {
  let now = 1_800_000_000_000;
  const clock = { now: () => now };
  const { platform, logs, dir } = await openTestPlatform({ access: true, principal: lead, clock });
  const { access } = platform.operations;
  await access.grant({ principal: 'service:trainer', role: 'editor' });
  return { platform, access, logs, dir, now: () => now, pass: (ms: number) => (now += ms) };
}

async function actAs(platform: Platform, bearer: string) {
  return platform.as({ principal: await platform.authenticate({ bearer }) });
}

describe('a key', () => {
  test('acts as its principal, within its scopes, and no further than the principal may', async () => {
    const { platform, access } = await open();
    const { key, secret } = await access.createApiKey({
      principal: 'service:trainer',
      name: 'nightly',
      scopes: ['tracking.*', 'experiment.create', 'model.approve'],
    });
    expect(await platform.authenticate({ bearer: secret })).toEqual({
      id: 'service:trainer',
      roles: [],
      scopes: ['tracking.*', 'experiment.create', 'model.approve'],
      credential: `key:${key.id}`,
    });
    const trainer = await actAs(platform, secret);
    await trainer.tracking.createExperiment({ name: 'x' });
    const refused = trainer.tracking.startRun({ experiment: 'x' });
    await expect(refused).rejects.toMatchObject({ message: expect.stringContaining('scopes') });
    // In the scopes, but not among the principal's rights.
    await expect(trainer.registry.approve('none')).rejects.toMatchObject(forbidden);
    await access.revoke({ principal: 'service:trainer' });
    await expect(trainer.tracking.listExperiments()).rejects.toMatchObject(forbidden);
  });

  test('is good for nothing once revoked or expired, also in handles that are open', async () => {
    const { platform, access, now, pass } = await open();
    const options = { principal: 'service:trainer', name: 'x', scopes: ['*'] };
    const first = await access.createApiKey({ ...options, expiresAt: now() + 1000 });
    const second = await access.createApiKey(options);
    const handles = [
      await actAs(platform, first.secret),
      await actAs(platform, second.secret),
    ] as const;
    for (const each of handles) await each.tracking.listExperiments();
    pass(1000);
    await access.revokeApiKey(second.key.id);
    await access.revokeApiKey(second.key.id);
    for (const each of handles) {
      await expect(each.tracking.listExperiments()).rejects.toMatchObject(forbidden);
    }
    for (const [{ secret }, why] of [
      [first, 'expired'],
      [second, 'revoked'],
    ] as const) {
      const asked = platform.authenticate({ bearer: secret });
      await expect(asked).rejects.toMatchObject({ message: expect.stringContaining(why) });
    }
  });

  test('is rotated with an overlap; a secret that was rotated away ends when it does', async () => {
    const { platform, access, pass } = await open();
    const options = { principal: 'service:trainer', name: 'x', scopes: ['tracking.read'] };
    const old = await access.createApiKey(options);
    const next = await access.rotateApiKey(old.key.id, { overlapMs: 1000 });
    expect(next.key.id).toBe(old.key.id);
    for (const { secret } of [old, next]) await actAs(platform, secret);
    pass(1000);
    await expect(actAs(platform, old.secret)).rejects.toMatchObject({
      message: expect.stringContaining('rotated'),
    });
    const last = await access.rotateApiKey(old.key.id);
    await expect(actAs(platform, next.secret)).rejects.toMatchObject(forbidden);
    await actAs(platform, last.secret);
  });

  test('of somebody else takes the right to it, and all that is in it', async () => {
    const { platform, access } = await open();
    await access.grant({ principal: 'user:ana', role: 'editor' });
    await access.grant({ principal: 'user:ada', role: 'admin' });
    const keysOf = (id: string) => platform.as({ principal: { id, roles: [] } }).operations.access;
    const [ana, ada] = [keysOf('user:ana'), keysOf('user:ada')];
    const other = { principal: 'user:lead', name: 'x', scopes: ['tracking.read'] };
    await expect(ana.createApiKey(other)).rejects.toMatchObject(forbidden);
    await expect(ada.createApiKey({ ...other, scopes: ['*'] })).rejects.toMatchObject(forbidden);
    await ada.createApiKey(other);
    // Her own: whatever is in the scopes, it can do no more than she.
    const own = await ana.createApiKey({ name: 'x', scopes: ['*'] });
    await expect(ada.rotateApiKey(own.key.id)).resolves.toBeDefined();
    await expect(keysOf('user:eve').revokeApiKey(own.key.id)).rejects.toMatchObject(forbidden);
    await expect(keysOf('user:eve').revokeApiKey('none')).rejects.toMatchObject(forbidden);
    expect((await ana.listApiKeys({ principal: 'user:ana' })).map(({ id }) => id)).toEqual([
      own.key.id,
    ]);
    await expect(ana.listApiKeys()).rejects.toMatchObject(forbidden);
    expect(await ada.listApiKeys()).toHaveLength(2);
    // A key makes no key with more scopes than its own.
    const narrow = await ana.createApiKey({ name: 'y', scopes: ['key.create', 'tracking.read'] });
    const byKey = (await actAs(platform, narrow.secret)).operations.access;
    await byKey.createApiKey({ name: 'z', scopes: ['tracking.read'] });
    await expect(byKey.createApiKey({ name: 'z', scopes: ['run.write'] })).rejects.toMatchObject(
      forbidden,
    );
  });

  test('stands with its secret in no record, event, log, error or list', async () => {
    const { platform, access, logs, dir } = await open();
    const made = await access.createApiKey({ name: 'x', scopes: ['*'] });
    const rotated = await access.rotateApiKey(made.key.id, { overlapMs: 1e6 });
    const bare = [made, rotated].map(({ secret }) => secret.split('.').at(-1) as string);
    for (const bearer of [made.secret, rotated.secret]) await platform.authenticate({ bearer });
    const errors: unknown[] = [];
    for (const bearer of [`${made.secret}x`, `${made.secret.slice(0, -1)}_`, `x${made.secret}`]) {
      await platform.authenticate({ bearer }).catch((error: Error) => errors.push(error.stack));
    }
    expect(errors).toHaveLength(3);
    const events = await Array.fromAsync(platform.events.each());
    const told = JSON.stringify([events, logs, errors, await access.listApiKeys(), made.key]);
    await platform.close();
    const { readdirSync, readFileSync } = await import('node:fs');
    const files = readdirSync(dir, { recursive: true, withFileTypes: true }).filter((e) =>
      e.isFile(),
    );
    const stored = files.map((file) => readFileSync(join(file.parentPath, file.name)));
    for (const secret of bare) {
      expect(told).not.toContain(secret);
      expect(stored.some((bytes) => bytes.includes(secret))).toBe(false);
    }
  });

  test('notes its last use without a write for each request', async () => {
    const { platform, access, now, pass } = await open();
    const { key, secret } = await access.createApiKey({ name: 'x', scopes: ['*'] });
    expect(key.lastUsedAt).toBeUndefined();
    const used = async () => (await access.listApiKeys())[0]?.lastUsedAt;
    await platform.authenticate({ bearer: secret });
    const first = now();
    expect(await used()).toBe(first);
    pass(59_000);
    await platform.authenticate({ bearer: secret });
    expect(await used()).toBe(first);
    pass(1000);
    await platform.authenticate({ bearer: secret });
    expect(await used()).toBe(first + 60_000);
  });

  test.each([
    'keelson_',
    'keelson_ZGVmYXVsdA.abcdefghijkl.',
    `keelson_ZGVmYXVsdA.abcdefghijkl.${'a'.repeat(43)}`,
    `keelson_${'A'.repeat(500)}.abcdefghijkl.${'a'.repeat(43)}`,
    `keelson_AAAA.abcdefghijkl.${'a'.repeat(43)}`,
    'nothing',
    'k'.repeat(20_000),
  ])('that is none is refused: %.60s', async (bearer) => {
    const { platform } = await open();
    await expect(platform.authenticate({ bearer })).rejects.toMatchObject(forbidden);
  });
});

test('what another process grants, revokes and ends counts within a second', async () => {
  const dir = join(await temporaryDirectory(), '.keelson');
  const here = (await openTestPlatform({ dir, access: true, principal: lead })).platform;
  const backends = await testBackends(dir);
  const there = await openPlatform({ dir, ...backends, access: true, principal: lead });
  try {
    const ana = here.as({ principal: { id: 'user:ana', roles: [] } }).tracking;
    await expect(ana.listExperiments()).rejects.toMatchObject(forbidden);
    const { access } = there.operations;
    await access.grant({ principal: 'user:ana', role: 'viewer' });
    const until = async (allowed: boolean) =>
      expect
        .poll(
          () =>
            ana.listExperiments().then(
              () => true,
              () => false,
            ),
          { interval: 20, timeout: 10_000 },
        )
        .toBe(allowed);
    await until(true);
    await access.revoke({ principal: 'user:ana' });
    await until(false);
    await access.grant({ principal: 'user:ana', role: 'viewer' });
    const { key, secret } = await access.createApiKey({
      principal: 'user:ana',
      name: 'x',
      scopes: ['*'],
    });
    const byKey = (await actAs(here, secret)).tracking;
    await until(true);
    await byKey.listExperiments();
    await access.revokeApiKey(key.id);
    await expect
      .poll(
        () =>
          byKey.listExperiments().then(
            () => true,
            () => false,
          ),
        { interval: 20, timeout: 10_000 },
      )
      .toBe(false);
  } finally {
    await there.close();
  }
});
