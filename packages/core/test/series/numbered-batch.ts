import type { PointBatch, SeriesKey } from '../../src/contracts/series-store.ts';

/** The series that crash tests write to, all writers together. */
export const crashSeries: readonly SeriesKey[] = Array.from({ length: 6 }, (_, i) => ({
  workspace: 'w',
  owner: `run-${i % 2}`,
  key: `key-${i}`,
}));

/** Batch `sequence` of a writer: the same in every process, so that what is stored can be checked. */
export function numberedBatch(writer: string, sequence: number): PointBatch {
  const next = generator(`${writer}/${sequence}`);
  const count = 1 + Math.floor(next() * 700);
  const batch = {
    writer,
    sequence,
    series: crashSeries,
    seriesIndex: new Uint32Array(count),
    steps: new Float64Array(count),
    timestamps: new Float64Array(count),
    values: new Float64Array(count),
  };
  for (let i = 0; i < count; i++) {
    batch.seriesIndex[i] = Math.floor(next() * crashSeries.length);
    // Mostly ascending, with steps that come late and steps that come twice.
    batch.steps[i] = sequence * 50 + Math.floor(next() * 120);
    batch.timestamps[i] = 1_000 + Math.floor(next() * 3);
    batch.values[i] = next() < 0.05 ? Number.NaN : next() - 0.5;
  }
  return batch;
}

// FNV-1a into mulberry32: repeatable, and different for neighbouring numbers.
function generator(seed: string): () => number {
  let state = 2_166_136_261;
  for (const character of seed) state = Math.imul(state ^ character.charCodeAt(0), 16_777_619);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
