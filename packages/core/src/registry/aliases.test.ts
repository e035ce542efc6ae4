import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openRegistryWorld, type RegistryWorld, refusal } from '../../test/registry-world.ts';
import type { Registry } from './registry.ts';

let world: RegistryWorld;
let registry: Registry;

beforeEach(async () => {
  world = await openRegistryWorld();
  registry = world.platform.registry;
});

afterEach(() => world[Symbol.asyncDispose]());

describe('aliases', () => {
  test('point to one version at a time, and each move is told with both ends', async () => {
    const one = await world.register('one');
    const two = await world.register('two');
    await registry.setAlias('m', 'champion', one.version);
    await registry.setAlias('m', 'shadow.v2', one.version);
    expect((await registry.getVersionById(one.id)).aliases).toEqual(['champion', 'shadow.v2']);
    const model = await registry.setAlias('m', 'champion', two.version);
    expect(model.aliases).toEqual({ champion: two.id, 'shadow.v2': one.id });
    expect((await registry.getVersionById(one.id)).aliases).toEqual(['shadow.v2']);
    expect((await registry.resolve('m@champion')).id).toBe(two.id);
    expect((await registry.removeAlias('m', 'champion')).aliases).toEqual({ 'shadow.v2': one.id });
    const gone = await refusal(registry.resolve('m@champion'));
    expect(gone.code).toBe('NOT_FOUND');
    expect(gone.message).toContain('it has shadow.v2');
    const events = await Array.fromAsync(world.platform.events.each({ types: ['alias.moved'] }));
    expect(events.map(({ payload }) => payload)).toEqual([
      { name: 'm', alias: 'champion', newVersionId: one.id },
      { name: 'm', alias: 'shadow.v2', newVersionId: one.id },
      { name: 'm', alias: 'champion', oldVersionId: one.id, newVersionId: two.id },
      { name: 'm', alias: 'champion', oldVersionId: two.id },
    ]);
  });

  test('the same move again changes nothing', async () => {
    const one = await world.register('one');
    const { revision } = await registry.setAlias('m', 'champion', one.version);
    expect((await registry.setAlias('m', 'champion', one.version)).revision).toBe(revision);
  });

  test.each([
    'latest',
    'Production',
    '3',
    'v3',
    '1.2.0',
    '^1.2',
    '1.x',
    'x',
    '*',
    '',
    'a b',
    'a@b',
    '-a',
  ])('refuses the name %j', async (alias) => {
    const { version } = await world.register('one');
    expect((await refusal(registry.setAlias('m', alias, version))).code).toBe('INVALID');
  });

  test('names that objects have by birth are names like others', async () => {
    const { id, version } = await world.register('one');
    for (const alias of ['__proto__', 'constructor', 'toString']) {
      expect((await refusal(registry.resolve(`m@${alias}`))).code).toBe('NOT_FOUND');
      expect((await refusal(registry.removeAlias('m', alias))).code).toBe('NOT_FOUND');
      await registry.setAlias('m', alias, version);
      expect((await registry.resolve(`m@${alias}`)).id).toBe(id);
    }
    expect((await registry.getVersionById(id)).aliases).toEqual([
      ...['__proto__', 'constructor', 'toString'],
    ]);
  });

  test('moved by many at once, they end where one of them put them, on the version too', async () => {
    const versions = [
      await world.register('a'),
      await world.register('b'),
      await world.register('c'),
    ];
    await Promise.all(
      Array.from({ length: 12 }, (_, i) =>
        registry.setAlias('m', 'champion', versions[i % 3]?.version ?? ''),
      ),
    );
    const { champion } = (await registry.getModel('m')).aliases;
    const pointed = (await registry.listVersions('m')).filter(({ aliases }) => aliases.length > 0);
    expect(pointed.map(({ id }) => id)).toEqual([champion]);
  });
});

describe('references', () => {
  test('mean what they say', async () => {
    const one = await world.register('one', { version: '1.2.0' });
    const two = await world.register('two', { version: '1.4.0' });
    const three = await world.register('three', { version: '2.0.0-rc.1' });
    await world.toProduction(one);
    const found = async (what: string) => (await registry.resolve(`m@${what}`)).id;
    expect(await found('1.4.0')).toBe(two.id);
    expect(await found('3')).toBe(three.id);
    expect(await found('latest')).toBe(three.id);
    expect(await found('production')).toBe(one.id);
    expect(await found('^1.2')).toBe(two.id);
    expect(await found('>=1 <1.3')).toBe(one.id);
    await registry.deprecate('m', '1.4.0', { reason: 'biased' });
    expect(await found('^1.2')).toBe(one.id);
    await registry.deprecate('m', '1.2.0', { reason: 'old' });
    expect(await found('^1.2')).toBe(two.id);
    const lacking = await refusal(registry.resolve('m@staging'));
    expect(lacking.message).toBe('Model m has no version in STAGING.');
    for (const what of ['9', '9.9.9', '^9', 'nobody']) {
      expect((await refusal(registry.resolve(`m@${what}`))).code).toBe('NOT_FOUND');
    }
    for (const reference of ['m', 'm@', '@1.0.0', '']) {
      expect((await refusal(registry.resolve(reference))).code).toBe('INVALID');
    }
  });

  test('the last @ divides: names may have some', async () => {
    const odd = await world.register('one', { model: 'team@risk' });
    expect((await registry.resolve('team@risk@1.0.0')).id).toBe(odd.id);
  });
});
