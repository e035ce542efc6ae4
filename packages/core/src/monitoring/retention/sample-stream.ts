import type { StreamKey } from '../../contracts/series-store.ts';

/** The stream of what stays of a deployment's predictions when the rows themselves are gone. */
export function sampleStream(workspace: string, deploymentId: string): StreamKey {
  return { workspace, stream: 'prediction_samples', owner: deploymentId };
}
