import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openRegistryWorld, type RegistryWorld, refusal } from '../../test/registry-world.ts';
import { KeelsonError } from '../errors.ts';
import type { Json } from '../json.ts';
import type { ModelVersion } from './model-version.ts';
import type { Registry } from './registry.ts';
import type { StageEffect } from './stage-effects.ts';
import { defaultStagePolicy } from './stage-policy.ts';

let world: RegistryWorld;
let registry: Registry;
let done: string[];

beforeEach(async () => {
  world = await openRegistryWorld();
  registry = world.platform.registry;
  done = [];
});

afterEach(() => world[Symbol.asyncDispose]());

/** An effect that notes what it does. */
function effect(name: string, more: Partial<StageEffect> = {}): StageEffect {
  return {
    name,
    async run({ version, superseded }) {
      const instead = superseded === undefined ? '' : ` instead of ${superseded.version}`;
      done.push(`${name} ${version.version}${instead}`);
      return { of: name };
    },
    async compensate({ result }) {
      done.push(`undo ${name} ${JSON.stringify(result ?? null)}`);
    },
    ...more,
  };
}

async function withEffects(text: string, ...effects: readonly string[]): Promise<ModelVersion> {
  const version = await world.register(text);
  const transitions = defaultStagePolicy.transitions.map((rule) =>
    rule.to === 'PRODUCTION' ? { ...rule, approvals: 0, effects } : rule,
  );
  await registry.setPolicy('m', { ...defaultStagePolicy, transitions });
  const { model, version: semver } = version;
  await registry.requestTransition({ model, version: semver, to: 'STAGING', reason: 'r' });
  return version;
}

const ask = ({ model, version }: ModelVersion) =>
  registry.requestTransition({ model, version, to: 'PRODUCTION', reason: 'r' });

async function ended(id: string): Promise<string> {
  const { sagaId = '' } = await registry.getTransition(id);
  await world.platform.operations.sagas.wait(sagaId);
  return (await registry.getTransition(id)).status;
}

describe('effects', () => {
  test('are done one after another before the stage is reached', async () => {
    registry.addEffect(effect('smoke test'));
    registry.addEffect(effect('roll out'));
    for (const text of ['one', 'two']) {
      const version = await withEffects(text, 'smoke test', 'roll out');
      const asked = await ask(version);
      expect(asked.status).toBe('APPLYING');
      expect((await registry.getVersionById(version.id)).stage).toBe('STAGING');
      expect(await ended(asked.id)).toBe('DONE');
      expect((await registry.productionVersion('m'))?.id).toBe(version.id);
    }
    expect(done).toEqual([
      ...['smoke test 1.0.0', 'roll out 1.0.0'],
      ...['smoke test 1.1.0 instead of 1.0.0', 'roll out 1.1.0 instead of 1.0.0'],
    ]);
    expect((await registry.listVersions('m')).map(({ stage }) => stage)).toEqual([
      ...['ARCHIVED', 'PRODUCTION'],
    ]);
  });

  test('one that fails for good undoes those before it, and the transition has FAILED', async () => {
    registry.addEffect(effect('deploy'));
    registry.addEffect(
      effect('smoke test', {
        run: async () => {
          throw new KeelsonError('INVALID', 'the model answers 0.5 to everything');
        },
      }),
    );
    const version = await withEffects('one', 'deploy', 'smoke test');
    const asked = await ask(version);
    expect(await ended(asked.id)).toBe('FAILED');
    expect((await registry.getTransition(asked.id)).ended).toContain('0.5 to everything');
    expect(done).toEqual(['deploy 1.0.0', 'undo smoke test null', 'undo deploy {"of":"deploy"}']);
    expect((await registry.getVersionById(version.id)).stage).toBe('STAGING');
    const rejected = world.platform.events.each({ types: ['promotion.rejected'] });
    expect(await Array.fromAsync(rejected)).toHaveLength(1);
    // The way is free again.
    registry.addEffect(effect('nothing'));
    await withEffects('two', 'nothing');
    expect(await ended((await ask(version)).id)).toBe('DONE');
  });

  test('while they run, no other transition of the model begins, and the version stays', async () => {
    const gate = Promise.withResolvers<void>();
    registry.addEffect(effect('slow', { run: () => gate.promise }));
    const one = await withEffects('one', 'slow');
    const two = await withEffects('two', 'slow');
    const asked = await ask(one);
    const running = ended(asked.id);
    for (const work of [
      () => ask(two),
      () => registry.deleteVersion('m', one.version, { reason: 'r', force: true }),
      () => registry.deleteModel('m', { reason: 'r', force: true }),
    ]) {
      const refused = await refusal(work());
      expect([refused.code, refused.message]).toEqual([
        'CONFLICT',
        expect.stringContaining(`Transition ${asked.id} of m is being applied`),
      ]);
    }
    gate.resolve();
    expect(await running).toBe('DONE');
    expect((await ask(two)).status).toBe('APPLYING');
  });

  test('an emergency overtakes them: they are undone, and the rollback stands', async () => {
    registry.addEffect(effect('quick'));
    for (const text of ['one', 'two'])
      await ended((await ask(await withEffects(text, 'quick'))).id);
    const gate = Promise.withResolvers<void>();
    registry.addEffect(effect('slow', { run: () => gate.promise }));
    const three = await withEffects('three', 'slow');
    const asked = await ask(three);
    const running = ended(asked.id);
    const { reinstated } = await registry.rollback('m', { reason: 'r' });
    gate.resolve();
    expect(await running).toBe('FAILED');
    expect((await registry.productionVersion('m'))?.id).toBe(reinstated.id);
    expect((await registry.getVersionById(three.id)).stage).toBe('STAGING');
    expect((await registry.getModel('m')).applyingTransitionId).toBeUndefined();
  });

  test('one that takes longer than its time is told so, and tried again', async () => {
    let attempts = 0;
    registry.addEffect(
      effect('late', {
        timeoutMs: 50,
        async run({ signal }): Promise<Json> {
          attempts += 1;
          if (attempts === 1)
            await new Promise((_, reject) =>
              signal.addEventListener('abort', () => reject(signal.reason)),
            );
          return { attempts };
        },
      }),
    );
    const asked = await ask(await withEffects('one', 'late'));
    expect(await ended(asked.id)).toBe('DONE');
    expect(attempts).toBe(2);
  });

  test('that no process brings leave the transition waiting; one that does goes on with it', async () => {
    const version = await withEffects('one', 'elsewhere');
    const asked = await ask(version);
    expect(asked.status).toBe('APPLYING');
    const other = world.platform.as({
      workspace: 'default',
      principal: { id: 'user:dan', roles: [] },
    });
    other.registry.addEffect(effect('elsewhere'));
    expect(await ended(asked.id)).toBe('DONE');
  });

  const run = async (): Promise<undefined> => undefined;
  const broken: readonly unknown[] = [
    ...[undefined, {}, { name: 'x' }, { name: '', run }, { name: 'x', run, timeoutMs: 0 }],
  ];
  test.each(broken)('refuses %j', (given) => {
    expect(() => registry.addEffect(given as never)).toThrow(
      expect.objectContaining({ code: 'INVALID' }),
    );
  });
});
