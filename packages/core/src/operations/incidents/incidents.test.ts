import { expect, test } from 'vitest';
import { openTestPlatform, until } from '../../../test/open-test-platform.ts';
import { openTestScope } from '../../../test/open-test-scope.ts';
import type { Change } from '../../contracts/metadata-store.ts';
import { withCorrelation } from '../../events/correlation.ts';
import { draftEvent } from '../../events/draft-event.ts';
import type { Platform } from '../../open-platform.ts';
import { platformKinds } from '../../platform-kinds.ts';
import { defaultStagePolicy } from '../../registry/stage-policy.ts';
import { timelineOf } from './incident-timeline.ts';

const signature = {
  inputs: [{ name: 'x', datatype: 'FP64', shape: [-1, 2] }],
  outputs: [{ name: 'label', datatype: 'BYTES', shape: [-1] }],
} as const;

async function deployed(platform: Platform): Promise<{ versions: string[]; deploymentId: string }> {
  const versions: string[] = [];
  for (const text of ['one', 'two']) {
    const files = { 'model.json': Buffer.from(text) };
    const from = { model: 'fraud', from: { files }, format: 'JS', signature } as const;
    versions.push((await platform.registry.register(from)).id);
  }
  const { id } = await platform.deployments.create({
    ...{ name: 'api', versionId: versions[0] as string, environment: 'PRODUCTION' },
  });
  return { versions, deploymentId: id };
}

test('a rollback opens an incident, once, with what happened, what it cost and what acted, to its review', async () => {
  const { platform } = await openTestPlatform({ principal: { id: 'user:ana', roles: [] } });
  const { incidents } = platform.operations;
  const { versions, deploymentId } = await deployed(platform);
  const rollout = await platform.deployments.startRollout({
    ...{ deployment: 'api', versionId: versions[1] as string, reason: 'better' },
    steps: [{ weightPercent: 100, shadow: false, gates: [], minDurationMs: 3_600_000 }],
  });
  for (let i = 0; i < 10; i += 1) {
    platform.monitoring.predictions.record({
      ...{ deploymentId, versionId: versions[0] as string, requestId: `r${i}`, role: 'primary' },
      ...{ at: Date.now(), features: {}, prediction: 'a', latencyMs: 1 },
      ...(i < 3 ? { error: 'no answer' } : {}),
    });
  }
  await platform.monitoring.predictions.flush();
  const labels = [3, 4].map((i) => ({
    ...{ requestId: `r${i}`, value: i === 3 ? 'a' : 'b', observedAt: Date.now() },
  }));
  await platform.monitoring.logLabels(deploymentId, labels);
  await platform.deployments.abortRollout(rollout.id, 'errors everywhere');
  platform.start();
  await until('an incident', async () => (await incidents.list()).length > 0);
  const [opened] = await incidents.list();
  if (opened === undefined) throw new Error('There is one.');
  expect(opened).toMatchObject({
    title: 'api was rolled back: errors everywhere',
    ...{ severity: 'CRITICAL', state: 'OPEN', concerns: 'deployment:api', model: 'fraud' },
    ...{ openedBy: 'user:ana', correlationId: rollout.correlationId },
    triggers: [{ type: 'deployment.rolled_back' }],
  });
  await incidents.note(opened.id, 'the feed has | two *schemas*\n# now');
  const report = await incidents.report(opened.id);
  expect(report.timeline.map(({ what }) => what)).toEqual(
    expect.arrayContaining([
      'rollout.started',
      'traffic.shifted',
      'deployment.rolled_back',
      'incident.opened',
      'note',
    ]),
  );
  expect(report.actions.every(({ by }) => by === 'user:ana')).toBe(true);
  expect(report.actions.map(({ what }) => what)).toContain('traffic.shifted');
  expect(report.impact).toMatchObject({ requests: 10, errors: 3, labels: 2, accuracy: 0.5 });

  await expect(incidents.review(opened.id, { outcome: 'x' })).rejects.toMatchObject({
    code: 'CONFLICT',
  });
  const resolved = await incidents.resolve(opened.id, 'no errors for an hour');
  expect(resolved).toMatchObject({ state: 'RESOLVED', verification: { by: 'user:ana' } });
  expect(['HEALTHY', 'DEGRADED', 'UNHEALTHY', 'UNKNOWN']).toContain(resolved.verification?.health);
  expect(await incidents.list({ review: 'open' })).toHaveLength(1);
  const actions = ['check the schema of the feed'];
  await incidents.review(opened.id, { outcome: 'the schema had changed', actions });
  expect(await incidents.list({ review: 'open' })).toEqual([]);
  await expect(incidents.resolve(opened.id, 'x')).rejects.toMatchObject({ code: 'CONFLICT' });

  const page = await incidents.markdown(opened.id);
  expect(page).toContain('# api was rolled back: errors everywhere\n');
  expect(page).toContain('10 requests, 3 errors (30.00 %). Accuracy 50.00 % of 2 labels.');
  // What people write is text on one line, and no markup.
  expect(page).toContain('the feed has \\| two \\*schemas\\* \\# now |');
  expect(page).toContain('- check the schema of the feed');
  const { audit } = platform.operations;
  const trail = await Array.fromAsync(audit.entries({ subject: `incident:${opened.id}` }));
  expect(trail.map(({ action }) => action)).toEqual([
    ...['incident.opened', 'incident changed', 'incident.resolved', 'incident.reviewed'],
  ]);
  expect((await audit.verify()).problems).toEqual([]);
});

test('while a review is open, the model’s promotions wait, where its policy says so', async () => {
  const { platform } = await openTestPlatform({ principal: { id: 'user:ana', roles: [] } });
  const { registry } = platform;
  const { incidents } = platform.operations;
  const { versions } = await deployed(platform);
  const transitions = defaultStagePolicy.transitions.map((rule) => ({
    ...rule,
    checks: [...rule.checks, { check: 'no-open-review' as const }],
  }));
  await registry.setPolicy('fraud', { ...defaultStagePolicy, transitions });
  const version = (await registry.getVersionById(versions[0] as string)).version;
  const ask = (to: 'STAGING' | 'PRODUCTION') =>
    registry.requestTransition({ model: 'fraud', version, to, reason: 'r' });
  const one = await incidents.open({ title: 'wrong answers', concerns: 'deployment:api' });
  const held = await ask('STAGING');
  expect(held.status).toBe('FAILED');
  expect(held.checks.find(({ passed }) => !passed)?.detail).toContain(
    `incident ${one.id} (wrong answers)`,
  );
  await incidents.resolve(one.id, 'right again');
  expect((await ask('STAGING')).status).toBe('FAILED');
  await incidents.review(one.id, { outcome: 'known' });
  expect((await ask('STAGING')).status).toBe('DONE');
  // Opened between the request and its approval.
  const asked = await ask('PRODUCTION');
  const two = await incidents.open({ title: 'again', concerns: 'model:fraud' });
  const ben = platform.as({ principal: { id: 'user:ben', roles: [] } }).registry;
  await expect(ben.approve(asked.id)).rejects.toMatchObject({ code: 'CONFLICT' });
  await incidents.resolve(two.id, 'right again');
  await incidents.review(two.id, { outcome: 'known' });
  expect((await ben.approve(asked.id)).status).toBe('DONE');
});

test('what shares a correlation is one incident, in whichever process it is seen; what is not grave opens none', async () => {
  const { platform, dir } = await openTestPlatform();
  const second = (await openTestPlatform({ dir })).platform;
  await using opened = await openTestScope({ kinds: platformKinds, dir });
  const { scope } = opened;
  const of = { deployment: 'api', deploymentId: 'd', rule: 'accuracy', summary: 's', at: 1 };
  const alert = (correlationId: string, severity: 'WARNING' | 'CRITICAL'): Change =>
    withCorrelation({ correlationId }, () => {
      const payload = { ...of, alertId: scope.ids.next(), severity };
      const said = { type: 'alert.triggered', subject: 'deployment:api', source: 'test', payload };
      return { op: 'emit', event: draftEvent(scope, said) };
    });
  const manual = (correlationId: string): Change =>
    withCorrelation({ correlationId }, () => {
      const payload = { component: 'machine', check: 'disk', message: 'full', steps: [] };
      const subject = 'component:machine';
      const said = { type: 'recovery.manual_required', subject, source: 'test', payload } as const;
      return { op: 'emit', event: draftEvent(scope, said) };
    });
  const commit = (...changes: Change[]) =>
    scope.metadata.commit({ workspace: 'default', principal: 'user:test', changes });
  platform.start();
  second.start();
  await commit(alert('quiet', 'WARNING'));
  for (let i = 0; i < 10; i += 1) {
    await commit(alert(`c${i}`, 'CRITICAL'), manual(`c${i}`), alert(`c${i}`, 'CRITICAL'));
  }
  const all = () => platform.operations.incidents.list();
  await until('all triggers', async () => {
    const triggers = (await all()).flatMap((incident) => incident.triggers);
    return triggers.length === 30;
  });
  const found = await all();
  expect(new Set(found.map(({ correlationId }) => correlationId)).size).toBe(10);
  expect(found).toHaveLength(10);
  const again = await platform.operations.incidents.open({ title: 'x', correlationId: 'c1' });
  expect(found.map(({ id }) => id)).toContain(again.id);
  const page = await Array.fromAsync(platform.events.each({ types: ['incident.opened'] }));
  expect(page).toHaveLength(10);
});

test('a timeline is in the order of its times, whatever notes and events come together', () => {
  const incident = { notes: [{ at: 5, by: 'user:ana', text: 'n' }] } as never;
  const event = (at: number, type: string) => ({
    at,
    type,
    payload: { reason: type },
    principal: 'p',
  });
  const events = [event(9, 'traffic.shifted'), event(1, 'alert.triggered')] as never;
  expect(timelineOf(incident, events).map(({ at, kind }) => [at, kind])).toEqual([
    [1, 'alert'],
    [5, 'note'],
    [9, 'route'],
  ]);
});
