import type { KindDeclaration } from '../record.ts';

/**
 * Models. This record owns the invariants of its versions: numbers without gaps, semver never used
 * twice, one version in production, where aliases point, which transition is being applied. Every commit
 * that touches one of them replaces it at its revision.
 */
const modelKind: KindDeclaration = {
  name: 'model',
  columns: {
    name: { type: 'text' },
    lastNumber: { type: 'integer' },
    latestVersionId: { type: 'text', optional: true },
    productionVersionId: { type: 'text', optional: true },
    /** The stage transition whose effects are running: no other moves a version of the model meanwhile. */
    applyingId: { type: 'text', optional: true },
    source: { type: 'text', optional: true, immutable: true },
    deletedAt: { type: 'integer', optional: true },
    purgedAt: { type: 'integer', optional: true },
    createdBy: { type: 'text', immutable: true },
  },
  unique: [{ name: 'model name', columns: ['name'] }],
  facets: { tags: { source: 'merged' } },
  history: 'kept',
};

/**
 * Model versions. The body (files, signature, lineage) is immutable; stage, status, words are not. One that
 * was deleted keeps its record, so that its number and semver are never used again; once it is purged, its
 * content is no longer referred to.
 */
const modelVersionKind: KindDeclaration = {
  name: 'model_version',
  columns: {
    modelId: { type: 'text', immutable: true },
    modelName: { type: 'text', immutable: true },
    number: { type: 'integer', immutable: true },
    version: { type: 'text', immutable: true },
    /** The version as a text that sorts as versions do. */
    versionKey: { type: 'text', optional: true },
    sha256: { type: 'text', immutable: true },
    sizeBytes: { type: 'integer', immutable: true },
    format: { type: 'text', immutable: true },
    sourceRunId: { type: 'text', optional: true, immutable: true },
    createdBy: { type: 'text', immutable: true },
    stage: { type: 'text' },
    status: { type: 'text' },
    description: { type: 'text', optional: true },
    /** What was found damaged; with status FAILED. */
    failure: { type: 'text', optional: true },
    deprecatedAt: { type: 'integer', optional: true },
    deprecation: { type: 'text', optional: true },
    /** The version to use instead of a deprecated one. */
    replacementId: { type: 'text', optional: true },
    deletedAt: { type: 'integer', optional: true },
    purgedAt: { type: 'integer', optional: true },
  },
  unique: [
    { name: 'model version number', columns: ['modelId', 'number'] },
    { name: 'model version', columns: ['modelId', 'version'] },
  ],
  indexes: [
    ['modelName', 'number'],
    ['modelName', 'versionKey'],
    ['versionKey'],
    ['modelId', 'sha256'],
    ['modelId', 'stage'],
    ['stage'],
    ['sha256'],
    ['sourceRunId'],
    ['deletedAt'],
  ],
  facets: {
    tags: { source: 'merged' },
    metrics: { source: 'merged' },
    /** Alias → true; the model's record has the truth. */
    aliases: { source: 'merged' },
    /** The fields of its card, flattened; the `model_card` has the truth. */
    card: { source: 'merged' },
    /** Suite → the newest outcome. */
    validations: { source: 'merged' },
  },
  history: 'kept',
  immutableBody: true,
};

/** Requests to move a version to another stage, with their checks and approvals. */
const stageTransitionKind: KindDeclaration = {
  name: 'stage_transition',
  columns: {
    modelId: { type: 'text', immutable: true },
    versionId: { type: 'text', immutable: true },
    fromStage: { type: 'text', immutable: true },
    toStage: { type: 'text', immutable: true },
    requestedBy: { type: 'text', immutable: true },
    status: { type: 'text' },
    emergency: { type: 'boolean', optional: true, immutable: true },
    /** After which it can no longer be approved. */
    expiresAt: { type: 'integer', optional: true, immutable: true },
    /** The saga that applies its effects. */
    sagaId: { type: 'text', optional: true },
    /** Caller's key, so that a repeated request answers the first one. */
    requestKey: { type: 'text', optional: true, immutable: true },
  },
  unique: [{ name: 'transition request', columns: ['requestKey'] }],
  indexes: [['versionId'], ['modelId', 'status'], ['status', 'expiresAt']],
  history: 'kept',
};

/**
 * What hangs on the versions of a model, under the model's id: raised by each deployment, descendant and card.
 * Whoever deletes or moves a version asserts it.
 */
const modelTieKind: KindDeclaration = { name: 'model_tie', columns: {}, history: 'none' };

/** Ed25519 signatures over the manifest of a version. */
const versionSignatureKind: KindDeclaration = {
  name: 'version_signature',
  columns: {
    modelId: { type: 'text', immutable: true },
    versionId: { type: 'text', immutable: true },
    keyId: { type: 'text', immutable: true },
    /** Of the manifest that was signed: the version's own. */
    sha256: { type: 'text', immutable: true },
    publicKey: { type: 'text', immutable: true },
    signature: { type: 'text', immutable: true },
    createdBy: { type: 'text', immutable: true },
  },
  unique: [{ name: 'signature of a version by a key', columns: ['versionId', 'keyId'] }],
  history: 'kept',
};

/** Model cards, each under the id of its version: the body is the card. */
const modelCardKind: KindDeclaration = {
  name: 'model_card',
  columns: { modelId: { type: 'text', immutable: true } },
  history: 'kept',
};

/** Suites that validate the versions of a model, by name. */
const validationSuiteKind: KindDeclaration = {
  name: 'validation_suite',
  columns: { modelId: { type: 'text', immutable: true }, name: { type: 'text', immutable: true } },
  unique: [{ name: 'validation suite', columns: ['modelId', 'name'] }],
  history: 'kept',
};

/** What a suite found on a version; never changed. */
const validationReportKind: KindDeclaration = {
  name: 'validation_report',
  columns: {
    modelId: { type: 'text', immutable: true },
    versionId: { type: 'text', immutable: true },
    suite: { type: 'text', immutable: true },
    outcome: { type: 'text', immutable: true },
    /** The content of the whole report. */
    sha256: { type: 'text', optional: true, immutable: true },
    createdBy: { type: 'text', immutable: true },
  },
  indexes: [['versionId', 'suite']],
  history: 'none',
  immutableBody: true,
};

/** What registers the runs of an experiment by itself. Its revision is raised with each run that is taken. */
const automationKind: KindDeclaration = {
  name: 'automation',
  columns: {
    name: { type: 'text', immutable: true },
    experimentId: { type: 'text', immutable: true },
    modelName: { type: 'text', immutable: true },
    paused: { type: 'boolean' },
    createdBy: { type: 'text', immutable: true },
  },
  unique: [{ name: 'automation name', columns: ['name'] }],
  indexes: [['experimentId']],
  history: 'kept',
};

/** What an automation made of a run: one for each, under `<automation>:<run>`. */
const automationOutcomeKind: KindDeclaration = {
  name: 'automation_outcome',
  columns: {
    automationId: { type: 'text', immutable: true },
    runId: { type: 'text', immutable: true },
    state: { type: 'text' },
    versionId: { type: 'text', optional: true },
    executionId: { type: 'text', optional: true },
    transitionId: { type: 'text', optional: true },
    correlationId: { type: 'text', immutable: true },
  },
  indexes: [['automationId', 'state']],
  history: 'none',
};

/** The kinds that the registry keeps. */
export const registryKinds: readonly KindDeclaration[] = [
  modelKind,
  modelVersionKind,
  stageTransitionKind,
  modelTieKind,
  versionSignatureKind,
  modelCardKind,
  validationSuiteKind,
  validationReportKind,
  automationKind,
  automationOutcomeKind,
];
