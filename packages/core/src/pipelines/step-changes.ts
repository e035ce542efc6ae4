import type { TaskHandle } from '../contracts/executor.ts';
import type { Change, ClaimKey } from '../contracts/metadata-store.ts';
import type { Columns } from '../contracts/record.ts';
import type { Json, JsonObject } from '../json.ts';
import type { Held } from './admission/admission.ts';
import { type PipelineDefinition, runsOn, type StepDefinition } from './definition.ts';
import { derivedId, type ExecutionState } from './execution.ts';
import {
  assertExecution,
  beginExecution,
  countSteps,
  endExecution,
  stopExecution,
} from './execution-changes.ts';
import type { ExecutionOutcome } from './execution-outcome.ts';
import { assertStepMove, type StepEnd, type StepStatus } from './execution-state.ts';
import { originOf } from './lineage/step-edges.ts';
import { type Author, stepEvent, toldFailure } from './pipeline-emits.ts';
import type { ArtifactFacts } from './step-artifact.ts';
import {
  type AttemptDetails,
  type CachedFrom,
  mapKeyOf,
  outputPath,
  parkedAt,
  replaceStep,
  type SkipKind,
  type StepState,
  type StoredOutput,
  stepExecutionId,
  stepLabel,
  withoutAttempt,
} from './step-execution.ts';
import { type AfterFailure, failureJson, type StepFailure } from './step-policy.ts';

/** A step under its claim. */
export interface HeldStep {
  readonly state: StepState;
  readonly claim: ClaimKey;
}

/** How many records one commit creates or changes at most; a commit takes 500 changes. */
export const chunkSize = 400;
/** How many artifacts one step may put out. */
export const maxArtifacts = 200;
/** How many dependents are told in the commit of the end itself; the rest follow in chunks. */
const toldAtOnce = 200;

/** What a step that has ended waits for: see the kind's declaration. */
const ended = -1;

/** What a new record of a step is made of, beside its definition. */
export interface NewStep {
  readonly status?: 'PENDING' | 'SKIPPED' | 'CANCELLED';
  readonly skip?: SkipKind;
  /** How many of those that it depends on are still to end; all of them when left out. */
  readonly waits?: number;
  /** The step of an earlier execution whose output stands for its own: it is COMPLETED. */
  readonly reused?: StepState;
  readonly mapKey?: string;
}

type NewExecution = Pick<
  ExecutionState,
  'id' | 'pipeline' | 'definition' | 'correlationId' | 'priority' | 'triggeredBy'
>;

/** The record of a step that is to come, has come before, or never will. */
export function createStep(
  execution: NewExecution,
  step: StepDefinition,
  made: NewStep = {},
): Change {
  const { status = 'PENDING', mapKey = '', reused } = made;
  const open = reused === undefined && status === 'PENDING';
  return {
    op: 'create',
    kind: 'step_execution',
    id: stepExecutionId(execution.id, step.name, mapKey),
    columns: {
      executionId: execution.id,
      step: step.name,
      mapKey,
      pipeline: execution.pipeline,
      definition: execution.definition,
      runsOn: runsOn(step, execution.definition),
      submittedBy: execution.triggeredBy,
      status: reused === undefined ? status : 'COMPLETED',
      priority: execution.priority * 10_000 + (step.priority ?? 0),
      attempt: 0,
      failures: 0,
      losses: 0,
      pendingDeps: open ? (made.waits ?? step.dependsOn.length) : ended,
      readyAt: 0,
    },
    body: {
      correlationId: execution.correlationId,
      ...(made.skip === undefined ? {} : { skip: made.skip }),
      ...(reused === undefined ? {} : reusedBody(reused)),
    },
  };
}

function reusedBody(from: StepState): JsonObject {
  const { executionId, step, mapKey, attempt } = from;
  const cachedFrom = { executionId, step, mapKey, attempt, at: from.endedAt ?? 0 };
  return {
    output: from.body['output'] as Json,
    artifacts: from.body['artifacts'] ?? [],
    // One that was itself taken over says what it was taken from.
    cachedFrom: originOf(from) === from.id ? cachedFrom : { ...from.cachedFrom },
    // Its metrics are those of the attempt that computed it, however often it was taken over since.
    ...(from.cachedFrom === undefined
      ? {}
      : { computedBy: from.body['computedBy'] ?? { ...from.cachedFrom } }),
  };
}

/** What a start is made with. */
export interface StartWith {
  readonly owner: JsonObject;
  readonly tracked: boolean;
  /** What it reserves, as the commit of the start has it. */
  readonly changes: readonly Change[];
  /** What went into it. */
  readonly lineage: readonly Change[];
  readonly held: readonly Held[];
  readonly allocated?: JsonObject;
  readonly cacheKey?: string;
  /** Why it is computed. */
  readonly cacheNote?: string;
}

/** PENDING (or RUNNING under a supervisor that died) → RUNNING, the attempt one higher. */
export function startStep(
  author: Author,
  { state, claim }: HeldStep,
  execution: ExecutionState,
  made: StartWith,
): readonly Change[] {
  assertStepMove(state.step, state.status, 'RUNNING');
  const now = author.clock.now();
  const attempt = state.attempt + 1;
  const lost = state.status === 'RUNNING';
  const { skipReason: _, skip: __, ...body } = withoutAttempt(state.body);
  const reserved = lost
    ? {}
    : {
        held: made.held as unknown as Json,
        ...(made.allocated === undefined ? {} : { allocated: made.allocated }),
      };
  return [
    hold(claim),
    ...(lost ? [] : made.changes),
    ...made.lineage,
    replaceStep(
      state,
      {
        status: 'RUNNING',
        attempt,
        losses: state.losses + (lost ? 1 : 0),
        startedAt: now,
        endedAt: undefined,
        cacheKey: made.cacheKey,
      },
      {
        ...body,
        ...reserved,
        owner: made.owner,
        ...(made.cacheNote === undefined ? {} : { cacheNote: made.cacheNote }),
      },
    ),
    ...(lost
      ? [stepEvent(author, state, 'step.retried', { attempt: state.attempt, ...died })]
      : []),
    ...going(author, execution, now, made.tracked),
    stepEvent(author, state, 'step.started', { attempt }),
  ];
}

const died = { reason: 'the process that ran it died' } as const;

function going(
  author: Author,
  execution: ExecutionState,
  now: number,
  tracked: boolean,
): readonly Change[] {
  return execution.status === 'PENDING'
    ? beginExecution(author, execution, now, tracked)
    : [assertExecution(execution)];
}

/** Another supervisor for the attempt that runs. */
export function adoptStep(
  { state, claim }: HeldStep,
  execution: ExecutionState,
  owner: JsonObject,
): readonly Change[] {
  const body = { ...state.body, owner };
  return [hold(claim), replaceStep(state, {}, body), assertExecution(execution)];
}

/** The attempt goes on without this supervisor, who says so: nobody needs to wait for him. */
export function leaveStep({ state, claim }: HeldStep): readonly Change[] {
  const { owner: _, ...body } = state.body;
  return [hold(claim), replaceStep(state, {}, body)];
}

/** The executor has taken the attempt: by this it is found again. */
export function submitStep({ state, claim }: HeldStep, task: TaskHandle): readonly Change[] {
  const { executor, id } = task;
  const body = { ...state.body, task: { ...task }, executor, externalId: id };
  return [hold(claim), replaceStep(state, {}, body)];
}

/** What a step has come to when it completes. */
export interface StepResult {
  readonly output: StoredOutput;
  readonly artifacts: readonly ArtifactFacts[];
  readonly details?: AttemptDetails;
  /** The attempt whose result it is, where it is not its own. */
  readonly cachedFrom?: CachedFrom;
  readonly cacheKey?: string;
  readonly cacheNote?: string;
  /** What goes into the same commit. */
  readonly changes?: readonly Change[];
  /** For the lineage: see {@link StepMade}. */
  readonly taken?: readonly string[];
  readonly joined?: readonly string[];
}

/** What follows from the end of a step for the execution: who is told, and whether that was the last one. */
export interface Following {
  readonly dependents: readonly string[];
  /** Of the execution, where it ends with this step. */
  readonly outcome?: ExecutionOutcome;
  /** The step that waits for the execution, where that ends. */
  readonly parent?: StepState;
}

/** RUNNING → COMPLETED (or PENDING → COMPLETED with a result that was there). */
export function completeStep(
  author: Author,
  { state, claim }: HeldStep,
  execution: ExecutionState,
  result: StepResult,
  following: Following,
  tracked: boolean,
): readonly Change[] {
  assertStepMove(state.step, state.status, 'COMPLETED');
  const now = author.clock.now();
  const { output, artifacts, cachedFrom, details = {} } = result;
  const told = tell(state, execution, following.dependents, 'value');
  const { held: _, waitsFor: __, owner, task: ___, ...body } = state.body;
  const begins = execution.status === 'PENDING' && cachedFrom !== undefined;
  return [
    hold(claim),
    ...(begins ? beginExecution(author, execution, now, tracked) : []),
    replaceStep(
      state,
      {
        status: 'COMPLETED',
        pendingDeps: ended,
        endedAt: now,
        toRelease: told.left > 0 ? told.left : undefined,
        ...(result.cacheKey === undefined ? {} : { cacheKey: result.cacheKey }),
      },
      {
        ...body,
        ...(owner === undefined ? {} : { owner }),
        ...(details as unknown as JsonObject),
        output: { ...output } as unknown as Json,
        artifacts: artifacts.map((artifact) => ({ ...artifact })),
        ...(cachedFrom === undefined ? {} : { cachedFrom: { ...cachedFrom } }),
        ...(result.cacheNote === undefined ? {} : { cacheNote: result.cacheNote }),
      },
    ),
    ...freed(state.held),
    ...artifacts.map((artifact) => recordOutput(state, artifact)),
    ...recordLog(state, details),
    ...told.changes,
    ...(result.changes ?? []),
    stepEvent(author, state, 'step.completed', {
      attempt: state.attempt,
      durationMs: cachedFrom === undefined ? now - (state.startedAt ?? now) : 0,
      artifacts: artifacts.map(({ path, sha256 }) => ({ path, sha256 })),
      ...(cachedFrom === undefined
        ? {}
        : {
            cachedFrom: {
              executionId: cachedFrom.executionId,
              step: cachedFrom.step,
              attempt: cachedFrom.attempt,
            },
          }),
    }),
    ...closeStep(author, execution, now, begins ? { dependents: [] } : following, begins),
  ];
}

// One that has begun in the same commit is ended by whoever settles it.
/** One open step fewer; the execution ends where that was the last. */
function closeStep(
  author: Author,
  execution: ExecutionState,
  now: number,
  { outcome, parent }: Following,
  asserted = false,
): readonly Change[] {
  if (outcome === undefined) return countSteps(execution, -1, asserted ? 'after' : 'here');
  const end = { status: 'COMPLETED', outcome } as const;
  return [
    ...countSteps(execution, -1, 'after'),
    ...endExecution(author, execution, end, parent, now),
  ];
}

/** Tells those that wait for the step: its dependents, or the fan-out that it is an item of. */
function tell(
  state: StepState,
  execution: ExecutionState,
  dependents: readonly string[],
  end: StepEnd,
): { readonly changes: readonly Change[]; readonly left: number } {
  if (execution.phase === 'stopping') return { changes: [], left: 0 };
  if (state.mapKey !== '')
    return { changes: [releaseStep(state.executionId, state.step)], left: 0 };
  const told = dependents.slice(0, releaseSize(end));
  const changes = told.flatMap((step) => tellDependent(state.executionId, step, end));
  return { changes, left: dependents.length - told.length };
}

/** How many dependents one commit tells of such an end. */
export function releaseSize(end: StepEnd): number {
  return end === 'missing' ? toldAtOnce / 2 : toldAtOnce;
}

/** One dependency fewer to wait for, and whether it has a value. */
export function tellDependent(executionId: string, step: string, end: StepEnd): readonly Change[] {
  const id = stepExecutionId(executionId, step);
  const missing: Change = {
    op: 'adjust',
    kind: 'step_execution',
    id,
    column: 'missingDeps',
    by: 1,
  };
  return [...(end === 'missing' ? [missing] : []), releaseStep(executionId, step)];
}

function releaseStep(executionId: string, step: string): Change {
  const id = stepExecutionId(executionId, step);
  return { op: 'adjust', kind: 'step_execution', id, column: 'pendingDeps', by: -1, min: 0 };
}

/** PENDING → SKIPPED, which travels on like a completion. */
export function skipStep(
  author: Author,
  { state, claim }: HeldStep,
  execution: ExecutionState,
  why: { readonly kind: SkipKind; readonly reason: string },
  following: Following,
  tracked: boolean,
): readonly Change[] {
  assertStepMove(state.step, state.status, 'SKIPPED');
  const now = author.clock.now();
  const told = tell(state, execution, following.dependents, 'missing');
  const begins = execution.status === 'PENDING';
  return [
    hold(claim),
    ...(begins ? beginExecution(author, execution, now, tracked) : []),
    replaceStep(
      state,
      {
        status: 'SKIPPED',
        pendingDeps: ended,
        endedAt: now,
        toRelease: told.left > 0 ? told.left : undefined,
      },
      { ...state.body, skip: why.kind, skipReason: why.reason },
    ),
    ...freed(state.held),
    ...told.changes,
    stepEvent(author, state, 'step.skipped', { reason: why.reason }),
    ...closeStep(author, execution, now, begins ? { dependents: [] } : following, begins),
  ];
}

/** What a failed attempt leads to. */
export interface FailedWith {
  readonly failure: StepFailure;
  readonly after: AfterFailure;
  readonly details?: AttemptDetails;
  /** What the attempt asked to be kept, under names of their own. */
  readonly artifacts?: readonly ArtifactFacts[];
  /** What goes into the same commit. */
  readonly changes?: readonly Change[];
}

/** What follows from a failed attempt: back to PENDING for a while, FAILED and tolerated, or the end of it all. */
export function failStep(
  author: Author,
  { state, claim }: HeldStep,
  execution: ExecutionState,
  step: Pick<StepDefinition, 'onFailure'>,
  made: FailedWith,
  following: Following,
): readonly Change[] {
  const now = author.clock.now();
  const { failure, after, artifacts = [] } = made;
  const { held: _, ...kept } = state.body;
  const body = {
    ...kept,
    ...(made.details as unknown as JsonObject),
    ...(artifacts.length === 0 ? {} : { artifacts: artifacts.map((each) => ({ ...each })) }),
    failure: failureJson(failure),
  };
  const told = toldFailure(failure);
  const { attempt } = state;
  const failures = state.failures + 1;
  const shared = [
    hold(claim),
    ...freed(state.held),
    ...artifacts.map((artifact) => recordOutput(state, artifact)),
    ...recordLog(state, made.details),
    ...(made.changes ?? []),
  ];
  if (after.next === 'retry' && execution.phase !== 'stopping') {
    const readyAt = now + after.delayMs;
    assertStepMove(state.step, state.status, 'PENDING');
    return [
      ...shared,
      replaceStep(state, { status: 'PENDING', failures, readyAt }, body),
      assertExecution(execution),
      stepEvent(author, state, 'step.retried', { attempt, failure: told, readyAt }),
    ];
  }
  assertStepMove(state.step, state.status, 'FAILED');
  const exhausted = after.next === 'fail' && after.exhausted;
  const events = [
    stepEvent(author, state, 'step.failed', { attempt, failure: told }),
    ...(exhausted
      ? [stepEvent(author, state, 'step.retry_exhausted', { attempts: attempt, failure: told })]
      : []),
  ];
  const columns = { status: 'FAILED', pendingDeps: ended, failures, endedAt: now };
  const end = toleratedEnd(step, state.mapKey);
  if (end !== undefined && execution.phase !== 'stopping') {
    const telling = tell(state, execution, following.dependents, end);
    const toRelease = telling.left > 0 ? telling.left : undefined;
    return [
      ...shared,
      replaceStep(state, { ...columns, toRelease }, { ...body, tolerated: true }),
      ...telling.changes,
      ...events,
      ...closeStep(author, execution, now, following),
    ];
  }
  const item = state.mapKey === '' ? {} : { item: Number(state.mapKey) };
  const facts = { failure: { step: state.step, ...item, ...failureJson(failure) } };
  return [
    ...shared,
    replaceStep(state, columns, body),
    ...countSteps(execution, -1, 'after'),
    stopExecution(execution, { status: 'FAILED', facts, aborts: false }),
    ...events,
  ];
}

/** What a tolerated failure is to those that depend on the step; undefined when it is not tolerated. */
export function toleratedEnd(
  step: Pick<StepDefinition, 'onFailure'>,
  mapKey = '',
): StepEnd | undefined {
  if (step.onFailure === 'continue') return 'value';
  if (step.onFailure !== 'skipDownstream') return undefined;
  // The fan-out itself tells its dependents.
  return mapKey === '' ? 'missing' : 'value';
}

/** RUNNING → PENDING: the process around the attempt is ending and says so itself, or its task is gone. */
export function giveBackStep(
  author: Author,
  { state, claim }: HeldStep,
  reason: string,
): readonly Change[] {
  assertStepMove(state.step, state.status, 'PENDING');
  const { held: _, task: __, ...body } = state.body;
  return [
    hold(claim),
    ...freed(state.held),
    replaceStep(state, { status: 'PENDING', losses: state.losses + 1 }, body),
    stepEvent(author, state, 'step.retried', { attempt: state.attempt, reason }),
  ];
}

/** RUNNING → PENDING with what it has put out, for another iteration. */
export function repeatStep(
  author: Author,
  { state, claim }: HeldStep,
  execution: ExecutionState,
  { output, artifacts, details, changes = [] }: StepResult,
  reason: string,
): readonly Change[] {
  assertStepMove(state.step, state.status, 'PENDING');
  const { held: _, task: __, ...body } = state.body;
  const iteration = state.iteration ?? 1;
  return [
    hold(claim),
    ...freed(state.held),
    replaceStep(
      state,
      { status: 'PENDING', failures: 0, losses: 0, readyAt: 0 },
      { ...body, previous: { ...output } as unknown as Json, iteration: iteration + 1 },
    ),
    ...artifacts.map((artifact) =>
      recordOutput(state, { ...artifact, name: `iterations/${iteration}/${artifact.name}` }),
    ),
    ...recordLog(state, details),
    ...changes,
    assertExecution(execution),
    stepEvent(author, state, 'step.retried', { attempt: state.attempt, reason }),
  ];
}

/** Not before `readyAt`, and why; the execution's resumption brings back what waits for that. */
export function parkStep(
  { state, claim }: HeldStep,
  execution: ExecutionState,
  waitsFor: string,
  readyAt: number = parkedAt,
): readonly Change[] {
  if (state.status !== 'PENDING') assertStepMove(state.step, state.status, 'PENDING');
  const { held: _, ...body } = state.body;
  return [
    hold(claim),
    ...freed(state.held),
    replaceStep(state, { status: 'PENDING', readyAt }, { ...body, waitsFor }),
    assertExecution(execution),
  ];
}

/** What a fan-out is expanded with. */
export interface Expansion {
  readonly items: number;
  readonly tracked: boolean;
  /** What goes into the same commit. */
  readonly changes: readonly Change[];
}

/** PENDING → RUNNING for a fan-out: it waits for its items, the first of which are made. */
export function expandStep(
  author: Author,
  { state, claim }: HeldStep,
  execution: ExecutionState,
  step: StepDefinition,
  { items, tracked, changes }: Expansion,
): readonly Change[] {
  assertStepMove(state.step, state.status, 'RUNNING');
  const now = author.clock.now();
  const attempt = state.attempt + 1;
  const made = Math.min(items, chunkSize);
  const { skipReason: _, skip: __, ...body } = withoutAttempt(state.body);
  return [
    hold(claim),
    replaceStep(
      state,
      {
        status: 'RUNNING',
        attempt,
        startedAt: now,
        endedAt: undefined,
        pendingDeps: items,
        runningItems: 0,
        toRelease: items > made ? items - made : undefined,
      },
      { ...body, items },
    ),
    ...changes,
    ...createItems(execution, step, 0, made),
    ...countSteps(execution, made, 'after'),
    ...going(author, execution, now, tracked),
    stepEvent(author, state, 'step.started', { attempt, items }),
  ];
}

/** Records of items `from` up to (not including) `to`. */
export function createItems(
  execution: NewExecution,
  step: StepDefinition,
  from: number,
  to: number,
): readonly Change[] {
  return Array.from({ length: to - from }, (_, i) =>
    createStep(execution, step, { mapKey: mapKeyOf(from + i), waits: 0 }),
  );
}

/** RUNNING by a process → waiting for an execution that it has asked for. */
export function awaitExecution(
  { state, claim }: HeldStep,
  execution: ExecutionState,
  child: { readonly id: string; readonly changes: readonly Change[] },
): readonly Change[] {
  const { owner: _, held: __, ...body } = state.body;
  return [
    hold(claim),
    ...freed(state.held),
    replaceStep(state, { pendingDeps: 1 }, { ...body, child: child.id }),
    assertExecution(execution),
    ...child.changes,
  ];
}

/** A step that will not run any more in this round. */
export function endStep(
  author: Author,
  state: StepState,
  status: 'SKIPPED' | 'CANCELLED',
  reason: string,
  kind: SkipKind = 'stopped',
): readonly Change[] {
  assertStepMove(state.step, state.status, status);
  const { held: _, ...body } = state.body;
  return [
    ...freed(state.held),
    replaceStep(
      state,
      { status, pendingDeps: ended, endedAt: author.clock.now() },
      { ...body, skip: kind, skipReason: reason },
    ),
  ];
}

/** RUNNING → FAILED for a fan-out whose execution stops, because of one of its items. */
export function failFanOut(author: Author, state: StepState, item: StepState): Change {
  assertStepMove(state.step, state.status, 'FAILED');
  const { class: kind = 'permanent', name = 'Error', message = '' } = item.failure ?? {};
  const failure = { class: kind, name, message: `${stepLabel(item)} failed: ${message}` };
  return replaceStep(
    state,
    { status: 'FAILED', pendingDeps: ended, endedAt: author.clock.now() },
    { ...state.body, failure },
  );
}

/** Back to PENDING for another round; a fan-out goes on with the items that it has. */
export function reopenStep(
  state: StepState,
  waits: { readonly pending: number; readonly missing: number; readonly unfinished: number },
): Change {
  const expanded = state.items !== undefined;
  const status: StepStatus = expanded ? 'RUNNING' : 'PENDING';
  assertStepMove(state.step, state.status, status);
  const { skipReason: _, skip: __, child: ___, failure, ...rest } = state.body;
  // That of a fan-out was one of its items'; an attempt of its own forgets what was before.
  const body = expanded || failure === undefined ? rest : { ...rest, failure };
  const columns: Columns = {
    status,
    failures: 0,
    losses: 0,
    pendingDeps: expanded ? waits.unfinished : waits.pending,
    missingDeps: waits.missing > 0 ? waits.missing : undefined,
    readyAt: 0,
    endedAt: undefined,
  };
  return replaceStep(state, columns, body);
}

/** Undoes what was reserved. */
function freed(held: readonly Held[]): readonly Change[] {
  return held.map((each) =>
    each.op === 'adjust'
      ? { op: 'adjust', kind: each.kind, id: each.id, column: each.column, by: -each.by }
      : { op: 'remove', kind: each.kind, id: each.id, expect: 1 },
  );
}

function recordOutput(state: StepState, artifact: ArtifactFacts): Change {
  const { name, sha256, sizeBytes, mimeType } = artifact;
  const { executionId, step, mapKey, attempt } = state;
  const item = mapKey === '' ? [] : [mapKey];
  return {
    op: 'create',
    kind: 'step_output',
    id: derivedId(executionId, 'output', step, name, ...item),
    columns: {
      executionId,
      step,
      name,
      attempt,
      path: outputPath(state, name),
      sha256,
      sizeBytes,
      mimeType,
    },
  };
}

/** What an attempt has written, among what its step has put out. */
export function recordLog(
  state: StepState,
  details: AttemptDetails | undefined,
): readonly Change[] {
  return details?.log === undefined ? [] : [recordOutput(state, details.log)];
}

/** Proves, in a commit, that the claim is held. */
export function hold(claim: ClaimKey): Change {
  const { id, owner, fence } = claim;
  return { op: 'hold', kind: 'step_execution', id, owner, fence };
}

/** The order in which records of steps are made: roots last, so that nothing starts before all stand. */
export function creationOrder(definition: PipelineDefinition): readonly StepDefinition[] {
  const isRoot = (step: StepDefinition) => step.dependsOn.length === 0;
  return [...definition.steps.filter((step) => !isRoot(step)), ...definition.steps.filter(isRoot)];
}
