import type { KindDeclaration } from '../record.ts';

/** Incidents, one for each correlation. The body has what opened them, notes, verification and review. */
const incidentKind: KindDeclaration = {
  name: 'incident',
  columns: {
    correlationId: { type: 'text', immutable: true },
    title: { type: 'text', immutable: true },
    severity: { type: 'text' },
    /** OPEN, RESOLVED. */
    state: { type: 'text' },
    /** Whether somebody is still to review it. */
    reviewOpen: { type: 'boolean' },
    /** What it concerns, such as `deployment:fraud-api`. */
    concerns: { type: 'text', optional: true, immutable: true },
    /** Whose next promotion waits for the review, where the policy says so. */
    model: { type: 'text', optional: true, immutable: true },
    openedAt: { type: 'integer', immutable: true },
    openedBy: { type: 'text', immutable: true },
    resolvedAt: { type: 'integer', optional: true },
  },
  unique: [{ name: 'incident of a correlation', columns: ['correlationId'] }],
  indexes: [['openedAt'], ['reviewOpen', 'openedAt'], ['model', 'reviewOpen']],
  history: 'kept',
};

/** The kinds that incidents keep. */
export const incidentKinds: readonly KindDeclaration[] = [incidentKind];
