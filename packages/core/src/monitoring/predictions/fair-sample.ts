import type { SeriesStore, StreamKey } from '../../contracts/series-store.ts';
import { sampleFraction } from './sampling.ts';
import type { StoredPrediction } from './stored-predictions.ts';

/** What a row says of how it came into the log. */
export type SampledRow = Pick<
  StoredPrediction,
  'requestId' | 'rate' | 'featureRate' | 'reason' | 'inclusionProbability'
>;

/**
 * Rows of which each request was as likely to be among them as any other: those that the draw by hash takes at the lowest rate
 * that any of them was drawn at. What was kept for being critical or an error is among them as often as all else, so that
 * counts of them may be tested as if everything had been kept. All of the rows, where all were kept.
 */
export function fairSample<R extends SampledRow>(rows: readonly R[]): readonly R[] {
  return taken(rows, ({ rate = 1 }) => rate);
}

/** The same of rows with all their features. */
export function fairFeatureSample<R extends SampledRow>(rows: readonly R[]): readonly R[] {
  const whole = rows.filter(({ reason }) => reason !== 'rest');
  return taken(whole, drawRate);
}

/** With which chance the draw takes all features of a row. */
export function drawRate({ rate = 1, featureRate = rate }: SampledRow): number {
  return featureRate;
}

/** How many rows a row stands for. */
export function weightOf({ inclusionProbability = 1 }: SampledRow): number {
  return 1 / inclusionProbability;
}

function taken<R extends SampledRow>(rows: readonly R[], rateOf: (row: R) => number): readonly R[] {
  let lowest = 1;
  for (const row of rows) lowest = Math.min(lowest, rateOf(row));
  return lowest === 1 ? rows : rows.filter((row) => sampleFraction(row.requestId) < lowest);
}

/**
 * Says of rows of a stream, read one by one, whether they belong to a sample of whole rows in which each is as likely as any
 * other.
 */
export async function fairRows(
  series: Pick<SeriesStore, 'rows'>,
  stream: StreamKey,
  range: { readonly from: number; readonly to: number },
): Promise<(row: SampledRow) => boolean> {
  let lowest = 1;
  const columns = ['rate', 'featureRate'];
  for await (const batch of series.rows(stream, { ...range, columns })) {
    for (const column of Object.values(batch.columns)) {
      if (column.type !== 'number') continue;
      for (const rate of column.values) lowest = Math.min(lowest, rate);
    }
  }
  return ({ requestId, reason }) =>
    reason !== 'rest' && (lowest === 1 || sampleFraction(requestId) < lowest);
}
