import type { KindDeclaration } from '../record.ts';

/** Alert rules. `key` is the deployment (or `*`) and the name; the body is the rule. */
const alertRuleKind: KindDeclaration = {
  name: 'alert_rule',
  columns: {
    key: { type: 'text', immutable: true },
    name: { type: 'text', immutable: true },
    deployment: { type: 'text', optional: true, immutable: true },
    enabled: { type: 'boolean' },
  },
  unique: [{ name: 'alert rule', columns: ['key'] }],
  indexes: [['deployment']],
  history: 'kept',
};

/** Why a rule cannot be evaluated for a deployment, while that is so, and what it last said. */
const ruleSightKind: KindDeclaration = {
  name: 'rule_sight',
  columns: {
    deploymentId: { type: 'text', immutable: true },
    rule: { type: 'text', immutable: true },
    /** `OK`, `NO_DATA` or `ERROR`. */
    sight: { type: 'text' },
    since: { type: 'integer' },
  },
  unique: [{ name: 'sight of a rule', columns: ['deploymentId', 'rule'] }],
  history: 'none',
};

/** Routes and inhibitions: whom alerts go to, and which keep others from being told. */
const alertSettingKind: KindDeclaration = {
  name: 'alert_setting',
  columns: {
    type: { type: 'text', immutable: true },
    name: { type: 'text', immutable: true },
  },
  unique: [{ name: 'alert setting', columns: ['type', 'name'] }],
  history: 'kept',
};

/** Silences. `openKey` is there until it has ended. */
const silenceKind: KindDeclaration = {
  name: 'silence',
  columns: {
    startsAt: { type: 'integer', immutable: true },
    endsAt: { type: 'integer' },
    openKey: { type: 'text', optional: true },
  },
  unique: [{ name: 'open silence', columns: ['openKey'] }],
  history: 'kept',
};

/**
 * What people are told together. The body remembers what they were told last, and how escalation stands; `openKey` is
 * there while something is to be told or is over and was not told.
 */
const alertGroupKind: KindDeclaration = {
  name: 'alert_group',
  columns: {
    route: { type: 'text', immutable: true },
    openKey: { type: 'text', optional: true },
    /** When something is to be done next, in epoch ms. */
    nextAt: { type: 'integer', optional: true },
  },
  unique: [{ name: 'open alert group', columns: ['openKey'] }],
  history: 'none',
};

/** Whose turn it is to evaluate alert rules, and up to when they were. One record for each workspace. */
const alertingTurnKind: KindDeclaration = {
  name: 'alerting_turn',
  columns: { dueAt: { type: 'integer' } },
  history: 'none',
  claimable: true,
};

/** The kinds that alerting keeps. */
export const alertingKinds: readonly KindDeclaration[] = [
  alertRuleKind,
  ruleSightKind,
  alertSettingKind,
  silenceKind,
  alertGroupKind,
  alertingTurnKind,
];
