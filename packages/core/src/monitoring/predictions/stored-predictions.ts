import type { Scope } from '../../contracts/scope.ts';
import type { RowColumns } from '../../contracts/series-store.ts';
import { decodeJson, type Json, type JsonObject } from '../../json.ts';
import { featuresReader, restColumn } from './feature-columns.ts';
import { predictionStream } from './prediction-stream.ts';
import type { InclusionReason } from './sampling.ts';

/** A prediction as it is read back. */
export interface StoredPrediction {
  readonly at: number;
  readonly versionId: string;
  readonly requestId: string;
  readonly role: 'primary' | 'shadow';
  readonly key?: string;
  /** Pseudonyms. */
  readonly userId?: string;
  readonly sessionId?: string;
  readonly segment?: string;
  readonly region?: string;
  readonly experimentArm?: string;
  readonly featureSchemaVersion?: string;
  readonly features: JsonObject;
  readonly prediction: Json;
  readonly probabilities?: Readonly<Record<string, number>>;
  readonly confidence?: number;
  readonly latencyMs: number;
  readonly queueMs?: number;
  readonly inferenceMs?: number;
  readonly replica?: string;
  readonly correlationId?: string;
  readonly error?: string;
  readonly flags?: readonly string[];
  /** With which chance such a row is in the log: it stands for 1 / `inclusionProbability` rows. Left out where it is 1. */
  readonly inclusionProbability?: number;
  /** With which chance the draw by hash alone takes it: lower where it is kept for what it is. Left out where it is 1. */
  readonly rate?: number;
  /** The same of all its features, where rows outside the sample are stored with some. As `rate` when left out. */
  readonly featureRate?: number;
  /** Why it is in the log; `random` when left out. */
  readonly reason?: InclusionReason;
}

/** The predictions of a deployment with from ≤ at < to; of repeats of one request and version the first. */
export async function readPredictions(
  scope: Pick<Scope, 'series' | 'workspace'>,
  deploymentId: string,
  range: { readonly from: number; readonly to: number },
): Promise<readonly StoredPrediction[]> {
  const seen = new Set<string>();
  const all: StoredPrediction[] = [];
  const stream = predictionStream(scope.workspace, deploymentId);
  for await (const batch of scope.series.rows(stream, range)) {
    const read = predictionReader(batch);
    for (let i = 0; i < batch.at.length; i += 1) {
      const row = read(i);
      // No text of a store contains NUL.
      const key = `${row.versionId}\u0000${row.requestId}`;
      if (seen.has(key)) continue;
      seen.add(key);
      all.push(row);
    }
  }
  return all.sort((a, b) => a.at - b.at || (a.requestId < b.requestId ? -1 : 1));
}

const texts = [
  ...['key', 'userId', 'sessionId', 'segment', 'region', 'experimentArm'],
  ...['featureSchemaVersion', 'replica', 'correlationId', 'error', 'reason'],
];
const numbers = [
  ...['confidence', 'queueMs', 'inferenceMs', 'inclusionProbability', 'rate', 'featureRate'],
];

/** Reads rows out of a stored batch, whatever columns it has: older ones have fewer. */
export function predictionReader(batch: RowColumns): (i: number) => StoredPrediction {
  const text = (name: string): ((i: number) => string | undefined) => {
    const column = batch.columns[name];
    if (column === undefined || column.type === 'number') return () => undefined;
    return (i) => column.values[i] ?? undefined;
  };
  const number = (name: string): ((i: number) => number | undefined) => {
    const column = batch.columns[name];
    if (column?.type !== 'number') return () => undefined;
    return (i) => (column.missing?.[i] === 1 ? undefined : column.values[i]);
  };
  const [versionId, requestId, role] = [text('versionId'), text('requestId'), text('role')];
  const [prediction, probabilities, flags] = [
    text('prediction'),
    text('probabilities'),
    text('flags'),
  ];
  const latencyMs = number('latencyMs');
  const optional = [
    ...texts.map((name) => [name, text(name)] as const),
    ...numbers.map((name) => [name, number(name)] as const),
  ].filter(([name]) => Object.hasOwn(batch.columns, name));
  const features = featuresOf(batch);
  return (i) => {
    const predicted = prediction(i);
    const row: Record<string, unknown> = {
      at: batch.at[i] ?? Number.NaN,
      versionId: versionId(i) ?? '',
      requestId: requestId(i) ?? '',
      role: role(i) === 'shadow' ? 'shadow' : 'primary',
      features: features(i),
      prediction: predicted === undefined ? null : decodeJson(predicted),
      latencyMs: latencyMs(i) ?? Number.NaN,
    };
    for (const [name, read] of optional) {
      const value = read(i);
      if (value !== undefined) row[name] = value;
    }
    const classes = probabilities(i);
    if (classes !== undefined) row['probabilities'] = decodeJson(classes);
    const flagged = flags(i);
    if (flagged !== undefined) row['flags'] = flagged.split(',');
    return row as unknown as StoredPrediction;
  };
}

function featuresOf(batch: RowColumns): (i: number) => JsonObject {
  const columns = featuresReader(batch.columns);
  const rest = batch.columns[restColumn];
  return (i) => {
    const text = rest === undefined || rest.type === 'number' ? null : (rest.values[i] ?? null);
    const features: [string, Json][] =
      text === null ? [] : Object.entries(decodeJson(text) as JsonObject);
    for (const [name, column] of columns(i)) {
      if (column.type === 'number') features.push([name, column.values[i] as number]);
      else {
        const value = column.values[i] as string;
        features.push([name, column.type === 'text' ? value : decodeJson(value)]);
      }
    }
    return Object.fromEntries(features);
  };
}
