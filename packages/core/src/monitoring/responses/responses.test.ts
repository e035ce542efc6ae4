import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { refusal } from '../../../test/registry-world.ts';
import { openResponseWorld, type ResponseWorld } from '../../../test/response-world.ts';
import { createAnalysisLoop } from '../analysis-loop.ts';
import type { MonitorRule } from '../rule.ts';
import { attentiveSettings } from './attentive-settings.ts';
import {
  decideResponse,
  kindOf,
  type ResponseFacts,
  type Trouble,
  troubleOf,
} from './response-decision.ts';
import type { ResponsePolicyOptions } from './response-policy.ts';
import type { ResponseDecision } from './response-records.ts';
import { calendarAt } from './route-calendar.ts';

const hourMs = 3_600_000;

const trouble: Trouble = {
  ...{ eventId: 'e1', type: 'alert.triggered', alertId: 'a1', severity: 'WARNING' },
  ...{ features: [], summary: 'accuracy fell', since: 1_000_000, at: 1_000_000 },
};
const facts: ResponseFacts = { now: 1_000_000, servingVersionId: 'v1', taken: {}, answered: [] };
const rollout = {
  ...{ id: 'r1', candidateVersionId: 'v1', baselineVersionId: 'v0', beganAt: 900_000 },
  endedAt: 950_000,
};
const retrain = { pipeline: 'train' };

function decided(
  policy: ResponsePolicyOptions,
  of: Partial<Trouble> = {},
  given: Partial<ResponseFacts> = {},
): readonly string[] {
  const { acts } = decideResponse(policy, { ...trouble, ...of }, { ...facts, ...given }, undefined);
  return acts.map(({ action, state }) => (state === 'PENDING' ? action : `${action} ${state}`));
}

describe('the response matrix', () => {
  test.each<[string, ResponsePolicyOptions, Partial<ResponseFacts>, readonly string[]]>([
    ['SUDDEN', {}, { active: { ...rollout, status: 'IN_PROGRESS' } }, ['rollback']],
    ['SUDDEN', {}, { last: { ...rollout, status: 'COMPLETED' } }, ['rollback']],
    [
      ...['SUDDEN', {}, { last: { ...rollout, status: 'COMPLETED', candidateVersionId: 'v9' } }],
      ['rollback SKIPPED', 'pause-rollout SKIPPED', 'page'],
    ] as never,
    [
      ...['SUDDEN', {}, { active: { ...rollout, status: 'IN_PROGRESS', beganAt: 1_000_001 } }],
      ['rollback SKIPPED', 'pause-rollout', 'page'],
    ] as never,
    ['GRADUAL', { retrain }, { labels: 100 }, ['retrain']],
    ['GRADUAL', { retrain }, { labels: 99 }, ['retrain SKIPPED', 'notify']],
    ['GRADUAL', {}, {}, ['retrain SKIPPED', 'notify']],
    ['INCREMENTAL', { retrain }, {}, ['update']],
    ['RECURRING', { calendar: { entries: [] } }, {}, ['follow-calendar']],
    ['RECURRING', {}, {}, ['follow-calendar SKIPPED', 'notify']],
    ['BLIP', {}, {}, ['raise-attention']],
    ['WHO KNOWS', { retrain }, {}, ['retrain']],
  ])('answers %s, %#', (driftKind, policy, given, expected) => {
    expect(decided(policy, { driftKind }, given)).toEqual(expected);
  });

  test('CRITICAL freezes beside what its kind is answered by; a policy may say otherwise', () => {
    const grave = { driftKind: 'BLIP', severity: 'CRITICAL' } as const;
    expect(decided({}, grave)).toEqual(['raise-attention', 'freeze']);
    const matrix = { CRITICAL: ['page'], BLIP: [] } as const;
    expect(decided({ matrix }, grave)).toEqual(['page']);
  });

  test('errors and latencies are no drift', () => {
    expect(kindOf({ about: 'LATENCY' })).toBe('OTHER');
    expect(decided({ retrain }, { about: 'LATENCY' })).toEqual([]);
    expect(decided({ retrain }, { about: 'FEATURE_DRIFT' })).toEqual(['retrain']);
  });

  test('a dry run decides the same, and says so', () => {
    expect(decided({ retrain, dryRun: true }, { severity: 'EMERGENCY' })).toEqual([
      ...['retrain DRY_RUN', 'freeze DRY_RUN'],
    ]);
  });

  test('an action over its limit is LIMITED, with the time from which it may be again', () => {
    const given = { ...facts, taken: { retrain: [facts.now - hourMs] } };
    const { acts } = decideResponse({ retrain }, trouble, given, undefined);
    const again = new Date(facts.now + 23 * hourMs).toISOString();
    expect(acts).toMatchObject([
      { action: 'retrain', state: 'LIMITED', reason: expect.stringContaining(again) },
    ]);
    const later = { ...given, now: facts.now + 23 * hourMs };
    expect(decideResponse({ retrain }, trouble, later, undefined).acts[0]?.state).toBe('PENDING');
  });

  test('all actions of a policy together have a limit', () => {
    const matrix = { UNKNOWN: ['notify', 'raise-attention', 'page'] } as const;
    const limits = { all: { count: 3, withinMs: hourMs } };
    expect(decided({ matrix, limits }, {}, { taken: { freeze: [facts.now] } })).toEqual([
      ...['notify', 'raise-attention', 'page LIMITED'],
    ]);
  });

  test('what has answered the trouble before is not done again', () => {
    expect(decided({ retrain }, { severity: 'CRITICAL' }, { answered: ['retrain'] })).toEqual([
      'freeze',
    ]);
  });

  test('what an event lacks is filled in, and what it has of another kind is left', () => {
    const event = { id: 'e', type: 'performance.degraded', at: 5, payload: { features: 'x' } };
    expect(troubleOf(event as never)).toEqual({
      ...{ eventId: 'e', type: 'performance.degraded', severity: 'WARNING', features: [] },
      ...{ summary: 'performance.degraded', since: 5, at: 5 },
    });
  });
});

test('the entry of a calendar is the one that began last, the later of two that begin together', () => {
  const entries = [
    { cron: '0 0 1 12 *', version: 'winter' },
    { cron: '0 0 1 6 *', version: 'summer' },
  ];
  expect(calendarAt({ entries }, Date.parse('2026-08-01'))?.version).toBe('summer');
  expect(calendarAt({ entries }, Date.parse('2026-02-01'))).toEqual({
    ...{ version: 'winter', since: Date.parse('2025-12-01') },
  });
  const twice = [...entries, { cron: '0 0 1 6 *', version: 'beach' }];
  expect(calendarAt({ entries: twice }, Date.parse('2026-06-01'))?.version).toBe('beach');
  const tokyo = { entries, timeZone: 'Asia/Tokyo' };
  expect(calendarAt(tokyo, Date.parse('2026-05-31T15:00Z'))?.version).toBe('summer');
});

describe('policies at work', () => {
  let world: ResponseWorld;
  beforeEach(async () => {
    world = await openResponseWorld();
  });
  afterEach(() => world[Symbol.asyncDispose]());

  const last = async (): Promise<ResponseDecision> => {
    const [decision] = await world.responses.decisions('api');
    if (decision === undefined) throw new Error('Nothing was decided.');
    return decision;
  };
  const states = async (): Promise<readonly string[]> =>
    (await last()).acts.map(({ action, state }) => `${action} ${state}`);

  test('an event that comes twice, to two processes, is answered once; one of before not at all', async () => {
    const before = await world.alert({ driftKind: 'BLIP' });
    world.wait(1000);
    await world.responses.put('api', {});
    await world.deliver(before);
    expect(await world.responses.decisions('api')).toEqual([]);
    const other = await world.another();
    const event = await world.alert({ driftKind: 'SUDDEN', severity: 'CRITICAL' });
    await Promise.all([world.deliver(event), other.deliver(event), world.deliver(event)]);
    expect(await world.responses.decisions('api')).toHaveLength(1);
    await Promise.all([world.act(), other.act()]);
    await world.deliver(event);
    await world.act();
    expect(await states()).toEqual(
      expect.arrayContaining(['rollback SKIPPED', 'page DONE', 'freeze DONE']),
    );
    const told = await world.told();
    expect(told.filter((type) => type === 'response.paged')).toHaveLength(1);
    expect(told.filter((type) => type === 'freeze.placed')).toHaveLength(1);
    const { correlationId, inputs } = await last();
    expect(correlationId).toBe(event.correlationId);
    expect(inputs.trouble).toMatchObject({ driftKind: 'SUDDEN', summary: 'accuracy fell' });
  });

  test('the decision follows from its recorded inputs', async () => {
    await world.responses.put('api', {});
    await world.deliver(await world.alert({ driftKind: 'SUDDEN' }));
    const { inputs, matched, acts } = await last();
    const again = decideResponse({}, inputs.trouble, inputs.facts, undefined);
    expect(again.matched).toBe(matched);
    const plain = (all: readonly { action: string; reason: string }[]): unknown =>
      all.map(({ action, reason }) => `${action}: ${reason}`).toSorted();
    expect(plain(again.acts)).toEqual(plain(acts));
  });

  test('sudden drift aborts the rollout that it began with, and goes back from one that is complete', async () => {
    const { deployments, one, two } = world;
    await world.responses.put('api', {});
    const steps = [{ weightPercent: 100, shadow: false, gates: [], minDurationMs: hourMs }];
    const start = { deployment: 'api', versionId: two.id, steps, reason: 'new' };
    await deployments.startRollout(start);
    world.wait(60_000);
    await world.deliver(await world.alert({ driftKind: 'SUDDEN' }));
    await world.act();
    expect((await world.rollout()).status).toBe('ROLLED_BACK');
    const { id } = await deployments.startRollout({ ...start, requestKey: 'again' });
    await deployments.promoteRollout(id, 'I am sure', { to: 'end' });
    world.wait(60_000);
    await world.deliver(await world.alert({ driftKind: 'SUDDEN' }));
    // Decided, and killed before it acts: another process does it.
    const other = await world.another();
    await other.act();
    expect((await deployments.route('api')).route.targets[0]?.versionId).toBe(one.id);
    expect(await states()).toEqual(['rollback DONE']);
  });

  test('CRITICAL freezes promotions, rollouts and traffic by hand until it is acknowledged', async () => {
    const { deployments, one, two, platform } = world;
    await world.responses.put('api', {});
    const steps = [
      { weightPercent: 5, shadow: false, gates: [], minDurationMs: 1000 },
      { weightPercent: 100, shadow: false, gates: [], minDurationMs: 1000 },
    ];
    const asked = { deployment: 'api', versionId: two.id, steps, reason: 'new' };
    const { id } = await deployments.startRollout(asked);
    const matrix = { UNKNOWN: [] };
    await world.responses.put('api', { matrix });
    const event = await world.alert({ severity: 'CRITICAL' });
    await world.deliver(event);
    await world.act();
    world.wait(10_000);
    const held = await deployments.evaluateRollout(id);
    expect([held.stepIndex, held.status]).toEqual([0, 'IN_PROGRESS']);
    const alertId = String(event.payload['alertId']);
    expect((await refusal(deployments.promoteRollout(id, 'now'))).message).toContain(alertId);
    const { model, version } = two;
    const promotion = { model, version, to: 'STAGING', reason: 'r' } as const;
    expect((await refusal(platform.registry.requestTransition(promotion))).message).toContain(
      `monitoring.responses.unfreeze('${alertId}'`,
    );
    expect(await deployments.freezes('api')).toMatchObject([{ alertId, deployment: 'api' }]);
    // Going back is never frozen.
    await deployments.abortRollout(id, 'enough');
    expect((await refusal(deployments.setVersion('api', two.id, 'r'))).code).toBe('CONFLICT');
    const restart = { ...asked, requestKey: 'r2' };
    expect((await refusal(deployments.startRollout(restart))).message).toContain('frozen by alert');
    const acknowledged = { alertId, rule: 'accuracy', severity: 'CRITICAL', by: 'user:ana' };
    await world.deliver(await world.emit('alert.acknowledged', acknowledged));
    expect(await deployments.freezes('api')).toEqual([]);
    await platform.registry.requestTransition(promotion);
    await deployments.startRollout(restart);
    await deployments.abortRollout((await world.rollout()).id, 'done');
    await deployments.setVersion('api', two.id, 'r');
    await deployments.setVersion('api', one.id, 'r');
    expect((await refusal(world.responses.unfreeze(alertId, { reason: 'r' }))).code).toBe(
      'NOT_FOUND',
    );
  });

  test('a dry run does nothing; a disabled policy decides nothing, and does not go on', async () => {
    await world.responses.put('api', { dryRun: true });
    await world.deliver(await world.alert({ severity: 'CRITICAL', driftKind: 'BLIP' }));
    await world.act();
    expect(await states()).toEqual(
      expect.arrayContaining(['raise-attention DRY_RUN', 'freeze DRY_RUN']),
    );
    expect((await last()).dryRun).toBe(true);
    expect(await world.deployments.freezes('api')).toEqual([]);
    await world.responses.put('api', {});
    await world.deliver(await world.alert({ driftKind: 'BLIP' }));
    await world.responses.disable('api', 'holidays');
    await world.deliver(await world.alert({ driftKind: 'BLIP' }));
    await world.act();
    expect(await world.responses.decisions('api')).toHaveLength(2);
    expect(await states()).toEqual(['raise-attention PENDING']);
    expect(await world.responses.attention(world.deploymentId)).toBeUndefined();
    await world.responses.enable('api');
    await world.act();
    expect(await states()).toEqual(['raise-attention DONE']);
    const attention = await world.responses.attention(world.deploymentId);
    expect(attention?.until).toBe((await last()).at + hourMs);
    world.wait(hourMs);
    expect(await world.responses.attention(world.deploymentId)).toBeUndefined();
  });

  test('rules of one’s own come first; one that cannot be asked is noted, and the matrix decides', async () => {
    const rules = [
      { name: 'broken', when: 'event.payload.nothing > 1', do: ['cut-traffic'] },
      {
        name: 'mine',
        when: 'event.payload.rule == "latency"',
        do: [{ action: 'notify', text: 'look' }],
      },
    ] as const;
    await world.responses.put('api', { rules });
    await world.deliver(await world.alert({ rule: 'latency', kind: 'LATENCY' }));
    await world.act();
    expect(await last()).toMatchObject({ matched: 'mine', acts: [{ state: 'DONE' }] });
    expect((await last()).inputs.faults).toEqual([expect.stringContaining('broken: ')]);
    const bad = { rules: [{ name: 'x', when: 'event.', do: [] }] };
    expect((await refusal(world.responses.put('api', bad))).code).toBe('SYNTAX');
    const typo = { matrix: { SUDEN: [] } } as never;
    expect((await refusal(world.responses.put('api', typo))).code).toBe('INVALID');
  });

  test('cut traffic: the fallback version, or nobody; a calendar: the version of the season, once', async () => {
    const { deployments, one, two } = world;
    const matrix = { SUDDEN: ['cut-traffic'], BLIP: ['cut-traffic'] } as const;
    const limits = { actions: { 'cut-traffic': { count: 5, withinMs: hourMs } } };
    await deployments.configure('api', { traffic: { fallbackVersionId: two.id } }, 'r');
    const calendar = { entries: [{ cron: '0 0 1 * *', version: one.version }] };
    await world.responses.put('api', { matrix, limits, calendar });
    const serving = async () => (await deployments.route('api')).route.targets[0]?.versionId;
    await world.deliver(await world.alert({ driftKind: 'SUDDEN' }));
    await world.act();
    expect(await serving()).toBe(two.id);
    await world.deliver(await world.alert({ driftKind: 'RECURRING' }));
    await world.act();
    expect(await serving()).toBe(one.id);
    // By hand afterwards: left alone until the next time.
    await deployments.setVersion('api', two.id, 'r');
    await world.act();
    expect(await serving()).toBe(two.id);
    world.wait(32 * 24 * hourMs);
    await world.act();
    expect(await serving()).toBe(one.id);
    await deployments.setVersion('api', two.id, 'r');
    await world.deliver(await world.alert({ driftKind: 'BLIP' }));
    await world.act();
    expect((await deployments.get('api')).status).toBe('STOPPED');
  });
});

test('what comes in is analysed each ten minutes, each minute under attention, whatever process does it', async () => {
  await using world = await openResponseWorld();
  const { monitoring } = world.platform;
  const { deploymentId: id, one } = world;
  const align = (ms: number): void => world.wait(ms - (world.now() % ms));
  align(600_000);
  const rule: MonitorRule = {
    ...{ name: 'accuracy', rule: 'accuracy', alpha: 0.01, tolerance: 0.05, minimumTrials: 30 },
    severity: 'CRITICAL',
  };
  const known = { features: {}, label: 'right', prediction: 'right' };
  await monitoring.watchLabels({
    ...{ deployment: { id, name: 'api' }, versionId: one.id, rules: [rule], at: world.now() },
    reference: Array.from({ length: 200 }, () => known),
  });
  await world.responses.put('api', { matrix: { UNKNOWN: ['raise-attention'] } });
  const scope = { ...world.scope, clock: { now: world.now } };
  const loops = [1, 2].map(() => createAnalysisLoop(scope, monitoring));
  const analyse = async (): Promise<number> => {
    for (const loop of loops) await loop.runOnce(new AbortController().signal);
    return (await monitoring.listAnalyses(id)).length;
  };
  const began = await analyse();
  world.behaves(one.id, { accuracy: 0.4 });
  await world.traffic(120, 540_000, { labels: true });
  expect(await analyse()).toBe(began);
  world.wait(60_000);
  // One interval after the drift began there is the alert.
  expect(await analyse()).toBe(began + 1);
  const [alert] = await monitoring.listAlerts(id);
  expect(alert?.firstAt).toBe(world.now());
  const { correlationId } = alert as { correlationId: string };
  for await (const event of world.platform.events.each({ correlationId })) {
    await world.deliver(event);
  }
  await world.act();
  expect(await world.responses.attention(id)).toBeDefined();
  // Meanwhile every row is kept, whatever the settings say.
  const sampling = { rate: 0.01, strata: { by: 'region', rates: { eu: 0 } } } as const;
  const get = async () => ({ deploymentId: id, revision: 3, setAt: 1, sampling });
  const settings = attentiveSettings(scope, { get });
  expect(await settings.get(id)).toMatchObject({ sampling: { rate: 1 }, revision: -4 });
  expect((await settings.get(id)).sampling).not.toHaveProperty('strata');
  expect(await settings.get('another')).toMatchObject({ sampling, revision: 3 });
  world.wait(60_000);
  expect(await analyse()).toBe(began + 2);
  expect(await world.deployments.freezes('api')).toHaveLength(1);
  await monitoring.acknowledge(alert?.id ?? '', { comment: 'I look at it' });
  const types = ['alert.acknowledged'];
  for await (const event of world.platform.events.each({ types })) await world.deliver(event);
  expect(await world.deployments.freezes('api')).toEqual([]);
});
