import { KeelsonError, type Platform, type Rollout } from '@keelson/core';
import { findDeployment } from './find-by-id.ts';

/** The rollout of a deployment that is under way. NOT_FOUND for none. */
export async function activeRollout(platform: Platform, name: string): Promise<Rollout> {
  const deployment = await findDeployment(platform, name);
  const found = await platform.deployments.activeRollout(deployment.name);
  if (found !== undefined) return found;
  throw new KeelsonError(
    'NOT_FOUND',
    `No rollout of ${name} is under way; \`keelson rollout status ${name}\` shows the last one.`,
  );
}
