import type { KindDeclaration } from '../record.ts';

/**
 * What is frozen of a model and its deployments, one record a model, under `freeze:<model>`: commits that promote a
 * version or move traffic assert its revision, so that none slips past a freeze that is made beside it. The body lists
 * the freezes in force, each with the alert that it waits for.
 */
const freezeKind: KindDeclaration = {
  name: 'freeze',
  columns: {
    model: { type: 'text', immutable: true },
    /** How many are in force. */
    inForce: { type: 'integer' },
  },
  unique: [{ name: 'freeze of a model', columns: ['model'] }],
  indexes: [['inForce']],
  history: 'kept',
};

/** The kinds that freezes keep. */
export const freezeKinds: readonly KindDeclaration[] = [freezeKind];
