import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { refusal } from '../../test/registry-world.ts';
import { openRolloutWorld, type RolloutWorld } from '../../test/rollout-world.ts';
import type { ModelVersion } from '../registry/model-version.ts';
import { defaultStagePolicy } from '../registry/stage-policy.ts';
import type { PromotionPolicy } from './promotion-policy.ts';
import type { RolloutPolicy } from './strategy-policy.ts';

const minuteMs = 60_000;
/** A canary of one step that few requests are enough for. */
const policy: RolloutPolicy = {
  steps: [{ weightPercent: 50, durationMs: 10 * minuteMs }],
  errors: { goAt: 0.05, backAbove: 0.2, minimumRequests: 20 },
  comparison: { minimumRequests: 20 },
  ...{ latency: false, accuracy: false, drift: false, ready: false },
};
const onPromotion: PromotionPolicy = { strategy: 'canary', policy };
let world: RolloutWorld;

beforeEach(async () => {
  world = await openRolloutWorld();
  await world.toProduction(world.one);
  await world.deployments.configure('api', { onPromotion }, 'r');
});

afterEach(() => world[Symbol.asyncDispose]());

async function stages(): Promise<Readonly<Record<string, string>>> {
  const versions = await world.platform.registry.listVersions('m');
  return Object.fromEntries(versions.map(({ version, stage }) => [version, stage]));
}

async function answering(): Promise<readonly string[]> {
  const { route } = await world.deployments.route('api');
  return route.targets.map(({ key, weightPercent }) => `${key} ${weightPercent}`);
}

async function rollouts(): Promise<readonly string[]> {
  const found = await world.deployments.listRollouts('api');
  return found.map(({ candidate, status }) => `${candidate} ${status}`);
}

/** It answers badly, and is asked often enough for that to be seen. */
async function fails(version: ModelVersion): Promise<void> {
  world.behaves(version.id, { errors: 0.8 });
  await world.traffic(200, 2 * minuteMs);
  await world.round();
}

describe('a promotion to Production', () => {
  test('is rolled out as the deployment says, once, under its correlation', async () => {
    await world.toProduction(world.two);
    await Promise.all([world.round(), world.round()]);
    await world.round();
    expect(await rollouts()).toEqual(['m@1.1.0 IN_PROGRESS']);
    expect(await answering()).toEqual(['m@1.0.0 50', 'm@1.1.0 50']);
    const { promotion, reason, correlationId } = await world.rollout();
    const [promoted] = await world.platform.registry.listTransitions(world.two.id);
    expect(promotion).toEqual({ transitionId: promoted?.id, supersededId: world.one.id });
    expect(reason).toMatch(/m@1\.1\.0 was promoted/);
    const events = await Array.fromAsync(
      world.platform.events.each({ types: ['model.promoted', 'rollout.started'] }),
    );
    expect(events.at(-1)).toMatchObject({ type: 'rollout.started', correlationId });
    expect(events.at(-2)?.correlationId).toBe(correlationId);
    await world.traffic(300, 11 * minuteMs);
    await world.round();
    world.wait(1000);
    await world.round();
    expect(await rollouts()).toEqual(['m@1.1.0 COMPLETED']);
    expect(await stages()).toMatchObject({ '1.0.0': 'ARCHIVED', '1.1.0': 'PRODUCTION' });
  });

  test('that fails takes registry and route back together, told once', async () => {
    await world.toProduction(world.two);
    await world.round();
    await fails(world.two);
    expect(await rollouts()).toEqual(['m@1.1.0 ROLLED_BACK']);
    expect(await answering()).toEqual(['m@1.0.0 100']);
    expect(await stages()).toEqual({ '1.0.0': 'PRODUCTION', '1.1.0': 'STAGING' });
    const [back] = await world.platform.registry.listTransitions(world.one.id);
    expect(back).toMatchObject({ to: 'PRODUCTION', emergency: true, status: 'DONE' });
    expect(back?.reason).toMatch(/api turned it back: failed: /);
    // Nothing starts from what it has put back.
    await world.round();
    await world.round();
    expect(await rollouts()).toHaveLength(1);
    const told = await Array.fromAsync(
      world.platform.events.each({ types: ['deployment.promotion_turned_back', 'model.promoted'] }),
    );
    const { correlationId } = await world.rollout();
    expect(told.slice(-3).map((event) => [event.type, event.correlationId])).toEqual(
      ['model.promoted', 'model.promoted', 'deployment.promotion_turned_back'].map((type) => [
        type,
        correlationId,
      ]),
    );
    expect(told.at(-1)?.payload).toMatchObject({ reinstatedVersionId: world.one.id });
  });

  test('aborted by hand goes back too; rolled out again once it is promoted again', async () => {
    await world.toProduction(world.two);
    await world.round();
    await world.deployments.abortRollout((await world.rollout()).id, 'complaints');
    expect(await stages()).toEqual({ '1.0.0': 'PRODUCTION', '1.1.0': 'STAGING' });
    const asked = { model: 'm', version: '1.1.0', to: 'PRODUCTION', reason: 'mended' } as const;
    const { id } = await world.platform.registry.requestTransition(asked);
    await world.ana.registry.approve(id);
    await world.round();
    expect(await rollouts()).toEqual(['m@1.1.0 ROLLED_BACK', 'm@1.1.0 IN_PROGRESS']);
  });

  test('overtaken by a newer one is turned back, and the registry stays with the newer', async () => {
    await world.toProduction(world.two);
    await world.round();
    const three = await world.register('three');
    await world.toProduction(three);
    await world.round();
    expect(await rollouts()).toEqual(['m@1.1.0 ROLLED_BACK', 'm@1.2.0 IN_PROGRESS']);
    expect(await stages()).toMatchObject({ '1.1.0': 'ARCHIVED', '1.2.0': 'PRODUCTION' });
    // What fails now goes back to what was in production before it, not to what answers.
    await fails(three);
    expect(await stages()).toMatchObject({ '1.1.0': 'PRODUCTION', '1.2.0': 'STAGING' });
    expect(await answering()).toEqual(['m@1.0.0 100']);
  });

  test('waits for another rollout, and takes over one of its own version', async () => {
    const three = await world.register('three');
    const by = { policy, reason: 'by hand' };
    const { id } = await world.deployments.deploy('api', { versionId: three.id, ...by });
    await world.toProduction(world.two);
    await world.round();
    expect(await rollouts()).toEqual(['m@1.2.0 IN_PROGRESS']);
    await world.deployments.abortRollout(id, 'the other one first');
    await world.deployments.deploy('api', { versionId: world.two.id, ...by });
    await world.round();
    expect(await rollouts()).toEqual(['m@1.2.0 ROLLED_BACK', 'm@1.1.0 IN_PROGRESS']);
    await fails(world.two);
    expect(await stages()).toMatchObject({ '1.0.0': 'PRODUCTION', '1.1.0': 'STAGING' });
  });

  test('of what cannot be deployed goes back at once, and says why', async () => {
    await world.toProduction(world.two);
    const { FileArtifactStore } = await import('../embedded/file-artifact-store.ts');
    await using store = await FileArtifactStore.open({ dir: `${world.dir}/artifacts` });
    await store.space('default').remove(world.two.files[0]?.sha256 ?? '');
    await world.platform.registry.verify(world.two.id);
    await world.round();
    expect(await rollouts()).toEqual([]);
    expect(await stages()).toEqual({ '1.0.0': 'PRODUCTION', '1.1.0': 'STAGING' });
    const [back] = await world.platform.registry.listTransitions(world.one.id);
    expect(back?.reason).toMatch(/damaged/);
    await world.round();
    expect(
      (await world.told()).filter((type) => type === 'deployment.promotion_turned_back'),
    ).toHaveLength(1);
  });

  test('by a rollback of the registry is followed at once, and is not put back', async () => {
    await world.toProduction(world.two);
    await world.round();
    await world.deployments.promoteRollout((await world.rollout()).id, 'r', { to: 'end' });
    await world.platform.registry.rollback('m', { reason: 'every answer is 0.5' });
    await world.round();
    expect(await answering()).toEqual(['m@1.0.0 100']);
    expect(await world.rollout()).toMatchObject({
      ...{ strategy: 'immediate', candidate: 'm@1.0.0', status: 'IN_PROGRESS' },
      promotion: { emergency: true },
    });
    await fails(world.one);
    expect(await stages()).toEqual({ '1.0.0': 'PRODUCTION', '1.1.0': 'STAGING' });
  });

  test('several in production: the one that fails leaves, the others stay', async () => {
    await world.platform.registry.setPolicy('m', {
      ...defaultStagePolicy,
      singleProduction: false,
    });
    await world.toProduction(world.two);
    await world.round();
    await fails(world.two);
    expect(await stages()).toEqual({ '1.0.0': 'PRODUCTION', '1.1.0': 'STAGING' });
    expect((await world.platform.registry.productionVersion('m'))?.id).toBe(world.one.id);
  });
});

describe('what is followed', () => {
  test('is what comes after it was said; of what answers already nothing is rolled out', async () => {
    await world.round();
    expect(await rollouts()).toEqual([]);
    await world.deployments.setVersion('api', world.two.id, 'by hand');
    await world.toProduction(world.two);
    await world.round();
    expect(await rollouts()).toEqual([]);
    const { lastRevision, onPromotion: kept } = await world.deployments.get('api');
    // It is no part of a revision.
    expect(lastRevision).toBe(2);
    expect(kept).toMatchObject({ ...onPromotion, transitionId: expect.any(String) });
    await world.deployments.configure('api', { onPromotion: null }, 'r');
    await world.toProduction(await world.register('three'));
    await world.round();
    expect(await rollouts()).toEqual([]);
  });

  test.each<[string, unknown, RegExp]>([
    ['a strategy that is none', { strategy: 'yolo' }, /strategy/],
    ['a field that is none', { steps: [] }, /steps/],
    ['a policy that is none', { policy: { errors: { goAt: 2 } } }, /errors/],
    ['a shadow that does not take over', { strategy: 'shadow' }, /without traffic/],
  ])('is refused: %s', async (_, wrong, message) => {
    const change = { onPromotion: wrong as never };
    const error = await refusal(world.deployments.configure('api', change, 'r'));
    expect([error.code, error.message]).toEqual(['INVALID', expect.stringMatching(message)]);
  });
});
