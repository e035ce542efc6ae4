import type { StoredEvent } from '../../contracts/event.ts';
import type { Loop } from '../../contracts/loop.ts';
import type { SetUpWork } from './set-up.ts';

/** What may change which versions a deployment answers by, or that it does at all. */
const triggers: readonly string[] = [
  'deployment.healthy',
  'deployment.removed',
  'traffic.shifted',
  'rollout.completed',
];

const prefix = 'deployment:';

/**
 * Subscribes, once in this process, to what deployments go through, from the first event on; and gives versions that wait a
 * baseline out of what was predicted.
 */
export function createSetUpLoop(
  work: Pick<SetUpWork, 'follow' | 'fillWaiting'>,
  subscribe: (
    name: string,
    options: {
      readonly types: readonly string[];
      readonly from: 'start';
      readonly partitions: number;
    },
    handler: (event: StoredEvent) => Promise<void>,
  ) => Promise<unknown>,
): Loop {
  let subscribed: Promise<unknown> | undefined;
  return {
    name: 'monitoring set-up',
    idleMs: 60_000,
    async runOnce(signal) {
      subscribed ??= subscribe(
        'monitoring-set-up',
        { types: triggers, from: 'start', partitions: 1 },
        async ({ subject }) => {
          if (subject.startsWith(prefix)) await work.follow(subject.slice(prefix.length));
        },
      );
      try {
        await subscribed;
      } catch (error) {
        subscribed = undefined;
        throw error;
      }
      return await work.fillWaiting(signal);
    },
  };
}
