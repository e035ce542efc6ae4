import type { Scope } from '../../contracts/scope.ts';
import type { RowColumns } from '../../contracts/series-store.ts';
import { decodeJson, type Json, type JsonObject } from '../../json.ts';
import { predictionStream } from './prediction-stream.ts';

/** A prediction as it is read back. */
export interface StoredPrediction {
  readonly at: number;
  readonly versionId: string;
  readonly requestId: string;
  readonly role: 'primary' | 'shadow';
  readonly key?: string;
  readonly features: JsonObject;
  readonly prediction: Json;
  readonly probabilities?: Readonly<Record<string, number>>;
  /** The chance that its row was kept, where the log is a sample. */
  readonly inclusionProbability?: number;
  readonly latencyMs: number;
  readonly error?: string;
  readonly flags?: readonly string[];
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
    for (let i = 0; i < batch.at.length; i += 1) {
      const row = predictionAt(batch, i);
      const key = JSON.stringify([row.requestId, row.versionId]);
      if (seen.has(key)) continue;
      seen.add(key);
      all.push(row);
    }
  }
  return all.sort((a, b) => a.at - b.at || (a.requestId < b.requestId ? -1 : 1));
}

/** A row of a batch. */
export function predictionAt(batch: RowColumns, i: number): StoredPrediction {
  const text = (name: string): string | undefined => {
    const column = batch.columns[name];
    return column === undefined || column.type === 'number'
      ? undefined
      : (column.values[i] ?? undefined);
  };
  const json = (name: string): Json | undefined => {
    const value = text(name);
    return value === undefined ? undefined : decodeJson(value);
  };
  const number = (name: string): number | undefined => {
    const column = batch.columns[name];
    return column?.type === 'number' && column.missing?.[i] !== 1 ? column.values[i] : undefined;
  };
  const probabilities = json('probabilities') as StoredPrediction['probabilities'];
  const inclusionProbability = number('inclusionProbability');
  const error = text('error');
  const flags = text('flags')?.split(',');
  const key = text('key');
  return {
    at: batch.at[i] ?? Number.NaN,
    versionId: text('versionId') ?? '',
    requestId: text('requestId') ?? '',
    role: text('role') === 'shadow' ? 'shadow' : 'primary',
    features: (json('features') ?? {}) as JsonObject,
    prediction: json('prediction') ?? null,
    ...(probabilities === undefined ? {} : { probabilities }),
    ...(inclusionProbability === undefined ? {} : { inclusionProbability }),
    latencyMs: number('latencyMs') ?? Number.NaN,
    ...(key === undefined ? {} : { key }),
    ...(error === undefined ? {} : { error }),
    ...(flags === undefined ? {} : { flags }),
  };
}
