import type { Scope } from '../../contracts/scope.ts';
import type { StreamKey } from '../../contracts/series-store.ts';
import { KeelsonError } from '../../errors.ts';
import { decodeJson, encodeJson, type Json } from '../../json.ts';
import { uuidV7 } from '../../uuid.ts';
import { sampleFraction } from '../predictions/sampling.ts';
import { readPredictions, type StoredPrediction } from '../predictions/stored-predictions.ts';
import { textAt } from '../predictions/text-at.ts';
import { findRequests } from './label-requests.ts';

/** What was really the case, told later: of one request, or of those of a key. */
export interface Label {
  /** The request that it is of; left out where a key is given. */
  readonly requestId?: string;
  /** The key that requests were made with, such as a user's id: of its requests up to `observedAt`. */
  readonly key?: string;
  /** Of the last request of the key, or of all of them in the time in which labels are joined; `latest` when left out. */
  readonly of?: 'latest' | 'all';
  readonly value: Json;
  /** When it became known. */
  readonly observedAt: number;
}

/** What became of labels. */
export interface LabelResult {
  /** Labels that were taken. */
  readonly accepted: number;
  /**
   * Labels of requests that are not in the log and may have been left out by sampling: nothing is wrong with them, and nothing
   * can be learnt from them. What is estimated from labels is estimated from the sample.
   */
  readonly sampledOut: number;
  /** Labels of requests that no prediction is stored for, each with the reason. */
  readonly refused: readonly {
    readonly requestId?: string;
    readonly key?: string;
    readonly code: 'NOT_FOUND';
    readonly message: string;
  }[];
}

/** A label with the predictions of its request. */
export interface LabelledRequest {
  readonly requestId: string;
  readonly label: Json;
  readonly observedAt: number;
  /** One for each version that answered or shadowed it. */
  readonly predictions: readonly StoredPrediction[];
}

/** All that was told of one request. */
export interface LabelHistory {
  /** What was observed first, and when. */
  readonly value: Json;
  readonly observedAt: number;
  /** What was observed last: a correction, where it differs. */
  readonly last: Json;
  readonly lastAt: number;
  readonly told: number;
  readonly isContradicted: boolean;
}

/** Numbers the batches that one process appends to the label streams. */
export class LabelNumbers {
  readonly writer: string = uuidV7();
  readonly #last = new Map<string, number>();

  next(deploymentId: string): number {
    const next = (this.#last.get(deploymentId) ?? 0) + 1;
    this.#last.set(deploymentId, next);
    return next;
  }
}

/** The stream of a deployment’s labels. */
export function labelStream(workspace: string, deploymentId: string): StreamKey {
  return { workspace, stream: 'labels', owner: deploymentId };
}

/**
 * Stores labels of requests whose predictions are stored, and refuses the others by name. The first
 * label of a request counts; repeating one is harmless. INVALID for a label without a time, or that names neither a
 * request nor a key.
 */
export async function appendLabels(
  scope: Pick<Scope, 'series' | 'workspace'>,
  deploymentId: string,
  labels: readonly Label[],
  maxDelayMs: number,
  numbers: LabelNumbers,
  lowestRateSince: LowestRateSince,
): Promise<LabelResult> {
  for (const label of labels) assertLabel(label);
  if (labels.length === 0) return { accepted: 0, sampledOut: 0, refused: [] };
  const times = labels.map((label) => label.observedAt);
  const from = times.reduce((a, b) => Math.min(a, b)) - maxDelayMs;
  const to = times.reduce((a, b) => Math.max(a, b)) + 1;
  const found = await findRequests(scope, deploymentId, { from, to });
  const lowestRate = await lowestRateSince(deploymentId, from);
  let sampledOut = 0;
  const rows: { requestId: string; value: string; observedAt: number; predictedAt: number }[] = [];
  const refused: LabelResult['refused'][number][] = [];
  for (const label of labels) {
    const of = found.of(label, maxDelayMs);
    if (of.length === 0) {
      if (mayBeLeftOut(label, lowestRate)) sampledOut += 1;
      else refused.push(refusal(label, maxDelayMs));
    }
    const value = encodeJson(label.value);
    for (const request of of) rows.push({ ...request, value, observedAt: label.observedAt });
  }
  if (rows.length > 0) {
    await scope.series.appendRows({
      writer: numbers.writer,
      sequence: numbers.next(deploymentId),
      stream: labelStream(scope.workspace, deploymentId),
      at: Float64Array.from(rows, (row) => row.observedAt),
      columns: {
        requestId: { type: 'text', values: rows.map((row) => row.requestId) },
        value: { type: 'json', values: rows.map((row) => row.value) },
        predictedAt: { type: 'number', values: Float64Array.from(rows, (row) => row.predictedAt) },
      },
    });
  }
  return { accepted: labels.length - refused.length - sampledOut, sampledOut, refused };
}

/** Below which fraction (`sampleFraction`) every request from a time on is in the log. */
export type LowestRateSince = (deploymentId: string, from: number) => Promise<number>;

/** Of a key, nobody can say which requests it had. */
function mayBeLeftOut({ requestId }: Label, lowestRate: number): boolean {
  if (requestId === undefined) return lowestRate < 1;
  return sampleFraction(requestId) >= lowestRate;
}

function assertLabel(label: Label): void {
  const { requestId, key, of, observedAt } = label;
  const which = requestId === undefined ? `key ${String(key)}` : `request ${String(requestId)}`;
  const invalid = (message: string): KeelsonError => new KeelsonError('INVALID', message);
  if (!Number.isFinite(observedAt)) throw invalid(`The label of ${which} has no observedAt.`);
  const [named] = [requestId, key].filter((each) => each !== undefined);
  if (typeof named !== 'string' || (requestId !== undefined && key !== undefined)) {
    throw invalid('A label must name either the requestId that it is of, or a key.');
  }
  if (of !== undefined && of !== 'latest' && of !== 'all') {
    throw invalid(`The label of ${which} must be of the latest request or of all.`);
  }
}

function refusal({ requestId, key }: Label, maxDelayMs: number): LabelResult['refused'][number] {
  const days = Math.round(maxDelayMs / 86_400_000);
  const what =
    requestId === undefined
      ? `with the key ${JSON.stringify(key)}`
      : `of request ${JSON.stringify(requestId)}`;
  return {
    ...(requestId === undefined ? {} : { requestId }),
    ...(key === undefined ? {} : { key }),
    code: 'NOT_FOUND',
    message: `No prediction ${what} is stored for this deployment in the ${days} days before the label.`,
  };
}

/** What was told of each request, of labels observed with from ≤ observedAt < to. */
export async function readLabels(
  scope: Pick<Scope, 'series' | 'workspace'>,
  deploymentId: string,
  range: { readonly from: number; readonly to: number },
): Promise<ReadonlyMap<string, LabelHistory>> {
  const all = new Map<string, LabelHistory & { readonly encoded: string }>();
  for await (const batch of scope.series.rows(labelStream(scope.workspace, deploymentId), range)) {
    for (let i = 0; i < batch.at.length; i += 1) {
      const requestId = textAt(batch.columns, 'requestId', i);
      const encoded = textAt(batch.columns, 'value', i);
      const observedAt = batch.at[i];
      if (requestId === undefined || encoded === undefined || observedAt === undefined) continue;
      const known = all.get(requestId);
      const value = known?.encoded === encoded ? known.value : decodeJson(encoded);
      const isFirst = known === undefined || observedAt < known.observedAt;
      const isLast = known === undefined || observedAt >= known.lastAt;
      all.set(requestId, {
        encoded: isFirst ? encoded : known.encoded,
        value: isFirst ? value : known.value,
        observedAt: isFirst ? observedAt : known.observedAt,
        last: isLast ? value : known.last,
        lastAt: isLast ? observedAt : known.lastAt,
        told: (known?.told ?? 0) + 1,
        isContradicted: known !== undefined && (known.isContradicted || known.encoded !== encoded),
      });
    }
  }
  return all;
}

/**
 * The requests whose label was observed with from < observedAt ≤ to, in that order, with the
 * predictions made before it. A request whose first label is older than `from` is not among them.
 */
export async function readLabelled(
  scope: Pick<Scope, 'series' | 'workspace'>,
  deploymentId: string,
  range: { readonly from: number; readonly to: number },
  maxDelayMs: number,
): Promise<readonly LabelledRequest[]> {
  // A repeat comes within the delay of its first label at the most, so that far back is far enough.
  const all = { from: range.from - maxDelayMs, to: range.to + 1 };
  const labels = await readLabels(scope, deploymentId, all);
  const fresh = [...labels].filter(([, each]) => each.observedAt > range.from);
  if (fresh.length === 0) return [];
  const predictions = await readPredictions(scope, deploymentId, all);
  const byRequest = Map.groupBy(predictions, (prediction) => prediction.requestId);
  return fresh
    .map(([requestId, { value, observedAt }]) => ({
      requestId,
      label: value,
      observedAt,
      predictions: byRequest.get(requestId) ?? [],
    }))
    .sort((a, b) => a.observedAt - b.observedAt || (a.requestId < b.requestId ? -1 : 1));
}
