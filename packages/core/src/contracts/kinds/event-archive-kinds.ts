import type { KindDeclaration } from '../record.ts';

/** Events that were moved out of the log, as one content each; the record is what refers to it. */
const eventArchiveKind: KindDeclaration = {
  name: 'event_archive',
  columns: {
    /** 1, 2, 3 … within the workspace. */
    number: { type: 'integer', immutable: true },
    sha256: { type: 'text', immutable: true },
    sizeBytes: { type: 'integer', immutable: true },
    events: { type: 'integer', immutable: true },
    firstAt: { type: 'integer', immutable: true },
    lastAt: { type: 'integer', immutable: true },
    /** REMOVING: some of the events may still be in the log; REMOVED: none is. */
    state: { type: 'text' },
  },
  unique: [{ name: 'archive number', columns: ['number'] }],
  indexes: [['state'], ['sha256']],
  history: 'none',
  immutableBody: true,
};

/** How far retention has come in a workspace; owns the numbers of its archives. */
const eventRetentionKind: KindDeclaration = {
  name: 'event_retention',
  columns: {
    /** The digest of the retention that the cursors belong to. */
    config: { type: 'text' },
    archives: { type: 'integer' },
  },
  history: 'none',
  claimable: true,
};

/** The kinds that the retention of events keeps. */
export const eventArchiveKinds: readonly KindDeclaration[] = [eventArchiveKind, eventRetentionKind];
