import type { KindDeclaration } from '../record.ts';

/**
 * Monitors, one a deployment, under the deployment's id. The body holds the rules, the reference and the
 * state of each detector; a commit that moves `evaluatedAt` moves them with it.
 */
const monitorKind: KindDeclaration = {
  name: 'monitor',
  columns: {
    deploymentId: { type: 'text', immutable: true },
    deploymentName: { type: 'text' },
    versionId: { type: 'text' },
    /** Labels observed up to here are in the detectors' states. */
    evaluatedAt: { type: 'integer' },
    referenceSetAt: { type: 'integer' },
  },
  unique: [{ name: 'monitor of a deployment', columns: ['deploymentName'] }],
  history: 'none',
};

/** Analyses: the counts of one interval and what each detector then said. Enough to compute it again. */
const analysisKind: KindDeclaration = {
  name: 'analysis',
  columns: {
    deploymentId: { type: 'text', immutable: true },
    at: { type: 'integer', immutable: true },
    changed: { type: 'boolean', immutable: true },
  },
  unique: [{ name: 'analysis', columns: ['deploymentId', 'at'] }],
  indexes: [['deploymentId', 'at']],
  history: 'none',
  immutableBody: true,
};

/** Alerts. `openKey` is the fingerprint while the alert is open: one open alert for each. */
const alertKind: KindDeclaration = {
  name: 'alert',
  columns: {
    deploymentId: { type: 'text', immutable: true },
    rule: { type: 'text', immutable: true },
    fingerprint: { type: 'text', immutable: true },
    openKey: { type: 'text', optional: true },
    severity: { type: 'text' },
    state: { type: 'text' },
    firstAt: { type: 'integer', immutable: true },
    lastAt: { type: 'integer' },
  },
  unique: [{ name: 'open alert', columns: ['openKey'] }],
  indexes: [['deploymentId', 'firstAt']],
  history: 'kept',
};

/**
 * Baselines of the versions that a deployment serves. What is counted is counted in the bins of one baseline, so that each
 * is a record of its own; `currentKey` is deployment and version while it is the one in force.
 */
const baselineKind: KindDeclaration = {
  name: 'baseline',
  columns: {
    deploymentId: { type: 'text', immutable: true },
    versionId: { type: 'text', immutable: true },
    setAt: { type: 'integer', immutable: true },
    currentKey: { type: 'text', optional: true },
  },
  unique: [{ name: 'current baseline', columns: ['currentKey'] }],
  indexes: [['deploymentId', 'setAt']],
  history: 'kept',
  immutableBody: true,
};

/**
 * What detectors know of the losses of a deployment, or of one of its versions. The body holds their states; a commit that
 * moves `through` moves them with it.
 */
const lossWatchKind: KindDeclaration = {
  name: 'loss_watch',
  columns: {
    deploymentId: { type: 'text', immutable: true },
    /** Losses of requests made before this time are in the states. */
    through: { type: 'integer' },
  },
  indexes: [['deploymentId']],
  history: 'none',
};

/** How features of a deployment, or of one of its versions, vary together in a reference; earlier ones stay in the history. */
const multivariateBaselineKind: KindDeclaration = {
  name: 'multivariate_baseline',
  columns: { deploymentId: { type: 'text', immutable: true } },
  indexes: [['deploymentId']],
  history: 'kept',
};

/** Analyses of drift that are kept: one of a series (deployment, type, version) for each time. */
const driftAnalysisKind: KindDeclaration = {
  name: 'drift_analysis',
  columns: {
    deploymentId: { type: 'text', immutable: true },
    type: { type: 'text', immutable: true },
    at: { type: 'integer', immutable: true },
    seriesKey: { type: 'text', immutable: true },
    detected: { type: 'boolean', immutable: true },
  },
  unique: [{ name: 'drift analysis', columns: ['seriesKey', 'at'] }],
  indexes: [['deploymentId', 'at']],
  history: 'none',
  immutableBody: true,
};

/**
 * What deployments are watched for by themselves, one for each name: wishes, and what was set up. `waits` while a version
 * waits for predictions to be a baseline of.
 */
const setUpKind: KindDeclaration = {
  name: 'monitoring_set_up',
  columns: {
    deploymentName: { type: 'text', immutable: true },
    deploymentId: { type: 'text', optional: true },
    /** WISHED, ACTIVE, FORBIDDEN, ENDED. */
    state: { type: 'text' },
    waits: { type: 'boolean' },
  },
  unique: [{ name: 'set-up of a deployment', columns: ['deploymentName'] }],
  indexes: [['deploymentId'], ['waits']],
  history: 'kept',
};

/** From which score on drift matters, as it was learnt of a baseline, under the baseline's id. */
const thresholdsKind: KindDeclaration = {
  name: 'learnt_thresholds',
  columns: {
    deploymentId: { type: 'text', immutable: true },
    learntAt: { type: 'integer' },
  },
  indexes: [['deploymentId']],
  history: 'kept',
};

/** The kinds that monitoring keeps. */
export const monitoringKinds: readonly KindDeclaration[] = [
  monitorKind,
  analysisKind,
  alertKind,
  baselineKind,
  lossWatchKind,
  driftAnalysisKind,
  multivariateBaselineKind,
  setUpKind,
  thresholdsKind,
];
