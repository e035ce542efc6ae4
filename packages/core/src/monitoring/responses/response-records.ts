import type { Change } from '../../contracts/metadata-store.ts';
import type { Predicate } from '../../contracts/query.ts';
import type { StoredRecord } from '../../contracts/record.ts';
import type { Scope } from '../../contracts/scope.ts';
import type { ResponseEventPayloads } from '../../events/catalogue/response-events.ts';
import { draftEvent } from '../../events/draft-event.ts';
import type { PayloadOf } from '../../events/typed-event.ts';
import type { JsonObject } from '../../json.ts';
import { columnIs } from '../../operations/every-record.ts';
import type { ResponseFacts, Trouble } from './response-decision.ts';
import type { ResponseActionName } from './response-policy.ts';

/**
 * Where an act stands. PENDING ones are not begun, RUNNING ones wait for something; DONE, FAILED and STOPPED have ended;
 * LIMITED, SKIPPED and DRY_RUN were never begun.
 */
export type ResponseActState =
  | 'PENDING'
  | 'RUNNING'
  | 'DONE'
  | 'FAILED'
  | 'STOPPED'
  | 'LIMITED'
  | 'SKIPPED'
  | 'DRY_RUN';

/** How far a retraining is. */
export type RetrainingStage = 'TRAINING' | 'CHECKING' | 'ROLLING_OUT' | 'PROMOTING' | 'SETTLING';

/** What a retraining has come to. */
export interface Retraining {
  readonly stage: RetrainingStage;
  readonly executionId: string;
  /** What it started from. */
  readonly baseVersionId: string;
  readonly versionId?: string;
  readonly rolloutId?: string;
  /** Why it stands where it does, in words. */
  readonly waits?: string;
  /** Why it is not in Production, where its policy wanted it there. */
  readonly notPromoted?: string;
}

/** One act of a decision. */
export interface ResponseAct {
  readonly id: string;
  readonly policyId: string;
  readonly decisionId: string;
  readonly deploymentId: string;
  /** The deployment's name. */
  readonly deployment: string;
  readonly action: ResponseActionName;
  readonly state: ResponseActState;
  /** Why it was decided so. */
  readonly reason: string;
  /** What it is done with. */
  readonly with: JsonObject;
  /** What it came to, in words. */
  readonly outcome?: string;
  readonly retraining?: Retraining;
  /** Not before; epoch ms. */
  readonly dueAt: number;
  readonly at: number;
  readonly correlationId: string;
  readonly revision: number;
}

/** A decision with its inputs, and what became of it. */
export interface ResponseDecision {
  readonly id: string;
  readonly policyId: string;
  readonly deploymentId: string;
  /** The deployment's name. */
  readonly deployment: string;
  readonly eventId: string;
  readonly alertId?: string;
  readonly correlationId: string;
  readonly dryRun: boolean;
  readonly at: number;
  /** The row of the matrix, or the name of the policy's rule. */
  readonly matched: string;
  /** What it was decided from. */
  readonly inputs: {
    readonly trouble: Trouble;
    readonly facts: ResponseFacts;
    readonly policyRevision: number;
    /** Rules that could not be asked, and why. */
    readonly faults: readonly string[];
  };
  readonly acts: readonly ResponseAct[];
}

/** States that have not ended. */
export const openStates: readonly ResponseActState[] = ['PENDING', 'RUNNING'];
/** States that count towards a limit. */
const takenStates = [...openStates, 'DONE', 'FAILED', 'STOPPED', 'DRY_RUN'] as const;

/** An act out of its record. */
export function actFromRecord({ id, columns: c, body, revision }: StoredRecord): ResponseAct {
  const kept = body as unknown as Pick<
    ResponseAct,
    'deployment' | 'reason' | 'with' | 'outcome' | 'retraining'
  >;
  return {
    ...kept,
    id,
    policyId: c['policyId'] as string,
    decisionId: c['decisionId'] as string,
    deploymentId: c['deploymentId'] as string,
    action: c['action'] as ResponseActionName,
    state: c['state'] as ResponseActState,
    dueAt: c['dueAt'] as number,
    at: c['at'] as number,
    correlationId: c['correlationId'] as string,
    revision,
  };
}

/** A decision out of its record, with its acts. */
export function decisionFromRecord(
  { id, columns: c, body }: StoredRecord,
  acts: readonly ResponseAct[],
): ResponseDecision {
  const alertId = c['alertId'] as string | undefined;
  return {
    ...(body as unknown as Pick<ResponseDecision, 'deployment' | 'matched' | 'inputs'>),
    id,
    policyId: c['policyId'] as string,
    deploymentId: c['deploymentId'] as string,
    eventId: c['eventId'] as string,
    ...(alertId === undefined ? {} : { alertId }),
    correlationId: c['correlationId'] as string,
    dryRun: c['dryRun'] as boolean,
    at: c['at'] as number,
    acts,
  };
}

/** Acts of which something is true, oldest first; at most 1,000. */
export async function actsWhere(
  { metadata, workspace }: Pick<Scope, 'metadata' | 'workspace'>,
  ...of: readonly Predicate[]
): Promise<readonly ResponseAct[]> {
  const { records } = await metadata.query(workspace, 'response_act', {
    where: { op: 'and', of },
    orderBy: [{ by: { from: 'column', name: 'at' }, direction: 'asc' }],
    limit: 1000,
  });
  return records.map(actFromRecord);
}

/** Those of a policy since a time that count towards a limit. */
export function actsTaken(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  policyId: string,
  since: number,
): Promise<readonly ResponseAct[]> {
  const left = { from: 'column', name: 'at' } as const;
  const state = { from: 'column', name: 'state' } as const;
  return actsWhere(
    scope,
    columnIs('policyId', policyId),
    { op: 'compare', left, cmp: '>', value: since },
    { op: 'in', left: state, values: [...takenStates] },
  );
}

/** An event of a deployment's responses. */
export function emitResponse<T extends keyof ResponseEventPayloads>(
  scope: Pick<Scope, 'clock' | 'ids' | 'principal'>,
  type: T,
  payload: PayloadOf<T> & { readonly deployment: string },
): Change {
  const subject = `deployment:${payload.deployment}`;
  return {
    op: 'emit',
    event: draftEvent(scope, { type, subject, source: 'monitoring', payload }),
  };
}
