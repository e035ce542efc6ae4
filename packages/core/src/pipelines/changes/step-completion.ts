import type { Change } from '../../contracts/metadata-store.ts';
import type { Json, JsonObject } from '../../json.ts';
import type { ExecutionState } from '../execution.ts';
import type { ExecutionOutcome } from '../execution-outcome.ts';
import { assertStepMove } from '../execution-state.ts';
import { type Author, stepEvent } from '../pipeline-emits.ts';
import type { ArtifactFacts } from '../step-artifact.ts';
import {
  type AttemptDetails,
  type CachedFrom,
  replaceStep,
  type SkipKind,
  type StepState,
  type StoredOutput,
} from '../step-execution.ts';
import { ended, tell } from './dependency-counts.ts';
import { beginExecution, countSteps, endExecution } from './execution-changes.ts';
import { freed, type HeldStep, hold } from './held-step.ts';
import { recordLog, recordOutput } from './output-records.ts';

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

// One that has begun in the same commit is ended by whoever settles it.
/** One open step fewer; the execution ends where that was the last. */
export function closeStep(
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
