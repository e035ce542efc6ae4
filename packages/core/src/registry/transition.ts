import type { StoredRecord } from '../contracts/record.ts';
import type { Json } from '../json.ts';
import type { CheckOutcome } from './checks.ts';
import type { Stage } from './model-version.ts';
import type { Approval } from './stage-policy.ts';

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
   * PENDING waits for approvals; FAILED failed a check; REJECTED by a person; DONE moved the version.
   */
  readonly status: 'PENDING' | 'FAILED' | 'REJECTED' | 'DONE';
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
    checks: list(record.body['checks']) as readonly CheckOutcome[],
    approvals: list(record.body['approvals']) as readonly Approval[],
    revision: record.revision,
  };
}
