import type { KindDeclaration } from '../record.ts';

/**
 * Entries of the audit chains, one chain for each subject. Nothing of an entry ever changes but its salts,
 * which are destroyed when what it attests is erased.
 */
const auditEntryKind: KindDeclaration = {
  name: 'audit_entry',
  columns: {
    subject: { type: 'text', immutable: true },
    /** 1, 2, 3 … within the subject. */
    sequence: { type: 'integer', immutable: true },
    at: { type: 'integer', immutable: true },
    principal: { type: 'text', immutable: true },
    action: { type: 'text', immutable: true },
    digest: { type: 'text', immutable: true },
    /** A JSON list, one for each thing attested; null where it was destroyed. */
    salts: { type: 'text' },
  },
  unique: [{ name: 'audit sequence', columns: ['subject', 'sequence'] }],
  indexes: [['at']],
  history: 'none',
  immutableBody: true,
};

/** The workspace's chain: heads of subjects' chains and a range of the event log each. */
const auditSealKind: KindDeclaration = {
  name: 'audit_seal',
  columns: {
    /** 1, 2, 3 … within the workspace. */
    number: { type: 'integer', immutable: true },
    at: { type: 'integer', immutable: true },
    digest: { type: 'text', immutable: true },
    salts: { type: 'text' },
  },
  unique: [{ name: 'seal number', columns: ['number'] }],
  history: 'none',
  immutableBody: true,
};

/** How far a workspace is sealed; whoever replaces it made the next seal. */
const auditSealedKind: KindDeclaration = {
  name: 'audit_sealed',
  columns: {
    number: { type: 'integer' },
    digest: { type: 'text' },
    cursor: { type: 'text', optional: true },
  },
  history: 'none',
};

/** How far the log of all workspaces was looked through for what is to be sealed. */
const auditSealerKind: KindDeclaration = {
  name: 'audit_sealer',
  columns: { cursor: { type: 'text', optional: true } },
  history: 'none',
  claimable: true,
};

/** What was erased, by whom and when: a record for each thing, under the thing's own id. */
const auditErasedKind: KindDeclaration = {
  name: 'audit_erased',
  columns: {
    erasureId: { type: 'text', immutable: true },
    at: { type: 'integer', immutable: true },
    by: { type: 'text', immutable: true },
  },
  indexes: [['erasureId']],
  history: 'kept',
};

/**
 * Where the chain of a subject that came with an import was made, and how far. Nothing of it ever changes
 * but whether all has come that the chain attests.
 */
const auditOriginKind: KindDeclaration = {
  name: 'audit_origin',
  columns: {
    subject: { type: 'text', immutable: true },
    /** The id of the record that the subject names. */
    ownerId: { type: 'text', immutable: true },
    /** The last entry that came, and its digest. */
    lastSequence: { type: 'integer', immutable: true },
    digest: { type: 'text', immutable: true },
    /** `coming` while an import brings what the chain attests: nobody else appends to it. Then `here`. */
    state: { type: 'text' },
  },
  unique: [{ name: 'origin of an audit chain', columns: ['subject'] }],
  indexes: [['state']],
  history: 'none',
  immutableBody: true,
};

/**
 * What entries of imported chains attest and nothing else here has: events, which are announced once, where
 * they happened; revisions of records that were removed.
 */
const importedEvidenceKind: KindDeclaration = {
  name: 'imported_evidence',
  columns: {
    subject: { type: 'text', immutable: true },
    /** `event` (under its own id) or `revision`. */
    what: { type: 'text', immutable: true },
  },
  history: 'none',
  immutableBody: true,
};

/** The kinds that the audit keeps. */
export const auditKinds: readonly KindDeclaration[] = [
  auditEntryKind,
  auditSealKind,
  auditSealedKind,
  auditSealerKind,
  auditErasedKind,
  auditOriginKind,
  importedEvidenceKind,
];
