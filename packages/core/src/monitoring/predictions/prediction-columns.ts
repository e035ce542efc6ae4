import type { PredictionRow } from '../../contracts/prediction-sink.ts';
import type { RowColumn } from '../../contracts/series-store.ts';
import { encodeJson } from '../../json.ts';
import { featureColumns } from './feature-columns.ts';
import type { InclusionReason } from './sampling.ts';
import { storableText, storableValue, type Unstorable } from './storable-value.ts';

/** A row as it is to be stored: identities and features treated, its place in the sample decided. */
export interface RowToStore {
  readonly row: PredictionRow;
  readonly features: Readonly<Record<string, unknown>>;
  readonly userId: string | undefined;
  readonly sessionId: string | undefined;
  readonly key: string | undefined;
  /** With which chance a row such as this is in the log. */
  readonly inclusionProbability: number;
  /** With which chance the draw by hash alone takes it; below `inclusionProbability` where it is kept for what it is. */
  readonly rate: number;
  /** The same of all its features: of rows outside the sample only some are kept, where the rest is stored too. */
  readonly featureRate: number;
  readonly reason: InclusionReason;
}

/** Rows as columns. What all rows leave out takes no column. Never throws. */
export function predictionColumns(
  rows: readonly RowToStore[],
  unstorable: Unstorable,
): Record<string, RowColumn> {
  const columns: [string, RowColumn][] = [];
  const text = (name: string, of: (each: RowToStore) => unknown): void => {
    let some = false;
    const values = rows.map((each) => {
      const value = of(each);
      if (typeof value !== 'string') return null;
      some = true;
      return storableText(value);
    });
    if (some) columns.push([name, { type: 'text', values }]);
  };
  const json = (name: string, of: (each: RowToStore) => unknown): void => {
    let some = false;
    const values = rows.map((each) => {
      const value = of(each);
      if (value === undefined) return null;
      some = true;
      return jsonText(value, unstorable);
    });
    if (some) columns.push([name, { type: 'json', values }]);
  };
  const number = (name: string, of: (each: RowToStore) => unknown, usual?: number): void => {
    let [some, whole] = [false, true];
    const values = new Float64Array(rows.length);
    const missing = new Uint8Array(rows.length);
    for (let i = 0; i < rows.length; i += 1) {
      const value = of(rows[i] as RowToStore);
      if (typeof value === 'number') {
        values[i] = value;
        if (value !== usual) some = true;
      } else {
        values[i] = Number.NaN;
        missing[i] = 1;
        whole = false;
      }
    }
    if (some) columns.push([name, { type: 'number', values, ...(whole ? {} : { missing }) }]);
  };
  text('versionId', ({ row }) => row.versionId);
  text('requestId', ({ row }) => row.requestId);
  text('role', ({ row }) => row.role);
  text('key', ({ key }) => key);
  text('userId', ({ userId }) => userId);
  text('sessionId', ({ sessionId }) => sessionId);
  text('segment', ({ row }) => row.segment);
  text('region', ({ row }) => row.region);
  text('experimentArm', ({ row }) => row.experimentArm);
  text('featureSchemaVersion', ({ row }) => row.featureSchemaVersion);
  json('prediction', ({ row }) => row.prediction);
  json('probabilities', ({ row }) => row.probabilities);
  number('confidence', ({ row }) => row.confidence);
  number('latencyMs', ({ row }) => row.latencyMs);
  number('queueMs', ({ row }) => row.queueMs);
  number('inferenceMs', ({ row }) => row.inferenceMs);
  text('replica', ({ row }) => row.replica);
  text('error', ({ row }) => row.error);
  text('correlationId', ({ row }) => row.correlationId);
  text('flags', ({ row }) => (Array.isArray(row.flags) ? row.flags.join(',') : undefined));
  number('inclusionProbability', (each) => each.inclusionProbability, 1);
  number('rate', ({ rate }) => rate, 1);
  number('featureRate', (each) => (each.featureRate === each.rate ? 1 : each.featureRate), 1);
  text('reason', ({ reason }) => (reason === 'random' ? undefined : reason));
  const features = featureColumns(
    rows.map((each) => each.features),
    unstorable,
  );
  return { ...Object.fromEntries(columns), ...features };
}

/** Short texts are the most there is. */
function jsonText(value: unknown, unstorable: Unstorable): string | null {
  if (typeof value === 'number') return encodeJson(value);
  const stored = storableValue(value, unstorable);
  if (stored === undefined) return null;
  return typeof stored === 'string' ? JSON.stringify(stored) : stored.json;
}
