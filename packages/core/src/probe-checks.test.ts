import { expect, test } from 'vitest';
import { openFaultyWorld } from '../test/planted-faults.ts';
import { everyRecord } from './operations/every-record.ts';
import { levelOf } from './operations/health/service-levels.ts';
import { probeChecks } from './probe-checks.ts';

test('each part is used from end to end, round after round, and leaves nothing', async () => {
  await using w = await openFaultyWorld();
  const workspace = 'probed';
  const services = w.platform.as({ workspace });
  const scope = { ...w.store.scope, workspace };
  const checks = probeChecks(() => ({ scope, services }), { keptMs: 0 });
  const { signal } = new AbortController();
  const rounds = ['a version is registered', 'it is there', 'it is still there'];
  for (const _ of rounds) {
    for (const check of checks) {
      expect(await check.run(signal)).toMatchObject({ status: 'HEALTHY' });
    }
  }
  const kinds = ['run', 'execution', 'step_execution', 'stage_transition', 'edge', 'model_version'];
  const left = kinds.map(async (kind) => (await Array.fromAsync(everyRecord(scope, kind))).length);
  expect(await Promise.all(left)).toEqual([0, 0, 0, 0, 0, 1]);
  const { events } = await scope.metadata.readEvents({ workspace, limit: 1000 });
  expect(events).toEqual([]);
  const stream = { workspace, stream: 'predictions', owner: 'probe' };
  for await (const batch of scope.series.rows(stream, { from: 0, to: 1e15 })) {
    expect(batch.at.length).toBe(0);
  }
});

test('they are checks of the platform, count for its service levels, and show in nobody’s workspace', async () => {
  await using w = await openFaultyWorld();
  const { operations, tracking } = w.platform;
  await operations.health({ fresh: true });
  const { checks } = await operations.health({ fresh: true });
  const probes = checks.filter(({ name }) => name.endsWith(' probe'));
  expect(probes.map(({ component, status }) => [component, status])).toEqual(
    ['tracking', 'registry', 'pipelines', 'monitoring'].map((part) => [part, 'HEALTHY']),
  );
  const levels = await operations.serviceLevels();
  expect(levels.map(({ part, probes: count, bad }) => [part, count, bad])).toEqual([
    ...[
      ['tracking', 2, 0],
      ['registry', 2, 0],
      ['pipelines', 2, 0],
    ],
    ...[
      ['serving', 0, 0],
      ['monitoring', 2, 0],
    ],
  ]);
  const { experiments } = await tracking.listExperiments();
  expect(experiments.map(({ name }) => name)).not.toContain('probe');
});

test('a part that does not work fails its probe, and that is counted against it', async () => {
  await using w = await openFaultyWorld();
  const { platform, store } = w;
  await platform.operations.health({ fresh: true });
  const { metadata } = store.scope;
  const { records } = await metadata.query('~health', 'experiment', {});
  const [experiment] = records;
  if (experiment === undefined) throw new Error('No probe was here.');
  await metadata.commit({
    ...{ workspace: '~health', principal: 'user:vandal' },
    changes: [
      {
        ...{ op: 'replace', kind: 'experiment', id: experiment.id, expect: experiment.revision },
        columns: { lifecycle: 'deleted' },
      },
    ],
  });
  const { checks } = await platform.operations.health({ fresh: true });
  const probe = checks.find(({ name }) => name === 'tracking probe');
  expect([probe?.status, probe?.message]).toEqual([
    'UNHEALTHY',
    expect.stringContaining('deleted'),
  ]);
  const [tracking] = await platform.operations.serviceLevels();
  expect(tracking).toMatchObject({ part: 'tracking', probes: 2, bad: 1, availability: 0.5 });
});

test('availability and error budget', () => {
  expect(levelOf('tracking', 0.999)).toMatchObject({ probes: 0, availability: undefined });
  const half = levelOf('tracking', 0.999, { good: 1999, bad: 1 });
  expect([half.availability, half.errorBudgetLeft]).toEqual([0.9995, expect.closeTo(0.5, 9)]);
  const missed = levelOf('serving', 0.9999, { good: 998, bad: 2 });
  expect(missed.errorBudgetLeft).toBeCloseTo(-19, 6);
});
