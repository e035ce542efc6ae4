import type { StreamKey } from '../../contracts/series-store.ts';

/** The stream of a deployment's predictions. */
export function predictionStream(workspace: string, deploymentId: string): StreamKey {
  return { workspace, stream: 'predictions', owner: deploymentId };
}
