import { describe, expect, test } from 'vitest';
import { openTestPlatform } from '../../test/open-test-platform.ts';
import type { Principal } from '../contracts/ports.ts';
import type { Platform, Services } from '../open-platform.ts';
import { permissions } from './permissions.ts';

const lead = { id: 'user:lead', roles: [] };
const forbidden = { code: 'FORBIDDEN' };

async function open(clock?: { now(): number }): Promise<{
  readonly platform: Platform;
  as(principal: string | Principal, workspace?: string): Services;
}> {
  const { platform } = await openTestPlatform({
    access: true,
    principal: lead,
    ...(clock === undefined ? {} : { clock }),
  });
  return {
    platform,
    as: (principal, workspace = 'default') =>
      platform.as({
        workspace,
        principal: typeof principal === 'string' ? { id: principal, roles: [] } : principal,
      }),
  };
}

async function eventsOf(services: Services, type: string) {
  return Array.fromAsync(services.events.each({ types: [type] }));
}

describe('roles', () => {
  test('who has none may do nothing; a role on the workspace holds for all that lies in it', async () => {
    const { platform, as } = await open();
    await platform.tracking.createExperiment({ name: 'weather' });
    const ana = as('user:ana');
    await expect(ana.tracking.getExperiment('weather')).rejects.toMatchObject(forbidden);
    await expect(ana.tracking.getExperiment('no such')).rejects.toMatchObject(forbidden);
    const access = platform.operations.access;
    await access.grant({ principal: 'user:ana', role: 'viewer' });
    expect((await ana.tracking.getExperiment('weather')).name).toBe('weather');
    await expect(ana.tracking.getExperiment('no such')).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
    await expect(ana.tracking.createExperiment({ name: 'x' })).rejects.toMatchObject(forbidden);
    expect(await access.revoke({ principal: 'user:ana' })).toBe(1);
    await expect(ana.tracking.getExperiment('weather')).rejects.toMatchObject(forbidden);
  });

  test('a role on an experiment holds for its runs, by whatever name, and for no other', async () => {
    const { platform, as } = await open();
    const { tracking } = platform;
    const mine = await tracking.createExperiment({ name: 'mine' });
    await tracking.createExperiment({ name: 'other' });
    const access = platform.operations.access;
    await access.grant({ principal: 'user:ana', role: 'editor', resource: 'experiment:mine' });
    const ana = as('user:ana').tracking;
    const run = await ana.withRun({ experiment: 'mine', environment: false }, async (active) => {
      active.logMetric('loss', 1);
      await active.logParam('rate', 0.1);
      await active.logText('a.txt', 'text');
      return active.id;
    });
    const foreign = await tracking.startRun({ experiment: 'other', environment: false });
    await foreign.finish();
    expect((await ana.getRun(run)).metrics).toEqual({ loss: 1 });
    await expect(ana.getRun(foreign.id)).rejects.toMatchObject(forbidden);
    await expect(ana.startRun({ experiment: 'other' })).rejects.toMatchObject(forbidden);
    await expect(ana.compareRuns([run, foreign.id])).rejects.toMatchObject(forbidden);
    // Lists hold what they may see; searches name what they look at.
    expect((await ana.listExperiments()).experiments.map((each) => each.name)).toEqual(['mine']);
    expect((await ana.searchRuns({ experiment: 'mine' })).runs).toHaveLength(1);
    await expect(ana.searchRuns()).rejects.toMatchObject(forbidden);
    await expect(ana.searchRuns({ experiment: ['mine', 'other'] })).rejects.toMatchObject(
      forbidden,
    );
    // A new name moves no right, to nobody.
    await tracking.updateExperiment('mine', { name: 'renamed' });
    await tracking.updateExperiment('other', { name: 'mine' });
    expect((await ana.getExperiment('renamed')).id).toBe(mine.id);
    await expect(ana.getExperiment('mine')).rejects.toMatchObject(forbidden);
  });

  test('a grant ends when it expires, and one made twice is there once', async () => {
    let now = 1_800_000_000_000;
    const { platform, as } = await open({ now: () => now });
    const access = platform.operations.access;
    const grant = { principal: 'user:ana', role: 'viewer' };
    const first = await access.grant({ ...grant, expiresAt: now + 1000 });
    const second = await access.grant({ ...grant, expiresAt: now + 2000 });
    expect(second.id).toBe(first.id);
    const ana = as('user:ana');
    now += 1500;
    await ana.tracking.listExperiments();
    now += 500;
    await expect(ana.tracking.listExperiments()).rejects.toMatchObject(forbidden);
  });

  test('nobody gives more than he has', async () => {
    const { platform, as } = await open();
    const access = platform.operations.access;
    await access.grant({ principal: 'user:ada', role: 'admin' });
    const ada = as('user:ada').operations.access;
    await ada.grant({ principal: 'user:ben', role: 'approver' });
    await expect(ada.grant({ principal: 'user:ada', role: 'owner' })).rejects.toMatchObject(
      forbidden,
    );
    await expect(
      ada.grant({ principal: 'user:ada', role: 'viewer', resource: 'platform' }),
    ).rejects.toMatchObject(forbidden);
    await expect(ada.defineRole({ name: 'more', permissions: ['*'] })).rejects.toMatchObject(
      forbidden,
    );
    const ben = as('user:ben').operations.access;
    await expect(ben.grant({ principal: 'user:ben', role: 'viewer' })).rejects.toMatchObject(
      forbidden,
    );
    await expect(ben.revoke({ principal: 'user:ada' })).rejects.toMatchObject(forbidden);
    // A role on one thing gives none on another.
    await platform.tracking.createExperiment({ name: 'e' });
    await access.grant({ principal: 'user:eva', role: 'admin', resource: 'experiment:e' });
    const eva = as('user:eva').operations.access;
    await eva.grant({ principal: 'user:fay', role: 'viewer', resource: 'experiment:e' });
    await expect(eva.grant({ principal: 'user:fay', role: 'viewer' })).rejects.toMatchObject(
      forbidden,
    );
  });

  test('roles of one’s own are checked, changed for all who have them, and give nothing once removed', async () => {
    const { platform, as } = await open();
    const access = platform.operations.access;
    await expect(
      access.defineRole({ name: 'odd', permissions: ['model.reed'] }),
    ).rejects.toMatchObject({ code: 'INVALID', message: expect.stringContaining('model.reed') });
    await expect(access.defineRole({ name: 'viewer', permissions: ['*'] })).rejects.toMatchObject({
      code: 'CONFLICT',
    });
    await access.defineRole({ name: 'auditor', permissions: ['model.read'] });
    await access.grant({ principal: 'user:ana', role: 'auditor' });
    const ana = as('user:ana');
    await ana.registry.listModels();
    await expect(ana.tracking.listExperiments()).rejects.toMatchObject(forbidden);
    await access.defineRole({ name: 'auditor', permissions: ['tracking.*'] });
    await ana.tracking.listExperiments();
    await expect(ana.registry.listModels()).rejects.toMatchObject(forbidden);
    await access.removeRole('auditor');
    await expect(ana.tracking.listExperiments()).rejects.toMatchObject(forbidden);
  });

  test('a role that the principal carries counts where it says, and at home alone where it does not', async () => {
    const { as } = await open();
    const ana = { id: 'user:ana', roles: ['viewer'] };
    await as(ana).tracking.listExperiments();
    await expect(as(ana, 'b').tracking.listExperiments()).rejects.toMatchObject(forbidden);
    const ben = { id: 'user:ben', roles: ['viewer@workspace:b'] };
    await as(ben, 'b').tracking.listExperiments();
    await expect(as(ben).tracking.listExperiments()).rejects.toMatchObject(forbidden);
    await as({ id: 'user:cy', roles: ['viewer@platform'] }, 'b').tracking.listExperiments();
  });

  test('the platform’s own principal cannot be claimed by its id', async () => {
    const { as } = await open();
    const forged = { id: 'service:keelson', roles: [] };
    await expect(as(forged).tracking.listExperiments()).rejects.toMatchObject(forbidden);
    expect(() => as('user:ana', '~platform')).toThrow('the platform keeps its own');
  });

  test('one workspace’s admin is nobody in another', async () => {
    const { platform, as } = await open();
    const other = platform.as({ workspace: 'b' });
    await other.operations.access.grant({ principal: 'user:bea', role: 'admin' });
    await other.tracking.createExperiment({ name: 'theirs' });
    await as('user:bea', 'b').tracking.getExperiment('theirs');
    await expect(as('user:bea').tracking.listExperiments()).rejects.toMatchObject(forbidden);
    await platform.operations.access.grant({
      principal: 'user:pat',
      role: 'viewer',
      resource: 'platform',
    });
    await as('user:pat', 'b').tracking.getExperiment('theirs');
    expect(
      await as('user:bea', 'b').operations.access.listGrants({ principal: 'user:bea' }),
    ).toHaveLength(1);
  });
});

describe('stages', () => {
  test('ARCHIVED is read-only for everybody; a grant can be for some stages alone', async () => {
    const { platform, as } = await open();
    const { registry, operations } = platform;
    const version = await registry.register({
      model: 'fraud',
      from: { files: { 'model.bin': new Uint8Array([1]) } },
      format: 'CUSTOM',
    });
    await operations.access.grant({
      principal: 'user:ana',
      role: 'editor',
      resource: 'model:fraud',
      stages: ['DEVELOPMENT'],
    });
    const ana = as('user:ana').registry;
    await ana.setVersionTags(version.id, { note: 'x' });
    await registry.requestTransition({
      model: 'fraud',
      version: version.version,
      to: 'ARCHIVED',
      reason: 'old',
      confirm: true,
    });
    await expect(ana.setVersionTags(version.id, { note: 'y' })).rejects.toMatchObject(forbidden);
    await expect(registry.setVersionTags(version.id, { note: 'y' })).rejects.toMatchObject({
      code: 'FORBIDDEN',
      message: expect.stringContaining('ARCHIVED and read-only'),
    });
    const deploying = platform.deployments.create({
      name: 'd',
      versionId: version.id,
      environment: 'STAGING',
    });
    await expect(deploying).rejects.toMatchObject(forbidden);
    expect((await registry.getVersionById(version.id)).tags).toMatchObject({ note: 'x' });
  });
});

test('a policy that asks for a role looks at those that were granted, on that model', async () => {
  const { platform, as } = await open();
  const { registry, operations } = platform;
  const { access } = operations;
  const from = { files: { 'model.bin': new Uint8Array([1]) } };
  const version = await registry.register({ model: 'fraud', from, format: 'CUSTOM' });
  await registry.setPolicy('fraud', {
    transitions: [
      { from: 'DEVELOPMENT', to: 'STAGING', checks: [], approvals: 1, approverRoles: ['risk'] },
    ],
    singleProduction: true,
    selfApproval: false,
  });
  const request = { model: 'fraud', version: version.version, to: 'STAGING', reason: 'x' } as const;
  const { id } = await registry.requestTransition(request);
  await access.grant({ principal: 'user:ana', role: 'approver' });
  // A role of that name that she carries from elsewhere is none here.
  const ana = as({ id: 'user:ana', roles: ['risk'] }).registry;
  await expect(ana.approve(id)).rejects.toMatchObject({
    message: expect.stringContaining('it takes one of the roles risk'),
  });
  await access.defineRole({ name: 'risk', permissions: ['model.read'] });
  await access.grant({ principal: 'user:ana', role: 'risk', resource: 'model:other' });
  await expect(as('user:ana').registry.approve(id)).rejects.toMatchObject(forbidden);
  await access.grant({ principal: 'user:ana', role: 'risk', resource: 'model:fraud' });
  expect((await as('user:ana').registry.approve(id)).status).toBe('DONE');
});

describe('delegation', () => {
  test('is never more than one’s own, also later, ends, and is told of when used', async () => {
    let now = 1_800_000_000_000;
    const { platform, as } = await open({ now: () => now });
    const access = platform.operations.access;
    await platform.tracking.createExperiment({ name: 'e' });
    await platform.tracking.createExperiment({ name: 'f' });
    await access.grant({ principal: 'user:ana', role: 'editor' });
    const lend = {
      to: 'user:ben',
      permissions: ['experiment.update', 'tracking.read'],
      resource: 'experiment:e',
      expiresAt: now + 10_000,
    };
    const ana = as('user:ana').operations.access;
    const asked = { ...lend, permissions: ['experiment.update', 'model.approve'] };
    await expect(ana.delegate(asked)).rejects.toMatchObject({
      code: 'FORBIDDEN',
      message: expect.stringContaining('model.approve'),
    });
    await expect(ana.delegate({ ...lend, resource: 'workspace' })).rejects.toMatchObject({
      code: 'INVALID',
    });
    const lent = await ana.delegate(lend);
    const ben = as('user:ben');
    await ben.tracking.updateExperiment('e', { description: 'by ben' });
    await expect(ben.tracking.updateExperiment('f', {})).rejects.toMatchObject(forbidden);
    // What is lent is not lent on.
    await access.grant({ principal: 'user:ben', role: 'approver' });
    await expect(ben.operations.access.delegate({ ...lend, to: 'user:cy' })).rejects.toMatchObject(
      forbidden,
    );
    // The lender loses it, and so does he; has it again, and so has he.
    await access.revoke({ principal: 'user:ana', role: 'editor' });
    await expect(ben.tracking.updateExperiment('e', {})).rejects.toMatchObject(forbidden);
    await access.grant({ principal: 'user:ana', role: 'editor' });
    await ben.tracking.updateExperiment('e', { description: 'again' });
    expect(
      await access.explain({
        principal: 'user:ben',
        action: 'experiment.update',
        resource: 'experiment:e',
      }),
    ).toMatchObject({ allowed: true, delegatedBy: 'user:ana', grantId: lent.id });
    now += 10_000;
    await expect(ben.tracking.updateExperiment('e', {})).rejects.toMatchObject(forbidden);
    const [used] = await eventsOf(platform, 'access.delegation_used');
    expect(used?.payload).toMatchObject({ grantId: lent.id, delegatedBy: 'user:ana' });
    expect((await eventsOf(platform, 'access.delegated')).map((each) => each.principal)).toEqual([
      'user:ana',
    ]);
  });

  test('can be taken back by lender and borrower, and by nobody else without a right', async () => {
    const { platform, as } = await open();
    const access = platform.operations.access;
    await platform.tracking.createExperiment({ name: 'e' });
    await access.grant({ principal: 'user:ana', role: 'editor' });
    const ana = as('user:ana').operations.access;
    const lend = {
      permissions: ['run.create'],
      resource: 'experiment:e',
      expiresAt: Date.now() + 1e7,
    };
    const first = await ana.delegate({ ...lend, to: 'user:ben' });
    const second = await ana.delegate({ ...lend, to: 'user:ben' });
    await expect(as('user:cy').operations.access.revoke(first.id)).rejects.toMatchObject(forbidden);
    expect(await as('user:ben').operations.access.revoke(first.id)).toBe(1);
    expect(await ana.revoke(second.id)).toBe(1);
    // What is not there is told to those who may grant.
    await expect(ana.revoke(second.id)).rejects.toMatchObject(forbidden);
    expect(await access.revoke(second.id)).toBe(0);
  });
});

describe('explain', () => {
  test('says by which grant, role and inheritance, and what is missing', async () => {
    const { platform, as } = await open();
    const access = platform.operations.access;
    const run = await platform.tracking.startRun({ experiment: 'e', environment: false });
    const { id } = await access.grant({
      principal: 'user:ana',
      role: 'editor',
      resource: 'experiment:e',
    });
    const question = { principal: 'user:ana', action: 'run.write', resource: `run:${run.id}` };
    expect(await access.explain(question)).toEqual({
      allowed: true,
      reason: `role editor on experiment:${run.experimentId} (${id})`,
      role: 'editor',
      grantId: id,
      inheritedFrom: `experiment:${run.experimentId}`,
    });
    expect(await access.explain({ ...question, action: 'model.promote' })).toMatchObject({
      allowed: false,
      reason: expect.stringContaining('approver, admin, owner'),
    });
    await expect(access.explain({ ...question, action: 'run.rite' })).rejects.toMatchObject({
      code: 'INVALID',
    });
    // Of oneself anybody may know; of others those who may see grants.
    const ana = as('user:ana').operations.access;
    expect((await ana.explain(question)).allowed).toBe(true);
    await expect(ana.explain({ ...question, principal: 'user:lead' })).rejects.toMatchObject(
      forbidden,
    );
    expect(Object.keys(access.listPermissions())).toEqual(Object.keys(permissions));
    await run.finish();
  });
});

test('refusals are told of, few of very many, and none of what a list leaves out', async () => {
  const { platform, as } = await open();
  const eve = as('user:eve');
  for (let i = 0; i < 50; i += 1) {
    await expect(eve.tracking.getRun(`${i}`)).rejects.toMatchObject(forbidden);
  }
  await expect(as('user:fay').registry.listModels()).rejects.toMatchObject(forbidden);
  await platform.operations.access.explain({ principal: 'user:eve', action: 'run.write' });
  const seen = async () => eventsOf(platform, 'access.refused');
  await expect.poll(async () => (await seen()).length).toBe(21);
  expect((await seen())[0]?.payload).toMatchObject({
    principal: 'user:eve',
    action: 'tracking.read',
    resource: 'run:0',
  });
});

test('without access everything is open, and access says so', async () => {
  const { platform } = await openTestPlatform();
  const bob = platform.as({ principal: { id: 'user:bob', roles: [] } });
  await bob.tracking.createExperiment({ name: 'x' });
  await bob.operations.access.grant({ principal: 'user:ana', role: 'viewer' });
  expect(
    await bob.operations.access.explain({ principal: 'user:bob', action: 'run.write' }),
  ).toEqual({ allowed: true, reason: 'no authorizer is configured' });
  await expect(platform.authenticate({ bearer: 'x' })).rejects.toMatchObject({
    code: 'UNSUPPORTED',
  });
  await expect(
    openTestPlatform({
      access: true,
      authorizer: { authorize: async () => ({ allowed: true, reason: '' }) },
    }),
  ).rejects.toMatchObject({ code: 'INVALID' });
});
