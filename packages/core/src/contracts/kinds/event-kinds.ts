import type { KindDeclaration } from '../record.ts';

/** Durable subscriptions; the body has the types that they see. */
const subscriptionKind: KindDeclaration = {
  name: 'subscription',
  columns: {
    name: { type: 'text', immutable: true },
    partitions: { type: 'integer', immutable: true },
  },
  unique: [{ name: 'subscription name', columns: ['name'] }],
  history: 'none',
};

/** One part of a subscription's subjects: a leased, fenced cursor. */
const subscriptionPartitionKind: KindDeclaration = {
  name: 'subscription_partition',
  columns: {
    subscription: { type: 'text', immutable: true },
    number: { type: 'integer', immutable: true },
    /** Everything up to it was handled, given up, or is the matter of a parked subject. */
    cursor: { type: 'text', optional: true },
    /** When the first of its parked subjects is tried again. */
    wakeAt: { type: 'integer', optional: true },
    /** Claimed, and not given back in order: true when its process was killed. */
    dirty: { type: 'boolean' },
    /** So many events are noted one by one before they are handed over. */
    careful: { type: 'integer' },
    /** The event that is being handled, where they are noted one by one. */
    inFlight: { type: 'text', optional: true },
    /** The event that was in flight when a process was killed, and how often that happened. */
    suspect: { type: 'text', optional: true },
    crashes: { type: 'integer' },
  },
  unique: [{ name: 'partition of a subscription', columns: ['subscription', 'number'] }],
  history: 'none',
  claimable: true,
};

/** A subject whose next event waits: what comes after it waits too, and other subjects go on. */
const parkedSubjectKind: KindDeclaration = {
  name: 'parked_subject',
  columns: {
    subscription: { type: 'text', immutable: true },
    partition: { type: 'integer', immutable: true },
    subject: { type: 'text', immutable: true },
    /** Everything of the subject up to it is done. */
    after: { type: 'text', optional: true },
    /** RETRY, HANDLER (it runs for long), CAUSE, HELD_CAUSE, or PERSON. */
    waitsFor: { type: 'text' },
    eventId: { type: 'text', optional: true },
    attempts: { type: 'integer' },
    dueAt: { type: 'integer' },
  },
  unique: [{ name: 'parked subject', columns: ['subscription', 'subject'] }],
  indexes: [['subscription', 'partition']],
  history: 'none',
};

/** Receipts: that a subscription has had the effects of an event, written with those effects. */
const receiptKind: KindDeclaration = {
  name: 'receipt',
  columns: {
    subscription: { type: 'text', immutable: true },
    eventId: { type: 'text', immutable: true },
  },
  unique: [{ name: 'receipt', columns: ['subscription', 'eventId'] }],
  history: 'none',
};

/** Events that a subscription could not handle within its attempts. */
const deadLetterKind: KindDeclaration = {
  name: 'dead_letter',
  columns: {
    subscription: { type: 'text', immutable: true },
    eventId: { type: 'text', immutable: true },
    type: { type: 'text', immutable: true },
    subject: { type: 'text', immutable: true },
    attempts: { type: 'integer' },
    /** GIVEN_UP, or REPLAYING when somebody has asked for it. */
    state: { type: 'text' },
    /** Whether later events of the subject wait for it. */
    held: { type: 'boolean' },
  },
  unique: [{ name: 'dead letter', columns: ['subscription', 'eventId'] }],
  indexes: [
    ['subscription', 'subject'],
    ['subscription', 'state'],
  ],
  history: 'none',
  claimable: true,
};

/** Events that a subscription is handed again; the body has the filter. */
const eventReplayKind: KindDeclaration = {
  name: 'event_replay',
  columns: {
    subscription: { type: 'text', immutable: true },
    /** RUNNING or DONE. */
    state: { type: 'text' },
    cursor: { type: 'text', optional: true },
    handled: { type: 'integer' },
    failed: { type: 'integer' },
  },
  indexes: [['subscription', 'state']],
  history: 'none',
  claimable: true,
};

/** The kinds that events keep. */
export const eventKinds: readonly KindDeclaration[] = [
  subscriptionKind,
  subscriptionPartitionKind,
  parkedSubjectKind,
  receiptKind,
  deadLetterKind,
  eventReplayKind,
];
