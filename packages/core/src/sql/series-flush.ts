import type { PointBatch } from '../contracts/series-store.ts';
import { encodeSegment } from './series-segment.ts';

/** Points in one segment: a larger flush becomes several, so that a fold is never much larger. */
const segmentPoints = 16_384;

/** A flush as segments; `ids` are the store's numbers of the key and the owner of each of its series. */
export function* segmentsOf(
  batch: PointBatch,
  ids: readonly { readonly kid: number; readonly rid: number }[],
): Iterable<{ readonly count: number; readonly data: Uint8Array }> {
  const count = batch.steps.length;
  for (let from = 0; from < count; from += segmentPoints) {
    const to = Math.min(from + segmentPoints, count);
    const data = encodeSegment({
      ...tableOf(batch, ids, from, to),
      steps: positiveZero(batch.steps.subarray(from, to)),
      timestamps: positiveZero(batch.timestamps.subarray(from, to)),
      values: batch.values.subarray(from, to),
    });
    yield { count: to - from, data };
  }
}

// The series that the points use, in order of their first point: a batch may name many more.
function tableOf(
  batch: PointBatch,
  ids: readonly { readonly kid: number; readonly rid: number }[],
  from: number,
  to: number,
): { keyIds: Float64Array; ownerIds: Float64Array; index: Uint32Array } {
  const places = new Int32Array(ids.length).fill(-1);
  const used: number[] = [];
  const index = new Uint32Array(to - from);
  for (let i = from; i < to; i++) {
    const series = batch.seriesIndex[i] as number;
    let place = places[series] as number;
    if (place < 0) {
      place = used.length;
      places[series] = place;
      used.push(series);
    }
    index[i - from] = place;
  }
  return {
    keyIds: Float64Array.from(used, (series) => ids[series]?.kid as number),
    ownerIds: Float64Array.from(used, (series) => ids[series]?.rid as number),
    index,
  };
}

// Steps and times have no −0: packed integers could not keep it, and it means nothing there.
function positiveZero(column: Float64Array): Float64Array {
  for (let i = 0; i < column.length; i++) {
    if (Object.is(column[i], -0)) return column.map((value) => value + 0);
  }
  return column;
}
