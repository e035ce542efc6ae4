import type { KindDeclaration } from '../record.ts';

/** How a deployment's troubles are answered; the body is what was put. One a deployment. */
const responsePolicyKind: KindDeclaration = {
  name: 'response_policy',
  columns: {
    deploymentId: { type: 'text', immutable: true },
    deployment: { type: 'text', immutable: true },
    model: { type: 'text', immutable: true },
    enabled: { type: 'boolean' },
    /** Events from then on are answered; epoch ms, by the platform's clock. */
    since: { type: 'integer', immutable: true },
    /** Whether versions follow the calendar of the body. */
    calendarOn: { type: 'boolean' },
    /** The time of the calendar that was followed last; epoch ms. */
    switchedAt: { type: 'integer', optional: true },
  },
  unique: [{ name: 'response policy of a deployment', columns: ['deploymentId'] }],
  indexes: [['calendarOn']],
  history: 'kept',
};

/** What was decided on one event, and from what; under `<policy>:<event>`. */
const responseDecisionKind: KindDeclaration = {
  name: 'response_decision',
  columns: {
    policyId: { type: 'text', immutable: true },
    deploymentId: { type: 'text', immutable: true },
    eventId: { type: 'text', immutable: true },
    alertId: { type: 'text', optional: true, immutable: true },
    correlationId: { type: 'text', immutable: true },
    dryRun: { type: 'boolean', immutable: true },
    at: { type: 'integer', immutable: true },
  },
  indexes: [['deploymentId', 'at'], ['alertId']],
  history: 'none',
  immutableBody: true,
};

/**
 * One act of a decision, under `<policy>:<trouble>:<action>`: a trouble is answered by an action once, however often it
 * is told. Whoever acts holds its claim.
 */
const responseActKind: KindDeclaration = {
  name: 'response_act',
  columns: {
    policyId: { type: 'text', immutable: true },
    decisionId: { type: 'text', immutable: true },
    deploymentId: { type: 'text', immutable: true },
    action: { type: 'text', immutable: true },
    /** PENDING, RUNNING; DONE, FAILED, STOPPED; LIMITED, SKIPPED, DRY_RUN. */
    state: { type: 'text' },
    /** Not before: epoch ms by the platform's clock. */
    dueAt: { type: 'integer' },
    at: { type: 'integer', immutable: true },
    correlationId: { type: 'text', immutable: true },
    versionId: { type: 'text', optional: true },
  },
  indexes: [['decisionId'], ['state', 'dueAt'], ['policyId', 'action', 'at'], ['versionId']],
  claimable: true,
  history: 'kept',
};

/** For how long a deployment is looked at more closely; under its id. */
const attentionKind: KindDeclaration = {
  name: 'attention',
  columns: { until: { type: 'integer' } },
  history: 'none',
};

/** The kinds that responses keep. */
export const responseKinds: readonly KindDeclaration[] = [
  responsePolicyKind,
  responseDecisionKind,
  responseActKind,
  attentionKind,
];
