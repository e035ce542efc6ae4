import type { Scope } from '../contracts/scope.ts';
import type { Performance } from './performance/performance.ts';
import { predictionStream } from './predictions/prediction-stream.ts';

/** What requests of a deployment met in a period: how many were answered, how many wrongly, how rightly. */
export async function incidentImpact(
  { series, workspace }: Pick<Scope, 'series' | 'workspace'>,
  monitoring: {
    performance(
      deploymentId: string,
      options: {
        readonly from: number;
        readonly to: number;
        readonly labelLagMs: number;
        readonly estimate: false;
      },
    ): Promise<Performance>;
  },
  deploymentId: string,
  range: { readonly from: number; readonly to: number },
): Promise<{
  readonly requests: number;
  readonly errors: number;
  readonly accuracy?: number;
  readonly labels?: number;
}> {
  let requests = 0;
  let errors = 0;
  // To the end of the last millisecond.
  const period = { from: range.from, to: range.to + 1 };
  const key = predictionStream(workspace, deploymentId);
  const columns = ['role', 'error', 'inclusionProbability'];
  for await (const batch of series.rows(key, { ...period, columns })) {
    const { role, error, inclusionProbability: chance } = batch.columns;
    if (role?.type !== 'text') continue;
    for (const [i, each] of role.values.entries()) {
      if (each !== 'primary') continue;
      // A row of a sample stands for several.
      const weight = chance?.type === 'number' ? 1 / (chance.values[i] ?? 1) : 1;
      requests += weight;
      if (error?.type === 'text' && error.values[i] !== null) errors += weight;
    }
  }
  [requests, errors] = [Math.round(requests), Math.round(errors)];
  const { served } = await monitoring.performance(deploymentId, {
    ...period,
    labelLagMs: 0,
    estimate: false,
  });
  if (served === undefined) return { requests, errors };
  return { requests, errors, accuracy: served.accuracy, labels: served.total };
}
