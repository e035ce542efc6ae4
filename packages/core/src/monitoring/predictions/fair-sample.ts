import type { SeriesStore, StreamKey } from '../../contracts/series-store.ts';
import { sampleFraction } from './sampling.ts';
import type { StoredPrediction } from './stored-predictions.ts';

/** What a row says of how it came into the log. */
export type SampledRow = Pick<StoredPrediction, 'requestId' | 'rate' | 'featureRate' | 'reason'>;

/**
 * Rows of which each request was as likely to be among them as any other: those that the draw by hash takes at the lowest rate
 * that any of them was drawn at. What was kept for being critical or an error is among them as often as all else, so that
 * counts of them may be tested as if everything had been kept. All of the rows, where all were kept.
 */
export function fairSample<R extends SampledRow>(rows: readonly R[]): readonly R[] {
  return taken(rows, rowRate);
}

/** The same of rows with all their features. */
export function fairFeatureSample<R extends SampledRow>(rows: readonly R[]): readonly R[] {
  const whole = rows.filter(({ reason }) => reason !== 'rest');
  return taken(whole, drawRate);
}

interface Labelled {
  readonly requestId: string;
  readonly predictions: readonly SampledRow[];
}

/** The same of labelled requests, by their predictions. */
export function fairLabelled<R extends Labelled>(labelled: readonly R[]): readonly R[] {
  return taken(labelled, ({ predictions }) => lowestOf(predictions, rowRate));
}

/** The same of those whose features are all there. */
export function fairLabelledFeatures<R extends Labelled>(labelled: readonly R[]): readonly R[] {
  const whole = labelled.filter(
    ({ predictions }) => !predictions.some(({ reason }) => reason === 'rest'),
  );
  return taken(whole, ({ predictions }) => lowestOf(predictions, drawRate));
}

function rowRate({ rate = 1 }: SampledRow): number {
  return rate;
}

/** With which chance the draw takes all features of a row. */
function drawRate({ rate = 1, featureRate = rate }: SampledRow): number {
  return featureRate;
}

function lowestOf<R>(rows: readonly R[], rateOf: (row: R) => number): number {
  return rows.reduce((lowest, row) => Math.min(lowest, rateOf(row)), 1);
}

function taken<R extends { readonly requestId: string }>(
  rows: readonly R[],
  rateOf: (row: R) => number,
): readonly R[] {
  const lowest = lowestOf(rows, rateOf);
  return lowest === 1 ? rows : rows.filter(({ requestId }) => sampleFraction(requestId) < lowest);
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
