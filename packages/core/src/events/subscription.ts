import { createHash } from 'node:crypto';
import type { StoredEvent } from '../contracts/event.ts';
import type { Change } from '../contracts/metadata-store.ts';

/** What a handler is given beside the event. */
export interface HandlerContext {
  /** Aborted when the process stops delivering, or another process has taken over. */
  readonly signal: AbortSignal;
  /**
   * A change for the handler's own commit: with it, the effects of that commit happen once however
   * often the event is delivered. A second commit rejects with CONFLICT; left uncaught, that counts
   * as handled.
   */
  receipt(): Change;
  /**
   * For effects outside of the store: the same at every delivery of the event to the subscription, and
   * another one for a replay that was asked for with `again`.
   */
  readonly idempotencyKey: string;
  /** 1 at the first try, as far as this subscription knows. */
  readonly attempt: number;
}

/** Handles one event; what it throws is retried. */
export type EventHandler = (event: StoredEvent, context: HandlerContext) => Promise<void> | void;

/** What becomes of the later events of a subject when one of them was given up. */
export type OnDeadLetter = 'skip' | 'hold';

/** How long things take. */
export interface SubscriptionTiming {
  /** Claims last so long unless they are renewed. */
  readonly leaseMs: number;
  /** What was handled is noted so long afterwards at the latest: after a kill, what came since comes again. */
  readonly noteMs: number;
}

/** A durable subscription of one workspace, as this process sees it. */
export interface Subscription {
  readonly name: string;
  readonly types: readonly string[];
  readonly handler: EventHandler;
  /** How often a failing event is tried before it becomes a dead letter. */
  readonly maxAttempts: number;
  /** How many subjects this process handles at once. */
  readonly concurrency: number;
  readonly onDeadLetter: OnDeadLetter;
  readonly timing: SubscriptionTiming;
}

/** How the processes of a platform tell whose leases may be taken. */
export interface Owners {
  /** This process, as the owner of its claims. */
  readonly self: string;
  /** Those of the owners that are certainly dead. */
  dead(owners: readonly string[]): readonly string[];
}

export const usualTiming: SubscriptionTiming = { leaseMs: 15_000, noteMs: 100 };
/** A process works so long on a part of a subscription before it lets others have it. */
export const sliceMs = 1_000;
/** So many subjects of a subscription are parked at most; then it waits, for its handler is what is broken. */
export const maxParked = 1_000;
/** An event that was in flight at so many ends of its process becomes a dead letter. */
export const maxCrashes = 5;
const firstRetryMs = 100;
const longestRetryMs = 5_000;

/** How long an event rests after its nth failed attempt, in ms. */
export function retryDelayMs(attempts: number): number {
  return Math.min(longestRetryMs, firstRetryMs * 2 ** (attempts - 1));
}

/** Nothing waits longer than this for its time: one that seems to was noted by a clock that has jumped. */
const longestWaitMs = 60_000;

/** Whether something that waits for a time is due. */
export function isDueAt(dueAt: number, now: number): boolean {
  return dueAt <= now || dueAt > now + longestWaitMs;
}

/** The record of a subscription. */
export function subscriptionId(name: string): string {
  return `subscription:${name}`;
}

/** The record of one of its parts. */
export function partitionId(name: string, number: number): string {
  return `subscription:${name}/${number}`;
}

/** The record of a subject that it has parked. */
export function parkedId(name: string, subject: string): string {
  return `parked:${name}:${createHash('sha256').update(subject).digest('hex').slice(0, 32)}`;
}

/** The record of an event that it gave up. */
export function deadLetterId(name: string, eventId: string): string {
  return `dead-letter:${name}:${eventId}`;
}
