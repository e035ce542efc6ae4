import type { KindDeclaration } from '../record.ts';

/**
 * Deployments. This record owns "one rollout at a time": every commit that begins or ends one replaces
 * it at its revision.
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
  },
  unique: [{ name: 'deployment name', columns: ['name'] }],
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

/** The kinds that deployments keep. */
export const deploymentsKinds: readonly KindDeclaration[] = [
  deploymentKind,
  routeKind,
  rolloutKind,
];
