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
    /** Nothing new starts until it is resumed. */
    paused: { type: 'boolean', optional: true },
    /** After this time it is ended as failed. */
    deadlineAt: { type: 'integer', optional: true },
    /** Of the step that waits for it: an execution that a step has asked for. */
    parentStep: { type: 'text', optional: true, immutable: true },
    priority: { type: 'integer', optional: true, immutable: true },
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
    ['deadlineAt'],
    ['parentStep'],
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
    /** The digest of the definition. */
    definition: { type: 'text', immutable: true },
    /** What a process must have to run it, `function:<digest>` or `executor:<name>`: what it is claimed by. */
    runsOn: { type: 'text', optional: true },
    /** Who started the execution, for fairness among users. */
    submittedBy: { type: 'text', optional: true, immutable: true },
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
    /** How many of those that it depends on have ended without a value: skipped, or failed and tolerated. */
    missingDeps: { type: 'integer', optional: true },
    /** Of a fan-out's own record: how many of its items run; adjusted within `maxParallel`. */
    runningItems: { type: 'integer', optional: true },
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
    ['status', 'submittedBy'],
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

/**
 * What machines have and what of it is taken: one record for each pool of {@link ExecutorCapacity}. Use is
 * adjusted by the commits of steps, within the capacity; see decision 0070.
 */
const resourcePoolKind: KindDeclaration = {
  name: 'resource_pool',
  columns: {
    pool: { type: 'text', immutable: true },
    /** When a process last said what there is. */
    seenAt: { type: 'integer' },
    cpuMilli: { type: 'integer' },
    memoryBytes: { type: 'integer' },
    storageBytes: { type: 'integer', optional: true },
    devices: { type: 'integer' },
    usedCpuMilli: { type: 'integer' },
    usedMemoryBytes: { type: 'integer' },
    usedStorageBytes: { type: 'integer' },
  },
  unique: [{ name: 'pool', columns: ['pool'] }],
  indexes: [['seenAt']],
  history: 'none',
};

/** A device that a step has for itself: its id is made of pool and device, so that nobody else can. */
const deviceHoldKind: KindDeclaration = {
  name: 'device_hold',
  columns: {
    pool: { type: 'text', immutable: true },
    device: { type: 'text', immutable: true },
    stepExecution: { type: 'text', immutable: true },
  },
  indexes: [['pool'], ['stepExecution']],
  history: 'none',
};

/**
 * Results of steps by their cache key, and keys that somebody is computing. The id is made of the key; the
 * body has the parts of the key, so that hits and misses can be explained.
 */
const stepCacheKind: KindDeclaration = {
  name: 'step_cache',
  columns: {
    key: { type: 'text', immutable: true },
    pipeline: { type: 'text', immutable: true },
    step: { type: 'text', immutable: true },
    /** `reserved` by a step that computes it, or `filled`. */
    state: { type: 'text' },
    /** The record of the step that computes or computed it. */
    stepExecution: { type: 'text' },
    executionId: { type: 'text' },
    filledAt: { type: 'integer', optional: true },
  },
  indexes: [['pipeline', 'step', 'filledAt'], ['stepExecution'], ['executionId']],
  history: 'none',
};

/** Complete checkpoints of steps, in the artifact store. */
const stepCheckpointKind: KindDeclaration = {
  name: 'step_checkpoint',
  columns: {
    executionId: { type: 'text', immutable: true },
    stepExecution: { type: 'text', immutable: true },
    sequence: { type: 'integer', immutable: true },
    attempt: { type: 'integer', immutable: true },
    sha256: { type: 'text', immutable: true },
    sizeBytes: { type: 'integer', immutable: true },
  },
  unique: [{ name: 'checkpoint', columns: ['stepExecution', 'sequence'] }],
  indexes: [['executionId'], ['sha256']],
  history: 'none',
};

/** Times at which pipelines are started; claimed when they are due. */
const pipelineScheduleKind: KindDeclaration = {
  name: 'pipeline_schedule',
  columns: {
    name: { type: 'text', immutable: true },
    pipeline: { type: 'text', immutable: true },
    active: { type: 'boolean' },
    /** SHA-256 of cron, time zone and policies: a changed one begins anew. */
    spec: { type: 'text' },
    /** Missing when there is none. */
    nextAt: { type: 'integer', optional: true },
    lastAt: { type: 'integer', optional: true },
    createdBy: { type: 'text', immutable: true },
  },
  unique: [{ name: 'schedule', columns: ['name'] }],
  indexes: [['active', 'nextAt'], ['pipeline']],
  history: 'kept',
  claimable: true,
};

/** Events and webhooks that start pipelines. */
const pipelineTriggerKind: KindDeclaration = {
  name: 'pipeline_trigger',
  columns: {
    name: { type: 'text', immutable: true },
    pipeline: { type: 'text', immutable: true },
    /** `event` or `webhook`. */
    source: { type: 'text', immutable: true },
    active: { type: 'boolean' },
    createdBy: { type: 'text', immutable: true },
  },
  unique: [{ name: 'trigger', columns: ['name'] }],
  indexes: [['pipeline'], ['source', 'active']],
  history: 'kept',
};

/** The kinds that pipelines keep. */
export const pipelinesKinds: readonly KindDeclaration[] = [
  pipelineKind,
  executionKind,
  stepExecutionKind,
  stepOutputKind,
  resourcePoolKind,
  deviceHoldKind,
  stepCacheKind,
  stepCheckpointKind,
  pipelineScheduleKind,
  pipelineTriggerKind,
];
