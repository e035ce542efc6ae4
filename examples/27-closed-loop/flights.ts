import { readFileSync } from 'node:fs';
import { findPackageJSON } from 'node:module';
import { join } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { parquetRead } from 'hyparquet';

/** 3,000,000 flights within the United States, January to June 2001, in the order of their departure. */
export interface Flights {
  readonly count: number;
  /** Departure by plan, epoch ms. */
  readonly at: Float64Array;
  /** Of the arrival, in minutes; negative before the plan. */
  readonly delay: Float64Array;
  /** In miles. */
  readonly distance: Float64Array;
}

/** What a model is asked about a flight. */
export const featureNames = ['hour', 'weekday', 'distance'] as const;

/** From so many minutes on a flight is late. */
const lateMinutes = 15;

/** Reads the flights out of the Parquet file of `vega-datasets`; some seconds. */
export async function readFlights(): Promise<Flights> {
  const manifest = findPackageJSON('vega-datasets', import.meta.url);
  if (manifest === undefined) throw new Error('vega-datasets is not installed; run npm install.');
  const bytes = readFileSync(join(manifest, '..', 'data', 'flights-3m.parquet'));
  const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  const columns = ['date', 'delay', 'distance'] as const;
  const read = { date: [] as number[], delay: [] as number[], distance: [] as number[] };
  await parquetRead({
    file,
    columns: [...columns],
    compressors: { ZSTD: (input) => zstdDecompressSync(input) },
    onChunk({ columnName, columnData, rowStart }) {
      const column = read[columnName as (typeof columns)[number]];
      for (let i = 0; i < columnData.length; i += 1) {
        column[rowStart + i] = Number(columnData[i]);
      }
    },
  });
  const order = Uint32Array.from(read.date.keys()).sort(
    (a, b) => (read.date[a] ?? 0) - (read.date[b] ?? 0),
  );
  const sorted = (column: readonly number[]): Float64Array =>
    Float64Array.from(order, (i) => column[i] ?? 0);
  return {
    count: order.length,
    at: sorted(read.date),
    delay: sorted(read.delay),
    distance: sorted(read.distance),
  };
}

/** What is known of a flight before it departs, in the order of {@link featureNames}. */
export function featuresOf(flights: Flights, i: number): readonly [number, number, number] {
  const at = new Date(flights.at[i] ?? 0);
  return [at.getUTCHours(), at.getUTCDay(), flights.distance[i] ?? 0];
}

/** What was the case after all. */
export function labelOf(flights: Flights, i: number): 'late' | 'on time' {
  return (flights.delay[i] ?? 0) > lateMinutes ? 'late' : 'on time';
}

/** The first flight that departs at a time or after it. */
export function firstFrom(flights: Flights, at: number): number {
  let [low, high] = [0, flights.count];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((flights.at[middle] ?? 0) < at) low = middle + 1;
    else high = middle;
  }
  return low;
}
