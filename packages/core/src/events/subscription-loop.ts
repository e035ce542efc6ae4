import type { Loop } from '../contracts/loop.ts';
import type { Claimed } from '../contracts/metadata-store.ts';
import type { Predicate } from '../contracts/query.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError } from '../errors.ts';
import { rest } from '../rest.ts';
import { Causes } from './causes.ts';
import { type DuePartition, DuePartitions } from './due-partitions.ts';
import { columnIn, columnIs } from './event-records.ts';
import { holdClaim } from './hold-claim.ts';
import { PartitionSlice, type SliceParts } from './partition-slice.ts';
import { Progress } from './progress.ts';
import { RequestedReplays } from './requested-replays.ts';
import { Slots } from './slots.ts';
import { type Owners, type Subscription, subscriptionId } from './subscription.ts';

/** A round ends after so long, also when handlers run on. */
const roundMs = 1_000;
const lookMs = 100;
/** Without an event it looks again after so long. */
const idleMs = 1_000;
const kind = 'subscription_partition';

/** The loop of a subscription in one process. */
export interface SubscriptionLoop extends Loop {
  /** When the next of the subjects that wait for themselves or one another is due, epoch ms. */
  nextAttemptAt(): Promise<number | undefined>;
}

/**
 * Delivers events to one subscription, at least once: claims those of its partitions that have something
 * to do, works on each for a slice, and gives it back. While nothing is due it only reads.
 */
export function createSubscriptionLoop(
  scope: Scope,
  subscription: Subscription,
  owners: Owners,
  partitions: number,
): SubscriptionLoop {
  const { metadata, workspace } = scope;
  const { name, types } = subscription;
  const { leaseMs } = subscription.timing;
  const slots = new Slots(subscription.concurrency);
  const progress = new Progress(scope, { name, partitions });
  const duePartitions = new DuePartitions(scope, subscription);
  const replays = new RequestedReplays(scope, subscription, owners, slots);
  const ending = new AbortController();
  const tasks = new Set<Promise<void>>();
  const busy = new Set<number>();
  /** Partitions with so many parked subjects that nothing more goes in, and until when they rest. */
  const full = new Map<number, number>();
  let failures: unknown[] = [];
  let hasHandled = false;
  let position = 0;
  const parts: SliceParts = {
    scope,
    subscription,
    partitions,
    slots,
    causes: new Causes(scope, types, progress),
    nextPosition: () => {
      position += 1;
      return position;
    },
  };

  async function runOnce(signal: AbortSignal): Promise<boolean> {
    if (signal.aborted || ending.signal.aborted) return false;
    hasHandled = false;
    await start(signal);
    const endsAt = performance.now() + roundMs;
    while (tasks.size > 0 && performance.now() < endsAt) {
      await Promise.race([...tasks, rest(lookMs, signal)]);
      if (signal.aborted) await Promise.all(tasks);
      else if (slots.free > 0) await start(signal);
    }
    const [failure] = failures;
    failures = [];
    if (failure !== undefined) throw failure;
    return hasHandled || tasks.size > 0;
  }

  /** Begins with what is due and not begun. */
  async function start(signal: AbortSignal): Promise<void> {
    const { partitions: all, requested } = await duePartitions.find(busy);
    const now = scope.clock.now();
    const due = all.filter(({ number }) => (full.get(number) ?? 0) <= now);
    if (due.length > 0) await startPartitions(due, signal);
    if (requested && !busy.has(-1)) run(-1, () => runReplays(signal));
  }

  async function startPartitions(due: readonly DuePartition[], signal: AbortSignal): Promise<void> {
    const held = await metadata.claimOwners(kind, workspace);
    const takeFrom = owners.dead(held);
    // Where others work on it too, half of what is there is left to them.
    const isShared = held.some((owner) => owner !== owners.self && !takeFrom.includes(owner));
    const most = Math.min(isShared ? Math.ceil(due.length / 2) : due.length, slots.free, 100);
    let left = most;
    for (const wasDirty of [false, true]) {
      const numbers = due.filter((one) => one.wasDirty === wasDirty).map(({ number }) => number);
      if (numbers.length === 0 || left <= 0) continue;
      const where: Predicate = {
        op: 'and',
        of: [
          columnIs('subscription', name),
          columnIn('number', numbers),
          columnIs('dirty', wasDirty),
        ],
      };
      const claims = await metadata.claim(kind, {
        workspace,
        where,
        limit: left,
        owner: owners.self,
        leaseMs,
        takeFrom,
        set: { dirty: true },
      });
      left -= claims.length;
      for (const claimed of claims) {
        const number = claimed.record.columns['number'] as number;
        run(number, () => work(claimed, wasDirty, signal));
      }
    }
  }

  function run(number: number, what: () => Promise<void>): void {
    busy.add(number);
    const task = what()
      .catch((error: unknown) => {
        if (isKeelsonError(error, 'LOST', 'STALE')) told(error);
        else failures.push(error);
      })
      .finally(() => {
        busy.delete(number);
        tasks.delete(task);
      });
    tasks.add(task);
  }

  async function work(claimed: Claimed, wasDirty: boolean, caller: AbortSignal): Promise<void> {
    const signal = AbortSignal.any([caller, ending.signal]);
    const hold = holdClaim(metadata, claimed, { leaseMs, signal, onFault: told });
    try {
      const slice = new PartitionSlice(parts, claimed, hold, wasDirty);
      if (await slice.run()) hasHandled = true;
      const number = claimed.record.columns['number'] as number;
      if (!slice.isFull) full.delete(number);
      else rests(number, slice.wakeAt);
    } finally {
      await hold.release();
    }
  }

  function rests(number: number, wakeAt: number | undefined): void {
    const now = scope.clock.now();
    if (!full.has(number)) {
      const fields = { component: 'events', subscription: name, partition: number };
      scope.logger.error(
        fields,
        'So many subjects are parked that nothing more is handed over: the handler fails for all of them.',
      );
    }
    full.set(number, Math.min(wakeAt ?? now + roundMs, now + 5 * roundMs));
  }

  async function runReplays(caller: AbortSignal): Promise<void> {
    const signal = AbortSignal.any([caller, ending.signal]);
    while (!signal.aborted && (await replays.runOnce(signal, told))) hasHandled = true;
  }

  /** Whoever goes on delivers again what this process did not note. */
  function told(error: unknown): void {
    const fields = { component: 'events', subscription: name, error };
    scope.logger.warn(fields, 'The claim on a subscription was not kept.');
  }

  return {
    name: subscriptionId(name),
    idleMs,
    runOnce,
    wait: (signal) => duePartitions.wait(idleMs, signal),

    async drain() {
      ending.abort();
      await Promise.all(tasks);
    },

    async nextAttemptAt() {
      const where: Predicate = {
        op: 'and',
        of: [columnIs('subscription', name), columnIn('waitsFor', ['RETRY', 'HANDLER', 'CAUSE'])],
      };
      const { records } = await metadata.query(workspace, 'parked_subject', {
        where,
        orderBy: [{ by: { from: 'column', name: 'dueAt' }, direction: 'asc' }],
        limit: 1,
      });
      return records[0]?.columns['dueAt'] as number | undefined;
    },
  };
}
