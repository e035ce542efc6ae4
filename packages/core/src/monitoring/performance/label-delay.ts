import type { Scope } from '../../contracts/scope.ts';
import { quantile, sorted } from '../../statistics/index.ts';
import { labelStream } from './labels.ts';

/** How long labels take, in ms. */
export type LabelDelay = {
  /** Requests whose first label was observed in the time that was looked at. */
  readonly labels: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
};

/** So many labels are needed to learn a delay. */
const minimumLabels = 20;
const learnFromMs = 30 * 86_400_000;

/**
 * How long the labels that were observed in the 30 days up to `at` took after their request: what arrives in a while has
 * the law of all delays where traffic is steady, whether or not younger requests have their labels yet. Undefined for fewer than 20.
 */
export async function learnDelay(
  scope: Pick<Scope, 'series' | 'workspace'>,
  deploymentId: string,
  at: number,
): Promise<LabelDelay | undefined> {
  const first = new Map<string, { readonly observedAt: number; readonly predictedAt: number }>();
  const range = { from: at - learnFromMs, to: at + 1, columns: ['requestId', 'predictedAt'] };
  for await (const batch of scope.series.rows(labelStream(scope.workspace, deploymentId), range)) {
    const { requestId: ids, predictedAt: times } = batch.columns;
    if (ids?.type !== 'text' || times?.type !== 'number') continue;
    for (let i = 0; i < batch.at.length; i += 1) {
      const [requestId, predictedAt] = [ids.values[i], times.values[i]];
      const observedAt = batch.at[i] as number;
      if (typeof requestId !== 'string' || !Number.isFinite(predictedAt)) continue;
      if (observedAt < (first.get(requestId)?.observedAt ?? Infinity))
        first.set(requestId, { observedAt, predictedAt: predictedAt as number });
    }
  }
  if (first.size < minimumLabels) return undefined;
  const delays = sorted(
    [...first.values()].map(({ observedAt, predictedAt }) => Math.max(0, observedAt - predictedAt)),
  );
  return { labels: first.size, p50Ms: quantile(delays, 0.5), p95Ms: quantile(delays, 0.95) };
}
