import { describe, expect, test } from 'vitest';
import { sharePlatform } from '../../../test/open-test-platform.ts';
import type { PredictionRow } from '../../contracts/prediction-sink.ts';
import { seededRandom } from '../../statistics/index.ts';
import type { PerformanceOptions } from './performance.ts';

const shared = sharePlatform();
const hour = 3_600_000;
const day = 24 * hour;
const begin = Date.parse('2026-01-01');

/** A workspace with a deployment `d` of a version `v`, and what is done to it. */
function world() {
  const { platform } = shared.fresh();
  const { monitoring } = platform;
  return {
    monitoring,
    predict: (i: number, more: Partial<PredictionRow> = {}) =>
      monitoring.predictions.record({
        ...{ deploymentId: 'd', versionId: 'v', requestId: `r${i}`, role: 'primary' },
        ...{ at: begin + i * hour, features: {}, prediction: 'a', latencyMs: 1 },
        ...more,
      }),
    label: (i: number, value: string, lateMs: number = hour) =>
      monitoring.logLabels('d', [
        { requestId: `r${i}`, value, observedAt: begin + i * hour + lateMs },
      ]),
    performance: (more: Partial<PerformanceOptions> = {}) =>
      monitoring.performance('d', { from: begin, to: begin + 100 * day, ...more }),
  };
}

describe('labels', () => {
  test('a month late, told twice, contradicting each other and of nobody: right figures, and coverage', async () => {
    const { predict, label, performance, monitoring } = world();
    for (let i = 0; i < 10; i += 1) predict(i);
    await label(0, 'a');
    await label(1, 'b', 30 * day);
    await label(2, 'a');
    await label(2, 'a', 2 * hour);
    await label(3, 'a', 2 * hour);
    await label(3, 'b', 20 * day);
    const unknown = await label(99, 'a');
    expect(unknown).toMatchObject({ accepted: 0, refused: [{ requestId: 'r99' }] });
    // Told later, observed earlier: the first that was observed counts.
    await label(3, 'b', hour);
    const found = await performance();
    expect(found.coverage).toMatchObject({
      ...{ requests: 10, labelled: 4, share: 0.4, repeated: 2, contradicted: 1 },
      ...{ held: 0, maturedShare: 0.4 },
    });
    expect(found.served).toMatchObject({ right: 2, total: 4, accuracy: 0.5 });
    const last = await performance({ labels: 'last' });
    expect(last.classes).toEqual({ a: 2, b: 2 });
    await monitoring.logLabels('d', [
      { requestId: 'r3', value: 'a', observedAt: begin + 40 * day },
    ]);
    expect((await performance({ labels: 'last' })).classes).toEqual({ a: 3, b: 1 });
    expect((await performance()).classes).toEqual({ a: 2, b: 2 });
  });

  test('by key: of its last request before, or of all of them', async () => {
    const { predict, performance, monitoring } = world();
    for (let i = 0; i < 6; i += 1) predict(i, { key: i % 2 === 0 ? 'ana' : 'bo' });
    const at = begin + 4 * hour;
    const told = await monitoring.logLabels('d', [
      { key: 'ana', value: 'a', observedAt: at },
      { key: 'bo', of: 'all', value: 'b', observedAt: begin + day },
      { key: 'carl', value: 'b', observedAt: at },
    ]);
    expect(told).toMatchObject({ accepted: 2, refused: [{ key: 'carl', code: 'NOT_FOUND' }] });
    expect(told.refused[0]?.message).toContain('"carl"');
    const found = await performance();
    expect(found.classes).toEqual({ b: 3, a: 1 });
    expect(found.served).toMatchObject({ right: 1, total: 4 });
    for (const bad of [{}, { key: 'a', requestId: 'r' }, { key: 'a', of: 'some' }]) {
      const wrong = monitoring.logLabels('d', [{ value: 1, observedAt: at, ...bad } as never]);
      await expect(wrong).rejects.toMatchObject({ code: 'INVALID' });
    }
  });

  test('what is younger than labels take is held: early labels are not like late ones', async () => {
    const { predict, performance, monitoring } = world();
    const random = seededRandom('delays');
    const labels = [];
    // Wrong answers are noticed within the hour, right ones confirmed after five days.
    for (let i = 0; i < 480; i += 1) {
      predict(i);
      const isWrong = random.uniform() < 0.2;
      const observedAt = begin + i * hour + (isWrong ? hour : 5 * day);
      labels.push({ requestId: `r${i}`, value: isWrong ? 'b' : 'a', observedAt });
    }
    const at = begin + 480 * hour;
    await monitoring.logLabels(
      'd',
      labels.filter(({ observedAt }) => observedAt <= at),
    );
    const naive = await performance({ at, labelLagMs: 0, from: at - 7 * day });
    const held = await performance({ at, from: at - 7 * day });
    expect(held.coverage.delay).toMatchObject({ p95Ms: 5 * day });
    expect(held.coverage).toMatchObject({
      ...{ labelLagMs: 5 * day, heldFrom: at - 5 * day, maturedShare: 1 },
      ...{ requests: 168, held: 120 },
    });
    expect(held.coverage.share).toBeLessThan(0.5);
    expect(naive.served?.accuracy).toBeLessThan(0.7);
    expect(held.served?.accuracy).toBeGreaterThan(0.7);
    expect(held.served?.total).toBe(48);
  });
});

test('by version, by segment, with probabilities; numbers as numbers', async () => {
  const { predict, performance, monitoring } = world();
  const random = seededRandom('segments');
  const labels = [];
  for (let i = 0; i < 400; i += 1) {
    const p = random.uniform();
    const truth = random.uniform() < p ? 'yes' : 'no';
    const country = i % 4 === 0 ? 'DE' : 'FR';
    const says = (country === 'DE') === p > 0.5 ? 'no' : 'yes';
    const features = { country };
    predict(i, { features, prediction: says, probabilities: { yes: p, no: 1 - p } });
    predict(i, { features, prediction: truth, versionId: 'w', role: 'shadow' });
    labels.push({ requestId: `r${i}`, value: truth, observedAt: begin + i * hour + 1 });
  }
  await monitoring.logLabels('d', labels);
  const found = await performance({ segment: 'country' });
  expect(found.versions.map(({ versionId, accuracy }) => [versionId, accuracy > 0.9])).toEqual([
    ['v', false],
    ['w', true],
  ]);
  const [worst, best] = found.segments ?? [];
  expect([worst?.segment, worst?.beside?.isWorse, best?.beside?.isWorse]).toEqual([
    ...['DE', true, false],
  ]);
  expect(found.served?.scores?.rocArea.value).toBeGreaterThan(0.75);
  expect(found.served?.classes?.perClass.map((each) => each.class)).toEqual(['no', 'yes']);

  expect(found.estimated).toMatchObject({ outcome: 'not-enough-data', versionId: 'v' });
  // The answers of the time before calibrate those of the time after, labelled or not.
  const { estimated } = await performance({ from: begin + 200 * hour });
  expect(estimated).toMatchObject({
    ...{ outcome: 'measured', versionId: 'v', rows: 200, reference: { rows: 200 } },
    beside: { rows: 200, hasDiverged: false },
  });
  expect((await performance({ estimate: false })).estimated).toBeUndefined();

  const numbers = world();
  for (let i = 0; i < 30; i += 1) numbers.predict(i, { prediction: i + 0.5 });
  await numbers.monitoring.logLabels(
    'd',
    Array.from({ length: 30 }, (_, i) => ({
      ...{ requestId: `r${i}`, value: i, observedAt: begin + i * hour + 1 },
    })),
  );
  const { served } = await numbers.performance();
  expect(served).toMatchObject({ task: 'regression', right: 0 });
  expect(served?.numbers?.bias.value).toBeCloseTo(0.5, 12);
});

test('nothing predicted, nothing labelled: answers, and bad options are refused', async () => {
  const { performance, predict, monitoring } = world();
  expect(await performance()).toMatchObject({
    ...{ labels: 0, versions: [], classes: {}, served: undefined },
    coverage: { requests: 0, share: null },
  });
  predict(1);
  expect((await performance()).coverage).toMatchObject({ requests: 1, labelled: 0, share: 0 });
  const bad = monitoring.performance('d', { from: 0, to: 1, alhpa: 0.1 } as never);
  await expect(bad).rejects.toThrow('alhpa');
});

describe('versions side by side', () => {
  /** Two versions that answer the same requests, or one half each. */
  async function compared(isShadow: boolean, better: number) {
    const { predict, monitoring } = world();
    const random = seededRandom(`compared ${isShadow} ${better}`);
    const labels = [];
    for (let i = 0; i < 600; i += 1) {
      const hard = random.uniform();
      const answer = (limit: number) => (hard < limit ? 'a' : 'b');
      const [v, w] = [answer(0.7), answer(0.7 + better)];
      if (isShadow || i % 2 === 0) predict(i, { prediction: v, latencyMs: 10 });
      const role = isShadow ? 'shadow' : 'primary';
      if (isShadow || i % 2 === 1) {
        predict(i, {
          ...{ versionId: 'w', role, prediction: w, latencyMs: 20, experimentArm: 'new' },
          ...(i % 10 === 1 && !isShadow ? { error: 'FAILED' } : {}),
        });
      }
      labels.push({ requestId: `r${i}`, value: 'a', observedAt: begin + i * hour + 1 });
    }
    await monitoring.logLabels('d', labels);
    return monitoring.compare('d', { from: begin, to: begin + 100 * day, baseline: 'v' });
  }

  test('by the requests that both answered, a small difference is seen', async () => {
    const { baseline, sides, tests } = await compared(true, 0.05);
    expect([baseline, sides.map(({ name, labelled }) => [name, labelled])]).toEqual([
      'v',
      [
        ['v', 600],
        ['w', 600],
      ],
    ]);
    const accuracy = tests.find(({ figure }) => figure === 'accuracy');
    expect(accuracy).toMatchObject({ side: 'w', by: 'paired', verdict: 'better' });
    expect(accuracy?.interval.low).toBeGreaterThan(0);
    expect(accuracy?.interval.high).toBeLessThan(0.1);
  });

  test('of requests of their own, with errors and latency; nothing is told of what chance may do', async () => {
    const { sides, tests } = await compared(false, 0);
    expect(sides.map(({ name, latency }) => [name, latency?.p50])).toEqual([
      ['v', 10],
      ['w', 20],
    ]);
    expect(tests.find(({ figure }) => figure === 'error_rate')).toMatchObject({
      ...{ side: 'w', by: 'unpaired', verdict: 'worse' },
    });
    const { monitoring, predict } = world();
    expect(await monitoring.compare('d', { from: 0, to: 1 })).toEqual({
      ...{ baseline: null, sides: [], tests: [] },
    });
    predict(1, { experimentArm: 'new' });
    const byArm = await monitoring.compare('d', {
      ...{ from: begin, to: begin + day, by: 'experimentArm' },
    });
    expect(byArm).toMatchObject({ baseline: 'new', sides: [{ requests: 1, latency: { p50: 1 } }] });
  });
});

test('what requests earned: joined by request or key, by version, with what it goes with', async () => {
  const { predict, monitoring } = world();
  const random = seededRandom('revenue');
  const [outcomes, labels] = [[] as object[], [] as object[]];
  for (let i = 0; i < 400; i += 1) {
    const p = random.uniform();
    const at = begin + i * hour;
    const versionId = i % 2 === 0 ? 'v' : 'w';
    const more = { versionId, prediction: 'yes', probabilities: { yes: p, no: 1 - p } };
    predict(i, { ...more, confidence: p, key: `user${i}` });
    const isPaid = random.uniform() < p * (versionId === 'v' ? 0.5 : 0.8);
    labels.push({ requestId: `r${i}`, value: isPaid ? 'yes' : 'no', observedAt: at + hour });
    if (!isPaid) continue;
    const who = i % 3 === 0 ? { key: `user${i}` } : { requestId: `r${i}` };
    outcomes.push({ name: 'revenue', ...who, value: 10 + p, observedAt: at + 2 * hour });
    if (i === 1) outcomes.push({ name: 'revenue', ...who, value: 5, observedAt: at + day });
  }
  await monitoring.logLabels('d', labels as never);
  const unknown = { name: 'revenue', requestId: 'nobody', value: 1, observedAt: begin + day };
  const told = await monitoring.logOutcomes('d', [...outcomes, unknown] as never);
  expect(told).toMatchObject({
    ...{ accepted: outcomes.length, refused: [{ requestId: 'nobody', code: 'NOT_FOUND' }] },
  });
  const range = { from: begin, to: begin + 100 * day };
  const [revenue] = await monitoring.businessMetrics('d', range);
  expect(revenue?.overall.requests).toBe(400);
  const [v, w] = revenue?.sides ?? [];
  expect([v?.side, w?.side]).toEqual(['v', 'w']);
  expect((w?.perRequest.value ?? 0) - (v?.perRequest.value ?? 0)).toBeGreaterThan(0.5);
  expect(revenue?.overall.perOutcome.value).toBeGreaterThan(10);
  expect(revenue?.delay.p50Ms).toBe(2 * hour);
  const proxies = revenue?.proxies.map(({ of, known }) => [of, known]);
  expect(proxies?.[0]).toEqual(['loss', 'with the label']);
  expect(proxies?.[1]).toEqual(['confidence', 'now']);
  expect(revenue?.proxies[1]?.interval?.low).toBeGreaterThan(0.1);
  expect(revenue?.daily.value).toBeLessThan(-0.5);
  expect(await monitoring.businessMetrics('d', { from: 0, to: 1 })).toEqual([]);
  const bad = { name: 'revenue', value: Number.NaN, requestId: 'r1', observedAt: begin };
  await expect(monitoring.logOutcomes('d', [bad])).rejects.toMatchObject({ code: 'INVALID' });

  const report = await monitoring.performanceReport('d', { ...range, title: 'Scoring' });
  expect(report.toHtml()).toContain('<svg');
  expect(report.toMarkdown()).toContain('| v | 200 |');
  expect(report.overTime.length).toBeGreaterThan(10);
});
