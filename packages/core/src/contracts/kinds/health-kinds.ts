import type { KindDeclaration } from '../record.ts';

/** What came of a shared check last, and who runs it next: whoever replaces the record first. */
const healthCheckKind: KindDeclaration = {
  name: 'health_check',
  columns: {
    name: { type: 'text', immutable: true },
    status: { type: 'text' },
    failures: { type: 'integer' },
    /** When it is run again, at the earliest. */
    dueAt: { type: 'integer' },
  },
  history: 'none',
};

/** How well a component is; `seenAt` is when a process last saw it so. */
const componentHealthKind: KindDeclaration = {
  name: 'component_health',
  columns: {
    component: { type: 'text', immutable: true },
    status: { type: 'text' },
    since: { type: 'integer' },
    seenAt: { type: 'integer' },
  },
  history: 'none',
};

/** Attempts of recoveries, with the fault and what came of them. */
const recoveryKind: KindDeclaration = {
  name: 'recovery',
  columns: {
    check: { type: 'text', immutable: true },
    recovery: { type: 'text', immutable: true },
    outcome: { type: 'text' },
    attempt: { type: 'integer', immutable: true },
    startedAt: { type: 'integer', immutable: true },
    endedAt: { type: 'integer', optional: true },
  },
  indexes: [['startedAt'], ['check', 'startedAt']],
  history: 'none',
};

/** Probes of a part in one day (UTC), counted. */
const probeWindowKind: KindDeclaration = {
  name: 'probe_window',
  columns: {
    part: { type: 'text', immutable: true },
    /** When the day began, in epoch ms. */
    day: { type: 'integer', immutable: true },
    good: { type: 'integer' },
    bad: { type: 'integer' },
  },
  indexes: [['part', 'day'], ['day']],
  history: 'none',
};

/** The kinds that health keeps. */
export const healthKinds: readonly KindDeclaration[] = [
  healthCheckKind,
  componentHealthKind,
  recoveryKind,
  probeWindowKind,
];
