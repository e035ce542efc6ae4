import type { PointBatch, SeriesKey } from '../contracts/series-store.ts';
import { encodeSegment } from '../sql/series-segment.ts';
import type { SqliteDatabase } from './sqlite-database.ts';
import { kidOf, ridOf } from './sqlite-schema.ts';
import { metricDict } from './sqlite-series-schema.ts';
import { pointStream, takeSequence, widOf } from './sqlite-writers.ts';

/** Points in one segment: a larger flush becomes several, so that a fold is never much larger. */
const segmentPoints = 16_384;

/** Stores a valid batch as segments, inside a write; does nothing when its number was stored before. */
export function appendSegments(database: SqliteDatabase, batch: PointBatch): void {
  const wid = widOf(database, batch.writer);
  if (!takeSequence(database, wid, pointStream, batch.sequence)) return;
  const ids = batch.series.map((key) => idsOf(database, key));
  const count = batch.steps.length;
  for (let from = 0; from < count; from += segmentPoints) {
    const to = Math.min(from + segmentPoints, count);
    const data = encodeSegment({
      ...tableOf(batch, ids, from, to),
      steps: positiveZero(batch.steps.subarray(from, to)),
      timestamps: positiveZero(batch.timestamps.subarray(from, to)),
      values: batch.values.subarray(from, to),
    });
    database
      .prepare('INSERT INTO segment(wid, n, data) VALUES (?, ?, ?)')
      .run(wid, to - from, data);
  }
}

/** The numbers of a series' key and owner, allotted if need be. */
function idsOf(database: SqliteDatabase, series: SeriesKey): { kid: number; rid: number } {
  return {
    kid: kidOf(database, { ...metricDict, workspace: series.workspace, key: series.key }),
    rid: ridOf(database, series.workspace, series.owner),
  };
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
