import { expect, test } from 'vitest';
import { openRegistryWorld, refusal } from '../../test/registry-world.ts';

test('which version was in production on this date, and all else of the model then', async () => {
  await using world = await openRegistryWorld();
  const { registry } = world.platform;
  // By the store's clock; a millisecond apart, so that each moment has its own state.
  const moment = async (): Promise<number> => {
    const at = (await registry.getModel('m')).updatedAt;
    await expect.poll(() => Date.now()).toBeGreaterThan(at + 1);
    return at;
  };
  expect(await registry.asOf('m', Date.now())).toBeUndefined();
  const one = await world.register('one');
  const born = await moment();
  await registry.setAlias('m', 'champion', one.version);
  await world.toProduction(one);
  const first = await moment();
  const two = await world.register('two');
  await world.toProduction(two);
  await registry.setAlias('m', 'champion', two.version);
  const second = await moment();
  await registry.rollback('m', { reason: 'worse' });
  const third = await moment();
  await registry.deleteVersion('m', two.version, { reason: 'worse' });
  await moment();

  const at = async (when: number | Date) => {
    const model = await registry.asOf('m', when);
    return model && [model.production, model.aliases, model.versions.map(({ stage }) => stage)];
  };
  expect(await at(born - 1)).toBeUndefined();
  expect(await at(born)).toEqual([undefined, {}, ['DEVELOPMENT']]);
  expect(await at(new Date(first))).toEqual(['1.0.0', { champion: '1.0.0' }, ['PRODUCTION']]);
  expect(await at(second)).toEqual(['1.1.0', { champion: '1.1.0' }, ['ARCHIVED', 'PRODUCTION']]);
  expect(await at(third)).toEqual(['1.0.0', { champion: '1.1.0' }, ['PRODUCTION', 'STAGING']]);
  const now = await registry.asOf('m', Date.now());
  expect(now?.versions.map(({ deleted }) => deleted)).toEqual([false, true]);
  expect(now).toMatchObject({ changedBy: 'user:ben', reason: 'worse', aliases: {} });
  expect((await refusal(registry.asOf('m', Number.NaN))).code).toBe('INVALID');
  expect(await registry.asOf('nobody', Date.now())).toBeUndefined();
});
