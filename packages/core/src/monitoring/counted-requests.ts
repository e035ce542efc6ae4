import type { Scope } from '../contracts/scope.ts';
import type { StreamKey } from '../contracts/series-store.ts';

/**
 * Which requests an analysis has counted. Labels may be told after the time at which they were observed was
 * analysed; they count in the next analysis, and none counts twice. What was written for an analysis
 * that then lost its commit to another is ignored.
 */
export async function readCounted(
  scope: Pick<Scope, 'series' | 'workspace'>,
  deploymentId: string,
  analysisIds: ReadonlySet<string>,
  range: { readonly from: number; readonly to: number },
): Promise<ReadonlySet<string>> {
  const counted = new Set<string>();
  const stream = countedStream(scope.workspace, deploymentId);
  for await (const batch of scope.series.rows(stream, range)) {
    const analyses = batch.columns['analysisId']?.values;
    const requests = batch.columns['requestId']?.values;
    for (let i = 0; i < batch.at.length; i += 1) {
      const request = requests?.[i];
      if (typeof request === 'string' && analysisIds.has(String(analyses?.[i])))
        counted.add(request);
    }
  }
  return counted;
}

/** Says, before its commit, which requests an analysis counts. */
export async function writeCounted(
  scope: Pick<Scope, 'series' | 'workspace'>,
  deploymentId: string,
  analysis: { readonly id: string; readonly at: number },
  requestIds: readonly string[],
): Promise<void> {
  if (requestIds.length === 0) return;
  await scope.series.appendRows({
    writer: analysis.id,
    sequence: 1,
    stream: countedStream(scope.workspace, deploymentId),
    at: new Float64Array(requestIds.length).fill(analysis.at),
    columns: {
      analysisId: { type: 'text', values: requestIds.map(() => analysis.id) },
      requestId: { type: 'text', values: requestIds },
    },
  });
}

function countedStream(workspace: string, deploymentId: string): StreamKey {
  return { workspace, stream: 'counted', owner: deploymentId };
}
