import type { KindDeclaration } from '../record.ts';

/** Experiments. `liveName` is the name until deletion: the unique key does not bind deleted ones. */
const experimentKind: KindDeclaration = {
  name: 'experiment',
  columns: {
    name: { type: 'text' },
    liveName: { type: 'text', optional: true },
    lifecycle: { type: 'text' },
    createdBy: { type: 'text', immutable: true },
    deletedAt: { type: 'integer', optional: true },
  },
  unique: [{ name: 'experiment name', columns: ['liveName'] }],
  indexes: [['lifecycle', 'name']],
  facets: { tags: { source: 'merged' } },
  history: 'kept',
};

/** Runs. Params, their types kept, and tags are facets; metric summaries are projected onto them. */
export const runKind: KindDeclaration = {
  name: 'run',
  columns: {
    experimentId: { type: 'text', immutable: true },
    parentRunId: { type: 'text', optional: true, immutable: true },
    name: { type: 'text' },
    status: { type: 'text' },
    startedAt: { type: 'integer', immutable: true },
    endedAt: { type: 'integer', optional: true },
    durationMs: { type: 'integer', optional: true },
    sourceType: { type: 'text', immutable: true },
    sourceName: { type: 'text', optional: true, immutable: true },
    sourceVersion: { type: 'text', optional: true, immutable: true },
    userId: { type: 'text', immutable: true },
    lifecycle: { type: 'text' },
    deletedAt: { type: 'integer', optional: true },
  },
  indexes: [['experimentId', 'startedAt'], ['startedAt'], ['parentRunId'], ['status', 'startedAt']],
  facets: {
    params: { source: 'merged' },
    tags: { source: 'merged' },
    metrics: { source: 'projected' },
  },
  history: 'kept',
};

/** One entry for each call that logged params: the history behind the facet's latest values. */
const paramEntryKind: KindDeclaration = {
  name: 'param_entry',
  columns: {
    runId: { type: 'text', immutable: true },
    loggedAt: { type: 'integer', immutable: true },
  },
  indexes: [['runId', 'loggedAt']],
  history: 'none',
  immutableBody: true,
};

/**
 * Logical paths of a run's artifacts. `livePath` is the path while it is the newest of that path; moved
 * ones miss it and stay as the path's history.
 */
const artifactKind: KindDeclaration = {
  name: 'artifact',
  columns: {
    runId: { type: 'text', immutable: true },
    path: { type: 'text', immutable: true },
    livePath: { type: 'text', optional: true },
    sha256: { type: 'text', immutable: true },
    sizeBytes: { type: 'integer', immutable: true },
    type: { type: 'text', immutable: true },
    mimeType: { type: 'text', immutable: true },
  },
  unique: [{ name: 'artifact path', columns: ['runId', 'livePath'] }],
  indexes: [['runId', 'path'], ['sha256']],
  facets: { metadata: { source: 'merged' } },
  history: 'none',
  immutableBody: true,
};

/** Models that runs have logged. `runId` is the run whose artifacts their files are. */
const loggedModelKind: KindDeclaration = {
  name: 'logged_model',
  columns: {
    experimentId: { type: 'text', immutable: true },
    runId: { type: 'text', immutable: true },
    sourceRunId: { type: 'text', optional: true, immutable: true },
    name: { type: 'text' },
    modelType: { type: 'text', optional: true, immutable: true },
    status: { type: 'text' },
    lifecycle: { type: 'text' },
    createdBy: { type: 'text', immutable: true },
  },
  indexes: [['experimentId', 'name'], ['sourceRunId'], ['runId']],
  facets: {
    params: { source: 'merged' },
    tags: { source: 'merged' },
    metrics: { source: 'merged' },
    inputOf: { source: 'merged' },
    outputOf: { source: 'merged' },
  },
  history: 'none',
};

/** Datasets, one record for each (name, digest). */
const datasetKind: KindDeclaration = {
  name: 'dataset',
  columns: {
    name: { type: 'text', immutable: true },
    digest: { type: 'text', immutable: true },
    rowCount: { type: 'integer', optional: true, immutable: true },
    sourceUri: { type: 'text', optional: true, immutable: true },
  },
  unique: [{ name: 'dataset', columns: ['name', 'digest'] }],
  indexes: [['digest']],
  history: 'none',
};

/** Edges of the lineage graph: `from` led to `to`. */
export const edgeKind: KindDeclaration = {
  name: 'edge',
  columns: {
    from: { type: 'text', immutable: true },
    to: { type: 'text', immutable: true },
    role: { type: 'text', immutable: true },
  },
  unique: [{ name: 'edge', columns: ['from', 'to', 'role'] }],
  // With all three: an index that answers by itself is taken whichever way the graph is walked.
  indexes: [['to', 'from', 'role']],
  history: 'none',
};

/**
 * Names of metrics and their aliases, one record for each spelling, so that none can mean two metrics.
 * `canonical` is the name that it stands for: its own for a name, another for an alias.
 */
const metricNameKind: KindDeclaration = {
  name: 'metric_name',
  columns: {
    spelling: { type: 'text', immutable: true },
    canonical: { type: 'text' },
    direction: { type: 'text', optional: true },
    unit: { type: 'text', optional: true },
  },
  unique: [{ name: 'metric name', columns: ['spelling'] }],
  indexes: [['canonical']],
  history: 'kept',
};

/** Whose turn it is to import into the workspace: one record, claimed while an import writes. */
const importTurnKind: KindDeclaration = {
  name: 'import_turn',
  columns: {},
  history: 'none',
  claimable: true,
};

/** The kinds that tracking keeps. */
export const trackingKinds: readonly KindDeclaration[] = [
  experimentKind,
  runKind,
  paramEntryKind,
  artifactKind,
  loggedModelKind,
  datasetKind,
  edgeKind,
  metricNameKind,
  importTurnKind,
];
