import type { KindDeclaration } from '../record.ts';

/**
 * Changes of several steps that end wholly done or wholly undone. `step` is the one to run, or to
 * compensate; `begun` counts how often it was begun, `failures` how often it said that it failed. The body
 * has the input, the steps' names and results, and why it turned back.
 */
const sagaKind: KindDeclaration = {
  name: 'saga',
  columns: {
    name: { type: 'text', immutable: true },
    key: { type: 'text', optional: true, immutable: true },
    correlationId: { type: 'text', immutable: true },
    status: { type: 'text' },
    step: { type: 'integer' },
    begun: { type: 'integer' },
    failures: { type: 'integer' },
    dueAt: { type: 'integer' },
    deadlineAt: { type: 'integer', optional: true, immutable: true },
  },
  unique: [{ name: 'saga key', columns: ['name', 'key'] }],
  indexes: [['status', 'dueAt'], ['name']],
  history: 'kept',
  claimable: true,
};

/** The kinds that sagas keep. */
export const sagaKinds: readonly KindDeclaration[] = [sagaKind];
