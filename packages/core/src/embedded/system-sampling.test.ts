import { expect, test } from 'vitest';
import type { PointTarget } from '../contracts/point-target.ts';
import type { PointBatch } from '../contracts/series-store.ts';
import { KeelsonError } from '../errors.ts';
import type { SystemReading } from './system-reading.ts';
import { SystemSampling } from './system-sampling.ts';

const a = { workspace: 'w', runId: 'a' };
const b = { workspace: 'w', runId: 'b' };

/** A sampling over a store that fails when told to; time is the caller's. */
function sampled(faults: { error?: KeelsonError } = {}) {
  const appended: PointBatch[] = [];
  let reads = 0;
  const store = {
    appendPoints: async (batch: PointBatch) => {
      if (faults.error !== undefined) throw faults.error;
      appended.push(batch);
    },
  } as PointTarget['store'];
  const sampling = new SystemSampling({
    writer: 's',
    read: async () => {
      reads += 1;
      return readingAt(reads);
    },
    open: async () => ({ store }) as PointTarget,
    findLastSteps: async (_, series) => series.map(() => 6),
    stored: () => undefined,
  });
  const at = async (now: number): Promise<void> => {
    sampling.sample(now);
    await sampling.working;
  };
  return { sampling, appended, at, reads: () => reads };
}

function readingAt(at: number): SystemReading {
  const memory = { rssBytes: 1, memoryBytes: 4, freeMemoryBytes: 1 };
  const cpu = { cpuMs: at * 10, idleMs: 0, processCpuMs: at };
  const none = { disk: undefined, io: undefined, network: undefined, gpus: [] };
  return { at, ...cpu, ...memory, ...none };
}

function stepsOf(batches: readonly PointBatch[], run: string): number[] {
  return batches
    .filter((batch) => batch.series[0]?.owner === run)
    .map((batch) => batch.steps[0] as number);
}

test('the first sample after a second, then one an interval; steps go on from those stored', async () => {
  const { sampling, appended, at } = sampled();
  sampling.open(a, 10_000, 0);
  await at(0);
  expect(appended).toEqual([]);
  expect(sampling.nextAt).toBe(1_000);
  await at(999);
  expect(appended).toEqual([]);
  for (const now of [1_000, 11_000, 21_000]) await at(now);
  expect(stepsOf(appended, 'a')).toEqual([7, 8, 9]);
  expect(appended.map(({ writer, sequence }) => `${writer} ${sequence}`)).toEqual([
    's 1',
    's 2',
    's 3',
  ]);
  sampling.close(a);
  expect(sampling.nextAt).toBe(Number.POSITIVE_INFINITY);
  sampling.open(a, 10_000, 30_000);
  for (const now of [30_000, 31_000]) await at(now);
  expect(stepsOf(appended, 'a')).toEqual([7, 8, 9, 10]);
});

test('runs have their own pace and their own steps; one reading serves all that are due', async () => {
  const { sampling, appended, at, reads } = sampled();
  sampling.open(a, 500, 0);
  sampling.open(b, 1_000, 0);
  for (const now of [0, 500, 1_000, 1_500, 2_000]) await at(now);
  expect(reads()).toBe(5);
  expect(stepsOf(appended, 'a')).toEqual([7, 8, 9, 10]);
  expect(stepsOf(appended, 'b')).toEqual([7, 8]);
});

test('a store that is away gets them later, in order; at most a thousand wait', async () => {
  const faults: { error?: KeelsonError } = { error: new KeelsonError('UNAVAILABLE', 'away') };
  const { sampling, appended, at } = sampled(faults);
  sampling.open(a, 1_000, 0);
  for (let now = 0; now <= 1_200_000; now += 1_000) await at(now);
  expect(appended).toEqual([]);
  expect(sampling.hasWork).toBe(false);
  delete faults.error;
  await at(1_201_000);
  expect(stepsOf(appended, 'a').length).toBe(1_000);
  expect(appended.at(-1)?.sequence).toBe(1_201);
  expect(appended[0]?.sequence).toBe(202);
});

test('what the store will never take does not dam up what follows', async () => {
  const faults: { error?: KeelsonError } = { error: new KeelsonError('INVALID', 'no') };
  const { sampling, appended, at } = sampled(faults);
  sampling.open(a, 1_000, 0);
  for (const now of [0, 1_000]) await at(now);
  delete faults.error;
  await at(2_000);
  expect(appended.map(({ sequence }) => sequence)).toEqual([2]);
});
