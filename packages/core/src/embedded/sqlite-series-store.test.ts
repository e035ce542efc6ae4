import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SeriesModel } from '../../test/series/series-model.ts';
import type { PointBatch, SeriesKey } from '../contracts/series-store.ts';
import { equal, rejects } from '../testing/assertions.ts';
import { SqliteDatabase } from './sqlite-database.ts';
import { foldSlice } from './sqlite-series-fold.ts';
import { SqliteSeriesStore } from './sqlite-series-store.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'series-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const owners = ['run-a', 'run-b'];
const keys = ['loss', 'accuracy', '__proto__'];
const allSeries: readonly SeriesKey[] = ['w1', 'w2'].flatMap((workspace) =>
  owners.flatMap((owner) => keys.map((key) => ({ workspace, owner, key }))),
);

const value = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(0.5, 1, 2, -3, 0.1, 1e300, 5e-324) },
  { weight: 2, arbitrary: fc.constantFrom(Number.NaN, 0, -0) },
  { weight: 1, arbitrary: fc.constantFrom(Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY) },
  { weight: 2, arbitrary: fc.double({ noNaN: true }) },
);
const step = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 0, max: 40 }) },
  { weight: 1, arbitrary: fc.constantFrom(-0, -7, 2 ** 53 - 1, -(2 ** 53 - 1)) },
);
const timestamp = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 1, max: 3 }) },
  { weight: 1, arbitrary: fc.constantFrom(1.7e12, 0.25, -1, -0) },
);
const points = fc.array(fc.tuple(fc.nat(allSeries.length - 1), step, timestamp, value), {
  maxLength: 60,
});
/** A run of ascending points in one series, long enough for chunks of every level. */
const stretch = fc.tuple(
  fc.nat(allSeries.length - 1),
  fc.integer({ min: -500, max: 500 }),
  fc.constantFrom(30, 70, 600, 4_096, 5_000),
);
const command = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('append'), writer: fc.nat(2), points }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('stretch'), writer: fc.nat(2), stretch }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('repeat') }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('fold') }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('remove'), owner: fc.constantFrom(...owners) }),
  },
);

describe('SqliteSeriesStore against a naive model', () => {
  test('any points, in any order, folded at any time, give the answers of the model', async () => {
    const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
    console.log(`seed ${seed} (SEED=… repeats it)`);
    let round = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(command as fc.Arbitrary<Command>, { maxLength: 25 }),
        async (commands) => {
          const path = join(directory, `${round++}.db`);
          await using world = await World.open(path);
          for (const one of commands) await world.run(one);
          await world.check();
          await world.store.fold();
          await world.check();
        },
      ),
      { seed, numRuns: Number(process.env['RUNS'] ?? 60), endOnFailure: true },
    );
  }, 120_000);
});

describe('points that tie in everything but their arrival', () => {
  test('stay in order of arrival through folds of every size', async () => {
    const sizes = fc.array(fc.constantFrom(1, 2, 9, 63, 64, 300, 512, 600, 4_095, 4_096, 5_000), {
      minLength: 9,
      maxLength: 30,
    });
    let round = 0;
    await fc.assert(
      fc.asyncProperty(sizes, async (list) => {
        await using store = await SqliteSeriesStore.open({
          path: join(directory, `ties-${round++}.db`),
        });
        const key = allSeries[0] as SeriesKey;
        let arrived = 0;
        for (const [i, count] of list.entries()) {
          await store.appendPoints({
            writer: 'w',
            sequence: i + 1,
            series: [key],
            seriesIndex: new Uint32Array(count),
            steps: new Float64Array(count).fill(7),
            timestamps: new Float64Array(count).fill(1_000),
            values: Float64Array.from({ length: count }, () => arrived++),
          });
          await store.fold();
        }
        const { values } = await store.points(key);
        expect(values.length).toBe(arrived);
        expect(values.findIndex((value, i) => value !== i)).toBe(-1);
        const [summary] = await store.summaries(key.workspace, key.owner);
        expect([summary?.first, summary?.last]).toEqual([0, arrived - 1]);
      }),
      { numRuns: 25 },
    );
  }, 60_000);
});

describe('addresses that callers reuse', () => {
  test('count as what they say now, and not at all when their batch was refused', async () => {
    await using store = await SqliteSeriesStore.open({ path: join(directory, 'reused.db') });
    const key = { workspace: 'w', owner: 'run', key: 'a' };
    const append = (sequence: number, step: number): Promise<void> =>
      store.appendPoints({
        writer: 'w',
        sequence,
        series: [key],
        seriesIndex: Uint32Array.of(0),
        steps: Float64Array.of(step),
        timestamps: Float64Array.of(1),
        values: Float64Array.of(1),
      });
    await rejects('INVALID', () => append(1, 0.5), 'half a step');
    await append(1, 1);
    await append(2, 2);
    key.key = 'b';
    await append(3, 3);
    key.key = '';
    await rejects('INVALID', () => append(4, 4), 'an empty key');
    const steps = async (name: string): Promise<number[]> => [
      ...(await store.points({ workspace: 'w', owner: 'run', key: name })).steps,
    ];
    expect([await steps('a'), await steps('b')]).toEqual([[1, 2], [3]]);
  });
});

describe('damaged bytes', () => {
  test('of a chunk or a segment are CORRUPT, and nothing is overwritten with them', async () => {
    const database = await SqliteDatabase.open(join(directory, 'damaged.db'));
    const store = await SqliteSeriesStore.open({ database });
    const series = allSeries[0] as SeriesKey;
    const batch = (sequence: number): PointBatch => ({
      writer: 'w',
      sequence,
      series: [series],
      seriesIndex: new Uint32Array(100),
      steps: Float64Array.from({ length: 100 }, (_, i) => sequence * 100 + i),
      timestamps: new Float64Array(100),
      values: new Float64Array(100),
    });
    const damage = async (table: string): Promise<void> => {
      await database.write(() => {
        const row = database.prepare(`SELECT rowid, data FROM ${table}`).get();
        const data = row?.['data'] as Uint8Array;
        data[40] = (data[40] as number) ^ 1;
        database
          .prepare(`UPDATE ${table} SET data = ? WHERE rowid = ?`)
          .run(data, Number(row?.['rowid'] ?? row?.['no'] ?? row?.['id']));
      });
    };
    await store.appendPoints(batch(1));
    await damage('segment');
    await rejects('CORRUPT', () => store.points(series), 'a damaged segment, read');
    await rejects('CORRUPT', () => store.fold(), 'a damaged segment, folded');
    expect(store.hasPending()).toBe(true);
    await damage('segment');
    await store.fold();
    await damage('chunk');
    await rejects('CORRUPT', () => store.points(series), 'a damaged chunk');
    // The summary does not need the chunk, and other series do not either.
    expect((await store.summaries(series.workspace, series.owner))[0]?.count).toBe(100);
    await store.close();
    await database.close();
  });
});

type Command =
  | { do: 'append'; writer: number; points: [number, number, number, number][] }
  | { do: 'stretch'; writer: number; stretch: [number, number, number] }
  | { do: 'repeat' | 'fold' }
  | { do: 'remove'; owner: string };

class World implements AsyncDisposable {
  readonly store: SqliteSeriesStore;
  readonly #database: SqliteDatabase;
  readonly #model = new SeriesModel();
  readonly #sequences = [0, 0, 0];
  #latest: PointBatch | undefined;

  private constructor(database: SqliteDatabase, store: SqliteSeriesStore) {
    this.#database = database;
    this.store = store;
  }

  static async open(path: string): Promise<World> {
    const database = await SqliteDatabase.open(path);
    return new World(database, await SqliteSeriesStore.open({ database }));
  }

  async run(command: Command): Promise<void> {
    switch (command.do) {
      case 'append':
        return await this.#append(command.writer, command.points);
      case 'stretch': {
        const [series, from, count] = command.stretch;
        const made = Array.from({ length: count }, (_, i): [number, number, number, number] => [
          series,
          from + i,
          1 + (i % 3),
          i % 7 === 0 ? -0 : Math.sin(i),
        ]);
        return await this.#append(command.writer, made);
      }
      case 'repeat':
        if (this.#latest !== undefined) await this.store.appendPoints(this.#latest);
        return;
      case 'fold':
        await this.#database.write(foldSlice);
        return;
      case 'remove':
        await this.store.removeOwners('w1', [command.owner]);
        this.#model.remove('w1', command.owner);
    }
  }

  async check(): Promise<void> {
    for (const workspace of ['w1', 'w2']) {
      for (const owner of owners) {
        const summaries = await this.store.summaries(workspace, owner);
        const expected = keys
          .toSorted()
          .map((key) => this.#model.summary({ workspace, owner, key }))
          .filter((summary) => summary !== undefined);
        equal(
          summaries.map(({ mean: _, ...rest }) => rest),
          expected.map(({ mean: _, ...rest }) => rest),
          `summaries of ${owner}`,
        );
        for (const [i, { key, mean }] of summaries.entries()) {
          const { values } = this.#model.points({ workspace, owner, key });
          checkMean(mean, expected[i]?.mean, values);
        }
      }
    }
    for (const series of allSeries) {
      equal(await this.store.points(series), this.#model.points(series), 'points');
      equal(
        await this.store.points(series, { fromStep: 3, toStep: 30 }),
        this.#model.points(series, 3, 30),
        'points of a range',
      );
      const paged = await this.#pages(series, 37);
      equal(paged, [...this.#model.points(series).values], 'points in pages');
      for (const buckets of [1, 7, 1000]) {
        equal(
          await this.store.downsample(series, { buckets }),
          this.#model.buckets(series, buckets),
          `${buckets} buckets`,
        );
      }
      equal(
        await this.store.downsample(series, { buckets: 5, fromStep: 2, toStep: 33 }),
        this.#model.buckets(series, 5, 2, 33),
        'buckets of a range',
      );
    }
  }

  async #pages(series: SeriesKey, limit: number): Promise<number[]> {
    const values: number[] = [];
    const whole = (await this.store.points(series)).values.length;
    if (whole > 400) return [...(await this.store.points(series)).values];
    for (let offset = 0; ; offset += limit) {
      const page = await this.store.points(series, { offset, limit });
      values.push(...page.values);
      if (page.values.length < limit) return values;
    }
  }

  async #append(writer: number, points: [number, number, number, number][]): Promise<void> {
    const sequence = (this.#sequences[writer] as number) + 1;
    this.#sequences[writer] = sequence;
    const batch: PointBatch = {
      // Ids whose order is not that in which they first come.
      writer: ['writer-c', 'writer-a', 'writer-b'][writer] as string,
      sequence,
      series: allSeries,
      seriesIndex: Uint32Array.from(points, (p) => p[0]),
      steps: Float64Array.from(points, (p) => p[1]),
      timestamps: Float64Array.from(points, (p) => p[2]),
      values: Float64Array.from(points, (p) => p[3]),
    };
    await this.store.appendPoints(batch);
    this.#model.append(batch);
    this.#latest = batch;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store.close();
    await this.#database.close();
  }
}

/** The model adds up plainly and in another order: equal but for rounding. */
function checkMean(
  mean: number | undefined,
  plain: number | undefined,
  values: Float64Array,
): void {
  const counted = values.filter((value) => !Number.isNaN(value));
  expect(mean === undefined).toBe(counted.length === 0);
  if (mean === undefined || plain === undefined) return;
  const scale = counted.filter(Number.isFinite).reduce((sum, value) => sum + Math.abs(value), 0);
  // Sums beyond the range of doubles depend on their order.
  if (!Number.isFinite(scale)) return;
  if (counted.every(Number.isFinite)) {
    expect(Math.abs(mean - plain)).toBeLessThanOrEqual(scale * 1e-12);
  } else equal(mean, plain, 'mean of infinities');
}
