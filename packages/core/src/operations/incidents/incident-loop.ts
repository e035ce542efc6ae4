import type { StoredEvent } from '../../contracts/event.ts';
import type { Loop } from '../../contracts/loop.ts';
import { triggerTypes } from './incident-triggers.ts';

/** The subscription under which incidents are opened. */
const incidentSubscription = 'incidents';

/**
 * Subscribes, once in this process, to what opens incidents, from the first event on: an incident is missed by
 * nobody because no process was running.
 */
export function createIncidentLoop(parts: {
  openFor(event: StoredEvent): Promise<void>;
  subscribe(
    name: string,
    options: {
      readonly types: readonly string[];
      readonly from: 'start';
      readonly partitions: number;
    },
    handler: (event: StoredEvent) => Promise<void>,
  ): Promise<unknown>;
}): Loop {
  let subscribed: Promise<unknown> | undefined;
  return {
    name: 'incidents',
    idleMs: 60_000,
    async runOnce() {
      subscribed ??= parts.subscribe(
        incidentSubscription,
        { types: triggerTypes, from: 'start', partitions: 1 },
        (event) => parts.openFor(event),
      );
      try {
        await subscribed;
      } catch (error) {
        subscribed = undefined;
        throw error;
      }
      return false;
    },
  };
}
