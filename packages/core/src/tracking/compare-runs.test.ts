import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { sharePlatform } from '../../test/open-test-platform.ts';
import type { Comparison } from './comparison.ts';
import { compare } from './comparison.ts';
import type { Run } from './run.ts';
import type { StartRunOptions } from './start-run-options.ts';
import type { Tracking } from './tracking.ts';

const shared = sharePlatform();
const quick = { experiment: 'e', environment: false } as const;

/** A finished run with these values as the curves of its metrics. */
async function logged(
  tracking: Tracking,
  curves: Readonly<Record<string, readonly number[]>>,
  options: Partial<StartRunOptions> = {},
): Promise<string> {
  return tracking.withRun({ ...quick, ...options }, async (run) => {
    for (const [key, values] of Object.entries(curves)) {
      for (const [step, value] of values.entries()) run.logMetric(key, value, { step });
    }
    return run.id;
  });
}

describe('compareRuns', () => {
  test('figures, winners, the baseline, params, tags and artifacts of real runs', async () => {
    const { tracking } = shared.fresh().platform;
    const params = { rate: 0.1, net: { layers: [8, 4], name: 'mlp' } };
    const first = await logged(
      tracking,
      { loss: [4, 2, 1, 1], accuracy: [0.1, 0.8] },
      { params, tags: { team: 'vision' } },
    );
    const second = await logged(
      tracking,
      { loss: [4, 3, 2, 3] },
      { params: { ...params, rate: '0.1', seed: 7 }, tags: { team: 'vision' } },
    );
    for (const [id, text] of [
      [first, 'one'],
      [second, 'two'],
    ] as const) {
      const run = await tracking.resumeRun(id);
      await run.logText('same.txt', 'same');
      await run.logText('model.txt', text);
      if (id === first) await run.logText('only.txt', 'x');
      await run.finish();
    }
    const compared = await tracking.compareRuns([second, first], { baseline: first });
    expect(compared.runs.map((run) => run.id)).toEqual([second, first]);
    expect(compared.metrics.map((metric) => metric.name)).toEqual(['accuracy', 'loss']);
    const [accuracy, loss] = compared.metrics;
    expect(accuracy).toMatchObject({ direction: 'higher', directionFrom: 'name' });
    expect(accuracy?.figures[0]).toBeUndefined();
    expect(accuracy?.fromBaseline?.[0]).toBeUndefined();
    expect(loss?.figures[1]).toMatchObject({ final: 1, best: 1, bestStep: 2, convergenceStep: 2 });
    expect(loss?.figures[0]).toMatchObject({ final: 3, best: 2, convergenceStep: undefined });
    expect(loss?.bestRuns).toEqual([first]);
    expect(loss?.fromBaseline).toEqual([
      { difference: 2, share: 2, verdict: 'worse' },
      { difference: 0, share: 0, verdict: 'same' },
    ]);
    expect(compared.params).toEqual([
      { key: 'rate', values: ['0.1', 0.1] },
      { key: 'seed', values: [7, undefined] },
    ]);
    expect(compared.same).toEqual({ params: 2, environment: 0, tags: 1 });
    expect(compared.tags).toEqual([]);
    const artifacts = compared.artifacts.map(({ path, same }) => [path, same]);
    expect(artifacts).toEqual([
      ['model.txt', false],
      ['only.txt', false],
      ['same.txt', true],
    ]);
    expect(compared.artifacts[1]?.sha256[0]).toBeUndefined();
    const sha256 = (await tracking.getArtifact(first, 'model.txt')).sha256;
    expect(compared.artifacts[0]?.sha256[1]).toBe(sha256);
    expect(compared.gaps.map(({ of, key, runId, figure }) => [of, key, runId, figure])).toEqual([
      ['metric', 'accuracy', second, undefined],
      ['metric', 'loss', second, 'convergenceStep'],
      ['param', 'seed', first, undefined],
      ['artifact', 'only.txt', second, undefined],
    ]);
  });

  test('environment differences, under dotted keys', async () => {
    const { tracking } = shared.fresh().platform;
    const machine = { git: false, dependencies: false, command: false };
    const first = await logged(tracking, {}, { environment: machine });
    const second = await logged(tracking, {});
    const compared = await tracking.compareRuns([first, second]);
    const node = compared.environment.find(({ key }) => key === 'machine.node');
    expect(node?.values).toEqual([process.versions.node, undefined]);
    expect(compared.gaps).toContainEqual({
      of: 'environment',
      key: 'machine.node',
      runId: second,
      reason: 'it was not captured',
    });
  });

  test('given directions go before defined ones, those before names; aliases are one metric', async () => {
    const { tracking } = shared.fresh().platform;
    await tracking.defineMetric({
      name: 'val_accuracy',
      aliases: ['val_acc', 'acc'],
      direction: 'higher',
      unit: '%',
    });
    await tracking.defineMetric({ name: 'odd_loss', direction: 'higher' });
    const first = await logged(tracking, { val_acc: [1, 3, 2], odd_loss: [5], mystery: [1, 2] });
    const second = await logged(tracking, { val_accuracy: [2], acc: [9], odd_loss: [4] });
    const compared = await tracking.compareRuns([first, second], {
      directions: { mystery: 'lower', acc: 'lower' },
      metrics: ['mystery', 'val_acc', 'odd_loss'],
    });
    expect(
      compared.metrics.map(({ name, direction, directionFrom, unit, keys }) => [
        name,
        direction,
        directionFrom,
        unit,
        keys,
      ]),
    ).toEqual([
      ['mystery', 'lower', 'given', undefined, ['mystery', undefined]],
      ['odd_loss', 'higher', 'defined', undefined, ['odd_loss', 'odd_loss']],
      ['val_accuracy', 'lower', 'given', '%', ['val_acc', 'val_accuracy']],
    ]);
    expect(compared.metrics[2]?.bestRuns).toEqual([first]);
    const undirected = await tracking.compareRuns([first, second], { metrics: ['mystery'] });
    expect(undirected.metrics[0]).toMatchObject({ direction: undefined, bestRuns: [] });
    expect(undirected.metrics[0]?.figures[0]).toMatchObject({ min: 1, max: 2, best: undefined });
  });

  test('a series longer than a page has the figures of its definition', async () => {
    const { tracking } = shared.fresh().platform;
    const run = await tracking.startRun(quick);
    const count = 600_001;
    for (let step = 0; step < count; step += 1) run.logMetric('loss', count - step, { step });
    await run.finish();
    const other = await logged(tracking, { loss: [1] });
    const { metrics } = await tracking.compareRuns([run.id, other]);
    // Falls from 600,001 to 1 by 1 a step: area is the mean of the ends times the width.
    expect(metrics[0]?.figures[0]).toMatchObject({
      count,
      final: 1,
      best: 1,
      bestStep: count - 1,
      convergenceStep: count - 1 - 30_000,
      area: ((count + 1) / 2) * (count - 1),
    });
    // The last tenth is 60,001 whole numbers in a row: variance n(n + 1)/12.
    const tail = Math.ceil(count / 10);
    expect((metrics[0]?.figures[0]?.stability ?? 0) * ((tail * (tail + 1)) / 12)).toBeCloseTo(1, 9);
  });

  test('keys that are names of Object itself are keys like others', async () => {
    const { tracking } = shared.fresh().platform;
    const hostile = ['__proto__', 'constructor', 'toString', "'; DROP TABLE run; --"];
    const curves = Object.fromEntries(hostile.map((key) => [key, [1, 2]]));
    const params = Object.fromEntries(hostile.map((key) => [key, 1]));
    const first = await logged(tracking, curves, { params });
    const second = await logged(tracking, {}, {});
    const compared = await tracking.compareRuns([first, second]);
    expect(compared.metrics.map(({ name }) => name)).toEqual(hostile.toSorted());
    expect(compared.params).toEqual(
      hostile.toSorted().map((key) => ({ key, values: [1, undefined] })),
    );
  });

  test('refuses by name what cannot be compared', async () => {
    const { platform } = shared.fresh();
    const { tracking } = platform;
    const id = await logged(tracking, { loss: [1] });
    const other = await logged(tracking, { loss: [1] });
    const refused = (work: Promise<unknown>) => expect(work).rejects;
    await refused(tracking.compareRuns([id])).toMatchObject({ code: 'INVALID' });
    await refused(tracking.compareRuns([id, id])).toThrow(`run "${id}" twice`);
    await refused(tracking.compareRuns([id, 'nowhere'])).toMatchObject({ code: 'NOT_FOUND' });
    await refused(tracking.compareRuns([id, other], { baseline: 'x' })).toThrow('baseline "x"');
    const typo = { metric: ['loss'] } as object;
    await refused(tracking.compareRuns([id, other], typo)).toThrow('metric');
    await refused(tracking.compareRuns([id, other], { signal: AbortSignal.abort() })).toMatchObject(
      { code: 'ABORTED' },
    );
    const elsewhere = shared.fresh().platform.tracking;
    await refused(elsewhere.compareRuns([id, other])).toMatchObject({ code: 'NOT_FOUND' });
  });

  test('property: every undefined value of a comparison has its gap, and no gap is without', () => {
    const value = fc.oneof(fc.constant(undefined), fc.integer({ min: 0, max: 2 }));
    const map = fc.dictionary(fc.constantFrom('a', 'b', '__proto__', 'c.d'), value, {
      noNullPrototype: true,
    });
    const run = fc.record({ params: map, tags: map, environment: map });
    fc.assert(
      fc.property(fc.array(run, { minLength: 2, maxLength: 5 }), (raw) => {
        const runs = raw.map((each, i) => runWith(`run-${i}`, each));
        const compared = compare({ runs, artifacts: runs.map(() => []), metrics: [] });
        expect(compared.gaps.length).toBe(missingOf(compared));
        for (const { key, values } of compared.params)
          expect(values).toEqual(
            runs.map((r) => (Object.hasOwn(r.params, key) ? r.params[key] : undefined)),
          );
      }),
    );
  });
});

function missingOf({ params, tags, environment }: Comparison): number {
  const values = [params, tags, environment].flat().flatMap((each) => each.values);
  return values.filter((value) => value === undefined).length;
}

function runWith(
  id: string,
  maps: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
): Run {
  const known = Object.fromEntries(
    Object.entries(maps).map(([name, map]) => [
      name,
      Object.fromEntries(Object.entries(map).filter(([, value]) => value !== undefined)),
    ]),
  );
  return { id, name: id, experimentId: 'e', status: 'COMPLETED', startedAt: 0, ...known } as Run;
}

describe('compareGroups', () => {
  test('compares groups of real runs by their final or best values', async () => {
    const { tracking } = shared.fresh().platform;
    const groups: Record<string, string[]> = { slow: [], fast: [] };
    for (const i of [0, 1, 2, 3]) {
      groups['slow']?.push(await logged(tracking, { loss: [9, 3 + i, 4 + i] }));
      groups['fast']?.push(await logged(tracking, { loss: [9, i, 1 + i] }));
    }
    const final = await tracking.compareGroups({ groups, metrics: ['loss'] });
    expect(final.metrics[0]?.groups.map((group) => group.mean)).toEqual([5.5, 2.5]);
    expect(final.metrics[0]?.pairs[0]).toMatchObject({ first: 'slow', second: 'fast' });
    expect(final.metrics[0]?.pairs[0]?.better).toBe('fast');
    const best = await tracking.compareGroups({ groups, metrics: ['loss'], figure: 'best' });
    expect(best.metrics[0]?.groups.map((group) => group.mean)).toEqual([4.5, 1.5]);
  });

  test('refuses by name groups of one run, runs in two groups, metrics without a direction', async () => {
    const { tracking } = shared.fresh().platform;
    const [a, b, c, d] = (await Promise.all(
      [1, 2, 3, 4].map((i) => logged(tracking, { mystery: [i] })),
    )) as [string, string, string, string];
    const metrics = ['mystery'];
    const refused = (groups: Record<string, string[]>, more = {}) =>
      expect(tracking.compareGroups({ groups, metrics, ...more })).rejects;
    await refused({ few: [a], enough: [b, c] }).toThrow('Group "few"');
    await refused({ one: [a, b], two: [b, c] }).toThrow('"one" and "two"');
    await refused({ one: [a, b] }).toThrow('2 to 20 groups');
    await refused({ one: [a, b], two: [c, d] }, { figure: 'best' }).toThrow('"mystery"');
    await refused({ one: [a, b], two: [c, d] }, { alpha: 1 }).toThrow('alpha');
    const { gaps } = await tracking.compareGroups({
      groups: { one: [a, b], two: [c, d] },
      metrics: ['nothing'],
    });
    expect(gaps.length).toBe(6);
  });
});
