import { expect, test } from 'vitest';
import { openTestScope, type TestScope } from '../../../test/open-test-scope.ts';
import type { PredictionRow } from '../../contracts/prediction-sink.ts';
import { commitChanges } from '../../operations/decide-and-commit.ts';
import { everyRecord } from '../../operations/every-record.ts';
import { platformKinds } from '../../platform-kinds.ts';
import { metricCounting } from '../metrics/metric-counts.ts';
import { createMetrics } from '../metrics/metrics.ts';
import { createPredictionLogging } from '../predictions/prediction-logging.ts';
import { readPredictions } from '../predictions/stored-predictions.ts';
import { CountedWindows } from '../windows/counted-windows.ts';
import { PredictionRetention, type RetentionStep } from './prediction-retention.ts';
import { createRetention } from './retention-service.ts';
import { sampleStream } from './sample-stream.ts';

const dayMs = 86_400_000;
const begin = Date.parse('2026-01-10');
const steps: readonly RetentionStep[] = [
  ...(['sample stored', 'sample noted', 'rows dropped', 'file stored'] as const),
  ...(['archive committed', 'days dropped', 'file let go', 'analyses dropped'] as const),
];
const always = { from: 0, to: begin * 2 };

let now = begin;

interface World extends AsyncDisposable {
  readonly test: TestScope;
  run(stopAt?: RetentionStep): Promise<unknown>;
  /** Rows, labels, samples and rollups by length that are there. */
  left(id: string): Promise<Record<string, number>>;
  readonly retention: ReturnType<typeof createRetention>;
}

/** Three deployments with rows of three days; the third keeps everything for longer. */
async function openWorld(rows = 1200): Promise<World> {
  const world = await openTestScope({ kinds: platformKinds, clock: { now: () => now } });
  const { scope } = world;
  const windows = new CountedWindows(scope, async () => undefined);
  const room = createPredictionLogging(scope, { windows });
  const retention = { hotDays: 2, warmDays: 30, coldDays: 365 };
  await room.service.setPredictionSettings('d1', { retention });
  await room.service.setPredictionSettings('d2', { retention });
  for (const id of ['d1', 'd2', 'd3']) {
    for (let day = 0; day < 3; day += 1) {
      for (let i = id === 'd3' ? 1 : 0; i < rows; i += 1)
        room.service.predictions.record(rowOf(id, day, i));
      await room.service.predictions.flush();
    }
    const at = Float64Array.of(begin + 1);
    const stream = { workspace: scope.workspace, stream: 'labels', owner: id };
    const columns = { requestId: { type: 'text', values: ['0.0'] } } as const;
    await scope.series.appendRows({ writer: 'w', sequence: 1, stream, at, columns });
  }
  const metrics = createMetrics(scope, async () => undefined);
  const parts = { settings: room.settings, metrics };
  return {
    test: world,
    retention: createRetention(scope, { ...parts, erasures: room.erasures }),
    run(stopAt) {
      const reached = (step: RetentionStep): void => {
        if (step === stopAt) throw new Error(`killed: ${step}`);
      };
      return new PredictionRetention(scope, { ...parts, reached }).run(AbortSignal.timeout(60_000));
    },
    async left(id) {
      const { series, workspace } = scope;
      const count = async (stream: string): Promise<number> => {
        let rows = 0;
        for await (const { at } of series.rows({ workspace, stream, owner: id }, always)) {
          rows += at.length;
        }
        return rows;
      };
      const rollups = async (windowMs: number): Promise<number> => {
        const stream = { workspace, stream: 'predictions', owner: id };
        return (await series.rollups(stream, metricCounting.name, { windowMs, ...always })).length;
      };
      return {
        rows: await count('predictions'),
        labels: await count('labels'),
        samples: await count('prediction_samples'),
        minutes: await rollups(60_000),
        days: await rollups(dayMs),
      };
    },
    [Symbol.asyncDispose]: () => world[Symbol.asyncDispose](),
  };
}

function rowOf(deploymentId: string, day: number, i: number): PredictionRow {
  return {
    ...{ deploymentId, versionId: 'v', requestId: `${day}.${i}`, role: 'primary' },
    ...{ at: begin + day * dayMs + i, features: { x: i }, prediction: 'a', latencyMs: 5 },
  };
}

test('rows become samples, these a file a month, and of that the record stays; others are left alone', async () => {
  await using world = await openWorld();
  now = begin + 4 * dayMs + 1;
  await world.run();
  // The third day is not two days old yet.
  expect(await world.left('d1')).toMatchObject({ rows: 1200, labels: 0, samples: 2000, days: 3 });
  expect(await world.left('d3')).toMatchObject({ rows: 3597, labels: 1, samples: 0, days: 3 });
  const { scope } = world.test;
  let inclusion = 0;
  for await (const { columns } of scope.series.rows(sampleStream('default', 'd1'), always)) {
    const chance = columns['inclusionProbability'];
    if (chance?.type === 'number') inclusion = chance.values[0] as number;
  }
  // 1,000 of 1,200.
  expect(inclusion).toBeGreaterThan(0.78);
  expect(inclusion).toBeLessThan(0.88);
  expect(await world.run()).toMatchObject({ rows: 0, archives: [] });
  now = begin + 60 * dayMs;
  expect(await world.run()).toMatchObject({ archives: ['d1:2026-01', 'd2:2026-01'] });
  expect(await world.left('d1')).toEqual({ rows: 0, labels: 0, samples: 0, minutes: 0, days: 0 });
  const [archive] = await world.retention.service.predictionArchives('d1');
  expect(archive).toMatchObject({ from: Date.parse('2026-01-01'), to: Date.parse('2026-02-01') });
  const figures = await Array.fromAsync(world.retention.service.predictionHistory('d1'));
  expect(figures.filter((each) => each.name === 'error_rate').map(({ count }) => count)).toEqual([
    ...[1200, 1200, 1200],
  ]);
  const digest = archive?.sha256 as string;
  const { caretaker } = world.retention;
  const references = await caretaker.references?.(AbortSignal.timeout(1000));
  expect(await references?.among([digest, 'f'.repeat(64)])).toEqual(new Set([digest]));
  now = begin + 500 * dayMs;
  const removed: string[] = [];
  const how = { deletedBefore: 0, onRemoved: (subject: string) => removed.push(subject) };
  const { signal } = new AbortController();
  await caretaker.purge?.({ ...how, dryRun: true, signal });
  expect(removed).toEqual([]);
  await caretaker.purge?.({ ...how, dryRun: false, signal });
  expect(removed).toContain('prediction_archive:d1:2026-01');
  expect((await world.retention.service.predictionArchives('d1'))[0]).not.toHaveProperty('sha256');
  expect(await references?.among([digest])).toEqual(new Set());
  expect((await readPredictions(scope, 'd1', always)).length).toBe(0);
});

test('analyses go with the days, those that have found something with the files; the newest stay', async () => {
  await using world = await openWorld(1);
  const { scope } = world.test;
  const analysis = (kind: string, day: number, series: string, isFinding: boolean) => {
    const at = begin + day * dayMs;
    const common = { deploymentId: 'd1', at };
    const columns =
      kind === 'analysis'
        ? { ...common, changed: isFinding }
        : { ...common, type: 'CONCEPT', seriesKey: series, detected: isFinding };
    return { op: 'create', kind, id: `${kind} ${series} ${day}`, columns, body: {} } as const;
  };
  await commitChanges(scope, [
    ...[0, 1, 2, 3].map((day) => analysis('analysis', day, 'd1', day === 1)),
    ...[0, 1, 2, 3].map((day) => analysis('drift_analysis', day, 'd1:CONCEPT:', day === 1)),
    ...[0, 1].map((day) => analysis('drift_analysis', day, 'd1:CONCEPT:v', false)),
  ]);
  const left = async (): Promise<readonly string[]> => {
    const ids: string[] = [];
    for (const kind of ['analysis', 'drift_analysis']) {
      for await (const { id } of everyRecord(scope, kind)) ids.push(id);
    }
    return ids.sort();
  };
  now = begin + 32 * dayMs + 1;
  // Of those before the third day: that which found something, and the newest of a series, stay.
  expect(await world.run()).toMatchObject({ analyses: 3 });
  expect(await left()).toEqual([
    ...['analysis d1 1', 'analysis d1 2', 'analysis d1 3', 'drift_analysis d1:CONCEPT: 1'],
    ...['drift_analysis d1:CONCEPT: 2', 'drift_analysis d1:CONCEPT: 3'],
    'drift_analysis d1:CONCEPT:v 1',
  ]);
  now = begin + 500 * dayMs;
  await world.run();
  expect(await left()).toEqual([
    ...['analysis d1 3', 'drift_analysis d1:CONCEPT: 3', 'drift_analysis d1:CONCEPT:v 1'],
  ]);
  expect(await world.run()).toMatchObject({ analyses: 0 });
});

test('ended after any step, the next run comes to the same', async () => {
  const outcomes = new Set<string>();
  for (const stopAt of [undefined, ...steps]) {
    await using world = await openWorld(20);
    for (const [i, days] of [4, 60, 500].entries()) {
      now = begin + days * dayMs + 1;
      // At each age.
      if (stopAt !== undefined) {
        await world.run(stopAt).catch((error: unknown) => {
          expect(String(error)).toContain(stopAt);
        });
      }
      await world.run();
      const history = await Array.fromAsync(world.retention.service.predictionHistory('d1'));
      const archives = await world.retention.service.predictionArchives('d2');
      const left = [await world.left('d1'), await world.left('d2'), await world.left('d3')];
      outcomes.add(JSON.stringify([i, left, history, archives.map(({ id }) => id)]));
    }
  }
  expect(outcomes.size).toBe(3);
});
