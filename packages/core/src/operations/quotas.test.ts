import { describe, expect, test } from 'vitest';
import { openTestPlatform } from '../../test/open-test-platform.ts';
import { openTestScope } from '../../test/open-test-scope.ts';
import { testBackends } from '../../test/test-backends.ts';
import { openPlatform, type Services } from '../open-platform.ts';
import { definePipeline } from '../pipelines/define-pipeline.ts';
import { platformKinds } from '../platform-kinds.ts';
import { createQuotaKeeper, quotaId } from './quota-keeper.ts';
import { createQuotaCaretaker, createQuotas } from './quotas.ts';

const quick = { experiment: 'e', environment: false } as const;
const day = 86_400_000;
const exhausted = { code: 'EXHAUSTED' };
const kilobyte = (fill: number): Uint8Array => new Uint8Array(1000).fill(fill);

async function open() {
  let now = Date.now();
  const clock = { now: () => now };
  const opened = await openTestPlatform({ clock });
  return { ...opened, pass: (ms: number) => (now += ms) };
}

async function warnings(services: Services) {
  return Array.fromAsync(services.events.each({ types: ['storage.quota_warning'] }));
}

describe('runs', () => {
  test('are as many as the quota lets be, however many begin at once, in two processes', async () => {
    const { platform, dir } = await openTestPlatform();
    const other = await openPlatform({ dir, ...(await testBackends(dir)) });
    try {
      await platform.operations.quotas.set({ resource: 'runs', limit: 5 });
      await platform.tracking.createExperiment({ name: 'e' });
      const starts = Array.from({ length: 12 }, (_, i) =>
        (i % 2 === 0 ? platform : other).tracking.startRun(quick),
      );
      const ends = await Promise.allSettled(starts);
      const failed = ends.filter((end) => end.status === 'rejected').map((end) => end.reason);
      expect(failed).toHaveLength(7);
      for (const error of failed) {
        expect(error).toMatchObject({
          ...exhausted,
          message: expect.stringMatching(/default has used up .* runs: 5 of 5\. .*operations\.gc/s),
          details: { resource: 'runs', used: 5, limit: 5 },
        });
      }
      expect((await platform.tracking.countRuns({ exact: true })).count).toBe(5);
      // Another workspace has quotas of its own, or none.
      const elsewhere = platform.as({ workspace: 'b' });
      await (await elsewhere.tracking.startRun(quick)).finish();
      await elsewhere.operations.quotas.set({ resource: 'runs', limit: 3 });
      expect(await elsewhere.operations.quotas.list()).toMatchObject([{ used: 1, limit: 3 }]);
      for (const end of ends) if (end.status === 'fulfilled') await end.value.finish();
    } finally {
      await other.close();
    }
  });

  test('that retention lets go make room by themselves; those that are kept do not', async () => {
    const { platform, pass } = await open();
    const { tracking, operations } = platform;
    const first = await tracking.withRun(quick, ({ id }) => id);
    await operations.quotas.set({ resource: 'runs', limit: 1 });
    await tracking.deleteRun(first);
    await expect(tracking.startRun(quick)).rejects.toMatchObject(exhausted);
    await operations.quotas.set({ resource: 'runs', limit: 2 });
    const second = await tracking.withRun(quick, ({ id }) => id);
    await tracking.deleteRun(second);
    pass(31 * day);
    // Collected by hand: the platform itself does so once in ten minutes.
    await operations.gc();
    await tracking.withRun(quick, () => undefined);
    expect(await operations.quotas.list()).toMatchObject([{ used: 1, limit: 2 }]);
  });

  test('are collected when it is full, before anybody is refused', async () => {
    const { platform, pass } = await open();
    const { tracking, operations } = platform;
    const id = await tracking.withRun(quick, (run) => run.id);
    await operations.quotas.set({ resource: 'runs', limit: 1 });
    await tracking.deleteRun(id);
    pass(31 * day);
    await tracking.withRun(quick, () => undefined);
    await expect(tracking.getRun(id)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('storage', () => {
  test('lets what has begun write into the overdraft, and nothing new begin', async () => {
    const { platform } = await open();
    const { tracking, operations } = platform;
    const elsewhere = platform.as({ workspace: 'b' }).tracking;
    await operations.quotas.set({ resource: 'storage', limit: 10_000, overdraft: 0.2 });
    const run = await tracking.startRun(quick);
    for (let i = 0; i < 10; i += 1) await run.logArtifact(`${i}`, kilobyte(i));
    await expect(tracking.startRun(quick)).rejects.toMatchObject({
      ...exhausted,
      message: expect.stringContaining('storage: 10000 of 10000'),
    });
    await run.logArtifact('10', kilobyte(10));
    await run.logArtifact('11', kilobyte(11));
    await expect(run.logArtifact('12', kilobyte(12))).rejects.toMatchObject(exhausted);
    run.logMetric('loss', 1);
    await run.finish();
    await (await elsewhere.startRun(quick)).logArtifact('x', kilobyte(1));
    // With a higher limit it goes on.
    await operations.quotas.set({ resource: 'storage', limit: 100_000 });
    await tracking.withRun(quick, (next) => next.logArtifact('x', kilobyte(99)));
    expect(await operations.quotas.list()).toMatchObject([{ used: 13_000, limit: 100_000 }]);
  });

  test('counts equal bytes once, by the time that it matters, and none that was collected', async () => {
    const { platform, pass } = await open();
    const { tracking, operations } = platform;
    await operations.quotas.set({ resource: 'storage', limit: 3000, overdraft: 0 });
    const id = await tracking.withRun(quick, async (run) => {
      for (let i = 0; i < 9; i += 1) await run.logArtifact(`${i}`, kilobyte(7));
      await run.logArtifact('other', kilobyte(8));
      return run.id;
    });
    await tracking.withRun(quick, (run) => run.logArtifact('x', kilobyte(9)));
    await expect(tracking.startRun(quick)).rejects.toMatchObject(exhausted);
    await tracking.deleteRun(id);
    pass(31 * day);
    await operations.gc();
    expect(await operations.quotas.list()).toMatchObject([{ used: 1000 }]);
  });

  test('is warned of once at 80 %, with the day that it will be full', async () => {
    const { platform, pass } = await open();
    const { tracking, operations } = platform;
    await operations.quotas.set({ resource: 'storage', limit: 10_000 });
    await tracking.withRun(quick, async (run) => {
      for (let i = 0; i < 8; i += 1) {
        await run.logArtifact(`${i}`, kilobyte(i));
        pass(day);
        await operations.quotas.list();
      }
    });
    const [warning, ...more] = await warnings(platform);
    expect(more).toEqual([]);
    expect(warning?.payload).toMatchObject({ resource: 'storage', used: 8000, limit: 10_000 });
    const fullAt = warning?.payload.fullAt;
    // A kilobyte a day, two to go.
    expect(((fullAt ?? 0) - (warning?.at ?? 0)) / day).toBeGreaterThan(1.5);
    expect(((fullAt ?? 0) - (warning?.at ?? 0)) / day).toBeLessThan(2.5);
  });
});

test('compute is used by steps, and begins anew with the period', async () => {
  const { platform, pass } = await open();
  const { pipelines, operations } = platform;
  const pipeline = definePipeline('p', { version: '1.0.0' }, (p) =>
    p.step('s', {}, () => new Promise<number>((resolve) => setTimeout(() => resolve(1), 20))),
  );
  await operations.quotas.set({ resource: 'compute', limit: 1, per: 'day' });
  const first = await pipelines.start(pipeline);
  expect((await pipelines.wait(first)).status).toBe('COMPLETED');
  await operations.quotas.list();
  await expect(pipelines.start(pipeline)).rejects.toMatchObject({
    ...exhausted,
    message: expect.stringMatching(/compute: \d+ of 1 a day.*wait for the next period/s),
  });
  pass(day);
  expect(await operations.quotas.list()).toMatchObject([{ resource: 'compute', used: 0 }]);
  await pipelines.wait(await pipelines.start(pipeline));
});

test('requests are counted as predictions are stored; then serving is told to answer no more', async () => {
  const { platform } = await open();
  const { monitoring, operations } = platform;
  await operations.quotas.set({ resource: 'requests', limit: 3 });
  const record = (requestId: string, role: 'primary' | 'shadow') =>
    monitoring.predictions.record({
      deploymentId: 'd',
      versionId: 'v',
      requestId,
      role,
      at: 1,
      features: {},
      prediction: 1,
      latencyMs: 1,
    });
  for (const each of ['a', 'b']) {
    record(each, 'primary');
    record(each, 'shadow');
  }
  await monitoring.predictions.flush();
  expect(monitoring.predictions.full?.()).toBeUndefined();
  record('c', 'primary');
  await monitoring.predictions.flush();
  expect(monitoring.predictions.full?.()).toMatchObject(exhausted);
  await operations.quotas.set({ resource: 'requests', limit: 4 });
  await expect.poll(() => monitoring.predictions.full?.(), { timeout: 10_000 }).toBeUndefined();
});

test('a counter that is not what is there is found, named and mended', async () => {
  await using t = await openTestScope({ kinds: platformKinds });
  const { scope } = t;
  const keeper = createQuotaKeeper(scope, scope.artifacts);
  await createQuotas(scope, keeper).set({ resource: 'storage', limit: 10_000 });
  // Stored, and the process was killed before it was counted.
  await scope.artifacts.put(kilobyte(1));
  await scope.artifacts.put(kilobyte(2));
  const caretaker = createQuotaCaretaker(scope, keeper);
  const { signal } = new AbortController();
  const finding = {
    component: 'quotas',
    subject: 'quota:storage',
    problem: 'Workspace default counts 0 of storage, and there are 2000.',
  };
  expect(await caretaker.reconcile({ mend: false, signal })).toEqual([
    { ...finding, mended: false },
  ]);
  expect(await caretaker.reconcile({ mend: true, signal })).toEqual([{ ...finding, mended: true }]);
  expect(await caretaker.reconcile({ mend: true, signal })).toEqual([]);
  const record = await scope.metadata.find('default', 'quota', quotaId('storage'));
  expect(record?.columns['used']).toBe(2000);
});

test('quotas are set by those who may, seen by more, and refused where they make no sense', async () => {
  const { platform } = await openTestPlatform({ access: true });
  const { quotas, access } = platform.operations;
  await access.grant({ principal: 'user:ana', role: 'editor' });
  const ana = platform.as({ principal: { id: 'user:ana', roles: [] } }).operations.quotas;
  await quotas.set({ resource: 'runs', limit: 10 });
  expect(await ana.list()).toEqual([{ resource: 'runs', used: 0, limit: 10, overdraft: 0.1 }]);
  await expect(ana.set({ resource: 'runs', limit: 99 })).rejects.toMatchObject({
    code: 'FORBIDDEN',
  });
  await expect(quotas.set({ resource: 'runs', limit: 9, per: 'day' })).rejects.toMatchObject({
    code: 'INVALID',
  });
  await quotas.remove('runs');
  await expect(quotas.remove('runs')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  await platform.tracking.withRun(quick, () => undefined);
});
