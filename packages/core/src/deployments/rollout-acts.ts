import type { Change } from '../contracts/metadata-store.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import type { Route } from '../contracts/traffic-router.ts';
import { asJson, type JsonObject } from '../json.ts';
import type { Deployment } from './deployment.ts';
import type { BodyChange, DeploymentRecords } from './deployment-records.ts';
import { monitorReleased } from './monitor-window.ts';
import { promotionTurnedBack } from './promotion-turned-back.ts';
import type { RevisionStatus } from './revision.ts';
import { revisionOfRollout } from './revisions.ts';
import { watchBegun } from './rollbacks.ts';
import {
  bodyOfRollout,
  type Rollout,
  type RolloutDecision,
  type RolloutStatus,
  type RolloutStep,
  routeOfStep,
} from './rollout.ts';
import { moveTraffic } from './traffic-move.ts';

/** The change that keeps what is new of a rollout. */
export function rolloutSaved(
  rollout: Rollout,
  columns: Readonly<Record<string, string | number>>,
  change: Partial<Pick<Rollout, 'decisions' | 'latest'>>,
): Change {
  const { id, revision: expect } = rollout;
  const body = asJson(bodyOfRollout({ ...rollout, ...change })) as JsonObject;
  return { op: 'replace', kind: 'rollout', id, expect, columns, body };
}

/** What a decision about a rollout changes, in one commit: the rollout, its deployment, revision and route. */
export async function rolloutChanges(
  scope: Scope,
  records: DeploymentRecords,
  rollout: Rollout,
  decision: RolloutDecision,
): Promise<readonly Change[]> {
  const { action, at, verdicts, reason } = decision;
  const record = await records.routeRecord(rollout.deploymentId);
  const deployment = await records.getById(rollout.deploymentId);
  const { candidateVersionId, baselineVersionId } = rollout;
  const kept = { decisions: [...rollout.decisions, decision], latest: verdicts };
  const payload = { rolloutId: rollout.id, candidateVersionId, baselineVersionId, reason };
  const save = (columns: Readonly<Record<string, string | number>>): Change =>
    rolloutSaved(rollout, { evaluatedAt: at, ...columns }, kept);
  const to = (status: RolloutStatus): Promise<readonly Change[]> =>
    revisionAt(scope, rollout, status, undefined);
  switch (action) {
    case 'hold':
      return [rolloutSaved(rollout, { evaluatedAt: at }, { latest: verdicts })];
    case 'pause':
      return [
        save({ status: 'PAUSED' }),
        ...(await to('PAUSED')),
        records.emit('rollout.paused', deployment.name, payload),
      ];
    case 'resume':
      return [
        save({ status: 'IN_PROGRESS', stepBeganAt: at }),
        ...(await to('IN_PROGRESS')),
        records.emit('rollout.resumed', deployment.name, payload),
      ];
    case 'advance': {
      const stepIndex = rollout.stepIndex + 1;
      const route = record.body as unknown as Route;
      const next = routeOfStep(route, rollout, rollout.steps[stepIndex] as RolloutStep);
      return [
        save({ status: 'IN_PROGRESS', stepIndex, stepBeganAt: at }),
        ...(rollout.status === 'PAUSED' ? await to('IN_PROGRESS') : []),
        ...records.shift(deployment, record, next, reason),
        records.emit('rollout.advanced', deployment.name, { ...payload, stepIndex }),
      ];
    }
    case 'complete': {
      const left = { cold: [], left: [baselineVersionId] };
      const candidate = { versionId: candidateVersionId, key: rollout.candidate, ...left };
      const baseline = { versionId: baselineVersionId, key: rollout.baseline };
      const stays = { ...baseline, cold: [candidateVersionId] };
      return [
        save({ status: 'COMPLETED' }),
        ...(await ended(
          scope,
          records,
          { rollout, deployment, record },
          {
            ...(rollout.onComplete === 'candidate' ? candidate : stays),
            ...{ status: 'COMPLETED', at, reason },
          },
        )),
        ...(await monitorReleased(scope, deployment.id)),
        records.emit('rollout.completed', deployment.name, payload),
      ];
    }
    case 'rollback':
    case 'fail': {
      const status = action === 'fail' ? 'FAILED' : 'ROLLED_BACK';
      const promotion = await promotionTurnedBack(scope, records, deployment, rollout, reason);
      return [
        save({ status }),
        ...(await ended(
          scope,
          records,
          { rollout, deployment, record },
          {
            ...{ versionId: baselineVersionId, key: rollout.baseline, cold: [candidateVersionId] },
            ...{ status, at, reason, body: promotion.body },
          },
        )),
        ...(action === 'fail' ? [records.emit('rollout.failed', deployment.name, payload)] : []),
        ...promotion.changes,
        ...(await watchBegun(scope, records, deployment, {
          ...{ rolloutId: rollout.id, fromVersionId: candidateVersionId, at, reason },
          ...{ toVersionId: baselineVersionId, watchMs: rollout.rollbackWatchMs },
          ...{ frozen: rollout.frozen, correlationId: rollout.correlationId },
        })),
      ];
    }
  }
}

/** All traffic to one version, the deployment free again, the revision at its end. */
async function ended(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  records: DeploymentRecords,
  of: {
    readonly rollout: Rollout;
    readonly deployment: Deployment;
    readonly record: StoredRecord;
  },
  to: {
    readonly status: RolloutStatus;
    readonly versionId: string;
    readonly key: string;
    readonly cold: readonly string[];
    readonly left?: readonly string[];
    readonly at: number;
    readonly reason: string;
    readonly body?: BodyChange;
  },
): Promise<readonly Change[]> {
  const { rollout, deployment, record } = of;
  const move = moveTraffic(records, deployment, record, to);
  const revision = await revisionOfRollout(scope, rollout.id);
  const number = revision?.columns['number'] as number | undefined;
  // A shadow that has passed leaves the deployment as it was.
  const inForce =
    to.status === 'COMPLETED' && rollout.onComplete === 'candidate' && number !== undefined;
  return [
    records.replaceDeployment(
      deployment,
      {
        activeRolloutId: undefined,
        ...move.columns,
        ...(inForce ? { currentRevision: number } : {}),
      },
      { ...move.body, ...to.body },
    ),
    ...(await revisionAt(scope, rollout, to.status, to.at)),
    ...move.changes,
  ];
}

/** The revision of a rollout at a status; rollouts of before have none. */
async function revisionAt(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  { id: rolloutId }: Rollout,
  rolloutStatus: RevisionStatus,
  endedAt: number | undefined,
): Promise<readonly Change[]> {
  const record = await revisionOfRollout(scope, rolloutId);
  if (record === undefined) return [];
  const { id, revision: expect } = record;
  const columns = { rolloutStatus, ...(endedAt === undefined ? {} : { endedAt }) };
  return [{ op: 'replace', kind: 'deployment_revision', id, expect, columns }];
}
