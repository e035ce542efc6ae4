import type { Scope } from '../../contracts/scope.ts';
import { predictionStream } from '../predictions/prediction-stream.ts';
import type { Label } from './labels.ts';

/** A request that a label is of, and when its first prediction was made. */
export interface LabelRequest {
  readonly requestId: string;
  readonly predictedAt: number;
}

/** The requests of a period, to be found by id and by key. */
export interface FoundRequests {
  /** Those that a label is of; none where no prediction is stored. */
  of(label: Label, maxDelayMs: number): readonly LabelRequest[];
}

/** Reads ids, keys and times of a deployment's predictions, and nothing else of them. */
export async function findRequests(
  scope: Pick<Scope, 'series' | 'workspace'>,
  deploymentId: string,
  range: { readonly from: number; readonly to: number },
): Promise<FoundRequests> {
  const byId = new Map<string, number>();
  const byKey = new Map<string, Set<string>>();
  const stream = predictionStream(scope.workspace, deploymentId);
  const columns = ['requestId', 'key'];
  for await (const batch of scope.series.rows(stream, { ...range, columns })) {
    const [ids, keys] = columns.map((name) => batch.columns[name]?.values);
    for (let i = 0; i < batch.at.length; i += 1) {
      const [requestId, key, at] = [ids?.[i], keys?.[i], batch.at[i] as number];
      if (typeof requestId !== 'string') continue;
      byId.set(requestId, Math.min(at, byId.get(requestId) ?? at));
      if (typeof key !== 'string') continue;
      const requests = byKey.get(key) ?? new Set();
      byKey.set(key, requests.add(requestId));
    }
  }
  return {
    of({ requestId, key, of = 'latest', observedAt }, maxDelayMs) {
      if (requestId !== undefined) {
        const predictedAt = byId.get(requestId);
        return predictedAt === undefined ? [] : [{ requestId, predictedAt }];
      }
      const all = [...(byKey.get(key ?? '') ?? [])]
        .map((id) => ({ requestId: id, predictedAt: byId.get(id) ?? Number.NaN }))
        .filter(
          ({ predictedAt }) => predictedAt <= observedAt && predictedAt >= observedAt - maxDelayMs,
        )
        .sort((a, b) => a.predictedAt - b.predictedAt || (a.requestId < b.requestId ? -1 : 1));
      return of === 'all' ? all : all.slice(-1);
    },
  };
}
