import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { refusal } from '../../test/registry-world.ts';
import { openRolloutWorld, type RolloutWorld } from '../../test/rollout-world.ts';
import type { RolloutPolicy } from './strategy-policy.ts';

const minuteMs = 60_000;
let world: RolloutWorld;

beforeEach(async () => {
  world = await openRolloutWorld();
});

afterEach(() => world[Symbol.asyncDispose]());

/** A canary of two steps with the numbers of a test: few requests are enough. */
const quick: RolloutPolicy = {
  steps: [
    { weightPercent: 20, durationMs: 10 * minuteMs },
    { weightPercent: 50, durationMs: 10 * minuteMs },
  ],
  errors: { goAt: 0.05, backAbove: 0.2, minimumRequests: 20 },
  comparison: { minimumRequests: 20 },
  latency: { quantiles: [0.95], goRatio: 1.3, backRatio: 2, minimumRequests: 20 },
  ...{ accuracy: false, drift: false, ready: false, rollbackWatchMs: 0 },
};

async function weights(): Promise<readonly number[]> {
  const { route } = await world.deployments.route('api');
  const of = (id: string): number =>
    route.targets.find(({ versionId }) => versionId === id)?.weightPercent ?? 0;
  return [of(world.one.id), of(world.two.id)];
}

async function deploy(policy: RolloutPolicy = quick): Promise<void> {
  await world.traffic(300, 30 * minuteMs);
  await world.deployments.deploy('api', { versionId: world.two.id, policy, reason: 'new' });
}

describe('a canary', () => {
  test('of a version that is as good goes to the end, step by step', async () => {
    await deploy();
    expect(await weights()).toEqual([80, 20]);
    await world.traffic(300, 9 * minuteMs);
    await world.round();
    expect(await weights()).toEqual([80, 20]);
    await world.traffic(50, 2 * minuteMs);
    await world.round();
    expect(await weights()).toEqual([50, 50]);
    await world.traffic(300, 11 * minuteMs);
    await world.round();
    expect(await weights()).toEqual([0, 100]);
    await world.round();
    world.wait(1000);
    await world.round();
    expect(await world.rollout()).toMatchObject({ status: 'COMPLETED', strategy: 'canary' });
    const { route } = await world.deployments.route('api');
    expect(route).toMatchObject({ warmVersionIds: [world.one.id], shadows: [] });
    expect(route.fallbackVersionId).toBeUndefined();
    const { activeRolloutId, currentRevision } = await world.deployments.get('api');
    expect([activeRolloutId, currentRevision]).toEqual([undefined, 2]);
    const revision = await world.deployments.getRevision('api', 2);
    expect(revision).toMatchObject({ rolloutStatus: 'COMPLETED', changed: ['version'] });
    expect(revision.stages.map(({ action }) => action)).toEqual([
      ...['advance', 'advance', 'complete'],
    ]);
    for (const { verdicts } of revision.stages.slice(0, 2)) {
      expect(verdicts.map(({ gate, outcome }) => [gate.gate, outcome])).toEqual([
        ['error-limit', 'PASS'],
        ['error-rate', 'PASS'],
        ['latency', 'PASS'],
      ]);
    }
  });

  test.each([
    ['fails', { errors: 0.6 }, /error-limit/],
    ['is slow', { latencyMs: 60 }, /latency/],
  ])('of a version that %s is turned back at the next look', async (_, how, reason) => {
    await deploy();
    world.behaves(world.two.id, how);
    await world.traffic(400, 2 * minuteMs);
    await world.round();
    const rollout = await world.rollout();
    expect([rollout.status, rollout.decisions.at(-1)?.action]).toEqual(['ROLLED_BACK', 'rollback']);
    expect(rollout.decisions.at(-1)?.reason).toMatch(reason);
    expect(await weights()).toEqual([100, 0]);
    const { route } = await world.deployments.route('api');
    expect(route.warmVersionIds).toBeUndefined();
    expect((await world.told()).at(-1)).toBe('deployment.rolled_back');
    expect((await world.deployments.getRevision('api', 2)).rolloutStatus).toBe('ROLLED_BACK');
    expect((await world.deployments.get('api')).currentRevision).toBe(1);
  });

  test('that nobody asks anything does not go on, and fails at its deadline', async () => {
    await deploy({ ...quick, progressDeadlineMs: 40 * minuteMs });
    world.wait(39 * minuteMs);
    await world.round();
    expect(await weights()).toEqual([80, 20]);
    expect((await world.rollout()).latest.map(({ outcome }) => outcome)).toEqual([
      ...['INCONCLUSIVE', 'INCONCLUSIVE', 'INCONCLUSIVE'],
    ]);
    world.wait(2 * minuteMs);
    await world.round();
    expect((await world.rollout()).status).toBe('FAILED');
    expect(await weights()).toEqual([100, 0]);
    expect(await world.told()).toEqual(expect.arrayContaining(['rollout.failed']));
  });

  test('whose baseline was never asked has no latency to hold it against, and says so', async () => {
    await world.deployments.deploy('api', { versionId: world.two.id, policy: quick, reason: 'r' });
    await world.traffic(60, minuteMs);
    await world.round();
    const latency = (await world.rollout()).latest.find(({ gate }) => gate.gate === 'latency');
    expect(latency).toMatchObject({ outcome: 'INCONCLUSIVE', problem: /100 answers/ });
    // With enough of the baseline's answers meanwhile it is frozen then.
    await world.traffic(400, minuteMs);
    await world.round();
    expect((await world.rollout()).frozen).toMatchObject({ p95: { valueMs: expect.any(Number) } });
  });

  test('waits for a person where a step says so, and turns back meanwhile', async () => {
    const [first, second] = quick.steps ?? [];
    await deploy({ ...quick, steps: [{ ...first, manual: true }, second] as never });
    await world.traffic(400, 11 * minuteMs);
    await world.round();
    expect((await world.rollout()).status).toBe('PAUSED');
    expect((await world.deployments.getRevision('api', 2)).rolloutStatus).toBe('PAUSED');
    world.wait(1000 * minuteMs);
    await world.round();
    expect((await world.rollout()).status).toBe('PAUSED');
    const { id } = await world.rollout();
    await world.deployments.promoteRollout(id, 'looked at');
    expect(await world.rollout()).toMatchObject({ status: 'IN_PROGRESS', stepIndex: 1 });
    expect((await world.rollout()).decisions.at(-1)).toMatchObject({
      ...{ action: 'advance', by: 'user:ben', reason: 'looked at' },
    });
    await world.deployments.pauseRollout(id, 'lunch');
    world.behaves(world.two.id, { errors: 0.7 });
    await world.traffic(100, minuteMs);
    await world.round();
    expect((await world.rollout()).status).toBe('ROLLED_BACK');
  });

  test('that is resumed has the whole time of its step again', async () => {
    await deploy();
    await world.traffic(400, 9 * minuteMs);
    const { id } = await world.rollout();
    await world.deployments.pauseRollout(id, 'r');
    world.wait(5 * minuteMs);
    await world.deployments.resumeRollout(id, 'r');
    world.wait(5 * minuteMs);
    await world.round();
    expect((await world.rollout()).stepIndex).toBe(0);
    world.wait(6 * minuteMs);
    await world.round();
    expect((await world.rollout()).stepIndex).toBe(1);
    expect((await refusal(world.deployments.resumeRollout(id, 'r'))).code).toBe('CONFLICT');
    await world.deployments.promoteRollout(id, 'enough', { to: 'end' });
    expect(await weights()).toEqual([0, 100]);
    for (const verb of ['pauseRollout', 'promoteRollout', 'abortRollout'] as const)
      expect((await refusal(world.deployments[verb](id, 'r'))).code).toBe('CONFLICT');
  });

  test('asks labels, pairs and figures of one’s own', async () => {
    const asked: (string | undefined)[] = [];
    world.deployments.addFigure('margin', async ({ candidateVersionId }) => {
      asked.push(candidateVersionId);
      return { estimate: 3, low: 2, high: 4, samples: 50 };
    });
    await deploy({
      ...{ ...quick, accuracy: { minimumLabels: 30 }, drift: { minimumItems: 20 } },
      paired: { margin: 0.05, minimumItems: 20 },
      metrics: [
        { figure: 'margin', go: { min: 2 } },
        { figure: 'unheard of', go: {} },
      ],
    });
    await world.traffic(500, 11 * minuteMs, { labels: true });
    await world.round();
    const { latest, stepIndex } = await world.rollout();
    expect(latest.map(({ gate, outcome }) => [gate.gate, outcome])).toEqual([
      ...[
        ['error-limit', 'PASS'],
        ['error-rate', 'PASS'],
        ['latency', 'PASS'],
      ],
      ...[
        ['accuracy', 'PASS'],
        ['drift', 'PASS'],
        ['paired-accuracy', 'PASS'],
      ],
      ...[
        ['metric', 'PASS'],
        ['metric', 'INCONCLUSIVE'],
      ],
    ]);
    expect(latest.at(-1)?.problem).toContain('unheard of');
    expect([stepIndex, asked[0]]).toEqual([0, world.two.id]);
  });

  test('of a version that is wrong, or answers otherwise, is turned back by its gate', async () => {
    const policy = { ...quick, accuracy: { minimumLabels: 30 }, drift: { tolerance: 0.5 } };
    await deploy(policy);
    world.behaves(world.two.id, { accuracy: 0.4 });
    await world.traffic(1500, 3 * minuteMs, { labels: true });
    await world.round();
    expect((await world.rollout()).decisions.at(-1)?.reason).toContain('failed: accuracy');
    await world.deployments.deploy('api', { versionId: world.two.id, policy, reason: 'again' });
    world.behaves(world.two.id, { prediction: 'other' });
    await world.traffic(1500, 3 * minuteMs);
    await world.round();
    expect((await world.rollout()).decisions.at(-1)?.reason).toContain('failed: drift');
  });
});

describe('the other strategies', () => {
  test('blue-green waits until the candidate is loaded, switches once, and is watched', async () => {
    await world.traffic(200, minuteMs);
    const options = { versionId: world.two.id, strategy: 'blue-green', reason: 'r' } as const;
    await world.deployments.deploy('api', options);
    const { route } = await world.deployments.route('api');
    expect(route.warmVersionIds).toEqual([world.two.id]);
    expect(await weights()).toEqual([100, 0]);
    world.wait(1000);
    await world.round();
    expect(await weights()).toEqual([100, 0]);
    await world.loaded(world.one.id, world.two.id);
    world.wait(1000);
    await world.round();
    expect(await weights()).toEqual([0, 100]);
    expect((await world.deployments.route('api')).route.fallbackVersionId).toBe(world.one.id);
    await world.traffic(100, 9 * minuteMs);
    await world.loaded(world.one.id, world.two.id);
    await world.round();
    expect((await world.rollout()).status).toBe('IN_PROGRESS');
    world.wait(minuteMs + 1000);
    await world.round();
    expect((await world.rollout()).status).toBe('COMPLETED');
    expect((await world.told()).filter((type) => type === 'traffic.shifted')).toHaveLength(3);
  });

  test('blue-green goes back by itself when the new version fails after the switch', async () => {
    const policy = { ready: false, rollbackWatchMs: 0 } as const;
    const options = {
      versionId: world.two.id,
      strategy: 'blue-green',
      policy,
      reason: 'r',
    } as const;
    await world.deployments.deploy('api', options);
    world.wait(1000);
    await world.round();
    expect(await weights()).toEqual([0, 100]);
    world.behaves(world.two.id, { errors: 0.4 });
    await world.traffic(60, minuteMs);
    await world.round();
    expect(await weights()).toEqual([100, 0]);
  });

  test('rolling goes batch by batch while replicas live', async () => {
    const policy = { errors: false, batchPercent: 50 } as const;
    const options = { versionId: world.two.id, strategy: 'rolling', policy, reason: 'r' } as const;
    await world.deployments.deploy('api', options);
    expect(await weights()).toEqual([50, 50]);
    await world.loaded(world.two.id);
    world.wait(minuteMs);
    await world.round();
    expect(await weights()).toEqual([0, 100]);
    const versions = [{ versionId: world.two.id, liveReplicas: 1, replicas: 2 }];
    const health = { status: 'DEGRADED', reporter: 'serve', versions } as const;
    await world.deployments.reportHealth('api', health);
    world.wait(1000);
    await world.round();
    expect(await weights()).toEqual([100, 0]);
    expect((await world.rollout()).decisions.at(-1)?.reason).toContain('ready');
  });

  test('immediate goes back by the first failure', async () => {
    const options = { versionId: world.two.id, strategy: 'immediate', reason: 'r' } as const;
    await world.deployments.deploy('api', options);
    expect(await weights()).toEqual([0, 100]);
    await world.traffic(100, minuteMs);
    await world.round();
    expect(await weights()).toEqual([0, 100]);
    world.behaves(world.two.id, { errors: 0.05 });
    await world.traffic(100, minuteMs);
    await world.round();
    expect(await weights()).toEqual([100, 0]);
  });

  test('a shadow answers nobody, and leaves the deployment as it was', async () => {
    const policy = { ready: false, durationMs: 10 * minuteMs } as const;
    const options = { versionId: world.two.id, strategy: 'shadow', policy, reason: 'r' } as const;
    await world.deployments.deploy('api', options);
    expect(await weights()).toEqual([100, 0]);
    await world.traffic(200, 11 * minuteMs);
    await world.round();
    expect((await world.rollout()).status).toBe('COMPLETED');
    expect(await weights()).toEqual([100, 0]);
    const { route } = await world.deployments.route('api');
    expect([route.shadows, route.warmVersionIds]).toEqual([[], undefined]);
    expect((await world.deployments.get('api')).currentRevision).toBe(1);
    world.behaves(world.two.id, { errors: 0.5 });
    await world.deployments.deploy('api', options);
    await world.traffic(200, 2 * minuteMs);
    await world.round();
    expect((await world.rollout()).status).toBe('ROLLED_BACK');
  });

  test('wants a strategy that there is, and a deployment that runs', async () => {
    const options = { versionId: world.two.id, reason: 'r' };
    const wrong = { ...options, strategy: 'sometimes' } as never;
    expect((await refusal(world.deployments.deploy('api', wrong))).code).toBe('INVALID');
    await world.deployments.stop('api', 'r');
    expect((await refusal(world.deployments.deploy('api', options))).code).toBe('CONFLICT');
  });
});

describe('a strategy that is suggested', () => {
  test('is taken with its numbers, and the revision says why', async () => {
    const suggestion = await world.deployments.suggestStrategy('api', world.two.id);
    // Neither a metric nor a parent is known.
    expect(suggestion).toMatchObject({ score: 25, strategy: 'blue-green', policy: {} });
    const { id } = await world.deployments.deploy('api', {
      ...{ versionId: world.two.id, strategy: 'suggested', reason: 'r' },
      policy: { ready: false, rollbackWatchMs: 0 },
    });
    expect(await world.rollout()).toMatchObject({ strategy: 'blue-green', rollbackWatchMs: 0 });
    const { score, reasons } = suggestion;
    const risk = { score, reasons, suggested: 'blue-green' };
    expect((await world.deployments.getRevision('api', 2)).risk).toEqual(risk);
    // What was turned back is riskier from then on; and anybody may know better.
    await world.deployments.abortRollout(id, 'r');
    const by = { versionId: world.two.id, strategy: 'immediate', reason: 'r' } as const;
    const again = await world.deployments.deploy('api', { ...by, policy: { ready: false } });
    const { revisions } = await world.deployments.listRevisions('api', { limit: 1 });
    expect(revisions[0]).toMatchObject({
      ...{ strategy: 'immediate', risk: { score: 55, suggested: 'canary' } },
    });
    await world.deployments.promoteRollout(again.id, 'r');
    await world.deployments.setVersion('api', world.one.id, 'r');
    expect((await world.deployments.suggestStrategy('api', world.two.id)).score).toBe(0);
    await world.deployments.setVersion('api', world.two.id, 'r');
    await world.deployments.rollback('api', { reason: 'r' });
    expect((await world.deployments.suggestStrategy('api', world.two.id)).score).toBe(55);
  });

  test('takes no number that only one strategy understands', async () => {
    const { code, message } = await refusal(
      world.deployments.deploy('api', {
        ...{ versionId: world.two.id, strategy: 'suggested', reason: 'r' },
        policy: { batchPercent: 10 },
      }),
    );
    expect([code, message]).toEqual(['INVALID', expect.stringContaining('batchPercent')]);
  });
});
