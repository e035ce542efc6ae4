import type { KindDeclaration } from '../record.ts';

/** The queue of one notifier: claimed by the process that sends, and where its receiver's rest is kept. */
const notifierKind: KindDeclaration = {
  name: 'notifier',
  columns: {
    name: { type: 'text', immutable: true },
    /** Not before this time, in epoch ms: the receiver rests. */
    dueAt: { type: 'integer' },
    /** Transient failures in a row. */
    failures: { type: 'integer' },
  },
  unique: [{ name: 'notifier name', columns: ['name'] }],
  history: 'none',
  claimable: true,
};

/** What was, or is to be, delivered: the delivery log. */
const deliveryKind: KindDeclaration = {
  name: 'delivery',
  columns: {
    notifier: { type: 'text', immutable: true },
    eventId: { type: 'text', immutable: true },
    type: { type: 'text', immutable: true },
    key: { type: 'text', immutable: true },
    state: { type: 'text' },
    attempts: { type: 'integer' },
    dueAt: { type: 'integer' },
    code: { type: 'integer', optional: true },
  },
  unique: [{ name: 'delivery', columns: ['notifier', 'eventId'] }],
  indexes: [['notifier', 'state']],
  history: 'none',
};

/** The kinds that notifiers keep. */
export const notificationKinds: readonly KindDeclaration[] = [notifierKind, deliveryKind];
