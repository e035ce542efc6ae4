import type { KindDeclaration } from '../record.ts';

/** Durable subscriptions: one leased, fenced cursor each. */
const subscriptionKind: KindDeclaration = {
  name: 'subscription',
  columns: {
    name: { type: 'text', immutable: true },
    cursor: { type: 'text', optional: true },
  },
  unique: [{ name: 'subscription name', columns: ['name'] }],
  history: 'none',
  claimable: true,
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
  },
  unique: [{ name: 'dead letter', columns: ['subscription', 'eventId'] }],
  indexes: [['subscription', 'subject']],
  history: 'none',
};

/** The kinds that events keep. */
export const eventKinds: readonly KindDeclaration[] = [
  subscriptionKind,
  receiptKind,
  deadLetterKind,
];
