import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ChildProgram } from '../../../test/child-program.ts';
import { openTestPlatform, temporaryDirectory } from '../../../test/open-test-platform.ts';
import { openTestScope, type TestScope } from '../../../test/open-test-scope.ts';
import type { EvidenceQuery } from '../../contracts/evidence-source.ts';
import type { PredictionRow } from '../../contracts/prediction-sink.ts';
import type { RowBatch, SeriesStore } from '../../contracts/series-store.ts';
import { KeelsonError } from '../../errors.ts';
import { platformKinds } from '../../platform-kinds.ts';
import { createEvidenceSource } from '../evidence.ts';
import { incidentImpact } from '../incident-impact.ts';
import { appendLabels, LabelNumbers } from '../performance/labels.ts';
import { PredictionLog } from './prediction-log.ts';
import type { PredictionLogOptions } from './prediction-log-parts.ts';
import { createPredictionLogging, type PredictionLoggingRoom } from './prediction-logging.ts';
import { predictionStream } from './prediction-stream.ts';
import { sampleRequests } from './sampled-requests.ts';
import { sampleFraction } from './sampling.ts';
import { readPredictions, type StoredPrediction } from './stored-predictions.ts';
import type { LostPredictions } from './writer-counts.ts';

const begin = Date.parse('2026-05-01');
const always = { from: 0, to: begin * 2 };

let world: TestScope;
let room: PredictionLoggingRoom;
let opened = 0;

beforeAll(async () => {
  world = await openTestScope({ kinds: platformKinds });
  room = createPredictionLogging(world.scope, {});
});

afterAll(() => world[Symbol.asyncDispose]());

/** A deployment that nobody else has: the log asks for no more than its id. */
function another(): string {
  opened += 1;
  return `deployment-${opened}`;
}

function rowOf(deploymentId: string, i: number, more: Partial<PredictionRow> = {}): PredictionRow {
  return {
    ...{ deploymentId, versionId: 'v1', requestId: `r${i}`, role: 'primary', at: begin + i },
    ...{ features: { x: i }, prediction: i % 2 === 0 ? 'a' : 'b', latencyMs: 1 },
    ...more,
  };
}

/** Records rows and answers what is then in the log. */
async function logged(
  deploymentId: string,
  rows: readonly PredictionRow[],
): Promise<readonly StoredPrediction[]> {
  for (const row of rows) room.service.predictions.record(row);
  await room.service.predictions.flush();
  return readPredictions(world.scope, deploymentId, always);
}

function logOn(series: Partial<SeriesStore>, options: PredictionLogOptions = {}): PredictionLog {
  const scope = { ...world.scope, series: series as SeriesStore };
  return new PredictionLog(scope, { flushMs: 60_000, ...options });
}

describe('what is stored of a row', () => {
  test('features come back as they were, whatever type, name or value they have', async () => {
    const id = another();
    const strange = JSON.parse('{"__proto__": 1, "constructor": "x", "$number": "NaN"}');
    const all: Record<string, unknown>[] = [
      { n: 1, t: 'a', b: true, l: [1, { deep: Number.NaN }], z: null },
      { n: Number.NaN, t: '', b: false, o: { a: -0 } },
      { n: -0, t: 7 },
      { n: Number.NEGATIVE_INFINITY, t: null },
      { n: 'text now', new: 1.5 },
      strange,
      {},
    ];
    const rows = await logged(
      id,
      all.map((features, i) => rowOf(id, i, { features: features as PredictionRow['features'] })),
    );
    expect(rows.map(({ features }) => features)).toEqual(all);
    expect(Object.is(rows[2]?.features['n'], -0)).toBe(true);
    expect(Object.hasOwn(rows[5]?.features as object, '__proto__')).toBe(true);
    expect(({} as Record<string, unknown>)['constructor']).toBe(Object);
  });

  test('what it says beside features comes back, ids of people as pseudonyms', async () => {
    const id = another();
    const more: Partial<PredictionRow> = {
      ...{ segment: 'DE', region: 'eu', experimentArm: 'B', featureSchemaVersion: '7', key: 'k' },
      ...{ probabilities: { a: 0.9, b: 0.1 }, confidence: 0.9, queueMs: 2, inferenceMs: 3 },
      ...{ replica: 'r', correlationId: 'c', flags: ['odd', 'new'], error: 'too late' },
    };
    const rows = await logged(id, [
      rowOf(id, 1, { ...more, userId: 'ana@example.org', sessionId: 's' }),
      rowOf(id, 2, { userId: 'ana@example.org' }),
      rowOf(id, 3, { userId: 'ben@example.org' }),
    ]);
    expect(rows[0]).toMatchObject({ ...more, reason: 'critical' });
    const users = rows.map(({ userId }) => userId);
    expect(users[0]).toMatch(/^[\w-]{22}$/);
    expect(users[1]).toBe(users[0]);
    expect(users[2]).not.toBe(users[0]);
    expect(JSON.stringify(rows)).not.toContain('example.org');
  });

  test('rows that cannot be stored block no others, and are counted', async () => {
    const id = another();
    const cycle: Record<string, unknown> = {};
    cycle['self'] = cycle;
    const features: Record<string, unknown> = {
      ok: 1,
      ...{ cycle, big: 1n, fn: () => 1, date: new Date(0), text: 'a\u0000b\uD800' },
      ...{ long: 'x'.repeat(70_000), ['a\u0000name']: 2 },
    };
    const throwing = {
      get x(): number {
        throw new Error('No.');
      },
    };
    const before = room.service.predictions.health();
    const bad = [undefined, null, 7, {}, { ...rowOf(id, 1), at: Number.NaN }];
    const rows = await logged(id, [
      ...(bad as PredictionRow[]),
      rowOf(id, 2, { features: features as PredictionRow['features'] }),
      rowOf(id, 3, { features: throwing }),
      rowOf(id, 4, { features: 'none' as never, prediction: (() => 1) as never }),
      rowOf(id, 5, { features: { huge: 'y'.repeat(2_000_000) } }),
      rowOf('a\u0000b', 6),
      rowOf(id, 7),
    ]);
    expect(rows.map(({ requestId }) => requestId)).toEqual(['r2', 'r4', 'r5', 'r7']);
    expect(rows[0]?.features).toEqual({ ok: 1, text: 'a\uFFFDb\uFFFD', 'a\uFFFDname': 2 });
    expect(rows.slice(1, 3).map((row) => [row.features, row.prediction])).toEqual([
      [{}, null],
      [{}, null],
    ]);
    const { dropped, unstorable = 0 } = room.service.predictions.health();
    expect(dropped - before.dropped).toBe(bad.length + 2);
    expect(unstorable - (before.unstorable ?? 0)).toBe(7);
  });

  test('a batch has few columns, whatever names callers make up', async () => {
    const batches: RowBatch[] = [];
    const log = logOn({ appendRows: async (batch) => void batches.push(batch) });
    for (let i = 0; i < 1000; i += 1) {
      log.record(rowOf('d', i, { features: { x: i, [`made up ${i}`]: i, [`and ${i}`]: 'x' } }));
    }
    await log.flush();
    const names = Object.keys(batches[0]?.columns ?? {});
    expect(names).toContain('number:x');
    expect(names.length).toBeLessThan(20);
  });
});

describe('the sample', () => {
  test('is a matter of the id of the request, and each row says with which chance it is there', async () => {
    const id = another();
    await room.service.setPredictionSettings(id, { sampling: { rate: 0.25 } });
    const all = Array.from({ length: 4000 }, (_, i) =>
      rowOf(id, i, i % 40 === 0 ? { error: 'no' } : {}),
    );
    const rows = await logged(id, all);
    const expected = all.filter(
      (row) => row.error !== undefined || sampleFraction(row.requestId) < 0.25,
    );
    expect(rows.map(({ requestId }) => requestId)).toEqual(expected.map((row) => row.requestId));
    const errors = rows.filter(({ error }) => error !== undefined);
    expect(errors.length).toBe(100);
    expect(errors.every((row) => row.reason === 'error' && row.rate === 0.25)).toBe(true);
    // Each row stands for 1 / inclusion rows: together for about all.
    const weight = rows.reduce(
      (sum, { inclusionProbability = 1 }) => sum + 1 / inclusionProbability,
      0,
    );
    expect(weight).toBeGreaterThan(3700);
    expect(weight).toBeLessThan(4300);
  });

  test('has strata of its own, of features and of segments', async () => {
    const id = another();
    await room.service.setPredictionSettings(id, {
      sampling: {
        rate: 0,
        strata: { by: { feature: 'country' }, rates: { DE: 1, US: 0.5, ['__proto__']: 1 } },
      },
    });
    const all = Array.from({ length: 900 }, (_, i) =>
      rowOf(id, i, { features: { country: ['DE', 'US', 'FR'][i % 3] as string } }),
    );
    const rows = await logged(id, [
      ...all,
      rowOf(id, 901, { features: { country: '__proto__' } }),
      rowOf(id, 902, { features: { country: 'FR' }, critical: true }),
    ]);
    const of = (country: string) => rows.filter(({ features }) => features['country'] === country);
    expect(of('DE').length).toBe(300);
    expect(of('US').length).toBeGreaterThan(110);
    expect(of('US').length).toBeLessThan(190);
    expect(
      of('US').every((row) => row.inclusionProbability === 0.5 && row.reason === 'stratum'),
    ).toBe(true);
    expect(of('FR')).toMatchObject([{ reason: 'critical', rate: 0 }]);
    expect(of('__proto__').length).toBe(1);
  });

  test('keeps to a budget without bias, and what is critical beside it', async () => {
    const id = another();
    await room.service.setPredictionSettings(id, { sampling: { budget: { rowsPerSecond: 1 } } });
    await room.service.predictions.flush();
    const rows = await logged(
      id,
      Array.from({ length: 20_000 }, (_, i) => rowOf(id, i, i < 5 ? { critical: true } : {})),
    );
    expect(rows.length).toBeLessThan(400);
    const weight = rows.reduce(
      (sum, { inclusionProbability = 1 }) => sum + 1 / inclusionProbability,
      0,
    );
    expect(weight).toBeGreaterThan(8_000);
    expect(weight).toBeLessThan(40_000);
    expect(rows.filter(({ reason }) => reason === 'critical').length).toBe(5);
  });

  test('outside of it key features are kept where they are asked for', async () => {
    const id = another();
    await room.service.setPredictionSettings(id, { sampling: { rate: 0.5 }, keyFeatures: ['x'] });
    const rows = await logged(
      id,
      Array.from({ length: 100 }, (_, i) => rowOf(id, i, { features: { x: i, y: i } })),
    );
    expect(rows.length).toBe(100);
    const rest = rows.filter(({ reason }) => reason === 'rest');
    expect(rest.length).toBe(count(rest, (row) => sampleFraction(row.requestId) >= 0.5));
    expect(rest.every(({ features }) => !('y' in features) && 'x' in features)).toBe(true);
    expect(
      rows.every((row) => row.inclusionProbability === undefined && row.featureRate === 0.5),
    ).toBe(true);
  });

  test('labels of requests that it left out are no mistake, those of unknown ones are', async () => {
    const id = another();
    await room.service.setPredictionSettings(id, { sampling: { rate: 0.5 } });
    const ids = Array.from({ length: 200 }, (_, i) => `r${i}`);
    const rows = await logged(
      id,
      ids.slice(0, 100).map((_, i) => rowOf(id, i)),
    );
    const result = await appendLabels(
      world.scope,
      id,
      ids.map((requestId) => ({ requestId, value: 'a', observedAt: begin + 1000 })),
      86_400_000,
      new LabelNumbers(),
      (...of) => room.settings.lowestRateSince(...of),
    );
    expect(result.accepted).toBe(rows.length);
    const unknown = ids.slice(100).filter((requestId) => sampleFraction(requestId) < 0.5);
    expect(result.refused.map(({ requestId }) => requestId)).toEqual(unknown);
    expect(result.sampledOut).toBe(200 - rows.length - unknown.length);
  });
});

function count<T>(values: readonly T[], holds: (value: T) => boolean): number {
  return values.filter(holds).length;
}

describe('who reads the log', () => {
  const rates = { sampling: { rate: 0.1, criticalFlags: ['odd'] } } as const;

  /** 20,000 requests: every 20th fails, and is always kept; every 10th is slow. */
  async function traffic(id: string, settings: object = rates): Promise<void> {
    await room.service.setPredictionSettings(id, settings);
    const rows = Array.from({ length: 20_000 }, (_, i) =>
      rowOf(id, i, {
        latencyMs: i % 10 === 3 ? 100 : 1,
        features: { country: i % 4 === 0 ? 'DE' : 'US' },
        ...(i % 20 === 0 ? { error: 'no' } : {}),
        ...(i % 8 === 1 ? { flags: ['odd'] } : {}),
      }),
    );
    await logged(id, rows);
  }

  test('counts for tests are of a sample in which errors are as frequent as they were', async () => {
    const id = another();
    await traffic(id);
    const ask = async (figure: string, more: object = {}) => {
      const source = createEvidenceSource(world.scope, 86_400_000);
      const query = { figure, deploymentId: id, candidateVersionId: 'v1', ...more };
      return source.ask(query as EvidenceQuery);
    };
    const { inputs } = await ask('error_counts');
    const [{ canaryRequests, canaryBad }] = (
      inputs as unknown as { windows: [{ canaryRequests: number; canaryBad: number }] }
    ).windows;
    expect(canaryRequests).toBeGreaterThan(1700);
    expect(canaryRequests).toBeLessThan(2300);
    expect(canaryBad / canaryRequests).toBeGreaterThan(0.035);
    expect(canaryBad / canaryRequests).toBeLessThan(0.065);
    // Without the errors and flags that were always kept, a sample of 10 % has one slow row in ten.
    const { estimate } = await ask('latency_quantile', { baselineVersionId: 'v1', quantile: 0.85 });
    expect(estimate).toBe(1);
  });

  test('impact is told of all requests, not of those that were kept', async () => {
    const id = another();
    await traffic(id);
    const range = { from: begin, to: begin + 20_000 };
    const performance = async () => ({ served: undefined }) as never;
    const impact = await incidentImpact(world.scope, { performance }, id, range);
    expect(impact.errors).toBe(1000);
    expect(impact.requests).toBeGreaterThan(18_500);
    expect(impact.requests).toBeLessThan(21_500);
  });

  test('requests that are drawn again are drawn alike, from strata and with all features', async () => {
    const id = another();
    await traffic(id, {
      sampling: { rate: 0.5, strata: { by: { feature: 'country' }, rates: { DE: 1 } } },
      keyFeatures: [],
    });
    const all = await sampleRequests(world.scope, id, {
      ...{ from: begin, to: begin + 20_000, limit: 5000 },
    });
    const german = all.filter(({ features }) => features['country'] === 'DE').length;
    expect(all.length).toBe(5000);
    expect(german / all.length).toBeGreaterThan(0.22);
    expect(german / all.length).toBeLessThan(0.28);
    expect(all.every(({ features }) => 'country' in features)).toBe(true);
  });
});

describe('what is made anonymous', () => {
  test('features are hashed, tokenised, dropped and bucketed before they are stored', async () => {
    const id = another();
    await room.service.setPredictionSettings(id, {
      anonymising: {
        features: {
          ...{ email: 'hash', iban: 'tokenise', name: 'drop', age: { bucket: [18, 30, 65] } },
          absent: 'hash',
        },
        ...{ userId: 'drop', key: 'hash', userFeature: 'email' },
      },
    });
    const features = { email: 'ana@x', iban: 'DE02', name: 'Ana', age: 30, other: 1 };
    const rows = await logged(id, [
      rowOf(id, 1, { features, key: 'ana', userId: 'u' }),
      rowOf(id, 2, { features: { ...features, email: 'ben@x', age: 17.9 }, key: 'ana' }),
      rowOf(id, 3, { features: { email: 1, age: 'old' } }),
      rowOf(id, 4, { features: { email: '1', age: 99 } }),
    ]);
    const [first, second, third, fourth] = rows.map((row) => row.features);
    expect(first).toEqual({
      ...{ email: expect.stringMatching(/^[\w-]{22}$/), iban: expect.any(String) },
      ...{ age: '30–65', other: 1 },
    });
    expect(second?.['email']).not.toBe(first?.['email']);
    expect(second?.['iban']).toBe(first?.['iban']);
    expect([second?.['age'], third?.['age'], fourth?.['age']]).toEqual(['<18', null, '≥65']);
    expect(third?.['email']).not.toBe(fourth?.['email']);
    expect(rows[0]?.userId).toBeUndefined();
    expect(rows[0]?.key).toBe(rows[1]?.key);
    expect(JSON.stringify(rows)).not.toMatch(/ana|ben|DE02/);
    expect(await room.service.detokenise(String(first?.['iban']))).toBe('DE02');
    const token = String(first?.['iban']);
    const forged = `${token.startsWith('A') ? 'B' : 'A'}${token.slice(1)}`;
    await expect(room.service.detokenise(forged)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('settings that cannot be are refused by name', async () => {
    const set = (settings: object) => room.service.setPredictionSettings('d', settings);
    for (const settings of [
      { sampling: { rate: 2 } },
      { sampling: { rat: 1 } },
      { anonymising: { features: { x: { bucket: [2, 1] } } } },
      { retention: { hotDays: 30, warmDays: 10 } },
    ]) {
      await expect(set(settings)).rejects.toMatchObject({ code: 'INVALID' });
    }
    expect(await room.service.predictionSettings('d')).toMatchObject({ revision: 0 });
  });
});

describe('where not everything can be kept', () => {
  const away = async (): Promise<never> => {
    throw new KeelsonError('UNAVAILABLE', 'The store is away.');
  };

  test('what matters least goes first, and is counted by deployment and stratum', async () => {
    const log = logOn({ appendRows: away }, { maxRows: 100 });
    for (let i = 0; i < 50; i += 1) log.record(rowOf('d', i, { critical: true }));
    for (let i = 50; i < 190; i += 1) log.record(rowOf('d', i));
    for (let i = 190; i < 200; i += 1) log.record(rowOf('d', i, { error: 'no' }));
    expect(log.health()).toMatchObject({ pending: 100, dropped: 100 });
    expect(log.health().losses).toEqual([{ deploymentId: 'd', stratum: 'all', rows: 100 }]);
    for (let i = 200; i < 300; i += 1) log.record(rowOf('d', i, { critical: true }));
    expect(log.health().losses).toEqual([
      { deploymentId: 'd', stratum: 'all', rows: 140 },
      { deploymentId: 'd', stratum: 'critical', rows: 50 },
      { deploymentId: 'd', stratum: 'error', rows: 10 },
    ]);
  });

  test('memory is bounded by bytes too, also while batches are on their way', async () => {
    let answer: () => void = () => undefined;
    const appending = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const log = logOn({ appendRows: () => appending }, { maxBytes: 1_000_000 });
    const text = 'x'.repeat(10_000);
    for (let i = 0; i < 40; i += 1) log.record(rowOf('d', i, { features: { text } }));
    const flushed = log.flush();
    for (let i = 40; i < 500; i += 1) log.record(rowOf('d', i, { features: { text } }));
    const { pending, dropped } = log.health();
    expect(pending).toBeLessThanOrEqual(50);
    expect(pending + dropped).toBe(500);
    answer();
    await flushed;
  });

  test('one deployment that is refused keeps no other waiting', async () => {
    const seen: string[] = [];
    const log = logOn({
      async appendRows({ stream }) {
        if (stream.owner === 'bad') throw new KeelsonError('INVALID', 'No.');
        seen.push(stream.owner);
      },
    });
    for (const id of ['bad', 'good', 'better']) log.record(rowOf(id, 1));
    await expect(log.flush()).rejects.toThrow('No.');
    expect(seen).toEqual(['good', 'better']);
    expect(log.health()).toMatchObject({ pending: 0, dropped: 1, stored: 2 });
  });

  test('one deployment that waits for long keeps no other waiting, nor their room', async () => {
    const seen: string[] = [];
    let isAway = true;
    const log = logOn(
      {
        async appendRows({ stream }) {
          // As where a key that its settings need is not there yet.
          if (stream.owner === 'waits' && isAway) throw new KeelsonError('NOT_FOUND', 'No key.');
          seen.push(stream.owner);
        },
      },
      { maxBytes: 20_000 },
    );
    log.record(rowOf('waits', 1));
    for (let i = 0; i < 200; i += 1) {
      log.record(rowOf('good', i));
      await expect(log.flush()).rejects.toThrow('No key.');
    }
    expect(seen).toEqual(Array(200).fill('good'));
    expect(log.health()).toMatchObject({ pending: 1, dropped: 0, stored: 200 });
    isAway = false;
    await log.flush();
    expect(seen.at(-1)).toBe('waits');
    expect(log.health()).toMatchObject({ pending: 0, dropped: 0, stored: 201 });
  });

  test('what is answered counts as memory, however it is shaped', async () => {
    const log = logOn({ appendRows: away }, { maxBytes: 1_000_000 });
    const wide = Object.fromEntries(Array.from({ length: 2_000 }, (_, i) => [`k${i}`, i]));
    for (let i = 0; i < 100; i += 1) {
      log.record({ ...rowOf('d', i), prediction: 'x'.repeat(20_000) });
      log.record({ ...rowOf('d', i), prediction: wide });
    }
    expect(log.health().dropped).toBeGreaterThan(100);
  });

  test('a batch that is tried again has its number still, and its sample', async () => {
    const sequences: number[] = [];
    let faults = 3;
    const log = logOn({
      async appendRows(batch) {
        sequences.push(batch.sequence);
        faults -= 1;
        if (faults >= 0) await away();
        await world.scope.series.appendRows(batch);
      },
    });
    const id = another();
    log.record(rowOf(id, 1));
    for (let i = 0; i < 3; i += 1) await expect(log.flush()).rejects.toThrow('away');
    await log.flush();
    log.record(rowOf(id, 2));
    await log.flush();
    expect(sequences).toEqual([1, 1, 1, 1, 2]);
    expect((await readPredictions(world.scope, id, always)).length).toBe(2);
  });
});

describe('a process that is killed', () => {
  test('loses what it had not stored, and the next one to open says how much that was', async () => {
    const dir = join(await temporaryDirectory(), '.keelson');
    const child = new ChildProgram(
      new URL('../../../test/children/predict-until-killed.ts', import.meta.url),
      [dir, '50'],
    );
    // So far that some are stored, and others not yet.
    await child.line(/^\d+ [1-9]\d*$/);
    await child.kill();
    const { platform, logs } = await openTestPlatform({ dir });
    const told = logs.filter(({ message }) => message.includes('ended before it had stored'));
    expect(told.length).toBe(1);
    const [line] = told as unknown as [{ readonly fields: LostPredictions }];
    const { accepted, atLeast, atMost } = line.fields;
    await using stores = await openTestScope({ kinds: platformKinds, dir });
    const { series } = stores.scope;
    let stored = 0;
    const stream = predictionStream('default', 'deployment');
    for await (const { at } of series.rows(stream, always)) stored += at.length;
    const said = Number(child.lines.at(-1)?.split(' ')[0]);
    // What was recorded is what it said last, and at most one turn more.
    expect(stored).toBeGreaterThan(0);
    expect(accepted).toBeGreaterThanOrEqual(said - 700);
    expect(said - stored).toBeLessThanOrEqual(atMost);
    expect(said + 700 - stored).toBeGreaterThanOrEqual(atLeast);
    expect(atMost - atLeast).toBeLessThan(50_000);
    expect(platform.monitoring.predictions.health().lostBefore).toBe(atLeast);
    // It is told once; a process that has stored all leaves nothing to be told.
    platform.monitoring.predictions.record(rowOf('deployment', 1));
    await platform.close();
    const again = await openTestPlatform({ dir });
    expect(again.logs.filter(({ message }) => message.includes('ended before'))).toEqual([]);
    expect(readdirSync(join(dir, 'predictions'))).toEqual([]);
  });
});
