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
