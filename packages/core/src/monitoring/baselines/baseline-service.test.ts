import { expect, test } from 'vitest';
import { openTestPlatform } from '../../../test/open-test-platform.ts';
import type { PredictionRow } from '../../contracts/prediction-sink.ts';
import { seededRandom } from '../../statistics/index.ts';
import type { SetBaselineOptions } from './baseline-service.ts';
import { slotOf, slotsOf } from './season.ts';

const begin = Date.parse('2026-01-05');
const [minute, hour, day] = [60_000, 3_600_000, 86_400_000];
const signature = {
  inputs: [{ name: 'x', datatype: 'FP64', shape: [-1, 1], columns: ['x', 'plan'] }],
  outputs: [{ name: 'label', datatype: 'BYTES', shape: [-1] }],
} as const;

function rowsOf(seed: number, count: number, shift = 0) {
  const random = seededRandom(seed);
  return Array.from({ length: count }, () => ({
    x: random.normal() + shift,
    plan: random.uniform() < 0.3 ? 'free' : 'paid',
  }));
}

function csvOf(rows: ReturnType<typeof rowsOf>): string {
  return ['x,plan,label', ...rows.map(({ x, plan }) => `${x},${plan},yes`)].join('\n');
}

async function deployed() {
  const world = await openTestPlatform();
  const { platform } = world;
  const { monitoring, registry } = platform;
  const run = await platform.tracking.startRun({ experiment: 'e' });
  const register = (text: string, lineage = {}) =>
    platform.registry.register({
      ...{
        model: 'm',
        from: { files: { 'model.mjs': Buffer.from(text) } },
        format: 'JS',
        signature,
      },
      lineage,
    });
  const one = await register('one', { sourceRunId: run.id });
  const two = await register('two');
  const deployment = await platform.deployments.create({
    ...{ name: 'd', versionId: one.id, environment: 'PRODUCTION' },
  });
  let requests = 0;
  const predict = (
    rows: readonly { readonly x: number; readonly plan: string }[],
    more: Partial<PredictionRow> = {},
  ): void => {
    for (const features of rows) {
      requests += 1;
      platform.monitoring.predictions.record({
        ...{ deploymentId: deployment.id, versionId: one.id, requestId: `r${requests}` },
        ...{ role: 'primary', at: begin, features, prediction: features.x > 0 ? 'yes' : 'no' },
        ...{ latencyMs: 5, ...more },
      });
    }
  };
  const set = (more: Partial<SetBaselineOptions>) =>
    platform.monitoring.setBaseline({
      ...{ deployment, versionId: one.id, reference: rowsOf(1, 2000), ...more },
    });
  return { ...world, run, one, two, deployment, predict, set, monitoring, registry };
}

test('a baseline comes from an artifact, or from what the version was trained on by its lineage', async () => {
  const { run, one, two, set, registry, deployment } = await deployed();
  await expect(set({ reference: 'training' })).rejects.toThrow(/is unknown: log it as an artifact/);
  const rows = rowsOf(3, 800);
  const artifact = await run.logArtifact('train.csv', Buffer.from(csvOf(rows)), {
    type: 'DATASET',
  });
  const trained = await set({ reference: 'training' });
  expect(trained.source).toEqual({ kind: 'training', artifactId: artifact.id });
  // Of the table only what the version takes is a feature.
  expect(trained.baseline.features.map(({ feature }) => feature)).toEqual(['x', 'plan']);
  expect(trained.baseline.rows).toBe(800);
  const named = await set({ reference: { artifactId: artifact.id }, versionId: two.id });
  expect(named.source).toEqual({ kind: 'artifact', artifactId: artifact.id });
  expect(named.baseline.features.map(({ feature }) => feature)).toEqual(['x', 'plan', 'label']);
  await expect(set({ reference: { artifactId: 'none' } })).rejects.toThrow(/no artifact none/);
  const text = await run.logArtifact('notes.json', Buffer.from('{}'));
  await expect(set({ reference: { artifactId: text.id } })).rejects.toThrow(/is no table/);
  const three = await registry.register({
    ...{ model: 'm', from: { files: { 'model.mjs': Buffer.from('three') } }, format: 'JS' },
    ...{ signature, lineage: { datasets: [{ digest: artifact.sha256, role: 'train' }] } },
  });
  const linked = await set({ reference: 'training', versionId: three.id });
  expect([linked.source, linked.deploymentId]).toEqual([trained.source, deployment.id]);
  expect(linked.baseline).toEqual(trained.baseline);
  expect(one.lineage.sourceRunId).toBe(run.id);
});

test('a baseline is updated by what was predicted: all of it in the bins before, or rows in bins of their own', async () => {
  const { deployment, predict, set, monitoring, one } = await deployed();
  const update = (more: object = {}) =>
    monitoring.updateBaseline(deployment.id, {
      ...{ from: begin, to: begin + hour, reason: 'after the launch', ...more },
    });
  await expect(update()).rejects.toThrow(/has no baseline yet; name the version/);
  predict(rowsOf(4, 499, 2));
  await expect(update({ versionId: one.id })).rejects.toThrow(/499 predictions of d were logged/);
  predict(rowsOf(5, 601, 2));
  predict(rowsOf(6, 50), { role: 'shadow' });
  predict(rowsOf(6, 50), { error: 'broken' });
  const first = await update({ versionId: one.id });
  expect(first.source).toEqual({ kind: 'window', from: begin, to: begin + hour, of: 'rows' });
  expect(first.baseline).toMatchObject({ rows: 1100, prediction: { feature: 'prediction' } });
  await set({ importances: { x: 3, plan: 1 } });
  predict(rowsOf(7, 700, 2), { at: begin + 2 * hour });
  const later = { from: begin + 2 * hour, to: begin + 3 * hour };
  const told = async () => (await monitoring.drift(deployment.id, later)).drift?.features;
  expect(await told()).toMatchObject({ detected: true, severity: 'CRITICAL', weightedShare: 0.75 });
  const next = await update(later);
  expect(next).toMatchObject({ reason: 'after the launch', source: { of: 'counts' } });
  expect(next.baseline).toMatchObject({ rows: 700, importances: { x: 3, plan: 1 } });
  predict(rowsOf(8, 700, 2), { at: begin + 2 * hour });
  expect(await told()).toMatchObject({ detected: false });
  await expect(update({ bins: 'kept', from: 0, to: 60_000 })).rejects.toThrow(
    /0 predictions of d were counted/,
  );
  const all = await monitoring.listBaselines(deployment.id);
  expect(all.map(({ reason }) => reason)).toEqual([
    'after the launch',
    undefined,
    'after the launch',
  ]);
});

test('the baseline in force follows the version that most requests go to, and comes back with it', async () => {
  const { platform, two, set, deployment } = await deployed();
  const first = await set({});
  const second = await set({ versionId: two.id });
  const inForce = async () => (await platform.monitoring.getBaseline(deployment.id)).id;
  expect(await inForce()).toBe(first.id);
  const rollout = await platform.deployments.startRollout({
    ...{ deployment: 'd', versionId: two.id, reason: 'r' },
    steps: [{ weightPercent: 100, shadow: false, gates: [], minDurationMs: 0 }],
  });
  expect(await inForce()).toBe(second.id);
  await platform.deployments.abortRollout(rollout.id, 'two is bad');
  expect(await inForce()).toBe(first.id);
});

test('with seasons a window is compared with the same times, of rows and of windows', async () => {
  const { deployment, predict, set, monitoring } = await deployed();
  // By night everything is another: without seasons each night would be drift.
  const shiftAt = (at: number): number => (new Date(at).getUTCHours() < 6 ? 3 : 0);
  const reference = Array.from({ length: 24 * 60 }, (_, i) => {
    const at = begin - 7 * day + i * minute;
    return rowsOf(i, 10, shiftAt(at)).map((row) => ({ ...row, at: new Date(at) }));
  }).flat();
  const seasonal = { by: 'hour', time: 'at' } as const;
  await set({ reference });
  const night = { from: begin + 2 * hour, to: begin + 3 * hour };
  const noon = { from: begin + 12 * hour, to: begin + 13 * hour };
  const drifted = async (range: typeof night) =>
    (await monitoring.drift(deployment.id, range)).drift?.features.detected;
  predict(rowsOf(1, 900, 3), { at: night.from });
  expect(await drifted(night)).toBe(true);
  const stored = await set({ reference, seasons: seasonal });
  expect(Object.keys(stored.baseline.seasons?.slots ?? {})).toHaveLength(24);
  predict(rowsOf(1, 900, 3), { at: night.from });
  predict(rowsOf(2, 900, 3), { at: noon.from });
  expect([await drifted(night), await drifted(noon)]).toEqual([false, true]);
  // Windows that were counted make seasons of their own.
  const updated = await monitoring.updateBaseline(deployment.id, {
    ...{ from: begin, to: begin + day, reason: 'noon is another now' },
  });
  expect(Object.keys(updated.baseline.seasons?.slots ?? {})).toEqual(['2', '12']);
  predict(rowsOf(4, 900, 3), { at: noon.from });
  expect(await drifted(noon)).toBe(false);
  await expect(set({ reference, seasons: { by: 'hour', time: 'when' } })).rejects.toThrow(
    /no column "when"/,
  );
});

test('slots of time come again', () => {
  const at = Date.parse('2026-03-04T17:30:00Z');
  expect(
    ['hour', 'weekday', 'hour-of-week', 'month'].map((by) => slotOf(by as 'hour', at)),
  ).toEqual(['17', '2', String(2 * 24 + 17), '3']);
  expect([...slotsOf('weekday', { from: at, to: at + day })]).toEqual(['2', '3']);
  expect(slotsOf('month', { from: 0, to: Number.MAX_SAFE_INTEGER }).size).toBe(12);
});

test('thresholds are learnt of each hour of the week, without what happened in incidents', async () => {
  const { deployment, predict, set, monitoring } = await deployed();
  await set({});
  // For five weeks Monday's noon is another; in one week so is one o'clock, while there is an incident.
  const week = 7 * day;
  const noon = begin + 12 * hour;
  for (let cycle = 0; cycle < 5; cycle += 1) {
    const at = noon + cycle * week;
    predict(rowsOf(cycle, 600, 1 + 0.02 * cycle), { at });
    predict(rowsOf(100 + cycle, 600, cycle === 2 ? 3 : 0), { at: at + hour });
  }
  const { id } = deployment;
  const all = { from: begin, to: begin + 5 * week };
  const at = (from: number) => ({ from, to: from + hour });
  const drifted = async (range: { from: number; to: number }) =>
    (await monitoring.drift(id, range)).drift?.features.detected;
  expect([await drifted(at(noon)), await drifted(at(noon + hour))]).toEqual([true, false]);
  const few = await monitoring.learnThresholds(id, { ...all, to: begin + 3 * week });
  expect(few).toMatchObject({ hours: 6, features: { x: {} } });
  const exclude = [at(noon + 2 * week + hour)];
  const learnt = await monitoring.learnThresholds(id, { ...all, exclude, reason: 'five weeks' });
  expect(learnt).toMatchObject({ by: 'hour-of-week', hours: 9, excluded: 1 });
  expect(Object.keys(learnt.features['x'] ?? {})).toEqual(['12', '13']);
  // What is usual at noon is none; by one o'clock it would be, and at other times nothing was learnt.
  expect(await drifted(at(noon))).toBe(false);
  expect(await drifted(at(noon + 2 * week + hour))).toBe(true);
  predict(rowsOf(9, 600, 1), { at: begin });
  predict(rowsOf(10, 600, 4), { at: noon + 6 * week });
  expect([await drifted(at(begin)), await drifted(at(noon + 6 * week))]).toEqual([true, true]);
  const named = { ...at(noon), effectThresholds: { x: 0.2 } };
  expect((await monitoring.drift(id, named)).drift?.features.detected).toBe(true);
  await expect(monitoring.learnThresholds(id, { from: 0, to: 1e15 })).rejects.toThrow(
    /20000 hours/,
  );
});
