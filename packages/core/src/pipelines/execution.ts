import { hash } from 'node:crypto';
import type { StoredRecord } from '../contracts/record.ts';
import type { JsonObject } from '../json.ts';
import type { ExecutionStatus } from './execution-state.ts';
import type { StepFailure } from './step-policy.ts';

/** What set an execution going. */
export type ExecutionTrigger = 'MANUAL' | 'SCHEDULED' | 'API' | 'WEBHOOK' | 'EVENT';

/** Work on an execution as a whole that has begun and must be brought to its end by somebody. */
export type ExecutionPhase = 'opening' | 'stopping' | 'reopening' | 'resuming';

/** An execution as it is read. */
export interface Execution {
  readonly id: string;
  readonly pipeline: string;
  readonly version: string;
  /** The digest of the definition that is executed. */
  readonly definition: string;
  readonly status: ExecutionStatus;
  /** Defaults filled in. */
  readonly parameters: JsonObject;
  readonly trigger: ExecutionTrigger;
  readonly triggeredBy: string;
  readonly idempotencyKey?: string;
  readonly correlationId: string;
  readonly queuedAt: number;
  readonly startedAt?: number;
  readonly endedAt?: number;
  readonly totalSteps: number;
  readonly openSteps: number;
  /** 1, and one more with each `retry`. */
  readonly round: number;
  /** Steps of executions of higher ones are taken first; 0 for most. */
  readonly priority: number;
  /** Nothing new starts until it is resumed. */
  readonly paused: boolean;
  /** When it will be ended as failed, once it has begun and if it has a timeout. */
  readonly deadlineAt?: number;
  /** The execution whose step asked for this one. */
  readonly parentExecutionId?: string;
  /** Which part of the pipeline it runs, if not all of it. */
  readonly partial?: PartialRun;
  readonly tags: Readonly<Record<string, string>>;
  /** Of a FAILED one: which step failed for good (of a fan-out, which item), and how; no step where its time was up. */
  readonly failure?: StepFailure & { readonly step?: string; readonly item?: number };
  /** Of a CANCELLED one. */
  readonly cancelReason?: string;
}

/** A part of a pipeline, with what the other steps have put out in an earlier execution. */
export interface PartialRun {
  /** Only these steps run. */
  readonly steps: readonly string[];
  /** Whose outputs stand for those of the steps before them. */
  readonly reuse?: string;
}

/** What an ending execution becomes, once nothing of it runs. */
export type StopStatus = 'FAILED' | 'CANCELLED';

/** An execution with what only the engine needs. */
export interface ExecutionState extends Execution {
  /** What of it users see. */
  readonly facts: Execution;
  readonly revision: number;
  readonly body: JsonObject;
  readonly phase?: ExecutionPhase;
  readonly stop?: StopStatus;
  /** While it is stopping: what runs is ended too, rather than awaited. */
  readonly aborts: boolean;
  readonly createdSteps: number;
  readonly runOpen: boolean;
  /** The record of the step that waits for it. */
  readonly parentStep?: string;
}

/** What a record of kind `execution` says. */
export function executionFromRecord(record: StoredRecord): ExecutionState {
  const { columns: c, body } = record;
  const facts = factsOf(record);
  return {
    ...facts,
    facts,
    revision: record.revision,
    body,
    ...given('phase', c['phase'] as ExecutionPhase | undefined),
    ...given('stop', body['stop'] as StopStatus | undefined),
    aborts: body['stop'] === 'CANCELLED' || body['aborts'] === true,
    createdSteps: c['createdSteps'] as number,
    runOpen: c['runOpen'] as boolean,
    ...given('parentStep', c['parentStep'] as string | undefined),
  };
}

function factsOf({ id, columns: c, body, facets }: StoredRecord): Execution {
  return {
    id,
    pipeline: c['pipeline'] as string,
    version: c['version'] as string,
    definition: c['definition'] as string,
    status: c['status'] as ExecutionStatus,
    parameters: body['parameters'] as JsonObject,
    trigger: c['trigger'] as ExecutionTrigger,
    triggeredBy: c['triggeredBy'] as string,
    ...given('idempotencyKey', c['idempotencyKey'] as string | undefined),
    correlationId: c['correlationId'] as string,
    queuedAt: c['queuedAt'] as number,
    ...given('startedAt', c['startedAt'] as number | undefined),
    ...given('endedAt', c['endedAt'] as number | undefined),
    totalSteps: c['totalSteps'] as number,
    openSteps: c['openSteps'] as number,
    round: c['round'] as number,
    priority: (c['priority'] as number | undefined) ?? 0,
    paused: (c['paused'] as boolean | undefined) ?? false,
    ...given('deadlineAt', c['deadlineAt'] as number | undefined),
    ...given('parentExecutionId', body['parentExecutionId'] as string | undefined),
    ...given('partial', body['partial'] as unknown as PartialRun | undefined),
    tags: (facets['tags'] ?? {}) as Readonly<Record<string, string>>,
    ...given('failure', body['failure'] as Execution['failure'] | undefined),
    ...given('cancelReason', body['cancelReason'] as string | undefined),
  };
}

/**
 * A UUIDv7 that is made of an execution's id and of what it stands for: whoever computes it, in
 * whichever process, gets the same. Its time is the execution's, so that indexes stay local.
 */
export function derivedId(executionId: string, ...parts: readonly (string | number)[]): string {
  const text = JSON.stringify([executionId, ...parts]);
  const digest = hash('sha256', text, 'hex');
  const variant = ((Number.parseInt(digest.slice(3, 4), 16) & 0x3) | 0x8).toString(16);
  const time = executionId.slice(0, 13);
  return `${time}-7${digest.slice(0, 3)}-${variant}${digest.slice(4, 7)}-${digest.slice(7, 19)}`;
}

/** An object with one optional member: left out when undefined. */
export function given<K extends string, T>(
  key: K,
  value: T | undefined,
): { readonly [P in K]?: T } {
  return value === undefined ? {} : ({ [key]: value } as { readonly [P in K]?: T });
}
