import { KeelsonError, type Platform, type Rollout } from '@keelson/core';

/** The rollout of a deployment that is under way. NOT_FOUND for none. */
export async function activeRollout({ deployments }: Platform, name: string): Promise<Rollout> {
  const found = await deployments.activeRollout((await deployments.get(name)).name);
  if (found !== undefined) return found;
  throw new KeelsonError(
    'NOT_FOUND',
    `No rollout of ${name} is under way; \`keelson rollout status ${name}\` shows the last one.`,
  );
}
