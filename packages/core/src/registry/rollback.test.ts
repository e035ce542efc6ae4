import { afterEach, beforeEach, expect, test } from 'vitest';
import { openRegistryWorld, type RegistryWorld, refusal } from '../../test/registry-world.ts';
import type { Registry } from './registry.ts';
import { defaultStagePolicy } from './stage-policy.ts';

let world: RegistryWorld;
let registry: Registry;

beforeEach(async () => {
  world = await openRegistryWorld();
  registry = world.platform.registry;
});

afterEach(() => world[Symbol.asyncDispose]());

async function stages(): Promise<readonly string[]> {
  return (await registry.listVersions('m')).map(({ stage }) => stage);
}

test('brings the former version back at once, as an emergency with its review open', async () => {
  const versions = [];
  for (const text of ['one', 'two', 'three']) {
    const version = await world.register(text);
    await world.toProduction(version);
    versions.push(version);
  }
  const reason = 'every answer is 0.5';
  const done = await registry.rollback('m', { reason });
  expect([done.demoted.version, done.reinstated.version]).toEqual(['1.2.0', '1.1.0']);
  expect(await stages()).toEqual(['ARCHIVED', 'PRODUCTION', 'STAGING']);
  expect((await registry.productionVersion('m'))?.id).toBe(versions[1]?.id);
  const [newest] = await registry.listTransitions(done.reinstated.id);
  expect(newest).toMatchObject({
    ...{ from: 'ARCHIVED', to: 'PRODUCTION', status: 'DONE', emergency: true },
    ...{ approvals: [], reason, requestedBy: 'user:ben' },
  });
  const { incidents } = world.platform.operations;
  expect(await incidents.list({ review: 'open', model: 'm' })).toMatchObject([
    { id: done.incidentId, severity: 'CRITICAL', notes: [{ text: reason }] },
  ]);
  const events = await Array.fromAsync(world.platform.events.each({ types: ['model.promoted'] }));
  const emergencies = events.filter(({ payload }) => payload['emergency'] === true);
  expect(emergencies.map(({ payload }) => [payload['oldStage'], payload['newStage']])).toEqual([
    ['PRODUCTION', 'STAGING'],
    ['ARCHIVED', 'PRODUCTION'],
  ]);
  expect(new Set(emergencies.map(({ correlationId }) => correlationId)).size).toBe(1);
  // Once more, back to the first; then there is nothing left.
  const again = await registry.rollback('m', { reason });
  expect(again.reinstated.version).toBe('1.0.0');
  expect(await stages()).toEqual(['PRODUCTION', 'STAGING', 'STAGING']);
  const nothing = await refusal(registry.rollback('m', { reason }));
  expect(nothing.code).toBe('CONFLICT');
  expect(await world.platform.operations.audit.verify()).toMatchObject({ intact: true });
});

test('passes over versions that are deleted or have lost their content', async () => {
  for (const text of ['one', 'two', 'three', 'four'])
    await world.toProduction(await world.register(text));
  const [one, two, three] = await registry.listVersions('m');
  await registry.deleteVersion('m', three?.version ?? '', { reason: 'bad' });
  const space = (await import('../embedded/file-artifact-store.ts')).FileArtifactStore;
  const store = await space.open({ dir: `${world.dir}/artifacts` });
  await store.space('default').remove(two?.files[0]?.sha256 ?? '');
  await store.close();
  const { reinstated } = await registry.rollback('m', { reason: 'r' });
  expect(reinstated.id).toBe(one?.id);
});

test('several in production: one must be named, and one that is none is refused', async () => {
  const one = await world.register('one');
  await world.toProduction(one);
  await world.toProduction(await world.register('two'));
  await registry.setPolicy('m', { ...defaultStagePolicy, singleProduction: false });
  await world.toProduction(await world.register('three'));
  const unnamed = await refusal(registry.rollback('m', { reason: 'r' }));
  expect(unnamed.message).toContain('1.2.0, 1.1.0');
  expect((await refusal(registry.rollback('m', { reason: 'r', from: '1.0.0' }))).code).toBe(
    'CONFLICT',
  );
  const to = await refusal(registry.rollback('m', { reason: 'r', from: '1.1.0', to: '1.2.0' }));
  expect(to.message).toContain('is in PRODUCTION');
  const done = await registry.rollback('m', { reason: 'r', from: '1.1.0' });
  expect(done.reinstated.id).toBe(one.id);
  expect(await stages()).toEqual(['PRODUCTION', 'STAGING', 'PRODUCTION']);
});

test('of many at once, each goes from what the one before it made', async () => {
  for (const text of ['one', 'two', 'three']) await world.toProduction(await world.register(text));
  const all = await Promise.allSettled(
    Array.from({ length: 6 }, () => registry.rollback('m', { reason: 'r' })),
  );
  expect(all.filter(({ status }) => status === 'fulfilled')).toHaveLength(2);
  expect(await stages()).toEqual(['PRODUCTION', 'STAGING', 'STAGING']);
});

test('nothing in production, a model that is none, no reason: each says so', async () => {
  await world.register('one');
  expect((await refusal(registry.rollback('m', { reason: 'r' }))).message).toContain(
    'nothing to roll back',
  );
  expect((await refusal(registry.rollback('x', { reason: 'r' }))).code).toBe('NOT_FOUND');
  expect((await refusal(registry.rollback('m', { reason: '' }))).code).toBe('INVALID');
});
