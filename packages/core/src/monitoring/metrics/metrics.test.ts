import { expect, test } from 'vitest';
import { openTestPlatform } from '../../../test/open-test-platform.ts';
import { openTestScope } from '../../../test/open-test-scope.ts';
import { testBackends } from '../../../test/test-backends.ts';
import type { PredictionRow } from '../../contracts/prediction-sink.ts';
import { KeelsonError } from '../../errors.ts';
import { openPlatform, type Platform } from '../../open-platform.ts';
import { platformKinds } from '../../platform-kinds.ts';
import {
  encodeHistogram,
  LogLinearHistogram,
  mergeEncoded,
  quantilesOf,
  seededRandom,
} from '../../statistics/index.ts';
import { stretches } from '../windows/stretches.ts';
import type { MetricsOptions } from './metrics.ts';
import { createMetrics } from './metrics.ts';

const minute = 60_000;
const begin = Date.parse('2026-01-05');
const day = { from: begin, to: begin + 86_400_000 } as const;

let requests = 0;
function predictInto(platform: Platform, at: number, more: Partial<PredictionRow> = {}): void {
  requests += 1;
  platform.monitoring.predictions.record({
    ...{ deploymentId: 'd', versionId: 'v1', requestId: `r${requests}`, role: 'primary' },
    ...{ at, features: { x: 1 }, prediction: 1, latencyMs: 10 },
    ...more,
  });
}

async function metricsOf(platform: Platform, options: Partial<MetricsOptions> = {}) {
  const all = await platform.monitoring.metrics('d', { ...day, ...options });
  return all.map(({ name, dimensions, points }) => ({
    name,
    ...dimensions,
    points: points.map(({ at, count, value }) => [(at - begin) / minute, count, value]),
  }));
}

test('every prediction of every deployment is counted, without a baseline: times, rates, errors and refused requests', async () => {
  const { platform } = await openTestPlatform();
  const random = seededRandom(1);
  const latencies = Array.from({ length: 2000 }, () => Math.exp(2 + random.normal()));
  for (const [i, latencyMs] of latencies.entries()) {
    predictInto(platform, begin + i * 60, {
      latencyMs,
      queueMs: latencyMs / 4,
      inferenceMs: latencyMs / 2,
    });
  }
  for (let i = 0; i < 40; i += 1) {
    predictInto(platform, begin + i, { error: 'broken', latencyMs: 9e6 });
    predictInto(platform, begin + i, { role: 'shadow', latencyMs: 9e6 });
  }
  for (let i = 0; i < 10; i += 1) {
    platform.monitoring.predictions.refused?.({ deploymentId: 'd', at: begin + minute });
  }
  const all = await platform.monitoring.metrics('d', { ...day, windowMs: 5 * minute });
  const value = Object.fromEntries(all.map(({ name, points }) => [name, points[0]?.value]));
  expect(all.every(({ points }) => points.length === 1)).toBe(true);
  expect(value).toMatchObject({ requests: 2040, errors: 40, error_rate: 40 / 2040 });
  expect(value).toMatchObject({ invalid_requests: 10, invalid_request_rate: 10 / 2050 });
  expect(value.request_rate).toBeCloseTo(2040 / 300, 9);
  const sorted = latencies.toSorted((a, b) => a - b);
  for (const [share, name] of [
    [0.5, 'p50'],
    [0.95, 'p95'],
    [0.99, 'p99'],
    [0.999, 'p999'],
  ] as const) {
    const exact = sorted[Math.ceil(share * 2000) - 1] as number;
    const { relativeError = 0 } = all.find((each) => each.name === `latency_${name}`) ?? {};
    expect(relativeError).toBeLessThan(0.01);
    for (const [time, part] of [
      ['latency', 1],
      ['queue', 1 / 4],
      ['inference', 1 / 2],
    ] as const) {
      const told = value[`${time}_${name}`] as number;
      expect(Math.abs(told / (exact * part) - 1)).toBeLessThanOrEqual(relativeError);
    }
  }
  const mean = latencies.reduce((sum, each) => sum + each, 0) / 2000;
  expect(value.latency_mean).toBeCloseTo(mean, 3);
});

test('by version, segment, arm and replica; too many of them share one place', async () => {
  const { platform } = await openTestPlatform();
  for (let i = 0; i < 120; i += 1) {
    predictInto(platform, begin, {
      versionId: i < 80 ? 'v1' : 'v2',
      ...{ segment: `s${i}`, experimentArm: i % 3 === 0 ? 'a' : 'b', replica: `v1/${i % 2}` },
      ...(i < 90 ? {} : { error: 'broken' }),
    });
  }
  platform.monitoring.predictions.refused?.({ deploymentId: 'd', versionId: 'v2', at: begin });
  const names = ['requests', 'errors', 'invalid_requests'] as const;
  const by = await metricsOf(platform, { names, by: 'version' });
  expect(by.map(({ name, version, points }) => [name, version, points[0]?.[2]])).toEqual([
    ['requests', 'v1', 80],
    ['errors', 'v1', 0],
    ['invalid_requests', 'v1', 0],
    ['requests', 'v2', 40],
    ['errors', 'v2', 30],
    ['invalid_requests', 'v2', 1],
  ]);
  const one = { names: ['requests'] as const };
  const arm = await metricsOf(platform, { ...one, dimensions: { arm: 'a' } });
  expect(arm).toEqual([{ name: 'requests', arm: 'a', points: [[0, 40, 40]] }]);
  expect(await metricsOf(platform, { ...one, dimensions: { replica: 'none' } })).toMatchObject([
    { points: [] },
  ]);
  const segments = await metricsOf(platform, { ...one, by: 'segment' });
  expect(segments).toHaveLength(21);
  expect(segments[0]).toEqual({ name: 'requests', segment: '__other__', points: [[0, 100, 100]] });
});

test('windows of minutes, hours, days and weeks, of several processes and late rows, add up exactly', async () => {
  const { platform, dir } = await openTestPlatform();
  await using second = await openPlatform({ dir, ...(await testBackends(dir)) });
  for (const by of [platform, second]) {
    for (let minutes = 0; minutes < 26 * 60; minutes += 10)
      predictInto(by, begin + minutes * minute);
    await by.monitoring.predictions.flush();
    // The day before, a Sunday, comes late; so does a minute that was closed.
    predictInto(by, begin - minute);
    predictInto(by, begin, { latencyMs: 1000 });
    await by.monitoring.predictions.flush();
  }
  const names = ['requests', 'latency_p999'] as const;
  const range = { names, from: begin - 1, to: begin + 2 * 86_400_000 };
  const perWindow = async (windowMs: number) =>
    (await metricsOf(platform, { ...range, windowMs })).map(({ points }) => points);
  const [minutes = []] = await perWindow(minute);
  expect(minutes).toHaveLength(157);
  expect(minutes.slice(0, 2)).toEqual([
    [-1, 2, 2],
    [0, 4, 4],
  ]);
  expect((await perWindow(15 * minute))[0]?.[1]).toEqual([0, 6, 6]);
  const [hours, latest] = await perWindow(60 * minute);
  expect(hours?.slice(0, 3)).toEqual([
    [-60, 2, 2],
    [0, 14, 14],
    [60, 12, 12],
  ]);
  expect(latest?.[1]?.[2]).toBe(1000);
  expect((await perWindow(24 * 60 * minute))[0]).toEqual([
    [-1440, 2, 2],
    [0, 290, 290],
    [1440, 24, 24],
  ]);
  expect((await perWindow(7 * 24 * 60 * minute))[0]).toEqual([
    [-7 * 1440, 2, 2],
    [0, 314, 314],
  ]);
});

test('what is recent slides by ten seconds, and says that nothing came', async () => {
  let now = begin + 10 * minute;
  const { platform } = await openTestPlatform({ clock: { now: () => now } });
  for (let second = 0; second < 300; second += 1) {
    predictInto(platform, now - 300_000 + second * 1000, second < 270 ? {} : { error: 'broken' });
  }
  const recent = async (windowMs: number) => {
    const names = ['requests', 'error_rate', 'latency_p95', 'request_rate'] as const;
    const all = await platform.monitoring.recentMetrics('d', { names, windowMs });
    return all.map(({ points: [point] }) => point?.value);
  };
  now -= 1;
  expect(await recent(minute)).toEqual([60, 0.5, 10, expect.closeTo(1, 1)]);
  expect(await recent(5 * minute)).toEqual([300, 0.1, 10, expect.closeTo(1, 1)]);
  now += 30_000;
  expect(await recent(minute)).toEqual([30, 1, undefined, expect.closeTo(0.5, 1)]);
  now += 30_000;
  expect(await recent(minute)).toEqual([0, undefined, undefined, 0]);
});

test('what there is not is refused by name', async () => {
  const { platform } = await openTestPlatform();
  const asked = (options: object) =>
    platform.monitoring.metrics('d', { ...day, ...options } as never);
  await expect(asked({ names: ['speed'] })).rejects.toThrow(/names/);
  await expect(asked({ windowMs: 7 })).rejects.toThrow(/windowMs/);
  await expect(asked({ to: Number.NaN })).rejects.toThrow(/to: /);
  await expect(asked({ from: 0 })).rejects.toThrow(/more than 100000 windows/);
  await expect(asked({ by: 'version', dimensions: { arm: 'a' } })).rejects.toThrow(
    /one of version/,
  );
  const none = await asked({ from: begin + 1, to: begin });
  expect(none.every(({ points }) => points.length === 0)).toBe(true);
  await expect(platform.monitoring.recentMetrics('d', { windowMs: 1234 })).rejects.toThrow(
    /windowMs/,
  );
});

test('a histogram in text answers as the histogram does, in whatever order it was added up', () => {
  const random = seededRandom(5);
  const all = new LogLinearHistogram(6);
  const texts = Array.from({ length: 7 }, (_, part) => {
    const histogram = new LogLinearHistogram(6);
    for (let i = 0; i < part * 200; i += 1) {
      const value = i % 50 === 0 ? 0 : Math.exp(4 * random.normal());
      for (const each of [histogram, all]) each.record(value, 1 + (i % 3 === 0 ? 1e9 : 0));
    }
    return encodeHistogram(histogram);
  });
  const shares = [0, 0.001, 0.5, 0.9, 0.999, 1];
  const { total, quantiles } = quantilesOf(texts, shares);
  expect(total).toBe(all.count);
  expect(quantiles).toEqual(shares.map((share) => all.quantile(share)));
  const [one, ...rest] = texts as [string, ...string[]];
  expect(mergeEncoded([mergeEncoded(rest), one])).toBe(mergeEncoded(texts));
  expect(mergeEncoded(texts)).toBe(encodeHistogram(all));
  expect(quantilesOf([one], shares)).toEqual({ total: 0, quantiles: shares.map(() => undefined) });
  expect(() => mergeEncoded([one, encodeHistogram(new LogLinearHistogram(7))])).toThrow(/7 bits/);
  expect(() => quantilesOf(['AAAA'], [0.5])).toThrow(/cut short/);
  expect(() => quantilesOf([], [0.5])).toThrow(/no histogram/);
});

test('a time is read in as few windows as cover it', () => {
  const levels = [1, 10, 100];
  const of = (from: number, to: number) =>
    stretches({ from, to }, levels).map((each) => `${each.windowMs}:${each.from}-${each.to}`);
  expect(of(3, 234)).toEqual(['1:3-10', '10:10-100', '100:100-200', '10:200-230', '1:230-234']);
  expect(of(95, 105)).toEqual(['1:95-105']);
  expect(of(0.5, 9.5)).toEqual(['1:1-10']);
  expect(of(5, 5)).toEqual([]);
});

test('figures are told although what waits cannot be stored, with a warning', async () => {
  await using world = await openTestScope({ kinds: platformKinds });
  const metrics = createMetrics(world.scope, async () => {
    throw new KeelsonError('FORBIDDEN', 'Rows of another deployment may not be written.');
  });
  expect(await metrics.metrics('d', { ...day, names: ['requests'] })).toMatchObject([
    { points: [] },
  ]);
  const recent = await metrics.recentMetrics('d', { names: ['requests'] });
  expect(recent).toMatchObject([{ points: [{ count: 0 }] }]);
  const warnings = world.logs.filter(({ level }) => level === 'warn');
  expect(warnings).toHaveLength(2);
  expect(warnings[0]?.message).toContain('could not be stored');
});
