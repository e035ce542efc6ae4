import type { KindDeclaration } from '../record.ts';

/** Pipeline definitions, one immutable record for each (name, version); the body is the definition. */
const pipelineKind: KindDeclaration = {
  name: 'pipeline',
  columns: {
    name: { type: 'text', immutable: true },
    version: { type: 'text', immutable: true },
    /** SHA-256 of the definition's canonical JSON. */
    digest: { type: 'text', immutable: true },
    createdBy: { type: 'text', immutable: true },
    active: { type: 'boolean' },
  },
  unique: [{ name: 'pipeline version', columns: ['name', 'version'] }],
  indexes: [['digest']],
  facets: { tags: { source: 'merged' } },
  history: 'kept',
  immutableBody: true,
};

/**
 * Executions of pipelines. The revision is the epoch of the status: every commit of a step asserts it,
 * and only changes of status or phase raise it, so that steps that end at once do not collide.
 */
const executionKind: KindDeclaration = {
  name: 'execution',
  columns: {
    pipeline: { type: 'text', immutable: true },
    version: { type: 'text', immutable: true },
    /** The digest of the definition that is executed. */
    definition: { type: 'text', immutable: true },
    status: { type: 'text' },
    /** Work on the execution as a whole that has begun and must be brought to its end, if any. */
    phase: { type: 'text', optional: true },
    trigger: { type: 'text', immutable: true },
    triggeredBy: { type: 'text', immutable: true },
    idempotencyKey: { type: 'text', optional: true, immutable: true },
    correlationId: { type: 'text', immutable: true },
    queuedAt: { type: 'integer', immutable: true },
    startedAt: { type: 'integer', optional: true },
    endedAt: { type: 'integer', optional: true },
    totalSteps: { type: 'integer', immutable: true },
    /** How many of the steps have their record; less than all only in phase `opening`. */
    createdSteps: { type: 'integer' },
    /** Steps that have not ended, those without a record included; adjusted, never replaced. */
    openSteps: { type: 'integer' },
    /** 1, and one more with each retry of the execution. */
    round: { type: 'integer' },
    /** A run of tracking stands for it and has not been finished. */
    runOpen: { type: 'boolean' },
  },
  unique: [{ name: 'idempotency key', columns: ['pipeline', 'idempotencyKey'] }],
  indexes: [
    ['pipeline', 'queuedAt'],
    ['status', 'queuedAt'],
    ['status', 'openSteps'],
    ['phase'],
    ['runOpen', 'status'],
    ['correlationId'],
  ],
  facets: { tags: { source: 'merged' } },
  history: 'kept',
};

/**
 * Steps of executions: claimed, then run. `attempt` names the execution of the step's work; the claim's
 * fence names who supervises it.
 */
const stepExecutionKind: KindDeclaration = {
  name: 'step_execution',
  columns: {
    executionId: { type: 'text', immutable: true },
    step: { type: 'text', immutable: true },
    /** The item of a fan-out; empty for a step that stands alone. */
    mapKey: { type: 'text', immutable: true },
    pipeline: { type: 'text', immutable: true },
    /** The digest of the definition: processes claim steps whose functions they have. */
    definition: { type: 'text', immutable: true },
    status: { type: 'text' },
    priority: { type: 'integer' },
    /** 0 before the first start; one more each time that the work must run anew. */
    attempt: { type: 'integer' },
    /** Attempts of this round that failed by themselves: what the retry limit counts. */
    failures: { type: 'integer' },
    /** Attempts of this round that ended because the process around them died. */
    losses: { type: 'integer' },
    /**
     * Steps that it depends on and that have not completed; adjusted as they do. −1 once it has ended, so
     * that 0 selects what may start or runs, however much has been run before.
     */
    pendingDeps: { type: 'integer' },
    /** Of a completed step: how many of those that depend on it have not been told; missing when none. */
    toRelease: { type: 'integer', optional: true },
    /** Not before this time: the end of a back-off. */
    readyAt: { type: 'integer' },
    startedAt: { type: 'integer', optional: true },
    endedAt: { type: 'integer', optional: true },
    cacheKey: { type: 'text', optional: true },
  },
  unique: [{ name: 'step', columns: ['executionId', 'step', 'mapKey'] }],
  indexes: [
    ['pendingDeps', 'readyAt'],
    ['executionId', 'status'],
    ['toRelease'],
    ['cacheKey', 'endedAt'],
  ],
  history: 'none',
  claimable: true,
};

/** What completed steps have put out: logical path → content. The unique path is completed but once. */
const stepOutputKind: KindDeclaration = {
  name: 'step_output',
  columns: {
    executionId: { type: 'text', immutable: true },
    step: { type: 'text', immutable: true },
    name: { type: 'text', immutable: true },
    attempt: { type: 'integer', immutable: true },
    path: { type: 'text', immutable: true },
    sha256: { type: 'text', immutable: true },
    sizeBytes: { type: 'integer', immutable: true },
    mimeType: { type: 'text', immutable: true },
  },
  unique: [{ name: 'output path', columns: ['path'] }],
  indexes: [['executionId', 'step'], ['sha256']],
  history: 'none',
};

/** The kinds that pipelines keep. */
export const pipelinesKinds: readonly KindDeclaration[] = [
  pipelineKind,
  executionKind,
  stepExecutionKind,
  stepOutputKind,
];
