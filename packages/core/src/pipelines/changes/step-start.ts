import type { TaskHandle } from '../../contracts/executor.ts';
import type { Change } from '../../contracts/metadata-store.ts';
import type { Json, JsonObject } from '../../json.ts';
import type { Held } from '../admission/admission.ts';
import type { StepDefinition } from '../definition.ts';
import type { ExecutionState } from '../execution.ts';
import { assertStepMove } from '../execution-state.ts';
import { type Author, stepEvent } from '../pipeline-emits.ts';
import { replaceStep, withoutAttempt } from '../step-execution.ts';
import { assertExecution, beginExecution, countSteps } from './execution-changes.ts';
import { type HeldStep, hold } from './held-step.ts';
import { chunkSize, createItems } from './step-creation.ts';

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
