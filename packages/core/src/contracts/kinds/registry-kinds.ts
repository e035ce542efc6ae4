import type { KindDeclaration } from '../record.ts';

/**
 * Models. This record owns the invariants of its versions: numbers without gaps, semver never used
 * twice, one version in production. Every commit that touches them replaces it at its revision.
 */
const modelKind: KindDeclaration = {
  name: 'model',
  columns: {
    name: { type: 'text' },
    lastNumber: { type: 'integer' },
    latestVersionId: { type: 'text', optional: true },
    productionVersionId: { type: 'text', optional: true },
    createdBy: { type: 'text', immutable: true },
  },
  unique: [{ name: 'model name', columns: ['name'] }],
  facets: { tags: { source: 'merged' } },
  history: 'kept',
};

/** Model versions. The body (files, signature, lineage) is immutable; stage, status, words are not. */
const modelVersionKind: KindDeclaration = {
  name: 'model_version',
  columns: {
    modelId: { type: 'text', immutable: true },
    modelName: { type: 'text', immutable: true },
    number: { type: 'integer', immutable: true },
    version: { type: 'text', immutable: true },
    sha256: { type: 'text', immutable: true },
    sizeBytes: { type: 'integer', immutable: true },
    format: { type: 'text', immutable: true },
    sourceRunId: { type: 'text', optional: true, immutable: true },
    createdBy: { type: 'text', immutable: true },
    stage: { type: 'text' },
    status: { type: 'text' },
    description: { type: 'text', optional: true },
  },
  unique: [
    { name: 'model version number', columns: ['modelId', 'number'] },
    { name: 'model version', columns: ['modelId', 'version'] },
  ],
  indexes: [['modelId', 'sha256'], ['modelId', 'stage'], ['sourceRunId']],
  facets: { tags: { source: 'merged' }, metrics: { source: 'merged' } },
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
    /** Caller's key, so that a repeated request answers the first one. */
    requestKey: { type: 'text', optional: true, immutable: true },
  },
  unique: [{ name: 'transition request', columns: ['requestKey'] }],
  indexes: [['versionId'], ['modelId', 'status']],
  history: 'kept',
};

/** The kinds that the registry keeps. */
export const registryKinds: readonly KindDeclaration[] = [
  modelKind,
  modelVersionKind,
  stageTransitionKind,
];
