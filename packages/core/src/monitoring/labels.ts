import type { Scope } from '../contracts/scope.ts';
import type { StreamKey } from '../contracts/series-store.ts';
import { KeelsonError } from '../errors.ts';
import { decodeJson, encodeJson, type Json } from '../json.ts';
import { uuidV7 } from '../uuid.ts';
import { readPredictions, type StoredPrediction } from './predictions/stored-predictions.ts';

/** What was really the case, told later. */
export interface Label {
  readonly requestId: string;
  readonly value: Json;
  /** When it became known. */
  readonly observedAt: number;
}

/** What became of labels. */
export interface LabelResult {
  readonly accepted: number;
  /** Labels of requests that no prediction is stored for, each with the reason. */
  readonly refused: readonly {
    readonly requestId: string;
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
 * label of a request counts; repeating one is harmless.
 */
export async function appendLabels(
  scope: Pick<Scope, 'series' | 'workspace'>,
  deploymentId: string,
  labels: readonly Label[],
  maxDelayMs: number,
  numbers: LabelNumbers,
): Promise<LabelResult> {
  for (const label of labels) {
    if (!Number.isFinite(label.observedAt)) {
      throw new KeelsonError(
        'INVALID',
        `The label of request ${label.requestId} has no observedAt.`,
      );
    }
  }
  if (labels.length === 0) return { accepted: 0, refused: [] };
  const times = labels.map((label) => label.observedAt);
  const known = await readPredictions(scope, deploymentId, {
    from: Math.min(...times) - maxDelayMs,
    to: Math.max(...times) + 1,
  });
  const requests = new Set(known.map((prediction) => prediction.requestId));
  const accepted = labels.filter((label) => requests.has(label.requestId));
  const refused = labels
    .filter((label) => !requests.has(label.requestId))
    .map(({ requestId }) => ({
      requestId,
      code: 'NOT_FOUND' as const,
      message: `No prediction of request ${JSON.stringify(requestId)} is stored for this deployment in the ${Math.round(maxDelayMs / 86_400_000)} days before the label.`,
    }));
  if (accepted.length > 0) {
    await scope.series.appendRows({
      writer: numbers.writer,
      sequence: numbers.next(deploymentId),
      stream: labelStream(scope.workspace, deploymentId),
      at: Float64Array.from(accepted, (label) => label.observedAt),
      columns: {
        requestId: { type: 'text', values: accepted.map((label) => label.requestId) },
        value: { type: 'json', values: accepted.map((label) => encodeJson(label.value)) },
      },
    });
  }
  return { accepted: accepted.length, refused };
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
  const first = new Map<string, { readonly label: Json; readonly observedAt: number }>();
  // A repeat comes within the delay of its first label at the most, so that far back is far enough.
  const labels = { from: range.from - maxDelayMs, to: range.to + 1 };
  for await (const batch of scope.series.rows(labelStream(scope.workspace, deploymentId), labels)) {
    for (let i = 0; i < batch.at.length; i += 1) {
      const requestId = textAt(batch.columns['requestId'], i);
      const value = textAt(batch.columns['value'], i);
      const observedAt = batch.at[i];
      if (requestId === undefined || value === undefined || observedAt === undefined) continue;
      const known = first.get(requestId);
      if (known === undefined || observedAt < known.observedAt) {
        first.set(requestId, { label: decodeJson(value), observedAt });
      }
    }
  }
  const fresh = [...first].filter(([, each]) => each.observedAt > range.from);
  if (fresh.length === 0) return [];
  const predictions = await readPredictions(scope, deploymentId, {
    from: range.from - maxDelayMs,
    to: range.to + 1,
  });
  const byRequest = Map.groupBy(predictions, (prediction) => prediction.requestId);
  return fresh
    .map(([requestId, { label, observedAt }]) => ({
      requestId,
      label,
      observedAt,
      predictions: byRequest.get(requestId) ?? [],
    }))
    .sort((a, b) => a.observedAt - b.observedAt || (a.requestId < b.requestId ? -1 : 1));
}

function textAt(
  column: { readonly type: string; readonly values: ArrayLike<unknown> } | undefined,
  i: number,
): string | undefined {
  const value = column?.values[i];
  return typeof value === 'string' ? value : undefined;
}
