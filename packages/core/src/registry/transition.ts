import type { Change } from '../contracts/metadata-store.ts';
import type { StoredRecord } from '../contracts/record.ts';
import { asJson, type Json, type JsonObject } from '../json.ts';
import { optional } from '../tracking/run.ts';
import type { CheckOutcome } from './checks.ts';
import type { Stage } from './model-version.ts';
import type { Approval } from './stage-policy.ts';

/** How far a transition has come. */
export type TransitionStatus =
  | 'PENDING'
  | 'APPLYING'
  | 'DONE'
  | 'FAILED'
  | 'REJECTED'
  | 'WITHDRAWN'
  | 'EXPIRED';

/** A request to move a version to another stage, and what came of it. */
export interface StageTransition {
  readonly id: string;
  readonly modelId: string;
  readonly versionId: string;
  readonly from: Stage;
  readonly to: Stage;
  readonly requestedBy: string;
  readonly requestedAt: number;
  readonly reason: string;
  /**
   * PENDING waits for approvals; APPLYING waits for its effects; DONE moved the version. It ended otherwise:
   * FAILED by a check or an effect, REJECTED by a person, WITHDRAWN by who asked, EXPIRED by the policy's time.
   */
  readonly status: TransitionStatus;
  /** Why it is FAILED, WITHDRAWN or EXPIRED. */
  readonly ended?: string;
  /** By `registry.rollback`: without approvals, on ways that no policy has. */
  readonly emergency: boolean;
  /** When it expires, if nobody approves until then. */
  readonly expiresAt?: number;
  /** The saga that applies its effects (`operations.sagas.get`). */
  readonly sagaId?: string;
  /** What takes the version's place where it is deployed. */
  readonly replacementId?: string;
  readonly checks: readonly CheckOutcome[];
  readonly approvals: readonly Approval[];
  readonly revision: number;
}

/** A transition out of its record. */
export function transitionFromRecord(record: StoredRecord): StageTransition {
  const c = record.columns;
  const list = (value: Json | undefined): unknown => value ?? [];
  return {
    id: record.id,
    modelId: c['modelId'] as string,
    versionId: c['versionId'] as string,
    from: c['fromStage'] as Stage,
    to: c['toStage'] as Stage,
    requestedBy: c['requestedBy'] as string,
    requestedAt: record.createdAt,
    reason: (record.body['reason'] ?? '') as string,
    status: c['status'] as StageTransition['status'],
    emergency: c['emergency'] === true,
    ...optional('ended', record.body['ended'] as string | undefined),
    ...optional('expiresAt', c['expiresAt'] as number | undefined),
    ...optional('sagaId', c['sagaId'] as string | undefined),
    ...optional('replacementId', record.body['replacementId'] as string | undefined),
    checks: list(record.body['checks']) as readonly CheckOutcome[],
    approvals: list(record.body['approvals']) as readonly Approval[],
    revision: record.revision,
  };
}

/** The change that makes a transition. */
export function transitionCreated(
  transition: Omit<StageTransition, 'revision' | 'requestedAt'>,
  requestKey?: string,
): Change {
  const { id, modelId, versionId, from, to, requestedBy, status } = transition;
  return {
    op: 'create',
    kind: 'stage_transition',
    id,
    columns: {
      ...{ modelId, versionId, fromStage: from, toStage: to, requestedBy, status },
      ...{ expiresAt: transition.expiresAt, sagaId: transition.sagaId, requestKey },
      emergency: transition.emergency || undefined,
    },
    body: bodyOf(transition),
  };
}

/** The change that brings a transition from its revision to what it is now. */
export function transitionChanged(transition: StageTransition): Change {
  const { id, revision: expect, status, sagaId } = transition;
  const columns = { status, sagaId };
  return { op: 'replace', kind: 'stage_transition', id, expect, columns, body: bodyOf(transition) };
}

function bodyOf(transition: Omit<StageTransition, 'revision' | 'requestedAt'>): JsonObject {
  const { reason, checks, approvals, ended, replacementId } = transition;
  return asJson({
    ...{ reason, checks, approvals },
    ...optional('ended', ended),
    ...optional('replacementId', replacementId),
  }) as JsonObject;
}
