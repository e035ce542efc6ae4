import type { PointBatch, SeriesKey } from '../contracts/series-store.ts';
import { decodeSegment, encodeSegment } from '../sql/series-segment.ts';
import type { PointRing } from './point-ring.ts';

/**
 * A batch of the writer that has its number, and will be stored under it and no other, whatever happens in
 * between. `automatic` marks points whose `steps` are still ordinals (see `StepNumbers`).
 */
export interface PointBlock extends PointBatch {
  readonly automatic?: Uint8Array;
}

/** A block of the points at `from` to `to` (excluded) of the ring. */
export function takeBlock(
  ring: PointRing,
  from: number,
  count: number,
  seriesOf: (index: number) => SeriesKey,
  number: { readonly writer: string; readonly sequence: number },
): PointBlock {
  const series: SeriesKey[] = [];
  const places = new Map<number, number>();
  const seriesIndex = new Uint32Array(count);
  const steps = new Float64Array(count);
  const timestamps = new Float64Array(count);
  const values = new Float64Array(count);
  let automatic: Uint8Array | undefined;
  for (let i = 0; i < count; i++) {
    const record = ring.get((from + i) | 0);
    let place = places.get(record.index);
    if (place === undefined) {
      place = series.push(seriesOf(record.index)) - 1;
      places.set(record.index, place);
    }
    seriesIndex[i] = place;
    steps[i] = record.step;
    timestamps[i] = record.timestamp;
    values[i] = record.value;
    if (record.automatic) {
      automatic ??= new Uint8Array(count);
      automatic[i] = 1;
    }
  }
  const block = { ...number, series, seriesIndex, steps, timestamps, values };
  return automatic === undefined ? block : { ...block, automatic };
}

/** A block as it lies in the spool. */
export interface StoredBlock {
  readonly series: string;
  readonly automatic: Uint8Array | null;
  readonly data: Uint8Array;
}

export function encodeBlock(block: PointBlock): StoredBlock {
  const table = Float64Array.from(block.series, (_, i) => i);
  return {
    series: JSON.stringify(block.series.map((key) => [key.workspace, key.owner, key.key])),
    automatic: block.automatic ?? null,
    data: encodeSegment({
      keyIds: table,
      ownerIds: table,
      index: block.seriesIndex,
      steps: block.steps,
      timestamps: block.timestamps,
      values: block.values,
    }),
  };
}

/** The block that was encoded. CORRUPT when its bytes are damaged. */
export function decodeBlock(writer: string, sequence: number, stored: StoredBlock): PointBlock {
  const segment = decodeSegment(stored.data);
  const names = JSON.parse(stored.series) as readonly (readonly [string, string, string])[];
  const block = {
    writer,
    sequence,
    series: names.map(([workspace, owner, key]) => ({ workspace, owner, key })),
    seriesIndex: Uint32Array.from(segment.index),
    steps: segment.steps,
    timestamps: segment.timestamps,
    values: segment.values,
  };
  return stored.automatic === null ? block : { ...block, automatic: stored.automatic };
}
