import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openRegistryWorld, type RegistryWorld, refusal } from '../../test/registry-world.ts';
import type { ModelVersion } from './model-version.ts';
import { withThresholds } from './policy-shape.ts';
import type { Registry } from './registry.ts';
import { defaultStagePolicy, type StagePolicy, type TransitionRule } from './stage-policy.ts';

let world: RegistryWorld;
let registry: Registry;
let skewMs: number;

beforeEach(async () => {
  skewMs = 0;
  world = await openRegistryWorld({ clock: { now: () => Date.now() + skewMs } });
  registry = world.platform.registry;
});

afterEach(() => world[Symbol.asyncDispose]());

const ask = ({ model, version }: ModelVersion, to: TransitionRule['to'], more = {}) =>
  registry.requestTransition({ model, version, to, reason: 'r', ...more });

/** The default policy with one rule changed. */
function policyWith(to: TransitionRule['to'], more: Partial<TransitionRule>): StagePolicy {
  const transitions = defaultStagePolicy.transitions.map((rule) =>
    rule.to === to ? { ...rule, ...more } : rule,
  );
  return { ...defaultStagePolicy, transitions };
}

async function told(...types: readonly string[]): Promise<readonly string[]> {
  const events = await Array.fromAsync(world.platform.events.each({ types: [...types] }));
  return events.map(({ type }) => type);
}

async function stages(): Promise<readonly string[]> {
  return (await registry.listVersions('m')).map(({ stage }) => stage);
}

describe('a request', () => {
  test('is withdrawn by who asked, and by nobody else', async () => {
    const one = await world.register('one');
    await ask(one, 'STAGING');
    const asked = await ask(one, 'PRODUCTION');
    expect((await refusal(world.ana.registry.withdraw(asked.id))).code).toBe('FORBIDDEN');
    const gone = await registry.withdraw(asked.id, { comment: 'a better one is coming' });
    expect(gone).toMatchObject({ status: 'WITHDRAWN', ended: 'a better one is coming' });
    expect((await refusal(world.ana.registry.approve(asked.id))).code).toBe('CONFLICT');
    expect(await told('promotion.withdrawn')).toHaveLength(1);
  });

  test('expires: by the loop, and for who comes before the loop', async () => {
    const one = await world.register('one');
    await registry.setPolicy('m', policyWith('PRODUCTION', { expiresMs: 60_000 }));
    await ask(one, 'STAGING');
    const first = await ask(one, 'PRODUCTION');
    const second = await ask(one, 'PRODUCTION');
    expect(first.expiresAt).toBeTypeOf('number');
    skewMs = 60_001;
    expect((await refusal(world.ana.registry.approve(first.id))).message).toContain('expired');
    expect((await registry.getTransition(first.id)).status).toBe('EXPIRED');
    world.platform.start();
    await expect
      .poll(async () => (await registry.getTransition(second.id)).status, { timeout: 20_000 })
      .toBe('EXPIRED');
    expect(await told('promotion.expired')).toHaveLength(2);
    expect(await stages()).toEqual(['STAGING']);
  });

  test('asks for a confirmation where the policy does, and for a replacement of what is deployed', async () => {
    const one = await world.register('one');
    const two = await world.register('two');
    expect((await refusal(ask(one, 'ARCHIVED'))).message).toContain('confirm: true');
    await world.platform.deployments.create({
      ...{ name: 'api', versionId: one.id, environment: 'STAGING' },
    });
    const refused = await refusal(ask(one, 'ARCHIVED', { confirm: true }));
    expect(refused.message).toContain('used by deployment api');
    const replacement = two.version;
    const done = await ask(one, 'ARCHIVED', { confirm: true, replacement });
    expect(done).toMatchObject({ status: 'DONE', replacementId: two.id });
  });

  test('roles: so many people, and of each role so many', async () => {
    const one = await world.register('one');
    const requiredRoles = [{ role: 'risk', count: 1 }];
    await registry.setPolicy('m', policyWith('PRODUCTION', { approvals: 2, requiredRoles }));
    await ask(one, 'STAGING');
    const asked = await ask(one, 'PRODUCTION');
    const dan = world.platform.as({ principal: { id: 'user:dan', roles: ['approver'] } });
    expect((await world.ana.registry.approve(asked.id)).status).toBe('PENDING');
    expect((await dan.registry.approve(asked.id)).status).toBe('PENDING');
    expect((await world.ceri.registry.approve(asked.id)).status).toBe('DONE');
    expect(await stages()).toEqual(['PRODUCTION']);
  });

  test('is compared again with what got into production while it waited', async () => {
    const metrics = (accuracy: number) => ({ metrics: { accuracy } });
    const weak = await world.register('weak', metrics(0.8));
    const strong = await world.register('strong', metrics(0.95));
    await ask(weak, 'STAGING');
    await ask(strong, 'STAGING');
    const [first, second] = [await ask(weak, 'PRODUCTION'), await ask(strong, 'PRODUCTION')];
    await world.ana.registry.approve(second.id);
    const refused = await refusal(world.ana.registry.approve(first.id));
    expect([refused.code, refused.message]).toEqual([
      'CONFLICT',
      expect.stringContaining('accuracy 0.8 against 0.95'),
    ]);
    expect(await stages()).toEqual(['STAGING', 'PRODUCTION']);
  });

  test('several in production, where the policy allows it', async () => {
    const versions = [await world.register('one'), await world.register('two')];
    await registry.setPolicy('m', { ...defaultStagePolicy, singleProduction: false });
    for (const version of versions) await world.toProduction(version);
    expect(await stages()).toEqual(['PRODUCTION', 'PRODUCTION']);
    expect((await registry.productionVersion('m'))?.id).toBe(versions[1]?.id);
    await ask(versions[1] as ModelVersion, 'ARCHIVED', { confirm: true });
    expect((await registry.productionVersion('m'))?.id).toBe(versions[0]?.id);
    expect(await registry.stageVersions('m')).toEqual({
      ...{ DEVELOPMENT: [], STAGING: [], PRODUCTION: ['1.0.0'], ARCHIVED: ['1.1.0'] },
    });
    // A policy that allows one again archives all others with the next.
    await registry.setPolicy('m', defaultStagePolicy);
    await world.toProduction(await world.register('three'));
    expect(await stages()).toEqual(['ARCHIVED', 'ARCHIVED', 'PRODUCTION']);
  });
});

describe('checks', () => {
  test('of one’s own are brought by the process, and named by the policy', async () => {
    const one = await world.register('one');
    const bias = { check: 'own', name: 'bias' } as const;
    await registry.setPolicy('m', policyWith('STAGING', { checks: [bias] }));
    const lacking = await ask(one, 'STAGING');
    expect(lacking.checks[0]).toMatchObject({ passed: false, detail: /addCheck/ });
    let gap = 0.2;
    registry.addCheck('bias', async () => {
      if (gap > 0.1) throw new Error(`groups differ by ${gap}`);
      return `groups differ by ${gap}`;
    });
    const failed = await ask(one, 'STAGING');
    expect(failed).toMatchObject({ status: 'FAILED', ended: 'bias: groups differ by 0.2' });
    gap = 0.05;
    expect((await ask(one, 'STAGING')).status).toBe('DONE');
    expect(() => registry.addCheck('bias', () => 'another')).toThrow(/another check bias/);
  });

  test('lineage: what it was made from is known', async () => {
    const { registry: all, tracking } = world.platform;
    const checks = [{ check: 'lineage', of: ['run', 'data', 'code'] }] as const;
    const made = async (withData: boolean) =>
      await tracking.withRun({ experiment: 'e' }, async (run) => {
        await run.logArtifact('model/a.json', Buffer.from(`${withData}`));
        if (withData) await run.logDataset({ name: 'd', digest: 'f00', role: 'train' });
        return run.id;
      });
    for (const withData of [false, true]) {
      const from = { runId: await made(withData), path: 'model' };
      const lineage = { codeCommit: 'abc123', parentVersionIds: [] };
      const version = await all.register({ model: 'm', from, format: 'JS', lineage });
      await registry.setPolicy('m', policyWith('STAGING', { checks }));
      const asked = await ask(version, 'STAGING');
      expect(asked.status).toBe(withData ? 'DONE' : 'FAILED');
      if (!withData) expect(asked.ended).toContain('which data it is from');
    }
  });

  test('thresholds go into both ways up', async () => {
    const one = await world.register('one', { metrics: { auc: 0.7 } });
    await registry.setPolicy('m', withThresholds(defaultStagePolicy, { auc: { min: 0.9 } }));
    expect((await ask(one, 'STAGING')).ended).toBe('metric auc: 0.7, at least 0.9 is asked');
  });

  test.each([
    ['comparison', { val_loss: 0.5 }, { val_loss: 0.505 }, true],
    ['comparison', { val_loss: 0.5 }, { val_loss: 0.52 }, false],
    ['comparison', { accuracy: 0.9 }, { accuracy: Number.NaN }, false],
    ['comparison', { accuracy: 0.9, whatever: 1 }, { accuracy: 0.95, whatever: 0 }, true],
    ['comparison', { loss: 0 }, { loss: 0 }, true],
  ])('%s: %j in production, %j asks: %j', async (_, before, after, passes) => {
    const one = await world.register('one', { metrics: before });
    await world.toProduction(one);
    const two = await world.register('two', { metrics: after });
    await ask(two, 'STAGING');
    expect((await ask(two, 'PRODUCTION')).status).toBe(passes ? 'PENDING' : 'FAILED');
  });
});

describe('a policy', () => {
  const rule = defaultStagePolicy.transitions[0] as TransitionRule;
  test.each([
    ['an unknown check', { ...rule, checks: [{ check: 'luck' }] }, /checks/],
    [
      'a metric without bounds',
      { ...rule, checks: [{ check: 'metric', metric: 'a' }] },
      /min or max/,
    ],
    ['a way that leads nowhere', { ...rule, to: 'DEVELOPMENT' }, /leads nowhere/],
    ['the way of the emergency', { ...rule, from: 'ARCHIVED', to: 'PRODUCTION' }, /rollback/],
    [
      'a role that may not approve',
      { ...rule, approvals: 1, approverRoles: ['a'], requiredRoles: [{ role: 'b', count: 1 }] },
      /do not let approve/,
    ],
    [
      'more of a role than approvals',
      { ...rule, approvals: 1, requiredRoles: [{ role: 'b', count: 2 }] },
      /2 of b/,
    ],
    ['an effect twice', { ...rule, effects: ['a', 'a'] }, /twice/],
    ['an unknown option', { ...rule, aproverRoles: [] }, /aproverRoles/],
  ])('with %s is refused', async (_, broken, message) => {
    await world.register('one');
    const policy = { ...defaultStagePolicy, transitions: [broken as TransitionRule] };
    const refused = await refusal(registry.setPolicy('m', policy));
    expect([refused.code, refused.message]).toEqual(['INVALID', expect.stringMatching(message)]);
  });

  test('with two rules for one way is refused', async () => {
    await world.register('one');
    const policy = { ...defaultStagePolicy, transitions: [rule, rule] };
    expect((await refusal(registry.setPolicy('m', policy))).message).toContain('two rules');
  });
});
