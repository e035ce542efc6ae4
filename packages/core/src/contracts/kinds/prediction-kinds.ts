import type { KindDeclaration } from '../record.ts';

/** What is kept of a deployment's predictions, under its id. The body has the settings, and which rates there were. */
const settingsKind: KindDeclaration = {
  name: 'prediction_settings',
  columns: { setAt: { type: 'integer' } },
  history: 'kept',
};

/**
 * Keys that pseudonyms were made with: `own`, whose body has it, and `key:<id>` for each that a provider had, whose bytes stay
 * with the provider.
 */
const pseudonymKeyKind: KindDeclaration = {
  name: 'pseudonym_key',
  columns: { madeAt: { type: 'integer', immutable: true } },
  history: 'none',
  immutableBody: true,
};

/** Users who were erased, by their pseudonyms alone: what is stored late of their requests is erased by it. */
const userErasureKind: KindDeclaration = {
  name: 'user_erasure',
  columns: {
    erasedAt: { type: 'integer', immutable: true },
    /** ERASING, DONE, or INCOMPLETE where rows came in faster than they could be erased. */
    state: { type: 'text' },
  },
  indexes: [['erasedAt']],
  history: 'kept',
};

/** How far a deployment's predictions have aged, under its id. Times are epoch ms. */
const retentionKind: KindDeclaration = {
  name: 'prediction_retention',
  columns: {
    since: { type: 'integer', immutable: true },
    sampledTo: { type: 'integer' },
    archivedTo: { type: 'integer' },
  },
  history: 'none',
};

/** A month of a deployment's daily figures, as a file in the artifact store; without `sha256` once its time is over. */
const archiveKind: KindDeclaration = {
  name: 'prediction_archive',
  columns: {
    deploymentId: { type: 'text', immutable: true },
    from: { type: 'integer', immutable: true },
    to: { type: 'integer', immutable: true },
    figures: { type: 'integer', immutable: true },
    sizeBytes: { type: 'integer', immutable: true },
    sha256: { type: 'text', optional: true },
    /** COLD, or METADATA once the file was let go. */
    state: { type: 'text' },
  },
  unique: [{ name: 'prediction archive', columns: ['deploymentId', 'from'] }],
  indexes: [['sha256']],
  history: 'none',
};

/** The kinds that the prediction log keeps. */
export const predictionKinds: readonly KindDeclaration[] = [
  settingsKind,
  pseudonymKeyKind,
  userErasureKind,
  retentionKind,
  archiveKind,
];
