import type { StoredEvent } from '../contracts/event.ts';
import type { Loop } from '../contracts/loop.ts';
import type { Change, Claimed } from '../contracts/metadata-store.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { storableText } from '../json.ts';
import { rest } from '../rest.ts';
import { withCorrelation } from './correlation.ts';
import { draftEvent } from './draft-event.ts';
import { type Hold, holdClaim } from './hold-claim.ts';

/** Handles one event; what it throws is retried. */
export type EventHandler = (
  event: StoredEvent,
  context: {
    /** Aborted when the process stops delivering, or another process has taken over. */
    readonly signal: AbortSignal;
    /**
     * A change for the handler's own commit: with it, the effects of that commit happen once however
     * often the event is delivered. A second commit rejects with CONFLICT; left uncaught, that counts
     * as handled.
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
/** Handled events are noted at most so often: after a kill, those since are delivered again. */
const noteEveryMs = 100;
const firstRestMs = 50;
const longestRestMs = 5_000;

/** The record that holds a subscription's cursor. */
export function subscriptionId(name: string): string {
  return `subscription:${name}`;
}

/** The record of an event that a subscription gave up. */
export function deadLetterId(name: string, eventId: string): string {
  return `dead-letter:${name}:${eventId}`;
}

/**
 * Delivers events to one subscription, at least once, in order, by one process at a time: claims its
 * cursor, hands over the events behind it, moves it under `hold`. While nothing is due it only reads.
 */
export function createSubscriptionLoop(
  scope: Scope,
  subscription: Subscription,
  owners: Owners,
): Loop {
  const { metadata, workspace } = scope;
  const { name, types } = subscription;
  const id = subscriptionId(name);
  /** Between these two places nothing concerns the subscription. */
  let idle: { readonly from: string | undefined; readonly to: string } | undefined;

  async function runOnce(signal: AbortSignal): Promise<boolean> {
    if (signal.aborted || !(await isDue())) return false;
    const claimed = await claim();
    if (claimed === undefined) return false;
    const hold = holdClaim(metadata, claimed, { leaseMs, signal, onFault: told });
    try {
      return await deliverBatch(claimed, hold);
    } catch (error) {
      if (!isKeelsonError(error, 'LOST')) throw error;
      told(error);
      return false;
    } finally {
      await hold.release();
    }
  }

  /** Whoever goes on delivers again what this process did not note. */
  function told(error: unknown): void {
    const fields = { component: 'events', subscription: name, error };
    scope.logger.warn(fields, 'The claim on a subscription was not kept.');
  }

  async function isDue(): Promise<boolean> {
    if (idle !== undefined && (await metadata.latestEventCursor()) === idle.to) return false;
    const record = await metadata.find(workspace, 'subscription', id);
    if (record === undefined) throw removed();
    const from = record.columns['cursor'] as string | undefined;
    const after = idle !== undefined && idle.from === from ? idle.to : from;
    const { events, cursor } = await readBehind(after, 1);
    if (events.length > 0) return true;
    idle = { from, to: cursor };
    return false;
  }

  function readBehind(
    after: string | undefined,
    limit: number,
  ): ReturnType<Scope['metadata']['readEvents']> {
    const from = after === undefined ? {} : { after };
    return metadata.readEvents({ workspace, ...from, filter: { types }, limit });
  }

  async function claim(): Promise<Claimed | undefined> {
    const held = await metadata.claimOwners('subscription', workspace);
    const [claimed] = await metadata.claim('subscription', {
      workspace,
      where: { op: 'compare', left: { from: 'column', name: 'name' }, cmp: '=', value: name },
      limit: 1,
      owner: owners.self,
      leaseMs,
      takeFrom: owners.dead(held),
    });
    return claimed;
  }

  async function deliverBatch(claimed: Claimed, hold: Hold): Promise<boolean> {
    const place = placeOf(claimed);
    const { events, cursor } = await readBehind(place.cursor, batchSize);
    let handled: string | undefined;
    let notedAt = performance.now();
    try {
      for (const event of events) {
        const outcome = await deliver(event, hold.signal);
        if (outcome === 'stopped') return true;
        if (outcome !== 'handled') await place.move(event.cursor, outcome);
        handled = event.cursor;
        if (performance.now() - notedAt < noteEveryMs) continue;
        await place.move(event.cursor);
        notedAt = performance.now();
      }
      // Also past what the filter left out, so that it is not read again for ever.
      handled = cursor;
    } finally {
      if (handled !== undefined) await place.move(handled);
    }
    return events.length > 0;
  }

  /** Answers the changes that bury the event where it was given up. */
  async function deliver(
    event: StoredEvent,
    signal: AbortSignal,
  ): Promise<'handled' | 'stopped' | readonly Change[]> {
    const correlation = { correlationId: event.correlationId, causationId: event.id };
    const fields = { component: 'events', subscription: name, event: event.id };
    for (let attempt = 1; ; attempt += 1) {
      if (signal.aborted) return 'stopped';
      const receipt = receiptOf(event);
      try {
        const context = { signal, receipt: () => receipt };
        await withCorrelation(correlation, async () => subscription.handler(event, context));
        return 'handled';
      } catch (error) {
        if (isTaken(error, receipt)) return 'handled';
        // What a handler throws when it is told to stop says nothing about the event.
        if (signal.aborted) return 'stopped';
        if (attempt >= subscription.maxAttempts) {
          scope.logger.error({ ...fields, error }, 'An event became a dead letter.');
          return withCorrelation(correlation, () => burying(event, attempt, error));
        }
        const again = 'A handler failed; the event is tried again.';
        scope.logger.warn({ ...fields, attempt, error }, again);
        await rest(Math.min(longestRestMs, firstRestMs * 2 ** attempt), signal);
      }
    }
  }

  function receiptOf(event: StoredEvent): Extract<Change, { op: 'create' }> {
    return {
      op: 'create',
      kind: 'receipt',
      id: `receipt:${name}:${event.id}`,
      columns: { subscription: name, eventId: event.id },
    };
  }

  function burying(event: StoredEvent, attempts: number, error: unknown): readonly Change[] {
    const said = storableText(error instanceof Error ? error.message : String(error), 2000);
    const { id: eventId, type, subject } = event;
    const letter: Change = {
      op: 'create',
      kind: 'dead_letter',
      id: deadLetterId(name, eventId),
      columns: { subscription: name, eventId, type, subject, attempts },
      body: { error: said, cursor: event.cursor },
    };
    // A subscription to dead letters that fails shall not feed itself.
    if (type === deadLettered) return [letter];
    const payload = { subscription: name, eventId, error: said };
    const told = { type: deadLettered, subject: id, source: 'events', payload };
    return [letter, { op: 'emit', event: draftEvent(scope, told) }];
  }

  /** The subscription's cursor, which moves only while the claim is held. */
  function placeOf(claimed: Claimed): {
    readonly cursor: string | undefined;
    move(cursor: string, changes?: readonly Change[]): Promise<void>;
  } {
    const { owner, fence, record } = claimed;
    const start = record.columns['cursor'] as string | undefined;
    let at = start;
    let revision = record.revision;
    const commit = async (cursor: string, changes: readonly Change[]): Promise<void> => {
      const { revisions } = await metadata.commit({
        workspace,
        principal: scope.principal.id,
        changes: [
          { op: 'hold', kind: 'subscription', id, owner, fence },
          { op: 'replace', kind: 'subscription', id, expect: revision, columns: { cursor } },
          ...changes,
        ],
      });
      revision = revisions[1] ?? revision;
      at = cursor;
    };
    return {
      cursor: start,
      async move(cursor, changes = []) {
        if (cursor === at && changes.length === 0) return;
        try {
          await commit(cursor, changes);
        } catch (error) {
          // Buried before, by a process that was killed before it could move on.
          const buried =
            isKeelsonError(error, 'CONFLICT') && error.details['kind'] === 'dead_letter';
          if (!buried) throw error;
          await commit(cursor, []);
        }
      },
    };
  }

  function removed(): KeelsonError {
    return new KeelsonError('LOST', `The subscription ${name} was removed; subscribe anew.`);
  }

  return { name: id, idleMs: 100, runOnce };
}

const deadLettered = 'event.dead-lettered';

function isTaken(error: unknown, receipt: Extract<Change, { op: 'create' }>): boolean {
  if (!isKeelsonError(error, 'CONFLICT')) return false;
  return error.details['kind'] === receipt.kind && error.details['id'] === receipt.id;
}
