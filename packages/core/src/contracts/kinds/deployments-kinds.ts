import type { KindDeclaration } from '../record.ts';

/**
 * Deployments. This record owns "one rollout at a time" and the numbers of its revisions: every commit that begins
 * or ends a rollout, or makes a revision, replaces it at its revision. The body holds its configuration and what is
 * kept warm.
 */
const deploymentKind: KindDeclaration = {
  name: 'deployment',
  columns: {
    name: { type: 'text' },
    modelName: { type: 'text', immutable: true },
    environment: { type: 'text', immutable: true },
    status: { type: 'text' },
    activeRolloutId: { type: 'text', optional: true },
    createdBy: { type: 'text', immutable: true },
    endpointUrl: { type: 'text', optional: true },
    /** How many revisions it has had, and the one whose state is in force. */
    lastRevision: { type: 'integer', optional: true },
    currentRevision: { type: 'integer', optional: true },
    /** When the first of the versions that are kept warm is released. */
    warmUntil: { type: 'integer', optional: true },
    /** When a deployment that is TERMINATING goes for good. */
    removeAt: { type: 'integer', optional: true },
    /** Whether promotions of its model to Production start a rollout. */
    followsPromotions: { type: 'boolean', optional: true },
  },
  unique: [{ name: 'deployment name', columns: ['name'] }],
  indexes: [
    ['environment'],
    ['modelName'],
    ['status'],
    ['warmUntil'],
    ['removeAt'],
    ['followsPromotions'],
  ],
  facets: { tags: { source: 'merged' } },
  history: 'kept',
};

/** Routes, one a deployment, under the deployment's id. The revision is the route's generation. */
const routeKind: KindDeclaration = {
  name: 'route',
  columns: { deploymentId: { type: 'text', immutable: true }, deploymentName: { type: 'text' } },
  unique: [{ name: 'route of a deployment', columns: ['deploymentName'] }],
  history: 'kept',
};

/** How deployments were when somebody last looked, under the deployment's id. */
const deploymentHealthKind: KindDeclaration = {
  name: 'deployment_health',
  columns: { deploymentId: { type: 'text', immutable: true }, checkedAt: { type: 'integer' } },
  history: 'none',
};

/** Revisions: what was changed in a deployment, before and after, numbered within it. */
const deploymentRevisionKind: KindDeclaration = {
  name: 'deployment_revision',
  columns: {
    deploymentId: { type: 'text', immutable: true },
    number: { type: 'integer', immutable: true },
    /** The version that answers once it is in force. */
    versionId: { type: 'text', immutable: true },
    strategy: { type: 'text', immutable: true },
    rolloutStatus: { type: 'text' },
    rolloutId: { type: 'text', optional: true, immutable: true },
    createdBy: { type: 'text', immutable: true },
    endedAt: { type: 'integer', optional: true },
    /** When the content of its version was last verified, and what was wrong with it. */
    verifiedAt: { type: 'integer', optional: true },
    damage: { type: 'text', optional: true },
  },
  unique: [{ name: 'revision of a deployment', columns: ['deploymentId', 'number'] }],
  indexes: [['rolloutId'], ['versionId']],
  history: 'kept',
  immutableBody: true,
};

/** Rollouts: durable state machines from one version to the next. */
const rolloutKind: KindDeclaration = {
  name: 'rollout',
  columns: {
    deploymentId: { type: 'text', immutable: true },
    candidateVersionId: { type: 'text', immutable: true },
    baselineVersionId: { type: 'text', immutable: true },
    status: { type: 'text' },
    stepIndex: { type: 'integer' },
    beganAt: { type: 'integer', immutable: true },
    stepBeganAt: { type: 'integer' },
    evaluatedAt: { type: 'integer' },
    requestKey: { type: 'text', optional: true, immutable: true },
  },
  unique: [{ name: 'rollout request', columns: ['requestKey'] }],
  indexes: [['deploymentId', 'beganAt'], ['status']],
  history: 'kept',
  claimable: true,
};

/** Versions that were gone back to, while they are watched. */
const rollbackWatchKind: KindDeclaration = {
  name: 'rollback_watch',
  columns: {
    deploymentId: { type: 'text', immutable: true },
    rolloutId: { type: 'text', optional: true, immutable: true },
    fromVersionId: { type: 'text', immutable: true },
    toVersionId: { type: 'text' },
    status: { type: 'text' },
    beganAt: { type: 'integer' },
    watchUntil: { type: 'integer' },
  },
  indexes: [['deploymentId', 'beganAt'], ['status']],
  history: 'kept',
};

/** A/B tests: who answers whom, by what is decided, and what was decided. */
const abTestKind: KindDeclaration = {
  name: 'ab_test',
  columns: {
    deploymentId: { type: 'text', immutable: true },
    status: { type: 'text' },
    beganAt: { type: 'integer', immutable: true },
    endedAt: { type: 'integer', optional: true },
    createdBy: { type: 'text', immutable: true },
    requestKey: { type: 'text', optional: true, immutable: true },
  },
  unique: [{ name: 'A/B test request', columns: ['requestKey'] }],
  indexes: [['deploymentId', 'beganAt'], ['status']],
  history: 'kept',
};

/** The kinds that deployments keep. */
export const deploymentsKinds: readonly KindDeclaration[] = [
  deploymentKind,
  deploymentHealthKind,
  deploymentRevisionKind,
  routeKind,
  rolloutKind,
  rollbackWatchKind,
  abTestKind,
];
