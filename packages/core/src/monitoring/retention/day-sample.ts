import type { Scope } from '../../contracts/scope.ts';
import type { StreamKey } from '../../contracts/series-store.ts';
import { predictionColumns } from '../predictions/prediction-columns.ts';
import { sampleFraction } from '../predictions/sampling.ts';
import { predictionReader, type StoredPrediction } from '../predictions/stored-predictions.ts';
import { sampleStream } from './sample-stream.ts';

/** Rows that stay of a day. */
const keptRows = 1000;

/**
 * Keeps a sample of the rows of a time: those whose requests have the lowest fractions, and below the lowest rate that any row
 * was drawn at, so that each request is as likely to be there as any other. Stored under the time's own number: again,
 * and by two at once, it is the same. Answers how many rows it has.
 */
export async function keepSample(
  { series, workspace }: Pick<Scope, 'series' | 'workspace'>,
  stream: StreamKey,
  { from, to }: { readonly from: number; readonly to: number },
): Promise<number> {
  const { bound, lowest } = await boundOf(series, stream, { from, to });
  if (bound === 0) return 0;
  const rows: StoredPrediction[] = [];
  const seen = new Set<string>();
  for await (const batch of series.rows(stream, { from, to })) {
    const read = predictionReader(batch);
    const ids = batch.columns['requestId']?.values;
    for (let i = 0; i < batch.at.length; i += 1) {
      if (sampleFraction(String(ids?.[i])) >= bound) continue;
      const row = read(i);
      const key = `${row.versionId}\u0000${row.requestId}`;
      if (row.reason === 'rest' || seen.has(key)) continue;
      seen.add(key);
      rows.push(row);
    }
  }
  if (rows.length === 0) return 0;
  const inclusion = Math.min(bound, lowest);
  const columns = predictionColumns(
    rows.map((row) => ({
      ...{ row: { ...row, deploymentId: stream.owner }, features: row.features },
      ...{ userId: row.userId, sessionId: row.sessionId, key: row.key },
      ...{ inclusionProbability: inclusion, rate: inclusion, featureRate: inclusion },
      reason: 'random' as const,
    })),
    { count: 0 },
  );
  await series.appendRows({
    ...{ writer: `retention:${from}`, sequence: 1 },
    stream: sampleStream(workspace, stream.owner),
    at: Float64Array.from(rows, ({ at }) => at),
    columns,
  });
  return rows.length;
}

/** The fraction below which requests stay, and the lowest rate. In memory are as many fractions as rows stay. */
async function boundOf(
  series: Scope['series'],
  stream: StreamKey,
  range: { readonly from: number; readonly to: number },
): Promise<{ readonly bound: number; readonly lowest: number }> {
  let lowest = 1;
  let least: number[] = [];
  let limit = 1;
  const columns = ['requestId', 'rate', 'featureRate'];
  const trim = (): void => {
    least = [...new Set(least)].sort((a, b) => a - b).slice(0, keptRows + 1);
    if (least.length > keptRows) limit = least[keptRows] as number;
  };
  for await (const { at, columns: of } of series.rows(stream, { ...range, columns })) {
    for (const rates of [of['rate'], of['featureRate']]) {
      if (rates?.type !== 'number') continue;
      for (const rate of rates.values) lowest = Math.min(lowest, rate);
    }
    const ids = of['requestId']?.values;
    for (let i = 0; i < at.length; i += 1) {
      const fraction = sampleFraction(String(ids?.[i]));
      if (fraction < limit) least.push(fraction);
    }
    if (least.length > 10 * keptRows) trim();
  }
  trim();
  if (least.length === 0) return { bound: 0, lowest };
  // Those below the first that does not stay: with that chance each was to be there.
  return { bound: Math.min(lowest, limit), lowest };
}
