import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { testBackends } from '../../test/test-backends.ts';
import type { PredictionRow } from '../contracts/prediction-sink.ts';
import type { RowBatch } from '../contracts/series-store.ts';
import type { Deployment } from '../deployments/deployment.ts';
import type { RolloutStep } from '../deployments/rollout.ts';
import { KeelsonError } from '../errors.ts';
import { openPlatform, type Platform } from '../open-platform.ts';
import { seededRandom } from '../statistics/index.ts';
import { PredictionLog } from './predictions/prediction-log.ts';
import { type KnownRow, type MonitorRule, stratumOf } from './rule.ts';

const hour = 3_600_000;
const begin = Date.parse('2026-01-01');
const signature = {
  inputs: [{ name: 'x', datatype: 'FP64', shape: [-1, 1], columns: ['x'] }],
  outputs: [{ name: 'label', datatype: 'BYTES', shape: [-1] }],
} as const;
const rules: readonly MonitorRule[] = [
  {
    name: 'labels',
    rule: 'label-distribution',
    strata: [{ feature: 'x', edges: [0] }],
    alpha: 0.01,
    tolerance: 0,
    minimumTrials: 20,
    severity: 'WARNING',
  },
  {
    name: 'accuracy',
    rule: 'accuracy',
    alpha: 0.01,
    tolerance: 0.02,
    minimumTrials: 20,
    severity: 'CRITICAL',
  },
];

let dir: string;
let platform: Platform;
let deployment: Deployment;
let versionIds: readonly string[];

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'keelson-monitoring-'));
  platform = await openPlatform({ ...(await testBackends(dir)), dir });
  const versions = [];
  for (const text of ['one', 'two', 'three']) {
    const files = { 'model.mjs': Buffer.from(text) };
    versions.push(
      await platform.registry.register({ model: 'm', from: { files }, format: 'JS', signature }),
    );
  }
  versionIds = versions.map((version) => version.id);
  deployment = await platform.deployments.create({
    name: 'd',
    versionId: versionIds[0] as string,
    environment: 'PRODUCTION',
  });
});

afterEach(async () => {
  await platform.close();
  rmSync(dir, { recursive: true, force: true });
});

function predict(i: number, more: Partial<PredictionRow> = {}): void {
  platform.monitoring.predictions.record({
    deploymentId: deployment.id,
    versionId: versionIds[0] as string,
    requestId: `r${i}`,
    role: 'primary',
    at: begin + i * hour,
    features: { x: i % 2 === 0 ? -1 : 1 },
    prediction: i % 2 === 0 ? 'a' : 'b',
    latencyMs: 1,
    ...more,
  });
}

const label = (i: number, value = i % 2 === 0 ? 'a' : 'b', lateMs = hour) => ({
  requestId: `r${i}`,
  value,
  observedAt: begin + i * hour + lateMs,
});

async function watch(): Promise<void> {
  const random = seededRandom('reference');
  const reference: KnownRow[] = Array.from({ length: 400 }, (_, i) => {
    const usual = i % 2 === 0 ? 'a' : 'b';
    return {
      features: { x: i % 2 === 0 ? -1 : 1 },
      prediction: usual,
      label: random.chance(0.9) ? usual : 'c',
    };
  });
  const versionId = versionIds[0] as string;
  await platform.monitoring.watchLabels({ deployment, versionId, rules, reference, at: begin });
}

describe('labels', () => {
  test('of unknown requests are refused by name, the others count', async () => {
    predict(1);
    const result = await platform.monitoring.logLabels(deployment.id, [label(1), label(2)]);
    expect(result.accepted).toBe(1);
    expect(result.refused).toMatchObject([{ requestId: 'r2', code: 'NOT_FOUND' }]);
    expect(result.refused[0]?.message).toContain('"r2"');
  });

  test('the first of a request counts; repeats of labels and predictions are harmless', async () => {
    for (let again = 0; again < 3; again += 1) {
      predict(1);
      predict(1, { versionId: versionIds[1] as string, role: 'shadow', prediction: 'a' });
      await platform.monitoring.logLabels(deployment.id, [label(1, 'b', (1 + again) * hour)]);
      await platform.monitoring.logLabels(deployment.id, [label(1, 'a', 9 * hour)]);
    }
    const performance = await platform.monitoring.performance(deployment.id, {
      from: begin,
      to: begin + 24 * hour,
    });
    expect(performance).toMatchObject({
      labels: 1,
      classes: { b: 1 },
      served: { right: 1, total: 1 },
    });
    expect(performance.versions.map((each) => [each.versionId, each.right, each.total])).toEqual([
      [versionIds[0], 1, 1],
      [versionIds[1], 0, 1],
    ]);
  });

  test('an error is a wrong answer', async () => {
    predict(1, { error: 'FAILED', prediction: 'b' });
    await platform.monitoring.logLabels(deployment.id, [label(1)]);
    const { served } = await platform.monitoring.performance(deployment.id, {
      from: begin,
      to: begin + 24 * hour,
    });
    expect(served).toMatchObject({ right: 0, total: 1 });
  });

  test('are refused without a time', async () => {
    predict(1);
    const bad = platform.monitoring.logLabels(deployment.id, [
      { ...label(1), observedAt: Number.NaN },
    ]);
    await expect(bad).rejects.toMatchObject({ code: 'INVALID' });
  });
});

describe('analysis', () => {
  test('nothing changes: no alert; each label is counted once; a time that was analysed is not analysed again', async () => {
    await watch();
    const random = seededRandom('steady');
    for (let i = 0; i < 300; i += 1) {
      predict(i);
      await platform.monitoring.logLabels(deployment.id, [
        label(i, random.chance(0.9) ? undefined : 'c'),
      ]);
      if (i % 50 === 49) {
        const at = begin + (i + 2) * hour;
        const analysis = await platform.monitoring.evaluate(deployment.id, { at });
        expect(await platform.monitoring.evaluate(deployment.id, { at })).toEqual(analysis);
        expect(await platform.monitoring.evaluate(deployment.id, { at: at - 1 })).toBeUndefined();
      }
    }
    const analyses = await platform.monitoring.listAnalyses(deployment.id);
    expect(analyses).toHaveLength(6);
    expect(analyses.reduce((sum, analysis) => sum + analysis.labels, 0)).toBe(300);
    expect(await platform.monitoring.listAlerts(deployment.id)).toEqual([]);
  });

  test('a label that is told after its time was analysed counts in the next analysis, once', async () => {
    await watch();
    for (let i = 0; i < 10; i += 1) predict(i);
    await platform.monitoring.logLabels(deployment.id, [label(0), label(1)]);
    const labelsAt = async (hours: number): Promise<number | undefined> =>
      (await platform.monitoring.evaluate(deployment.id, { at: begin + hours * hour }))?.labels;
    expect(await labelsAt(20)).toBe(2);
    await platform.monitoring.logLabels(deployment.id, [label(1), label(2), label(3)]);
    expect(await labelsAt(40)).toBe(2);
    expect(await labelsAt(60)).toBe(0);
  });

  test('labels change where x is positive: one alert that says so, with its event; a new reference resolves it', async () => {
    await watch();
    for (let i = 0; i < 200; i += 1) {
      predict(i);
      await platform.monitoring.logLabels(deployment.id, [label(i, i % 2 === 1 ? 'c' : 'a')]);
      if (i % 20 === 19)
        await platform.monitoring.evaluate(deployment.id, { at: begin + (i + 2) * hour });
    }
    const alerts = await platform.monitoring.listAlerts(deployment.id);
    expect(alerts.map((alert) => [alert.rule, alert.state]).toSorted()).toEqual([
      ['accuracy', 'FIRING'],
      ['labels', 'FIRING'],
    ]);
    const named = alerts.find((alert) => alert.rule === 'labels');
    expect(named?.summary).toContain('c where x≥0');
    const events = await Array.fromAsync(
      platform.events.each({ correlationId: named?.correlationId ?? '' }),
    );
    expect(events.map((event) => event.type)).toContain('alert.triggered');
    const at = begin + 300 * hour;
    const rows = await platform.monitoring.labelledRows(deployment.id, { from: begin, to: at });
    expect(rows).toHaveLength(200);
    const versionId = versionIds[1] as string;
    await platform.monitoring.rebaseline({
      deployment,
      versionId,
      reference: rows,
      at,
      reason: 'the new normal',
    });
    const after = await platform.monitoring.listAlerts(deployment.id);
    expect(after.map((alert) => alert.state)).toEqual(after.map(() => 'RESOLVED'));
    expect((await platform.monitoring.getMonitor(deployment.id)).versionId).toBe(versionId);
  });

  test('requests are drawn at random, the same for the same seed, in order of their time', async () => {
    for (let i = 0; i < 60; i += 1) predict(i);
    const { monitoring } = platform;
    const draw = (more: object) =>
      monitoring.sampledRequests(deployment.id, { from: begin, to: begin + 50 * hour, ...more });
    const all = await draw({});
    expect(all).toHaveLength(50);
    const ten = await draw({ limit: 10 });
    expect(await draw({ limit: 10 })).toEqual(ten);
    expect(await draw({ limit: 10, seed: 'other' })).not.toEqual(ten);
    expect(new Set(ten.map(({ requestId }) => requestId)).size).toBe(10);
    expect(all.filter((one) => ten.some(({ requestId }) => requestId === one.requestId))).toEqual(
      ten,
    );
    await expect(draw({ limit: 0 })).rejects.toMatchObject({ code: 'INVALID' });
  });

  test('two processes that analyse at once make one analysis and one alert of each rule', async () => {
    await watch();
    for (let i = 0; i < 100; i += 1) predict(i);
    await platform.monitoring.logLabels(
      deployment.id,
      Array.from({ length: 100 }, (_, i) => label(i, 'c')),
    );
    const other = await openPlatform({ ...(await testBackends(dir)), dir });
    const at = begin + 200 * hour;
    const both = await Promise.all([
      platform.monitoring.evaluate(deployment.id, { at }),
      other.monitoring.evaluate(deployment.id, { at }),
      other.monitoring.evaluate(deployment.id, { at }),
    ]);
    await other.close();
    expect(both[1]).toEqual(both[0]);
    expect(await platform.monitoring.listAnalyses(deployment.id)).toHaveLength(1);
    expect(await platform.monitoring.listAlerts(deployment.id)).toHaveLength(2);
  });

  test('the report shows it, hostile names escaped, nothing loaded from outside', async () => {
    await watch();
    predict(1);
    await platform.monitoring.logLabels(deployment.id, [label(1, '<img src=x onerror=alert(1)>')]);
    await platform.monitoring.evaluate(deployment.id, { at: begin + 99 * hour });
    const html = await platform.monitoring.report(deployment.id);
    expect(html).toContain('Accuracy of the answers');
    expect(html).not.toMatch(/<script|<img src=x|https?:\/\//);
  });
});

describe('a rollout, by its evidence', () => {
  const gates = [
    { gate: 'paired-accuracy', needs: 'no-worse', margin: 0.05, alpha: 0.05, minimumItems: 20 },
  ] as const;
  const steps: readonly RolloutStep[] = [
    { weightPercent: 0, shadow: true, gates, minDurationMs: 0 },
    { weightPercent: 50, shadow: true, gates, minDurationMs: 10 * hour },
    { weightPercent: 100, shadow: false, gates: [], minDurationMs: 0 },
  ];

  async function begun(versionId = versionIds[1] as string): Promise<string> {
    const rollout = await platform.deployments.startRollout({
      deployment: 'd',
      versionId,
      steps,
      reason: 'a test',
      requestKey: `k ${versionId}`,
      at: begin,
    });
    return rollout.id;
  }

  async function score(from: number, to: number, candidate: (i: number) => string): Promise<void> {
    for (let i = from; i < to; i += 1) {
      predict(i);
      predict(i, { role: 'shadow', versionId: versionIds[1] as string, prediction: candidate(i) });
    }
    const labels = Array.from({ length: to - from }, (_, i) => label(from + i, 'a'));
    await platform.monitoring.logLabels(deployment.id, labels);
  }

  test('advances on evidence and ends with all traffic; the route’s history tells each step', async () => {
    const id = await begun();
    expect(
      (await platform.deployments.evaluateRollout(id, { at: begin + hour })).decisions,
    ).toEqual([]);
    await score(0, 200, () => 'a');
    const first = await platform.deployments.evaluateRollout(id, { at: begin + 300 * hour });
    expect(first.stepIndex).toBe(1);
    // The same time again changes nothing.
    expect(await platform.deployments.evaluateRollout(id, { at: begin + 300 * hour })).toEqual(
      first,
    );
    expect(
      (await platform.deployments.evaluateRollout(id, { at: begin + 305 * hour })).stepIndex,
    ).toBe(1);
    expect(
      (await platform.deployments.evaluateRollout(id, { at: begin + 310 * hour })).stepIndex,
    ).toBe(2);
    const done = await platform.deployments.evaluateRollout(id, { at: begin + 311 * hour });
    expect(done.status).toBe('COMPLETED');
    const history = await platform.deployments.routeHistory('d');
    expect(history.map(({ route }) => route.targets.map((target) => target.weightPercent))).toEqual(
      [[100], [100], [50, 50], [100], [100]],
    );
    expect(history.at(-1)?.route.targets[0]?.versionId).toBe(versionIds[1]);
    expect(await platform.deployments.activeRollout('d')).toBeUndefined();
  });

  test('a worse candidate is rolled back, and another rollout may begin', async () => {
    const id = await begun();
    await score(0, 200, () => 'b');
    const ended = await platform.deployments.evaluateRollout(id, { at: begin + 300 * hour });
    expect(ended.status).toBe('ROLLED_BACK');
    const { route } = await platform.deployments.route('d');
    expect(route).toMatchObject({
      shadows: [],
      targets: [{ versionId: versionIds[0], weightPercent: 100 }],
    });
    await begun(versionIds[2]);
  });

  test('one at a time, also for two processes at once; the same key answers the first', async () => {
    const other = await openPlatform({ ...(await testBackends(dir)), dir });
    const start = (who: Platform, versionId: string, requestKey: string) =>
      who.deployments.startRollout({ deployment: 'd', versionId, steps, reason: 'r', requestKey });
    const [one, two, three] = versionIds as [string, string, string];
    const outcomes = await Promise.allSettled([
      start(platform, two, 'x'),
      start(other, three, 'y'),
    ]);
    expect(outcomes.map((each) => each.status).toSorted()).toEqual(['fulfilled', 'rejected']);
    const won =
      outcomes[0].status === 'fulfilled' ? (['x', two] as const) : (['y', three] as const);
    const again = await start(other, won[1], won[0]);
    expect((await platform.deployments.activeRollout('d'))?.id).toBe(again.id);
    await expect(start(platform, one, 'z')).rejects.toMatchObject({ code: 'CONFLICT' });
    await platform.deployments.abortRollout(again.id, 'enough');
    await expect(platform.deployments.abortRollout(again.id, 'enough')).rejects.toMatchObject({
      code: 'CONFLICT',
    });
    await expect(start(platform, one, 'z')).rejects.toThrow('serves d already');
    await other.close();
  });
});

describe('the prediction log', () => {
  const row = (i: number): PredictionRow => ({
    deploymentId: 'd',
    versionId: 'v',
    requestId: `r${i}`,
    role: 'primary',
    at: i,
    features: {},
    prediction: null,
    latencyMs: 1,
  });

  function logOver(appendRows: (batch: RowBatch) => Promise<void>, maxRows = 1000): PredictionLog {
    const warn = (): void => undefined;
    const logger = { debug: warn, info: warn, warn, error: warn };
    const series = { ...({} as Platform['monitoring']), appendRows } as never;
    const principal = { id: 'user:ana', roles: [] };
    const authorizer = { authorize: async () => ({ allowed: true, reason: 'a test' }) };
    const clock = { now: () => Date.now() };
    const scope = { series, workspace: 'w', logger, principal, authorizer, clock };
    return new PredictionLog(scope, { maxRows, flushMs: 60_000 });
  }

  test('keeps what the store refuses, in order, and stores it once the store is back', async () => {
    const stored: number[] = [];
    let away = true;
    const log = logOver(async (batch) => {
      if (away) throw new KeelsonError('UNAVAILABLE', 'The store is away.');
      stored.push(...batch.at);
    });
    log.record(row(1));
    log.record(row(2));
    await expect(log.flush()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(log.health()).toMatchObject({ pending: 2, dropped: 0, lastError: 'The store is away.' });
    log.record(row(3));
    away = false;
    await log.flush();
    expect(stored).toEqual([1, 2, 3]);
    expect(log.health()).toMatchObject({ pending: 0, dropped: 0 });
  });

  test('is bounded: the oldest are dropped and counted', async () => {
    const stored: number[] = [];
    const log = logOver(async (batch) => void stored.push(...batch.at), 10);
    for (let i = 0; i < 25; i += 1) log.record(row(i));
    await log.flush();
    expect(log.health().dropped).toBe(15);
    expect(stored).toEqual([15, 16, 17, 18, 19, 20, 21, 22, 23, 24]);
  });
});

test('strata: ranges, missing values, several features', () => {
  const cuts = [
    { feature: 'x', edges: [0, 10] },
    { feature: 'y', edges: [1] },
  ];
  expect(stratumOf(cuts, { x: -1, y: 2 })).toBe('x<0, y≥1');
  expect(stratumOf(cuts, { x: 0, y: 0 })).toBe('0≤x<10, y<1');
  expect(stratumOf(cuts, { x: 10, y: Number.NaN })).toBe('x≥10, y missing');
  expect(stratumOf([], {})).toBe('all');
});
