import type { StoredEvent } from '../contracts/event.ts';
import type { Loop } from '../contracts/loop.ts';
import type { Change, Claimed, ClaimKey } from '../contracts/metadata-store.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { withCorrelation } from './correlation.ts';
import { draftEvent } from './draft-event.ts';

/** Handles one event; what it throws is retried. */
export type EventHandler = (
  event: StoredEvent,
  context: {
    readonly signal: AbortSignal;
    /**
     * A change for the handler's own commit: with it, the effects of that commit happen once however
     * often the event is delivered; a second commit rejects with CONFLICT.
     */
    receipt(): Change;
  },
) => Promise<void> | void;

/** A durable subscription of one workspace. */
export interface Subscription {
  readonly name: string;
  readonly types: readonly string[];
  readonly handler: EventHandler;
  /** How often a failing event is tried before it becomes a dead letter. */
  readonly maxAttempts: number;
}

/** How the processes of a platform tell whose leases may be taken. */
export interface Owners {
  /** This process, as the owner of its claims. */
  readonly self: string;
  /** Those of the owners that are certainly dead. */
  dead(owners: readonly string[]): readonly string[];
}

const leaseMs = 15_000;
const batchSize = 100;

/** The record that holds a subscription's cursor. */
export function subscriptionId(name: string): string {
  return `subscription:${name}`;
}

/**
 * Delivers events to one subscription, at least once, in order, by one process at a time: claims its
 * cursor, hands over the events behind it, moves it under `hold`.
 */
export function createSubscriptionLoop(
  scope: Scope,
  subscription: Subscription,
  owners: Owners,
): Loop {
  const id = subscriptionId(subscription.name);

  async function runOnce(signal: AbortSignal): Promise<boolean> {
    const claimed = await claim();
    if (claimed === undefined) return false;
    const after = claimed.record.columns['cursor'] as string | undefined;
    try {
      const batch = await scope.metadata.readEvents({
        workspace: scope.workspace,
        ...(after === undefined ? {} : { after }),
        filter: { types: subscription.types },
        limit: batchSize,
      });
      for (const event of batch.events) {
        if (signal.aborted) return true;
        await deliver(event, claimed, signal);
        await moveCursor(claimed, event.cursor);
      }
      // Also past what the filter left out, so that it is not read again for ever.
      if (batch.events.length < batchSize && batch.cursor !== after)
        await moveCursor(claimed, batch.cursor);
      return batch.events.length > 0;
    } finally {
      await scope.metadata.release([keyOf(claimed)]);
    }
  }

  async function claim(): Promise<Claimed | undefined> {
    const held = await scope.metadata.claimOwners('subscription', scope.workspace);
    const [claimed] = await scope.metadata.claim('subscription', {
      workspace: scope.workspace,
      where: {
        op: 'compare',
        left: { from: 'column', name: 'name' },
        cmp: '=',
        value: subscription.name,
      },
      limit: 1,
      owner: owners.self,
      leaseMs,
      takeFrom: owners.dead(held),
    });
    return claimed;
  }

  async function deliver(event: StoredEvent, claimed: Claimed, signal: AbortSignal): Promise<void> {
    const correlation = { correlationId: event.correlationId, causationId: event.id };
    for (let attempt = 1; ; attempt += 1) {
      const keepAlive = setInterval(() => void renew(claimed), leaseMs / 3);
      try {
        await withCorrelation(correlation, () =>
          subscription.handler(event, { signal, receipt: () => receiptOf(event) }),
        );
        return;
      } catch (error) {
        const fields = { component: 'events', subscription: subscription.name, event: event.id };
        if (attempt >= subscription.maxAttempts) {
          scope.logger.error({ ...fields, error }, 'An event became a dead letter.');
          await bury(event, attempt, error, claimed);
          return;
        }
        scope.logger.warn(
          { ...fields, attempt, error },
          'A handler failed; the event is tried again.',
        );
        await rest(Math.min(5_000, 50 * 2 ** attempt), signal);
      } finally {
        clearInterval(keepAlive);
      }
    }
  }

  async function renew(claimed: Claimed): Promise<void> {
    try {
      await scope.metadata.renew([keyOf(claimed)], leaseMs);
    } catch (error) {
      // The next commit under `hold` finds out whether the lease was lost.
      scope.logger.warn({ component: 'events', error }, 'A lease could not be renewed.');
    }
  }

  function receiptOf(event: StoredEvent): Change {
    return {
      op: 'create',
      kind: 'receipt',
      id: `receipt:${subscription.name}:${event.id}`,
      columns: { subscription: subscription.name, eventId: event.id },
    };
  }

  async function bury(
    event: StoredEvent,
    attempts: number,
    error: unknown,
    claimed: Claimed,
  ): Promise<void> {
    const message = error instanceof Error ? error.message : String(error);
    await scope.metadata.commit({
      workspace: scope.workspace,
      principal: scope.principal.id,
      changes: [
        { op: 'hold', kind: 'subscription', id, owner: claimed.owner, fence: claimed.fence },
        {
          op: 'create',
          kind: 'dead_letter',
          id: scope.ids.next(),
          columns: {
            subscription: subscription.name,
            eventId: event.id,
            type: event.type,
            subject: event.subject,
            attempts,
          },
          body: { error: message.slice(0, 2000), cursor: event.cursor },
        },
        {
          op: 'emit',
          event: draftEvent(scope, {
            type: 'event.dead-lettered',
            subject: id,
            source: 'events',
            payload: {
              subscription: subscription.name,
              eventId: event.id,
              error: message.slice(0, 2000),
            },
          }),
        },
      ],
    });
  }

  async function moveCursor(claimed: Claimed, cursor: string): Promise<void> {
    const record = await scope.metadata.find(scope.workspace, 'subscription', id);
    if (record === undefined)
      throw new KeelsonError('LOST', `Subscription ${subscription.name} was removed.`);
    await scope.metadata.commit({
      workspace: scope.workspace,
      principal: scope.principal.id,
      changes: [
        { op: 'hold', kind: 'subscription', id, owner: claimed.owner, fence: claimed.fence },
        { op: 'replace', kind: 'subscription', id, expect: record.revision, columns: { cursor } },
      ],
    });
  }

  return { name: `subscription:${subscription.name}`, idleMs: 100, runOnce };
}

function keyOf({ record, owner, fence }: Claimed): ClaimKey {
  return { workspace: record.workspace, kind: record.kind, id: record.id, owner, fence };
}

function rest(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
    if (signal.aborted) done();
  });
}
