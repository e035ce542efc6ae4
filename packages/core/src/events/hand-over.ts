import { AsyncLocalStorage } from 'node:async_hooks';
import type { StoredEvent } from '../contracts/event.ts';
import type { Change } from '../contracts/metadata-store.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError } from '../errors.ts';
import { withCorrelation } from './correlation.ts';
import type { Subscription } from './subscription.ts';

const handling = new AsyncLocalStorage<string>();

/** Whether this call comes from within a handler of the subscription. */
export function isHandling(subscription: string): boolean {
  return handling.getStore() === subscription;
}

/** How an event's handling ended; `stopped` says nothing about the event. */
export type Outcome =
  | { readonly state: 'handled' }
  | { readonly state: 'stopped' }
  | {
      readonly state: 'failed';
      readonly error: unknown;
      /** Not to be tried again, whatever attempts are left. */
      readonly final?: boolean;
    };

/** Calls the handler with the event, once, under the event's correlation; never rejects. */
export async function handOver(
  scope: Pick<Scope, 'logger'>,
  subscription: Pick<Subscription, 'name' | 'handler' | 'maxAttempts'>,
  event: StoredEvent,
  how: {
    readonly signal: AbortSignal;
    readonly attempt: number;
    /** Names the replay whose effects count anew. */
    readonly replay?: string;
  },
): Promise<Outcome> {
  const { name } = subscription;
  const { signal, attempt, replay } = how;
  const key = replay === undefined ? event.id : `${event.id}#${replay}`;
  const receipt = receiptOf(name, key);
  const correlation = { correlationId: event.correlationId, causationId: event.id };
  const context = {
    signal,
    receipt: () => receipt,
    idempotencyKey: `${name}:${key}`,
    attempt,
  };
  try {
    await handling.run(name, () =>
      withCorrelation(correlation, async () => subscription.handler(event, context)),
    );
    return { state: 'handled' };
  } catch (error) {
    if (isTaken(error, receipt)) return { state: 'handled' };
    // What a handler throws when it is told to stop says nothing about the event.
    if (signal.aborted) return { state: 'stopped' };
    if (attempt < subscription.maxAttempts) {
      const fields = {
        component: 'events',
        subscription: name,
        event: event.id,
        subject: event.subject,
        correlationId: event.correlationId,
        attempt,
        error,
      };
      scope.logger.warn(fields, 'A handler failed; the event is tried again.');
    }
    return { state: 'failed', error };
  }
}

type Creation = Extract<Change, { op: 'create' }>;

function receiptOf(subscription: string, key: string): Creation {
  return {
    op: 'create',
    kind: 'receipt',
    id: `receipt:${subscription}:${key}`,
    columns: { subscription, eventId: key },
  };
}

function isTaken(error: unknown, receipt: Creation): boolean {
  if (!isKeelsonError(error, 'CONFLICT')) return false;
  return error.details['kind'] === receipt.kind && error.details['id'] === receipt.id;
}
