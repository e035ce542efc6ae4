import { describe, expect, test } from 'vitest';
import { openTestPlatform, sharePlatform } from '../../../test/open-test-platform.ts';
import { testBackends } from '../../../test/test-backends.ts';
import { canonicalJson } from '../../json.ts';
import { openPlatform, type Services } from '../../open-platform.ts';
import { seededRandom } from '../../statistics/index.ts';
import {
  beginConcept,
  type ConceptRow,
  conceptAnalysis,
  continueConcept,
} from './concept-analysis.ts';
import { analysisFigures } from './drift-figures.ts';
import type { KeptAnalysis } from './kept-analysis.ts';

const shared = sharePlatform();
const minute = 60_000;
const begin = Date.parse('2026-01-01');

/** Answers, one a minute, wrong with a chance that the place decides; labels come ten minutes later. */
async function answers(
  { monitoring }: Pick<Services, 'monitoring'>,
  from: number,
  to: number,
  wrong: (i: number) => number,
): Promise<void> {
  const labels = [];
  for (let i = from; i < to; i += 1) {
    const isWrong = seededRandom(`answer ${i}`).uniform() < wrong(i);
    const at = begin + i * minute;
    monitoring.predictions.record({
      ...{ deploymentId: 'd', versionId: 'v', requestId: `r${i}`, role: 'primary', at },
      ...{ features: {}, prediction: 'a', latencyMs: 1 },
    });
    const value = isWrong ? 'b' : 'a';
    labels.push({ requestId: `r${i}`, value, observedAt: at + 10 * minute });
  }
  await monitoring.logLabels('d', labels);
}

const analyse = (platform: Pick<Services, 'monitoring'>, i: number): Promise<KeptAnalysis> =>
  platform.monitoring.analyseDrift('d', {
    ...{ type: 'CONCEPT', at: begin + i * minute, from: begin },
  });

async function degradations(platform: Pick<Services, 'events'>) {
  return await Array.fromAsync(platform.events.each({ types: ['performance.degraded'] }));
}

describe('concept drift', () => {
  test('a rise of wrong answers is found once, told with its kind and since when, and is over when it is over', async () => {
    const { platform } = shared.fresh();
    const step = (i: number): number => (i >= 1500 && i < 3500 ? 0.35 : 0.1);
    await answers(platform, 0, 5500, step);
    const early = await analyse(platform, 300);
    expect(early).toMatchObject({ outcome: 'not-enough-data', detected: false, severity: 'NONE' });
    const calm = await analyse(platform, 1500);
    expect(calm).toMatchObject({ outcome: 'measured', detected: false, from: early.to });
    // Labels take ten minutes: younger answers are left for the next analysis.
    expect(calm.to).toBe(begin + 1490 * minute);
    const found = await analyse(platform, 2500);
    expect(found).toMatchObject({ detected: true, driftKind: 'SUDDEN' });
    expect(['MEDIUM', 'HIGH', 'CRITICAL']).toContain(found.severity);
    expect(Math.abs((found.since ?? 0) - begin - 1500 * minute)).toBeLessThan(150 * minute);
    expect((await analyse(platform, 3000)).detected).toBe(true);
    const over = await analyse(platform, 5500);
    expect(over.detected).toBe(false);
    const told = await degradations(platform);
    expect(told).toHaveLength(1);
    expect(told[0]?.payload).toMatchObject({
      ...{ deployment: 'd', metric: 'error_rate', analysisId: found.id, driftKind: 'SUDDEN' },
      ...{ severity: expect.stringMatching(/WARNING|CRITICAL/) },
    });
    // No label has come since: the same is known.
    const last = await analyse(platform, 5800);
    expect(await analyse(platform, 6000)).toEqual(last);
    // What was analysed is answered as it was.
    expect(await analyse(platform, 2500)).toEqual(found);
    expect(await analyse(platform, 2400)).toEqual(found);
    const listed = await platform.monitoring.listDriftAnalyses('d', { type: 'CONCEPT' });
    expect(listed.map(({ id }) => id).slice(0, 2)).toEqual([last.id, over.id]);
    expect(listed).toHaveLength(6);
  });

  test('in many analyses by several processes at once, as in one by one', async () => {
    const step = (i: number): number => (i >= 1200 ? 0.3 : 0.05);
    const one = shared.fresh().platform;
    await answers(one, 0, 2500, step);
    const whole = await analyse(one, 2500);
    const { platform, dir } = await openTestPlatform();
    await answers(platform, 0, 2500, step);
    await using other = await openPlatform({ ...(await testBackends(dir)), dir });
    for (let i = 250; i <= 2500; i += 250) {
      const [a, b] = await Promise.all([analyse(platform, i), analyse(other, i)]);
      expect(b).toEqual(a);
    }
    const last = await analyse(other, 2500);
    const bare = ({ id: _, from: __, ...rest }: KeptAnalysis) => rest;
    expect(canonicalJson(bare(last))).toBe(canonicalJson(bare(whole)));
    expect(await platform.monitoring.listDriftAnalyses('d')).toHaveLength(10);
    expect(await degradations(platform)).toHaveLength(1);
  });

  test('answers kept for being wrong do not make losses look worse', () => {
    const rows = Array.from({ length: 6000 }, (_, i): ConceptRow[] => {
      const random = seededRandom(`sampled ${i}`);
      const isWrong = random.uniform() < 0.1;
      // From the middle on, right answers are sampled, wrong ones all kept.
      const chance = i < 3000 || isWrong ? 1 : 0.3;
      if (random.uniform() >= chance) return [];
      const row = { actual: isWrong ? 'b' : 'a', predicted: 'a', weight: 1 / chance };
      return [{ at: begin + i * minute, requestId: `r${i}`, row }];
    }).flat();
    const found = conceptAnalysis(continueConcept(beginConcept(), rows));
    expect(found).toMatchObject({ outcome: 'measured', detected: false });
    const bare = rows.map(({ row: { weight: _, ...row }, ...rest }) => ({ ...rest, row }));
    expect(conceptAnalysis(continueConcept(beginConcept(), bare)).detected).toBe(true);
  });
});

test('features that no longer go together are found against a reference that is kept', async () => {
  const { platform } = shared.fresh();
  const { monitoring } = platform;
  const random = seededRandom('together');
  for (let i = 0; i < 1500; i += 1) {
    const [x, y, z] = [random.normal(), random.normal(), random.normal()];
    const sign = i < 1000 ? 1 : -1;
    monitoring.predictions.record({
      ...{ deploymentId: 'd', versionId: 'v', requestId: `r${i}`, role: 'primary' },
      ...{ at: begin + i * minute, prediction: 'a', latencyMs: 1 },
      features: { x, y: sign * 0.9 * x + 0.4 * y, z, plan: z > 0 ? 'free' : 'paid' },
    });
  }
  const together = (at: number, more: object = {}) =>
    monitoring.analyseDrift('d', {
      ...{ type: 'MULTIVARIATE', at: begin + at * minute, from: begin + (at - 300) * minute },
      ...more,
    });
  await expect(together(900)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  const reference = { from: begin, to: begin + 800 * minute };
  const calm = await together(1000, { reference });
  expect(calm).toMatchObject({
    ...{ outcome: 'measured', detected: false, samples: { reference: 800, current: 300 } },
  });
  const found = await together(1400);
  expect(found).toMatchObject({ detected: true, severity: expect.stringMatching(/HIGH|CRITICAL/) });
  expect(found.score).toBeGreaterThan(found.threshold ?? Infinity);
  expect(
    found.features
      .slice(0, 2)
      .map(({ feature }) => feature)
      .sort(),
  ).toEqual(['x', 'y']);
  expect(await together(1400)).toEqual(found);
  const listed = await monitoring.listDriftAnalyses('d', { type: 'MULTIVARIATE' });
  expect(listed.map(({ detected }) => detected)).toEqual([true, false]);
  const few = [{ x: 1, y: 2 }];
  expect(await together(1450, { reference: few })).toMatchObject({ outcome: 'not-enough-data' });
});

test('alert rules read what analyses found, with the kind of the drift', async () => {
  const { platform } = shared.fresh();
  const { monitoring } = platform;
  await answers(platform, 0, 2600, (i) => (i >= 1500 ? 0.4 : 0.1));
  const source = analysisFigures(() => monitoring);
  const read = (i: number) =>
    source.read({
      ...{ deploymentId: 'd', deployment: 'd', names: Object.keys(source.figures) },
      ...{ from: begin, to: begin + i * minute },
    });
  const [calm, nothing, unscored] = await read(1400);
  expect(calm).toMatchObject({ name: 'concept_drift', value: 0 });
  expect(nothing).toEqual({ name: 'multivariate_drift', count: 0 });
  expect(unscored).toEqual({ name: 'accuracy_shortfall', count: 0 });
  const [found] = await read(2600);
  expect(found).toMatchObject({ name: 'concept_drift', driftKind: 'SUDDEN' });
  expect(found?.value).toBeGreaterThan(0.25);
  expect(Object.keys(await monitoring.alertRules.figures())).toContain('concept_drift');
});
