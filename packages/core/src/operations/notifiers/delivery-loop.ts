import type { Loop } from '../../contracts/loop.ts';
import type { Change, Claimed } from '../../contracts/metadata-store.ts';
import type { Notification, Notifier } from '../../contracts/ports.ts';
import type { Predicate } from '../../contracts/query.ts';
import type { StoredRecord } from '../../contracts/record.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError } from '../../errors.ts';
import { withCorrelation } from '../../events/correlation.ts';
import { draftEvent } from '../../events/draft-event.ts';
import { type Hold, holdClaim } from '../../events/hold-claim.ts';
import { storableText } from '../../json.ts';
import { createPolicy } from '../../resilience.ts';
import { commitChanges } from '../decide-and-commit.ts';
import { columnIs } from '../every-record.ts';
import {
  codeOf,
  type Delivery,
  deliveryFromRecord,
  deliveryRecord,
  isHopeless,
  restAfter,
  retryAfterOf,
} from './delivery.ts';

const leaseMs = 15_000;
/** So many of what waits are in memory at once. */
const batchSize = 100;
/** Transient failures in a row that say that the receiver is away, and not one message that it dislikes. */
const failuresOfTheDead = 2;

/** The record of a notifier's queue. */
export function notifierId(name: string): string {
  return `notifier:${name}`;
}

/** How a process tells whose claims may be taken; that of subscriptions. */
export interface QueueOwners {
  readonly self: string;
  dead(owners: readonly string[]): readonly string[];
}

/**
 * Sends what is due of one notifier's queue, by one process at a time: those of one trouble in order, at
 * most two to a receiver that is away, which then rests. While nothing is due it only reads.
 */
export function createDeliveryLoop(
  scope: Scope,
  notifier: Notifier,
  options: {
    readonly owners: QueueOwners;
    readonly giveUpMs: number;
    readonly timeoutMs: number;
    /** Asked before each attempt at what supersedes others; true when left out. */
    isStillWanted?(notification: Notification): Promise<boolean>;
  },
): Loop {
  const { metadata, workspace, clock } = scope;
  const { name } = notifier;
  const { owners, giveUpMs, timeoutMs } = options;
  // Retries and the rest of a receiver are the queue's: they outlive the process, and all processes share them.
  const policy = createPolicy({ name: `notifier ${name}`, timeoutMs });
  const waiting: Predicate = {
    op: 'and',
    of: [columnIs('notifier', name), columnIs('state', 'PENDING')],
  };

  async function runOnce(signal: AbortSignal): Promise<boolean> {
    if (signal.aborted || !(await isDue())) return false;
    const claimed = await claim();
    if (claimed === undefined) return false;
    const hold = holdClaim(metadata, claimed, { leaseMs, signal, onFault: told });
    try {
      return await createRound(claimed, hold).send();
    } catch (error) {
      if (!isKeelsonError(error, 'LOST', 'STALE')) throw error;
      told(error);
      return false;
    } finally {
      await hold.release();
    }
  }

  function told(error: unknown): void {
    const fields = { component: 'operations', notifier: name, error };
    scope.logger.warn(fields, 'The claim on a notifier was not kept; another process goes on.');
  }

  function due(): Predicate {
    return {
      op: 'compare',
      left: { from: 'column', name: 'dueAt' },
      cmp: '<=',
      value: clock.now(),
    };
  }

  async function isDue(): Promise<boolean> {
    const where: Predicate = { op: 'and', of: [waiting, due()] };
    const { records } = await metadata.query(workspace, 'delivery', { where, limit: 1 });
    return records.length > 0;
  }

  async function claim(): Promise<Claimed | undefined> {
    const held = await metadata.claimOwners('notifier', workspace);
    const [claimed] = await metadata.claim('notifier', {
      workspace,
      where: { op: 'and', of: [columnIs('name', name), due()] },
      limit: 1,
      owner: owners.self,
      leaseMs,
      takeFrom: owners.dead(held),
    });
    return claimed;
  }

  /** What one claim does: a batch of the queue. */
  function createRound(claimed: Claimed, hold: Hold): { send(): Promise<boolean> } {
    const holding: Change = {
      op: 'hold',
      kind: 'notifier',
      id: claimed.record.id,
      owner: claimed.owner,
      fence: claimed.fence,
    };
    let { revision } = claimed.record;
    let failures = claimed.record.columns['failures'] as number;
    let inARow = 0;
    let isFailureTold = false;

    async function send(): Promise<boolean> {
      const { records } = await metadata.query(workspace, 'delivery', {
        where: waiting,
        orderBy: [{ by: { from: 'column', name: 'createdAt' }, direction: 'asc' }],
        limit: batchSize,
      });
      const blocked = new Set<string>();
      let sent = false;
      const waitingNow = records.map(deliveryFromRecord);
      for (const [i, record] of records.entries()) {
        const delivery = waitingNow[i] as Delivery;
        const { key } = delivery.notification;
        if (blocked.has(key)) continue;
        if (await isOutdated(delivery, waitingNow)) {
          await note(record, { ...delivery, state: 'CANCELLED' }, []);
          sent = true;
          continue;
        }
        const outcome = delivery.dueAt > clock.now() ? 'waits' : await attempt(record, delivery);
        if (outcome === 'stopped' || outcome === 'rests') return false;
        if (outcome === 'waits') blocked.add(key);
        else sent = true;
      }
      return sent;
    }

    /** Whether a later one says the same and more, or nobody need be told any more. */
    async function isOutdated(delivery: Delivery, all: readonly Delivery[]): Promise<boolean> {
      const { notification } = delivery;
      if (notification.supersedes !== true) return false;
      const later = all
        .slice(all.indexOf(delivery) + 1)
        .map((each) => each.notification)
        .filter(({ key }) => key === notification.key);
      // An end stands between what was open before it and what is open after it.
      const end = later.findIndex(({ state }) => state === 'RESOLVED');
      const sooner = end < 0 ? later : later.slice(0, end);
      const isSaidLater = sooner.some(
        ({ state, supersedes }) => supersedes === true && state === notification.state,
      );
      if (isSaidLater && notification.state !== 'RESOLVED') return true;
      return !((await options.isStillWanted?.(notification)) ?? true);
    }

    /** One attempt, and what it comes to, in one commit under the claim. */
    async function attempt(
      record: StoredRecord,
      delivery: Delivery,
    ): Promise<'ended' | 'waits' | 'rests' | 'stopped'> {
      const { correlationId } = delivery.notification;
      return withCorrelation({ correlationId, causationId: delivery.eventId }, async () => {
        const fields = { component: 'operations', notifier: name, delivery: delivery.id };
        try {
          const receipt =
            (await policy.run((limit) => notifier.notify(delivery.notification, limit), {
              signal: hold.signal,
            })) ?? {};
          await note(record, { ...delivery, ...receipt, state: 'DELIVERED' }, resetting());
          inARow = 0;
          return 'ended';
        } catch (error) {
          if (isKeelsonError(error, 'LOST', 'STALE', 'CLOSED')) throw error;
          // What a notifier throws when it is told to stop says nothing about its receiver.
          if (hold.signal.aborted) return 'stopped';
          const failed = { ...delivery, ...wordsOf(error) };
          if (isHopeless(error) || clock.now() - delivery.createdAt >= giveUpMs) {
            scope.logger.error({ ...fields, error }, 'A notification could not be delivered.');
            await note(record, { ...failed, state: 'FAILED' }, tellFailure(failed));
            return 'ended';
          }
          scope.logger.warn({ ...fields, error }, 'A notification will be sent again later.');
          return await postpone(record, failed, retryAfterOf(error));
        }
      });
    }

    async function postpone(
      record: StoredRecord,
      failed: Delivery,
      asked: number | undefined,
    ): Promise<'waits' | 'rests'> {
      inARow += 1;
      const now = clock.now();
      const dueAt = now + (asked ?? restAfter(failed.attempts + 1));
      const rests = asked !== undefined || inARow >= failuresOfTheDead;
      const restsUntil = now + (asked ?? restAfter(failures + 1));
      await note(record, { ...failed, dueAt }, rests ? [queue(failures + 1, restsUntil)] : []);
      if (rests) failures += 1;
      return rests ? 'rests' : 'waits';
    }

    function queue(count: number, dueAt: number): Change {
      const columns = { name, failures: count, dueAt };
      const id = claimed.record.id;
      return { op: 'replace', kind: 'notifier', id, expect: revision, columns };
    }

    function resetting(): readonly Change[] {
      if (failures === 0) return [];
      failures = 0;
      return [queue(0, 0)];
    }

    /** Once in a round: a receiver that is away for long must not fill the log of events. */
    function tellFailure(failed: Delivery): readonly Change[] {
      if (isFailureTold || failed.notification.type === 'notification.failed') return [];
      isFailureTold = true;
      const event = draftEvent(scope, {
        type: 'notification.failed',
        subject: notifierId(name),
        source: 'operations',
        payload: {
          notifier: name,
          deliveryId: failed.id,
          eventId: failed.eventId,
          attempts: failed.attempts + 1,
          error: failed.said ?? '',
        },
      });
      return [{ op: 'emit', event }];
    }

    async function note(
      record: StoredRecord,
      delivery: Delivery,
      more: readonly Change[],
    ): Promise<void> {
      const ended = delivery.state === 'PENDING' ? {} : { endedAt: clock.now() };
      const next = { ...delivery, ...ended, attempts: delivery.attempts + 1 };
      const replace: Change = {
        op: 'replace',
        kind: 'delivery',
        id: record.id,
        expect: record.revision,
        ...deliveryRecord(next),
      };
      await commitChanges(scope, [holding, replace, ...more]);
      if (more.some((change) => change.op === 'replace')) revision += 1;
    }

    return { send };
  }

  return { name: notifierId(name), idleMs: 250, runOnce };
}

function wordsOf(error: unknown): { readonly said: string; readonly code?: number } {
  const code = codeOf(error);
  const said = storableText(error instanceof Error ? error.message : String(error), 500);
  return { said, ...(code === undefined ? {} : { code }) };
}
