import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openRegistryWorld, type RegistryWorld, refusal } from '../../test/registry-world.ts';
import type { ModelVersion } from '../registry/model-version.ts';
import type { CreateDeployment } from './deployment-creation.ts';
import type { Deployments } from './deployments.ts';

const hourMs = 3_600_000;
let world: RegistryWorld;
let deployments: Deployments;
let one: ModelVersion;
let two: ModelVersion;
let skewMs: number;

beforeEach(async () => {
  skewMs = 0;
  world = await openRegistryWorld({ clock: { now: () => Date.now() + skewMs } });
  ({ deployments } = world.platform);
  one = await world.register('one');
  two = await world.register('two');
});

afterEach(() => world[Symbol.asyncDispose]());

async function make(more: Partial<CreateDeployment> = {}): Promise<void> {
  await deployments.create({ name: 'api', versionId: one.id, environment: 'STAGING', ...more });
}

async function told(): Promise<readonly string[]> {
  const events = await Array.fromAsync(
    world.platform.events.each({ subjects: ['deployment:api'] }),
  );
  return events.map(({ type }) => type);
}

/** A round of every background loop of deployments. */
async function upkeep(): Promise<void> {
  for (const loop of deployments.loops) await loop.runOnce(new AbortController().signal);
}

describe('a deployment', () => {
  test('is kept as it was asked for', async () => {
    const asked = {
      serving: { isolation: 'process', replicas: 2, cache: { maxBytes: 1000 } },
      scaling: { min: 1, max: 4 },
      resources: { cpus: 0.5, memoryBytes: 1 << 30 },
      healthCheck: { intervalMs: 5000 },
      traffic: {
        sticky: { header: 'x-user', salt: 's' },
        rules: [{ match: { header: 'x-beta', equals: 'yes' }, versionId: two.id }],
        fallbackVersionId: two.id,
      },
      tags: { team: 'risk' },
      warmMs: hourMs,
      endpointUrl: 'https://models.example/api',
    } as const;
    await make(asked);
    const { traffic, ...rest } = asked;
    expect(await deployments.get('api')).toMatchObject({
      ...rest,
      ...{ status: 'CREATING', createdBy: 'user:ben', environment: 'STAGING' },
      ...{ fallbackVersionId: two.id, lastRevision: 1, currentRevision: 1, warm: [] },
    });
    const { route } = await deployments.route('api');
    expect(route).toMatchObject({ ...traffic, targets: [{ versionId: one.id }] });
  });

  test.each<[string, object]>([
    ['serving.replicas', { serving: { replicas: 0 } }],
    ['serving.batching.mode', { serving: { batching: { mode: 'sometimes' } } }],
    ['serving.batching', { serving: { batching: { mode: 'off', size: 3 } } }],
    ['serving.cache.maxBytes', { serving: { cache: {} } }],
    ['serving.answers.ranges.y', { serving: { answers: { ranges: { y: { min: 2, max: 1 } } } } }],
    ['serving.runtime.endpoint', { serving: { runtime: { name: 'v2', endpoint: 'ftp://x' } } }],
    ['scaling.min', { scaling: { min: 3, max: 2 } }],
    ['scaling.scaleToZeroAfterMs', { scaling: { min: 0, max: 2 } }],
    ['resources.memoryBytes', { resources: { memoryBytes: 1.5 } }],
    ['healthCheck.intervalMs', { healthCheck: { intervalMs: 1 } }],
    ['traffic.rules.0.match', { traffic: { rules: [{ match: {}, versionId: 'x' }] } }],
    ['keptRevisions', { keptRevisions: 1 }],
    ['tags', { tags: Object.fromEntries(Array.from({ length: 21 }, (_, i) => [`t${i}`, 'x'])) }],
    ['endpointUrl', { endpointUrl: 'nowhere' }],
    ['environment', { environment: 'MOON' }],
    ['replicas', { replicas: 2 }],
  ])('is refused by the name of the field: %s', async (field, wrong) => {
    const { code, message } = await refusal(make(wrong));
    expect([code, message.includes(field)], message).toEqual(['INVALID', true]);
    expect(await deployments.find('api')).toBeUndefined();
  });

  test('names no version that is not there', async () => {
    expect((await refusal(make({ traffic: { fallbackVersionId: 'nobody' } }))).code).toBe(
      'NOT_FOUND',
    );
  });

  test('is found by model, environment, status, tags and whether it is in a rollout', async () => {
    await make({ tags: { team: 'risk' } });
    await make({ name: 'b', environment: 'PRODUCTION' });
    await make({ name: 'c', tags: { team: 'risk', tier: '1' } });
    await deployments.stop('c', 'r');
    const steps = [{ weightPercent: 100, shadow: false, gates: [], minDurationMs: 1 }];
    await deployments.startRollout({ deployment: 'b', versionId: two.id, steps, reason: 'r' });
    const names = async (filter: Parameters<Deployments['list']>[0]): Promise<string> =>
      (await deployments.list(filter)).deployments.map(({ name }) => name).join();
    expect(await names({})).toBe('api,b,c');
    expect(await names({ environment: 'PRODUCTION' })).toBe('b');
    expect(await names({ status: 'STOPPED' })).toBe('c');
    expect(await names({ tags: { team: 'risk' } })).toBe('api,c');
    expect(await names({ tags: { team: 'risk', tier: '2' } })).toBe('');
    expect(await names({ inRollout: true })).toBe('b');
    expect(await names({ inRollout: false, model: 'm' })).toBe('api,c');
    const first = await deployments.list({ limit: 2 });
    const rest = await deployments.list({ limit: 2, cursor: first.cursor ?? '' });
    expect([first, rest].map((page) => page.deployments.length)).toEqual([2, 1]);
    expect(rest.cursor).toBeUndefined();
  });
});

describe('a change of its configuration', () => {
  test('is a revision, with what was before and after', async () => {
    await make({ serving: { replicas: 2, isolation: 'process' }, scaling: { min: 1, max: 2 } });
    const change = { serving: { replicas: 3, isolation: null }, scaling: null } as const;
    await deployments.configure('api', change, 'more traffic');
    expect(await deployments.get('api')).toMatchObject({ serving: { replicas: 3 } });
    expect((await deployments.get('api')).scaling).toBeUndefined();
    const revision = await deployments.getRevision('api', 2);
    expect(revision).toMatchObject({
      changed: ['scaling', 'serving'],
      before: { serving: { replicas: 2, isolation: 'process' }, version: 'm@1.0.0' },
      after: { serving: { replicas: 3 } },
      ...{ reason: 'more traffic', createdBy: 'user:ben', rolloutStatus: 'COMPLETED' },
    });
    expect(revision.after.serving).toEqual({ replicas: 3 });
    expect((await told()).at(-1)).toBe('deployment.configured');
  });

  test('that changes nothing is none', async () => {
    await make({ serving: { replicas: 2 } });
    await deployments.configure('api', { serving: { replicas: 2 }, scaling: null }, 'r');
    expect((await deployments.listRevisions('api')).revisions).toHaveLength(1);
  });

  test('of tags and address alone is no revision', async () => {
    await make({ tags: { a: '1', b: '2' } });
    const change = { tags: { a: null, c: '3' }, endpointUrl: 'http://x.example' } as const;
    await deployments.configure('api', change, 'r');
    expect(await deployments.get('api')).toMatchObject({
      ...{ tags: { b: '2', c: '3' }, endpointUrl: 'http://x.example', lastRevision: 1 },
    });
    const many = Object.fromEntries(Array.from({ length: 19 }, (_, i) => [`t${i}`, 'x']));
    const { message } = await refusal(deployments.configure('api', { tags: many }, 'r'));
    expect(message).toContain('tags: 21');
  });

  test('of traffic is in the route, and keeps who answers', async () => {
    await make({ sticky: { header: 'x-user', salt: 's' } });
    const rules = [{ match: { attribute: 'tier', equals: 3 }, versionId: two.id }];
    await deployments.configure('api', { traffic: { sticky: null, rules } }, 'r');
    const { route, generation } = await deployments.route('api');
    expect([generation, route.sticky, route.rules]).toEqual([2, undefined, rules]);
    expect(route.targets).toMatchObject([{ versionId: one.id, weightPercent: 100 }]);
  });

  test.each<[string, object]>([
    ['serving.replicas', { serving: { replicas: -1 } }],
    ['serving', { serving: { replica: 1 } }],
    ['scaling.min', { scaling: { min: 2, max: 1 } }],
    ['replicas', { replicas: 1 }],
  ])('is refused by the name of the field: %s', async (field, wrong) => {
    await make();
    const { code, message } = await refusal(deployments.configure('api', wrong, 'r'));
    expect([code, message.includes(field)], message).toEqual(['INVALID', true]);
  });

  test('wants a reason', async () => {
    await make();
    expect((await refusal(deployments.configure('api', {}, ' '))).code).toBe('INVALID');
  });

  test('made by many at once is as many revisions, none lost', async () => {
    await make();
    const all = Array.from({ length: 8 }, (_, i) =>
      deployments.configure('api', { serving: { replicas: i + 2 } }, `to ${i + 2}`),
    );
    await Promise.all(all);
    const { revisions } = await deployments.listRevisions('api');
    expect(revisions.map(({ number }) => number)).toEqual([9, 8, 7, 6, 5, 4, 3, 2, 1]);
    const inOrder = revisions.toReversed();
    for (const [i, revision] of inOrder.entries()) {
      if (i > 0) expect(revision.before).toEqual(inOrder[i - 1]?.after);
    }
  });
});

describe('another version', () => {
  test('leaves the one before warm, for as long as is said', async () => {
    await make({ warmMs: hourMs });
    await deployments.setVersion('api', two.id, 'r');
    expect((await deployments.route('api')).route).toMatchObject({
      targets: [{ versionId: two.id }],
      warmVersionIds: [one.id],
    });
    skewMs = hourMs - 60_000;
    await upkeep();
    expect((await deployments.route('api')).route.warmVersionIds).toEqual([one.id]);
    skewMs = hourMs + 60_000;
    await upkeep();
    expect((await deployments.route('api')).route.warmVersionIds).toBeUndefined();
    expect(await deployments.get('api')).toMatchObject({ warm: [] });
    expect((await told()).at(-1)).toBe('deployment.version_released');
    await upkeep();
    expect((await told()).filter((type) => type === 'deployment.version_released')).toHaveLength(1);
  });

  test('that comes back is not warm besides, and of many the two that left last are', async () => {
    await make();
    await deployments.setVersion('api', two.id, 'r');
    await deployments.setVersion('api', one.id, 'r');
    expect((await deployments.route('api')).route.warmVersionIds).toEqual([two.id]);
    const three = await world.register('three');
    const four = await world.register('four');
    await deployments.setVersion('api', three.id, 'r');
    await deployments.setVersion('api', four.id, 'r');
    expect((await deployments.route('api')).route.warmVersionIds).toEqual([three.id, one.id]);
    expect((await told()).at(-1)).toBe('deployment.version_released');
  });

  test('is refused while a rollout is under way', async () => {
    await make();
    const steps = [{ weightPercent: 100, shadow: false, gates: [], minDurationMs: 1 }];
    await deployments.startRollout({ deployment: 'api', versionId: two.id, steps, reason: 'r' });
    for (const work of [
      () => deployments.setVersion('api', two.id, 'r'),
      () => deployments.stop('api', 'r'),
      () => deployments.remove('api', { reason: 'r' }),
    ]) {
      expect((await refusal(work())).code).toBe('CONFLICT');
    }
  });

  test('cannot be deleted while a revision may go back to it', async () => {
    await make({ keptRevisions: 2, warmMs: 0 });
    await deployments.setVersion('api', two.id, 'r');
    const { registry } = world.platform;
    const { code, message } = await refusal(
      registry.deleteVersion('m', one.version, { reason: 'r' }),
    );
    expect([code, message.includes('may go back')]).toEqual(['CONFLICT', true]);
    const three = await world.register('three');
    await deployments.setVersion('api', three.id, 'r');
    await registry.deleteVersion('m', one.version, { reason: 'r' });
  });
});

describe('the end of a deployment', () => {
  test('stopped and started it is as before', async () => {
    await make();
    expect((await deployments.stop('api', 'r')).status).toBe('STOPPED');
    await deployments.stop('api', 'r');
    expect((await deployments.start('api', 'r')).status).toBe('CREATING');
    expect(await told()).toEqual([
      'deployment.started',
      'deployment.stopped',
      'deployment.started',
    ]);
  });

  test('removed it goes for good after its grace, and its name is free', async () => {
    await make();
    await deployments.setVersion('api', two.id, 'r');
    const steps = [{ weightPercent: 100, shadow: false, gates: [], minDurationMs: 1 }];
    const start = { deployment: 'api', versionId: one.id, steps, reason: 'r' };
    await deployments.abortRollout((await deployments.startRollout(start)).id, 'r');
    const { id } = await deployments.remove('api', { reason: 'r', graceMs: hourMs });
    expect((await deployments.get('api')).status).toBe('TERMINATING');
    expect((await refusal(deployments.configure('api', { warmMs: 1 }, 'r'))).code).toBe('CONFLICT');
    await upkeep();
    expect((await deployments.get('api')).status).toBe('TERMINATING');
    skewMs = hourMs + 1000;
    await upkeep();
    expect(await deployments.find('api')).toBeUndefined();
    await make();
    const again = await deployments.get('api');
    expect(again.id).not.toBe(id);
    expect((await deployments.listRevisions('api')).revisions).toHaveLength(1);
    expect(await deployments.listRollouts('api')).toEqual([]);
    const { findings } = await world.platform.operations.reconcile();
    expect(findings.filter(({ component }) => component === 'deployments')).toEqual([]);
  });
});

describe('the health of a deployment', () => {
  const said = { reporter: 'a', versions: [{ versionId: 'v', liveReplicas: 2, replicas: 2 }] };

  test('follows from what processes say, and its changes are told', async () => {
    await make();
    await deployments.reportHealth('api', { ...said, status: 'HEALTHY' });
    const healthy = await deployments.get('api');
    expect([healthy.status, healthy.lastHealthCheckAt]).toEqual(['HEALTHY', expect.any(Number)]);
    await deployments.reportHealth('api', { reporter: 'b', status: 'FAILED', reason: 'no memory' });
    expect((await deployments.get('api')).status).toBe('DEGRADED');
    await deployments.reportHealth('api', { ...said, status: 'FAILED', reason: 'no memory' });
    expect((await deployments.get('api')).status).toBe('FAILED');
    skewMs += 180_000;
    await deployments.reportHealth('api', { ...said, status: 'HEALTHY' });
    expect((await deployments.get('api')).status).toBe('HEALTHY');
    expect(await told()).toEqual([
      'deployment.started',
      'deployment.healthy',
      'deployment.degraded',
      'deployment.failed',
      'deployment.recovered',
    ]);
  });

  test('of one that is stopped stays', async () => {
    await make();
    await deployments.stop('api', 'r');
    await deployments.reportHealth('api', { ...said, status: 'HEALTHY' });
    expect((await deployments.get('api')).status).toBe('STOPPED');
  });
});
