import type { PredictionRow } from '../../contracts/prediction-sink.ts';
import type { RowColumn } from '../../contracts/series-store.ts';
import { featureColumns } from './feature-columns.ts';
import { JsonColumn, NumberColumn, TextColumn } from './made-columns.ts';
import type { InclusionReason } from './sampling.ts';
import type { Unstorable } from './storable-value.ts';

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
  const { length } = rows;
  const text = (): TextColumn => new TextColumn(length);
  const json = (): JsonColumn => new JsonColumn(length, unstorable);
  const number = (usual?: number): NumberColumn => new NumberColumn(length, usual);
  const columns = {
    ...{ versionId: text(), requestId: text(), role: text(), key: text(), userId: text() },
    ...{ sessionId: text(), segment: text(), region: text(), experimentArm: text() },
    ...{ featureSchemaVersion: text(), prediction: json(), probabilities: json() },
    ...{ confidence: number(), latencyMs: number(), queueMs: number(), inferenceMs: number() },
    ...{ replica: text(), error: text(), correlationId: text(), flags: text() },
    ...{ inclusionProbability: number(1), rate: number(1), featureRate: number(1), reason: text() },
  };
  const features = new Array<Readonly<Record<string, unknown>>>(length);
  for (let i = 0; i < length; i += 1) {
    const each = rows[i] as RowToStore;
    const { row, rate, featureRate, reason } = each;
    features[i] = each.features;
    columns.versionId.put(i, row.versionId);
    columns.requestId.put(i, row.requestId);
    columns.role.put(i, row.role);
    columns.prediction.put(i, row.prediction);
    columns.latencyMs.put(i, row.latencyMs);
    if (each.key !== undefined) columns.key.put(i, each.key);
    if (each.userId !== undefined) columns.userId.put(i, each.userId);
    if (each.sessionId !== undefined) columns.sessionId.put(i, each.sessionId);
    if (row.segment !== undefined) columns.segment.put(i, row.segment);
    if (row.region !== undefined) columns.region.put(i, row.region);
    if (row.experimentArm !== undefined) columns.experimentArm.put(i, row.experimentArm);
    const shape = row.featureSchemaVersion;
    if (shape !== undefined) columns.featureSchemaVersion.put(i, shape);
    if (row.probabilities !== undefined) columns.probabilities.put(i, row.probabilities);
    if (row.confidence !== undefined) columns.confidence.put(i, row.confidence);
    if (row.queueMs !== undefined) columns.queueMs.put(i, row.queueMs);
    if (row.inferenceMs !== undefined) columns.inferenceMs.put(i, row.inferenceMs);
    if (row.replica !== undefined) columns.replica.put(i, row.replica);
    if (row.error !== undefined) columns.error.put(i, row.error);
    if (row.correlationId !== undefined) columns.correlationId.put(i, row.correlationId);
    if (Array.isArray(row.flags)) columns.flags.put(i, row.flags.join(','));
    columns.inclusionProbability.put(i, each.inclusionProbability);
    columns.rate.put(i, rate);
    columns.featureRate.put(i, featureRate === rate ? 1 : featureRate);
    if (reason !== 'random') columns.reason.put(i, reason);
  }
  const own = Object.entries(columns).flatMap(([name, made]) => {
    const column = made.column();
    return column === undefined ? [] : [[name, column] as const];
  });
  return { ...Object.fromEntries(own), ...featureColumns(features, unstorable) };
}
