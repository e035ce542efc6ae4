import type { Columns, StoredRecord } from '../contracts/record.ts';
import { isKeelsonError } from '../errors.ts';
import { type Json, type JsonObject, storableText } from '../json.ts';
import type { SagaStep } from './saga.ts';

/**
 * `RUNNING` forward, `COMPENSATING` back; it ends `COMPLETED` (wholly done) or `COMPENSATED` (wholly undone).
 * `MANUAL_REQUIRED`: a compensation failed for good; a person mends what is in its way and retries it.
 */
export type SagaStatus =
  | 'RUNNING'
  | 'COMPENSATING'
  | 'COMPLETED'
  | 'COMPENSATED'
  | 'MANUAL_REQUIRED';

/** A saga as it stands. */
export interface Saga {
  readonly id: string;
  readonly name: string;
  readonly idempotencyKey?: string;
  readonly correlationId: string;
  readonly status: SagaStatus;
  readonly input: Json;
  /** The names of its steps, in order. */
  readonly steps: readonly string[];
  /** The step that runs or is compensated, from 0; their number once it is completed. */
  readonly step: number;
  /** How often this step, or its compensation, was begun. */
  readonly begun: number;
  /** How often it has said that it failed. */
  readonly failures: number;
  /** What steps have answered. */
  readonly results: Readonly<Record<string, Json>>;
  /** Why it turned back. */
  readonly error?: string;
  /** What a compensation failed with last. */
  readonly compensationError?: string;
  readonly startedAt: number;
  readonly updatedAt: number;
  /** Not before this time, by the store's clock. */
  readonly dueAt: number;
  readonly deadlineAt?: number;
}

/** What a transition writes. */
export interface SagaTransition {
  readonly columns: Columns;
  readonly body: JsonObject;
}

const defaultAttempts = 5;
/** How often a step may take its process with it, or lose its claim, beyond its attempts. */
const mostDeaths = 20;
const firstRestMs = 100;
const longestRestMs = 60_000;

/** A new saga. */
export function newSaga(
  facts: Pick<Saga, 'input' | 'correlationId' | 'name' | 'steps'> &
    Partial<Pick<Saga, 'idempotencyKey' | 'deadlineAt'>>,
): SagaTransition {
  const { name, idempotencyKey: key, correlationId, deadlineAt, input, steps } = facts;
  return {
    columns: { name, key, correlationId, deadlineAt, ...atStep('RUNNING', 0) },
    body: { input, steps, results: {} },
  };
}

/** The saga of a record. */
export function sagaFromRecord({ id, columns, body, createdAt, updatedAt }: StoredRecord): Saga {
  const optional: Record<string, unknown> = {
    idempotencyKey: columns['key'],
    deadlineAt: columns['deadlineAt'],
    error: body['error'],
    compensationError: body['compensationError'],
  };
  const given = Object.entries(optional).filter(([, value]) => value !== undefined);
  return {
    id,
    name: columns['name'] as string,
    correlationId: columns['correlationId'] as string,
    status: columns['status'] as SagaStatus,
    input: body['input'] as Json,
    steps: body['steps'] as unknown as readonly string[],
    step: columns['step'] as number,
    begun: columns['begun'] as number,
    failures: columns['failures'] as number,
    results: body['results'] as Readonly<Record<string, Json>>,
    startedAt: createdAt,
    updatedAt,
    dueAt: columns['dueAt'] as number,
    ...Object.fromEntries(given),
  };
}

/** Whether nothing happens with it by itself any more. */
export function hasEnded({ status }: Pick<Saga, 'status'>): boolean {
  return status !== 'RUNNING' && status !== 'COMPENSATING';
}

/** The present step is begun: noted before it runs, so that one which kills its process is counted. */
export function begun(saga: Saga): SagaTransition {
  return { columns: { begun: saga.begun + 1 }, body: bodyOf(saga) };
}

/** The present step has run. */
export function stepDone(saga: Saga, result: Json | undefined): SagaTransition {
  const next = saga.step + 1;
  const results =
    result === undefined
      ? saga.results
      : { ...saga.results, [saga.steps[saga.step] as string]: result };
  return {
    columns: atStep(next === saga.steps.length ? 'COMPLETED' : 'RUNNING', next),
    body: bodyOf({ ...saga, results }),
  };
}

/** The present step is undone. */
export function stepUndone(saga: Saga): SagaTransition {
  const { step } = saga;
  const columns = step === 0 ? atStep('COMPENSATED', 0) : atStep('COMPENSATING', step - 1);
  return { columns, body: bodyOf(saga) };
}

/** Turns back from the present step, whatever it has done. */
export function turnedBack(saga: Saga, error: string): SagaTransition {
  return { columns: atStep('COMPENSATING', saga.step), body: bodyOf({ ...saga, error }) };
}

/** The present step, or its compensation, has failed at `now`: again later, back, or a person's matter. */
export function stepFailed(
  saga: Saga,
  error: unknown,
  step: Pick<SagaStep, 'maxAttempts'>,
  now: number,
): SagaTransition {
  const failures = saga.failures + 1;
  const said = textOf(error);
  const forward = saga.status === 'RUNNING';
  if (failures >= (step.maxAttempts ?? defaultAttempts) || (forward && isFinal(error))) {
    return forward ? turnedBack(saga, said) : stuck(saga, said);
  }
  const dueAt = now + Math.min(longestRestMs, firstRestMs * 2 ** (failures - 1));
  return {
    columns: { failures, dueAt },
    body: bodyOf(forward ? saga : { ...saga, compensationError: said }),
  };
}

/** Only a person can go on from here. */
export function stuck(saga: Saga, error: string): SagaTransition {
  return {
    columns: { status: 'MANUAL_REQUIRED' },
    body: bodyOf({ ...saga, compensationError: error }),
  };
}

/** What was in the way is mended: the compensation is tried anew. */
export function retried(saga: Saga): SagaTransition {
  return { columns: atStep('COMPENSATING', saga.step), body: bodyOf(saga) };
}

/** Whether the present step was begun too often without ever saying how it went. */
export function diesTooOften(saga: Saga, step: Pick<SagaStep, 'maxAttempts'>): boolean {
  return saga.begun - saga.failures >= (step.maxAttempts ?? defaultAttempts) + mostDeaths;
}

/** Tried again, it would fail again. */
function isFinal(error: unknown): boolean {
  if (!isKeelsonError(error)) return false;
  if (['STALE', 'LOST', 'CLOSED', 'ABORTED'].includes(error.code)) return false;
  return ['invalid', 'conflict', 'not_found', 'permission'].includes(error.class);
}

function atStep(status: SagaStatus, step: number): Columns {
  return { status, step, begun: 0, failures: 0, dueAt: 0 };
}

function bodyOf({ input, steps, results, error, compensationError }: Saga): JsonObject {
  return {
    ...{ input, steps, results },
    ...(error === undefined ? {} : { error }),
    ...(compensationError === undefined ? {} : { compensationError }),
  };
}

function textOf(error: unknown): string {
  return storableText(error instanceof Error ? error.message : String(error), 2000);
}
