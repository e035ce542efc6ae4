import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { refusal, worldSignature } from '../../test/registry-world.ts';
import { openRolloutWorld, type RolloutWorld } from '../../test/rollout-world.ts';
import { FileArtifactStore } from '../embedded/file-artifact-store.ts';
import type { JsonObject } from '../json.ts';
import type { MonitorRule } from '../monitoring/rule.ts';
import type { ModelVersion } from '../registry/model-version.ts';

const minuteMs = 60_000;
let world: RolloutWorld;

beforeEach(async () => {
  world = await openRolloutWorld({ serving: { replicas: 2 } });
});

afterEach(() => world[Symbol.asyncDispose]());

async function answering(): Promise<string | undefined> {
  return (await world.deployments.route('api')).route.targets[0]?.key;
}

describe('a rollback', () => {
  test('brings back any earlier revision as it was, at once, as a revision of its own', async () => {
    await world.deployments.setVersion('api', world.two.id, 'r');
    await world.deployments.configure('api', { serving: { replicas: 5 } }, 'r');
    const options = { to: 1, reason: 'two is bad' };
    const { deployment, revision } = await world.deployments.rollback('api', options);
    expect(await answering()).toBe('m@1.0.0');
    expect(deployment).toMatchObject({ serving: { replicas: 2 }, currentRevision: 4 });
    expect(revision).toMatchObject({ number: 4, rollbackTo: 1, changed: ['serving', 'version'] });
    // What was left for a reason is not kept warm.
    expect((await world.deployments.route('api')).route.warmVersionIds).toBeUndefined();
    await world.deployments.rollback('api', { to: 3, reason: 'two is good after all' });
    expect(await answering()).toBe('m@1.1.0');
    expect((await world.deployments.get('api')).serving).toEqual({ replicas: 5 });
  });

  test('without a number goes to the newest known-good one, and never in a circle', async () => {
    await world.deployments.setVersion('api', world.two.id, 'r');
    const three = await world.register('three');
    await world.deployments.setVersion('api', three.id, 'r');
    await world.deployments.rollback('api', { reason: 'three is bad' });
    expect(await answering()).toBe('m@1.1.0');
    await world.deployments.rollback('api', { reason: 'two is bad too' });
    expect(await answering()).toBe('m@1.0.0');
    const { code, message } = await refusal(world.deployments.rollback('api', { reason: 'r' }));
    expect([code, message.includes('no earlier revision')]).toEqual(['CONFLICT', true]);
  });

  test('never goes to a version that is not whole', async () => {
    await world.deployments.setVersion('api', world.two.id, 'r');
    const { registry } = world.platform;
    await registry.deleteVersion('m', world.one.version, { reason: 'r', force: true });
    const back = { to: 1, reason: 'r' };
    expect((await refusal(world.deployments.rollback('api', back))).code).toBe('CONFLICT');
    expect((await refusal(world.deployments.rollback('api', { reason: 'r' }))).code).toBe(
      'CONFLICT',
    );
    expect(await answering()).toBe('m@1.1.0');
  });

  test('names callers whom the earlier signature would refuse', async () => {
    const wider = {
      inputs: [{ name: 'y', datatype: 'FP64', shape: [-1, 3] }],
      outputs: [{ name: 'label', datatype: 'BYTES', shape: [-1] }],
    } as const;
    const three = await world.register('three', { signature: wider, bump: 'major' });
    await world.deployments.setVersion('api', three.id, 'r');
    const { signatureBreaks } = await world.deployments.rollback('api', { to: 1, reason: 'r' });
    expect(signatureBreaks.join()).toMatch(/x/);
  });

  test.each<[string, object, string]>([
    ['a number that is none', { to: 0, reason: 'r' }, 'INVALID'],
    ['a revision that is not there', { to: 7, reason: 'r' }, 'NOT_FOUND'],
    ['no reason', { to: 1, reason: '' }, 'INVALID'],
  ])('is refused: %s', async (_, options, code) => {
    expect((await refusal(world.deployments.rollback('api', options as never))).code).toBe(code);
  });
});

describe('after a rollback the version is watched', () => {
  async function rolledBack(): Promise<void> {
    await world.deployments.setVersion('api', world.two.id, 'r');
    await world.deployments.rollback('api', { reason: 'two is bad' });
  }

  test('and only then it is told as done', async () => {
    await rolledBack();
    await world.traffic(100, 29 * minuteMs);
    await world.round();
    expect((await world.told()).at(-1)).toBe('deployment.rolling_back');
    world.wait(2 * minuteMs);
    await world.round();
    expect((await world.told()).at(-1)).toBe('deployment.rolled_back');
    await world.round();
    expect((await world.told()).filter((type) => type === 'deployment.rolled_back')).toHaveLength(
      1,
    );
  });

  test('also after a rollout that was turned back by itself', async () => {
    const policy = { errors: { minimumRequests: 20 }, ready: false } as const;
    await world.deployments.deploy('api', { versionId: world.two.id, policy, reason: 'r' });
    world.behaves(world.two.id, { errors: 0.9 });
    await world.traffic(500, minuteMs);
    await world.round();
    expect((await world.rollout()).status).toBe('ROLLED_BACK');
    expect((await world.told()).at(-1)).toBe('deployment.rolling_back');
    world.wait(31 * minuteMs);
    await world.round();
    expect((await world.told()).at(-1)).toBe('deployment.rolled_back');
  });

  test('where it fails, the next known-good one follows; then somebody is called', async () => {
    const three = await world.register('three');
    await world.deployments.setVersion('api', world.two.id, 'r');
    await world.deployments.setVersion('api', three.id, 'r');
    await world.deployments.rollback('api', { reason: 'three is bad' });
    expect(await answering()).toBe('m@1.1.0');
    for (const { id } of [world.one, world.two, three]) world.behaves(id, { errors: 0.5 });
    await world.traffic(100, minuteMs);
    await world.round();
    expect(await answering()).toBe('m@1.0.0');
    await world.traffic(100, minuteMs);
    await world.round();
    // There is no other: it stays, and no version is tried twice.
    expect(await answering()).toBe('m@1.0.0');
    await world.traffic(100, minuteMs);
    await world.round();
    expect(await answering()).toBe('m@1.0.0');
    const { id } = await world.deployments.get('api');
    const alerts = await world.platform.monitoring.listAlerts(id);
    expect(alerts.map(({ severity, rule }) => [severity, rule])).toEqual([
      ['EMERGENCY', 'rollback'],
    ]);
    expect((await world.told()).filter((type) => type === 'alert.triggered')).toHaveLength(1);
    expect(await world.told()).not.toContain('deployment.rolled_back');
  });

  test.each([
    ['as right as it was before', { accuracy: 0.4 }, 'accuracy-limit'],
    ['as fast as it was before', { latencyMs: 50 }, 'latency'],
  ])('where it is not %s, the next one follows', async (_, how, gate) => {
    const three = await world.register('three');
    await world.deployments.setVersion('api', world.two.id, 'r');
    await world.traffic(200, 20 * minuteMs, { labels: true });
    await world.deployments.setVersion('api', three.id, 'r');
    await world.traffic(200, 20 * minuteMs, { labels: true });
    await world.deployments.rollback('api', { reason: 'three is bad' });
    await world.round();
    expect(await answering()).toBe('m@1.1.0');
    world.behaves(world.two.id, how);
    await world.traffic(200, minuteMs, { labels: true });
    await world.round();
    expect(await answering()).toBe('m@1.0.0');
    const { revisions } = await world.deployments.listRevisions('api', { limit: 1 });
    expect(revisions[0]?.reason).toBe(`m@1.1.0 failed: ${gate}`);
    // What the next one did before is another matter.
    await world.traffic(200, 31 * minuteMs, { labels: true });
    await world.round();
    expect((await world.told()).at(-1)).toBe('deployment.rolled_back');
  });

  test('callers are named whom it refuses, by what they sent to the version that was left', async () => {
    const wider = {
      inputs: [...worldSignature.inputs, { name: 'y', datatype: 'FP64', shape: [-1, 1] }],
      outputs: worldSignature.outputs,
    } as const;
    const three = await world.register('three', { signature: wider, bump: 'major' });
    await world.deployments.setVersion('api', three.id, 'r');
    const { id: deploymentId } = await world.deployments.get('api');
    const asks = (requestId: string, features: JsonObject, key?: string): void =>
      world.platform.monitoring.predictions.record({
        ...{ deploymentId, versionId: three.id, requestId, role: 'primary', at: world.now() },
        ...{ features, prediction: 'a', latencyMs: 1, ...(key === undefined ? {} : { key }) },
      });
    asks('a', { x: [1, 2], y: 1 }, 'shop-7');
    asks('b', { x: [1, 2] }, 'shop-7');
    asks('c', { x: [1, 2, 3] }, 'shop-8');
    asks('d', { x: [1, 2] }, 'shop-9');
    asks('e', { x: ['no', 'number'] });
    await world.platform.monitoring.predictions.flush();
    world.wait(1);
    await world.deployments.rollback('api', { to: 1, reason: 'r' });
    await world.round();
    await world.round();
    const types = ['deployment.callers_refused'];
    const told = await Array.fromAsync(world.platform.events.each({ types }));
    expect(told.map(({ payload }) => payload)).toEqual([
      {
        ...{ deployment: 'api', deploymentId, rollbackId: expect.any(String) },
        ...{ versionId: world.one.id, requests: 5, refused: 3, unnamed: 1 },
        callers: ['shop-7', 'shop-8'],
        reasons: [
          'it sends y, which the version does not take',
          expect.stringMatching(/3 values for input x/),
          expect.stringMatching(/input x: "no" is not a number/),
        ],
      },
    ]);
  });

  test('where none is left, the configured fallback answers', async () => {
    const three = await world.register('three');
    const traffic = { fallbackVersionId: three.id };
    await world.deployments.configure('api', { traffic }, 'r');
    await rolledBack();
    for (const { id } of [world.one, world.two]) world.behaves(id, { errors: 0.5 });
    await world.traffic(100, minuteMs);
    await world.round();
    expect(await answering()).toBe('m@1.2.0');
    const { id } = await world.deployments.get('api');
    expect(await world.platform.monitoring.listAlerts(id)).toHaveLength(1);
  });

  test('ends when something else is deployed', async () => {
    await rolledBack();
    const three = await world.register('three');
    await world.deployments.setVersion('api', three.id, 'r');
    world.wait(60 * minuteMs);
    await world.round();
    expect(await world.told()).not.toContain('deployment.rolled_back');
  });
});

describe('the monitor of a deployment', () => {
  const rule: MonitorRule = {
    ...{ name: 'right', rule: 'accuracy', alpha: 0.01, tolerance: 0.02, minimumTrials: 50 },
    severity: 'CRITICAL',
  };

  async function monitored(): Promise<string> {
    const { id, name } = await world.deployments.get('api');
    const right = { features: {}, label: 'right', prediction: 'right' };
    await world.platform.monitoring.watchLabels({
      ...{ deployment: { id, name }, versionId: world.one.id, rules: [rule], at: world.now() - 1 },
      reference: Array.from({ length: 400 }, () => right),
    });
    return id;
  }

  async function evaluated(id: string): Promise<readonly string[]> {
    const { monitoring } = world.platform;
    const analysis = await monitoring.evaluate(id, { at: world.now() });
    const open = await monitoring.listAlerts(id);
    return [analysis?.suspended ?? 'in force', ...open.map((alert) => `${alert.rule} fires`)];
  }

  test('is silent, and marks why, while the version is watched; what was left counts no more', async () => {
    const id = await monitored();
    await world.deployments.setVersion('api', world.two.id, 'r');
    world.behaves(world.two.id, { accuracy: 0.3 });
    await world.traffic(300, 10 * minuteMs);
    await world.deployments.rollback('api', { reason: 'two is bad' });
    const began = world.now();
    await world.traffic(100, 10 * minuteMs, { labels: true });
    expect(await evaluated(id)).toEqual(['two is bad']);
    const { windows } = await world.platform.monitoring.getMonitor(id);
    expect(windows).toEqual([
      {
        ...{ from: began, until: began + 30 * minuteMs, reason: 'two is bad' },
        ...{ versionId: world.two.id, watchId: expect.any(String) },
      },
    ]);
    expect(await world.platform.monitoring.report(id)).toContain('two is bad');
    world.wait(21 * minuteMs);
    await world.round();
    const late = Array.from({ length: 300 }, (_, i) => ({
      ...{ requestId: `r${i + 1}`, value: 'right', observedAt: world.now() },
    }));
    expect((await world.platform.monitoring.logLabels(id, late)).accepted).toBe(300);
    world.wait(1);
    expect(await evaluated(id)).toEqual(['in force']);
    // It is not deaf for good.
    world.behaves(world.one.id, { accuracy: 0.3 });
    await world.traffic(300, 10 * minuteMs, { labels: true });
    expect(await evaluated(id)).toEqual(['in force', 'right fires']);
  });

  test('forgets what a rollout has shown it that is turned back', async () => {
    const id = await monitored();
    const policy = { ready: false, comparison: false, latency: false, errors: false } as const;
    const { id: rolloutId } = await world.deployments.deploy('api', {
      ...{ versionId: world.two.id, policy, reason: 'r' },
    });
    const before = (await world.platform.monitoring.getMonitor(id)).states;
    await world.traffic(100, 10 * minuteMs, { labels: true });
    expect(await evaluated(id)).toEqual(['in force']);
    expect((await world.platform.monitoring.getMonitor(id)).states).not.toEqual(before);
    await world.deployments.abortRollout(rolloutId, 'r');
    const after = await world.platform.monitoring.getMonitor(id);
    expect([after.states, after.held]).toEqual([before, undefined]);
  });
});

describe('what can be gone back to', () => {
  const hourMs = 60 * minuteMs;

  /** A version whose content is lost behind the platform's back. */
  async function losesContent(version: ModelVersion): Promise<void> {
    await using store = await FileArtifactStore.open({ dir: `${world.dir}/artifacts` });
    await store.space('default').remove(version.files[0]?.sha256 ?? '');
  }

  async function verified(number: number): Promise<readonly [number | undefined, boolean]> {
    const revision = await world.deployments.getRevision('api', number);
    return [revision.verified?.at, revision.verified?.damage !== undefined];
  }

  async function alerts(): Promise<readonly string[]> {
    const { id } = await world.deployments.get('api');
    const all = await world.platform.monitoring.listAlerts(id);
    return all.map(({ severity, rule, state }) => `${severity} ${rule} ${state}`);
  }

  test('is verified, two versions of it, every six hours; what is damaged is passed over', async () => {
    const three = await world.register('three');
    const four = await world.register('four');
    for (const { id } of [world.two, three, four])
      await world.deployments.setVersion('api', id, 'r');
    await world.round();
    const first = world.now();
    // The two newest; what answers is none, and what is older is not needed.
    const found = async () => Promise.all([1, 2, 3, 4].map(verified));
    const [never, whole] = [[undefined, false] as const, [first, false] as const];
    expect(await found()).toEqual([never, whole, whole, never]);
    world.wait(5 * hourMs);
    await losesContent(three);
    await world.round();
    expect(await found()).toEqual([never, whole, whole, never]);
    world.wait(2 * hourMs);
    await world.round();
    const at = world.now();
    expect(await found()).toEqual([[at, false], [at, false], [at, true], never]);
    const { revision } = await world.deployments.rollback('api', { reason: 'four is bad' });
    expect(revision.after.version).toBe('m@1.1.0');
    expect(await alerts()).toEqual([]);
  });

  test('where nothing is left, somebody is called once, until there is something again', async () => {
    await world.deployments.setVersion('api', world.two.id, 'r');
    await losesContent(world.one);
    await world.round();
    await world.round();
    expect(await alerts()).toEqual(['EMERGENCY rollback-targets FIRING']);
    await world.platform.tracking.withRun({ experiment: 'heal' }, (run) =>
      run.logArtifact('model.json', Buffer.from('one')),
    );
    await world.platform.registry.verify(world.one.id);
    await world.round();
    expect(await alerts()).toEqual(['EMERGENCY rollback-targets RESOLVED']);
    const told = (await world.told()).filter((type) => type.startsWith('alert.'));
    expect(told).toEqual(['alert.triggered', 'alert.resolved']);
  });

  test('of a deployment that had no other version nobody is called', async () => {
    await world.round();
    expect(await alerts()).toEqual([]);
  });
});
