import type { Rollout } from '@keelson/core';
import type { Live } from '../../api/resource.ts';

/** Whether it can still move. */
export function isOpen({ status }: Pick<Rollout, 'status'>): boolean {
  return status === 'IN_PROGRESS' || status === 'PAUSED';
}

/** What is read again when something happens to a deployment. */
export function liveOf(
  name: string,
  on: readonly string[] = ['deployment.', 'rollout.', 'traffic.', 'abtest.', 'scaling.'],
): Live {
  return { on, matters: ({ subject }) => subject === `deployment:${name}` };
}
