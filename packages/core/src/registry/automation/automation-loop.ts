import type { StoredEvent } from '../../contracts/event.ts';
import type { Loop } from '../../contracts/loop.ts';
import type { Scope } from '../../contracts/scope.ts';
import { automationTriggers } from './automatic-path.ts';

/**
 * Subscribes, once in this process and as soon as there is an automation, to what moves them on: from the first
 * event, so that no run is missed that ended before any process looked.
 */
export function createAutomationLoop(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  parts: {
    handle(event: StoredEvent): Promise<void>;
    subscribe(
      name: string,
      options: { readonly types: readonly string[]; readonly from: 'start' },
      handler: (event: StoredEvent) => Promise<void>,
    ): Promise<unknown>;
  },
): Loop {
  let subscribed: Promise<unknown> | undefined;
  return {
    name: 'automations',
    idleMs: 2_000,
    async runOnce() {
      if (subscribed === undefined) {
        const { records } = await scope.metadata.query(scope.workspace, 'automation', { limit: 1 });
        if (records.length === 0) return false;
        const options = { types: automationTriggers, from: 'start' } as const;
        subscribed = parts.subscribe('registry-automations', options, parts.handle);
      }
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
