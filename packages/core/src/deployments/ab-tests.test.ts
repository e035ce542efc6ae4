import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { refusal } from '../../test/registry-world.ts';
import { openRolloutWorld, type RolloutWorld } from '../../test/rollout-world.ts';
import type { StartAbTest } from './ab-test.ts';

const minuteMs = 60_000;
let world: RolloutWorld;

beforeEach(async () => {
  world = await openRolloutWorld({ sticky: { header: 'x-own', salt: 'own' } });
});

afterEach(() => world[Symbol.asyncDispose]());

function asked(more: Partial<StartAbTest> = {}): StartAbTest {
  return {
    deployment: 'api',
    arms: [
      { name: 'A', versionId: world.one.id, weightPercent: 50 },
      { name: 'B', versionId: world.two.id, weightPercent: 50 },
    ],
    stickyHeader: 'x-user',
    metrics: [{ name: 'accuracy', outcome: { source: 'accuracy' }, goal: 'higher' }],
    ...{ minimumUnits: 50, reason: 'which is better?' },
    ...more,
  };
}

describe('an A/B test', () => {
  test('owns the traffic of its deployment, by a salt of its own', async () => {
    const { id, salt } = await world.deployments.startAbTest(asked());
    const { route } = await world.deployments.route('api');
    expect(route).toMatchObject({
      targets: [
        { versionId: world.one.id, weightPercent: 50, key: 'A' },
        { versionId: world.two.id, weightPercent: 50, key: 'B' },
      ],
      sticky: { header: 'x-user', salt },
    });
    expect((await world.deployments.get('api')).activeRolloutId).toBe(id);
    expect(await world.deployments.activeRollout('api')).toBeUndefined();
    for (const work of [
      () => world.deployments.startAbTest(asked()),
      () => world.deployments.deploy('api', { versionId: world.two.id, reason: 'r' }),
      () => world.deployments.setVersion('api', world.two.id, 'r'),
    ]) {
      expect((await refusal(work())).code).toBe('CONFLICT');
    }
  });

  test('of a version that is better is decided for it', async () => {
    const { id } = await world.deployments.startAbTest(asked({ requestKey: 'k' }));
    expect((await world.deployments.startAbTest(asked({ requestKey: 'k' }))).id).toBe(id);
    world.behaves(world.one.id, { accuracy: 0.5 });
    await world.traffic(60, minuteMs, { labels: true });
    const early = await world.deployments.abTestReport(id);
    expect([early.decision, early.winner]).toEqual(['INCONCLUSIVE', undefined]);
    expect((await refusal(world.deployments.decideAbTest(id, { reason: 'r' }))).code).toBe(
      'CONFLICT',
    );
    await world.traffic(600, minuteMs, { labels: true });
    const report = await world.deployments.abTestReport(id);
    expect([report.decision, report.winner]).toEqual(['WINNER', 'B']);
    const b = report.metrics[0]?.arms.find(({ arm }) => arm === 'B');
    expect(b?.interval?.low).toBeGreaterThan(0);
    expect(b?.pValue).toBeLessThan(0.05);
    const ended = await world.deployments.decideAbTest(id, { reason: 'B it is' });
    expect(ended).toMatchObject({
      ...{ status: 'DECIDED', saltBurnt: false },
      decision: { winner: 'B', reason: 'B it is', by: 'user:ben' },
    });
    const { route } = await world.deployments.route('api');
    expect(route).toMatchObject({
      targets: [{ versionId: world.two.id, weightPercent: 100, key: 'm@1.1.0' }],
      sticky: { header: 'x-own', salt: 'own' },
      warmVersionIds: [world.one.id],
    });
    expect(await world.deployments.get('api')).toMatchObject({ currentRevision: 2 });
    expect((await world.told()).at(-1)).toBe('abtest.decided');
    expect((await refusal(world.deployments.stopAbTest(id, 'r'))).code).toBe('CONFLICT');
    // What it said stays, whatever is asked of the deployment since.
    await world.traffic(50, minuteMs, { labels: true });
    expect((await world.deployments.abTestReport(id)).metrics).toEqual(report.metrics);
  });

  test('that is stopped goes back to its control, and its salt is burnt', async () => {
    const { id } = await world.deployments.startAbTest(asked({ control: 'A' }));
    await world.traffic(20, minuteMs);
    const stopped = await world.deployments.stopAbTest(id, 'a bug');
    expect(stopped).toMatchObject({ status: 'STOPPED', saltBurnt: true });
    const { route } = await world.deployments.route('api');
    expect(route.targets).toMatchObject([{ versionId: world.one.id, weightPercent: 100 }]);
    expect((await world.deployments.get('api')).lastRevision).toBe(1);
    const again = await world.deployments.startAbTest(asked());
    expect(again.salt).not.toBe(stopped.salt);
    expect(await world.deployments.listAbTests('api')).toHaveLength(2);
  });

  test('says nothing where users are not dealt out as they should be', async () => {
    const arms = [
      { name: 'A', versionId: world.one.id, weightPercent: 90 },
      { name: 'B', versionId: world.two.id, weightPercent: 10 },
    ];
    const { id } = await world.deployments.startAbTest(asked({ arms }));
    // Somebody deals otherwise: as many to each.
    const { deploymentId } = await world.deployments.getAbTest(id);
    for (let i = 0; i < 200; i += 1) {
      world.platform.monitoring.predictions.record({
        ...{ deploymentId, versionId: i % 2 === 0 ? world.one.id : world.two.id },
        ...{ requestId: `x${i}`, role: 'primary', at: world.now() + i, features: {} },
        ...{ prediction: 'right', latencyMs: 1 },
      });
    }
    world.wait(1000);
    await world.platform.monitoring.predictions.flush();
    const { decision, winner, reason } = await world.deployments.abTestReport(id);
    expect([decision, winner]).toEqual(['SAMPLE_RATIO_MISMATCH', undefined]);
    expect(reason).toContain('not 90.0 %');
  });

  test('does not take a winner that breaks a guardrail', async () => {
    const outcome = { source: 'latency' } as const;
    const bounds = { low: 0, high: 200 };
    const guardrails = [{ name: 'latency', outcome, goal: 'lower', bounds, margin: 10 }] as const;
    const { id } = await world.deployments.startAbTest(asked({ guardrails }));
    world.behaves(world.one.id, { accuracy: 0.5 });
    world.behaves(world.two.id, { latencyMs: 100 });
    await world.traffic(600, minuteMs, { labels: true });
    const report = await world.deployments.abTestReport(id);
    expect([report.decision, report.winner]).toEqual(['CONTROL', 'A']);
    expect(report.guardrails[0]?.broken).toEqual(['B']);
  });

  test('counts a user once, and outcomes of events and labels', async () => {
    const order = { source: 'event', type: 'order.paid' } as const;
    const metrics: StartAbTest['metrics'] = [
      { name: 'bought', outcome: order, goal: 'higher' },
      {
        ...{ name: 'revenue', outcome: { ...order, value: 'amount' } },
        ...{ goal: 'higher', bounds: { low: 0, high: 100 } },
      },
    ];
    const { id, deploymentId } = await world.deployments.startAbTest(asked({ metrics }));
    for (let i = 0; i < 120; i += 1) {
      const user = Math.floor(i / 3);
      world.platform.monitoring.predictions.record({
        ...{ deploymentId, versionId: user % 2 === 0 ? world.one.id : world.two.id },
        ...{ requestId: `u${i}`, role: 'primary', at: world.now() + i, features: {} },
        ...{ key: `user-${user}`, prediction: 'x', latencyMs: 1 },
      });
    }
    await world.platform.monitoring.predictions.flush();
    const pay = (payload: Record<string, string | number>) =>
      world.platform.events.publish({ type: order.type, subject: 'order:1', payload });
    await pay({ key: 'user-1', amount: 30 });
    await pay({ requestId: 'u0', amount: 20 });
    await pay({ key: 'user-1', amount: 12 });
    world.wait(5 * minuteMs);
    const report = await world.deployments.abTestReport(id);
    expect(report.exposures).toEqual({ A: 20, B: 20 });
    expect(report.metrics.map(({ arms }) => arms.map(({ mean }) => mean))).toEqual([
      [1 / 20, 1 / 20],
      [1, 42 / 20],
    ]);
  });

  test.each<[string, (of: StartAbTest) => object]>([
    ['sum to 90', ({ arms }) => ({ arms: arms.map((arm) => ({ ...arm, weightPercent: 45 })) })],
    ['one version', ({ arms }) => ({ arms: arms.map((a) => ({ ...a, versionId: 'x' })) })],
    ['no arm C', () => ({ control: 'C' })],
    [
      'bounds are missing',
      () => ({
        metrics: [{ name: 'ms', outcome: { source: 'latency' }, goal: 'lower' }],
      }),
    ],
    ['metrics.0.outcome', () => ({ metrics: [{ name: 'x', outcome: {}, goal: 'lower' }] })],
    ['stickyHeader', () => ({ stickyHeader: '' })],
  ])('is refused, saying why: %s', async (why, change) => {
    const options = { ...asked(), ...change(asked()) } as StartAbTest;
    const { code, message } = await refusal(world.deployments.startAbTest(options));
    expect([code, message.includes(why)], message).toEqual(['INVALID', true]);
  });
});
