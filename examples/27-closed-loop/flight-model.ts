import type { ModelSignature } from '@keelson/core';
import { type Flights, featureNames, featuresOf, labelOf } from './flights.ts';

/** What the model takes and gives. */
export const signature: ModelSignature = {
  inputs: [
    {
      name: 'features',
      datatype: 'FP64',
      shape: [-1, featureNames.length],
      columns: [...featureNames],
    },
  ],
  outputs: [
    { name: 'label', datatype: 'BYTES', shape: [-1] },
    { name: 'probability', datatype: 'FP64', shape: [-1] },
  ],
};

/** How often flights of an hour, a weekday and a range of distance are late. */
export interface FlightModel {
  /** Flights that are more likely late than this are called late: waiting in vain costs less than a missed connection. */
  readonly threshold: number;
  /** By (hour · 7 + weekday) · 2, one more from 600 miles on. */
  readonly shares: readonly number[];
}

/** Counts flights, and leans on the share of all of them where there are few. */
export function fitFlights(
  flights: Flights,
  range: { readonly first: number; readonly end: number },
  how: { readonly threshold: number; readonly smoothing: number },
): FlightModel {
  const [all, late] = [new Float64Array(336), new Float64Array(336)];
  for (let i = range.first; i < range.end; i += 1) {
    const cell = cellOf(featuresOf(flights, i));
    all[cell] = (all[cell] ?? 0) + 1;
    if (labelOf(flights, i) === 'late') late[cell] = (late[cell] ?? 0) + 1;
  }
  const sum = (column: Float64Array): number => column.reduce((a, b) => a + b, 0);
  const overall = sum(late) / Math.max(1, sum(all));
  const { threshold, smoothing } = how;
  return {
    threshold,
    shares: Array.from(
      all,
      (n, cell) => ((late[cell] ?? 0) + smoothing * overall) / (n + smoothing),
    ),
  };
}

/** What a model says of a flight. */
export function predictFlight(
  { shares, threshold }: FlightModel,
  features: readonly [number, number, number],
): 'late' | 'on time' {
  return (shares[cellOf(features)] ?? 0) > threshold ? 'late' : 'on time';
}

function cellOf([hour, weekday, distance]: readonly [number, number, number]): number {
  return (hour * 7 + weekday) * 2 + (distance >= 600 ? 1 : 0);
}

/** The files of a model that `@keelson/serve` runs: its table, and the code that reads it. */
export function modelFiles(model: FlightModel): Readonly<Record<string, Uint8Array>> {
  return {
    'model.json': Buffer.from(JSON.stringify(model)),
    'model.mjs': Buffer.from(modelModule),
  };
}

const modelModule = `import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

export async function load(directory) {
  const { shares, threshold } = JSON.parse(await readFile(join(directory, 'model.json'), 'utf8'));
  return {
    predict({ features: { data } }, { rowCount }) {
      const probability = Array.from({ length: rowCount }, (_, i) => {
        const [hour, weekday, distance] = data.slice(3 * i, 3 * i + 3);
        return shares[(hour * 7 + weekday) * 2 + (distance >= 600 ? 1 : 0)] ?? 0;
      });
      return { label: probability.map((p) => (p > threshold ? 'late' : 'on time')), probability };
    },
  };
}
`;
