import { readdirSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openRegistryWorld, type RegistryWorld, refusal } from '../../test/registry-world.ts';
import type { GarbageReport } from '../operations/garbage.ts';
import type { Registry } from './registry.ts';

let world: RegistryWorld;
let registry: Registry;
const reason = 'asked for by its owner';

let skewMs: number;

beforeEach(async () => {
  skewMs = 0;
  world = await openRegistryWorld({ clock: { now: () => Date.now() + skewMs } });
  registry = world.platform.registry;
});

afterEach(() => world[Symbol.asyncDispose]());

/** A collection, an hour later. */
async function gc(): Promise<GarbageReport> {
  skewMs += 3_600_000;
  return await world.platform.operations.gc({ olderThanMs: 60_000 });
}

async function told(type: string): Promise<readonly unknown[]> {
  return (await Array.fromAsync(world.platform.events.each({ types: [type] }))).map(
    ({ payload }) => payload,
  );
}

describe('a version', () => {
  test('that is deleted is seen by nothing, and neither its number nor its semver comes again', async () => {
    const one = await world.register('one', { version: '1.0.0' });
    const two = await world.register('two', { version: '1.1.0' });
    await registry.setAlias('m', 'champion', two.version);
    await registry.deleteVersion('m', '1.1.0', { reason });
    expect((await registry.listVersions('m')).map(({ id }) => id)).toEqual([one.id]);
    expect((await refusal(registry.getVersion('m', '1.1.0'))).message).toContain('restoreVersion');
    expect((await refusal(registry.resolve('m@2'))).code).toBe('NOT_FOUND');
    expect((await refusal(registry.resolve('m@champion'))).code).toBe('NOT_FOUND');
    expect((await registry.resolve('m@latest')).id).toBe(one.id);
    expect((await registry.getModel('m')).latestVersionId).toBe(one.id);
    expect((await registry.getVersionById(two.id)).deletedAt).toBeTypeOf('number');
    const again = await refusal(world.register('two', { version: '1.1.0' }));
    expect(again.code).toBe('CONFLICT');
    const three = await world.register('three');
    expect([three.number, three.version]).toEqual([3, '1.2.0']);
    await registry.deleteVersion('m', '1.1.0', { reason });
  });

  test('comes back as it was, without its aliases', async () => {
    await world.register('one');
    const two = await world.register('two', { tags: { team: 'risk' } });
    await registry.setAlias('m', 'champion', two.version);
    await registry.deleteVersion('m', two.version, { reason });
    const back = await registry.restoreVersion('m', two.version);
    expect(back).toMatchObject({ id: two.id, number: 2, tags: { team: 'risk' }, aliases: [] });
    expect(back.deletedAt).toBeUndefined();
    expect((await registry.getModel('m')).latestVersionId).toBe(two.id);
  });

  test('in production, deployed or with descendants goes only by force, which is audited', async () => {
    const one = await world.register('one');
    await world.toProduction(one);
    await world.platform.deployments.create({
      ...{ name: 'api', versionId: one.id, environment: 'PRODUCTION' },
    });
    const child = await world.register('child', {
      model: 'tuned',
      lineage: { parentVersionIds: [one.id] },
    });
    const refused = await refusal(registry.deleteVersion('m', one.version, { reason }));
    expect(refused.code).toBe('CONFLICT');
    for (const way of ['deployment api', 'in production', `tuned@${child.version}`]) {
      expect(refused.message).toContain(way);
    }
    await registry.deleteVersion('m', one.version, { reason, force: true });
    expect(await registry.productionVersion('m')).toBeUndefined();
    expect(await told('model.deleted')).toEqual([
      { name: 'm', version: one.version, reason, forced: true },
    ]);
    const back = await registry.restoreVersion('m', one.version);
    expect(back.stage).toBe('ARCHIVED');
  });

  test('that is deleted can be neither deployed, moved, tagged nor pointed to', async () => {
    const one = await world.register('one');
    await registry.deleteVersion('m', one.version, { reason });
    const moved = { model: 'm', version: one.version, to: 'STAGING', reason } as const;
    const deployed = { name: 'api', versionId: one.id, environment: 'STAGING' } as const;
    for (const [work, code] of [
      [() => registry.requestTransition(moved), 'NOT_FOUND'],
      [() => world.platform.deployments.create(deployed), 'CONFLICT'],
      [() => registry.setAlias('m', 'champion', one.version), 'NOT_FOUND'],
      [() => registry.setVersionTags(one.id, { a: 'b' }), 'CONFLICT'],
    ] as const) {
      expect((await refusal(work())).code).toBe(code);
    }
  });

  test('deployed at the same moment as deleted: one of the two is refused', async () => {
    for (let round = 0; round < 10; round += 1) {
      const one = await world.register(`one ${round}`);
      const name = `api-${round}`;
      const [deployed, deleted] = await Promise.allSettled([
        world.platform.deployments.create({ name, versionId: one.id, environment: 'STAGING' }),
        registry.deleteVersion('m', one.version, { reason }),
      ]);
      expect([deployed.status, deleted.status].toSorted()).toEqual(['fulfilled', 'rejected']);
    }
  });

  test('deployed at the same moment as its model is deleted: one of the two is refused', async () => {
    for (let round = 0; round < 10; round += 1) {
      const model = `m${round}`;
      const one = await world.register('one', { model });
      const name = `api-${round}`;
      const [deployed, deleted] = await Promise.allSettled([
        world.platform.deployments.create({ name, versionId: one.id, environment: 'STAGING' }),
        registry.deleteModel(model, { reason }),
      ]);
      expect([deployed.status, deleted.status].toSorted()).toEqual(['fulfilled', 'rejected']);
    }
  });

  test('purged, it keeps its number and gives its content up', async () => {
    const one = await world.register('one');
    await world.register('two');
    await registry.deleteVersion('m', one.version, { reason });
    expect((await gc()).subjects).toEqual([`version:m@${one.version}`]);
    expect((await registry.getVersionById(one.id)).purgedAt).toBeTypeOf('number');
    // What nobody refers to any more goes with the next collection that finds it old enough.
    age(join(world.dir, 'artifacts'));
    expect((await gc()).contents).toBe(1);
    const target = join(world.dir, 'downloaded');
    expect((await refusal(registry.download(one.id, target))).code).toBe('NOT_FOUND');
    expect((await refusal(registry.restoreVersion('m', one.version))).code).toBe('CONFLICT');
    expect((await world.register('one')).number).toBe(3);
    expect(await world.platform.operations.audit.verify()).toMatchObject({ intact: true });
  });
});

describe('a model', () => {
  test('that is deleted is seen by nothing, and comes back whole', async () => {
    const one = await world.register('one');
    await registry.setAlias('m', 'champion', one.version);
    await registry.deleteModel('m', { reason });
    expect(await registry.findModel('m')).toBeUndefined();
    expect(await registry.listModels()).toEqual([]);
    for (const work of [
      () => registry.getModel('m'),
      () => registry.getVersion('m', one.version),
      () => registry.listVersions('m'),
      () => registry.resolve('m@1.0.0'),
      () => registry.setAlias('m', 'x-ray', one.version),
    ]) {
      expect((await refusal(work())).code).toBe('NOT_FOUND');
    }
    for (const work of [() => world.register('two'), () => registry.createModel({ name: 'm' })]) {
      const refused = await refusal(work());
      expect([refused.code, refused.message]).toEqual([
        'CONFLICT',
        expect.stringContaining('restoreModel'),
      ]);
    }
    const back = await registry.restoreModel('m');
    expect(back.aliases).toEqual({ champion: one.id });
    expect((await registry.listVersions('m')).map(({ id }) => id)).toEqual([one.id]);
  });

  test('purged and restored, it has no versions, and goes on counting', async () => {
    const one = await world.register('one');
    await registry.setAlias('m', 'champion', one.version);
    await registry.deleteModel('m', { reason });
    await gc();
    const back = await registry.restoreModel('m');
    expect([back.aliases, back.latestVersionId]).toEqual([{}, undefined]);
    expect(await registry.listVersions('m')).toEqual([]);
    const two = await world.register('two');
    expect([two.number, two.version]).toEqual([2, '1.1.0']);
  });

  test('has words and tags that can be changed within their limits', async () => {
    await registry.createModel({
      name: 'm',
      tags: { team: 'risk', old: 'yes' },
      source: 'PIPELINE',
    });
    const changed = await registry.updateModel('m', {
      description: 'Fraud at checkout',
      tags: { owner: 'ana', old: null },
    });
    expect(changed).toMatchObject({
      description: 'Fraud at checkout',
      source: 'PIPELINE',
      tags: { team: 'risk', owner: 'ana' },
    });
    expect(changed.tags).not.toHaveProperty('old');
    const many = Object.fromEntries(Array.from({ length: 19 }, (_, i) => [`t${i}`, 'x']));
    expect((await refusal(registry.updateModel('m', { tags: many }))).code).toBe('INVALID');
    const words = { description: 'x'.repeat(2049) };
    expect((await refusal(registry.updateModel('m', words))).code).toBe('INVALID');
    expect((await refusal(registry.createModel({ name: 'm' }))).code).toBe('CONFLICT');
    expect((await refusal(registry.createModel({ name: ' ' }))).code).toBe('INVALID');
  });
});

describe('deprecation', () => {
  test('says why and what to use instead, and is taken back', async () => {
    const one = await world.register('one');
    const two = await world.register('two');
    const replacement = two.version;
    const old = await registry.deprecate('m', one.version, { reason: 'biased', replacement });
    expect(old.deprecated).toMatchObject({ reason: 'biased', replacementId: two.id });
    const itself = registry.deprecate('m', two.version, { reason: 'x', replacement });
    expect((await refusal(itself)).code).toBe('INVALID');
    const back = await registry.undeprecate('m', one.version);
    expect(back.deprecated).toBeUndefined();
    expect(await told('model.deprecated')).toHaveLength(1);
  });
});

/** Puts the times of all files two days back. */
function age(root: string): void {
  const past = new Date(Date.now() - 2 * 86_400_000);
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) utimesSync(join(entry.parentPath, entry.name), past, past);
  }
}
