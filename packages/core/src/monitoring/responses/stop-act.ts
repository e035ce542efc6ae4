import type { Claimed } from '../../contracts/metadata-store.ts';
import type { Scope } from '../../contracts/scope.ts';
import type { Deployments } from '../../deployments/deployments.ts';
import { isKeelsonError, KeelsonError } from '../../errors.ts';
import type { Owners } from '../../events/subscription.ts';
import { decideAndCommit } from '../../operations/decide-and-commit.ts';
import type { Pipelines } from '../../pipelines/pipelines-types.ts';
import { rest } from '../../rest.ts';
import { claimAct, holdAct } from './act-claim.ts';
import { actSaved } from './act-loop.ts';
import { actFromRecord, emitResponse, openStates, type ResponseAct } from './response-records.ts';

/** Whoever moves an act gives it back within so many ms: a move is short. */
const patienceMs = 30_000;

/**
 * Ends what runs of an act, and says so: under its claim, so that nothing is begun beside. Killed between the two, the
 * act ends FAILED by what was ended. CONFLICT for one that has ended; TIMEOUT while somebody else does not let go of it.
 */
export async function stopAct(
  scope: Scope,
  rooms: {
    readonly pipelines: Pick<Pipelines, 'cancel'>;
    readonly deployments: Pick<Deployments, 'abortRollout'>;
    readonly owners: Owners;
  },
  id: string,
  reason: string,
): Promise<void> {
  const claimed = await claimSoon(scope, rooms.owners, id);
  const { owner, fence } = claimed;
  const hold = holdAct(scope, claimed, new AbortController().signal);
  try {
    const act = await openAct(scope, id);
    await endWork(rooms, act, reason);
    await decideAndCommit(scope, async () => {
      const { deployment, deploymentId, decisionId, action } = act;
      const of = { deployment, deploymentId, decisionId, action };
      const state = 'STOPPED' as const;
      return {
        changes: [
          { op: 'hold', kind: 'response_act', id, owner, fence },
          actSaved(await openAct(scope, id), { state, outcome: reason }),
          emitResponse(scope, 'response.acted', { ...of, state, outcome: reason }),
        ],
        result: undefined,
        reason,
      };
    });
  } finally {
    await hold.release();
  }
}

async function claimSoon(scope: Scope, owners: Owners, id: string): Promise<Claimed> {
  const until = performance.now() + patienceMs;
  do {
    const claimed = await claimAct(scope, owners, id);
    if (claimed !== undefined) return claimed;
    await rest(50, new AbortController().signal);
  } while (performance.now() < until);
  throw new KeelsonError('TIMEOUT', `Act ${id} is being moved by another process; try again.`);
}

async function openAct({ metadata, workspace }: Scope, id: string): Promise<ResponseAct> {
  const record = await metadata.find(workspace, 'response_act', id);
  const act = record && actFromRecord(record);
  if (act !== undefined && openStates.includes(act.state)) return act;
  throw new KeelsonError('CONFLICT', `Act ${id} is ${act?.state ?? 'gone'}; nothing to stop.`);
}

async function endWork(
  rooms: Pick<Parameters<typeof stopAct>[1], 'pipelines' | 'deployments'>,
  { retraining }: ResponseAct,
  reason: string,
): Promise<void> {
  if (retraining?.stage === 'TRAINING') {
    await unlessOver(rooms.pipelines.cancel(retraining.executionId, reason));
  }
  if (retraining?.rolloutId !== undefined) {
    await unlessOver(rooms.deployments.abortRollout(retraining.rolloutId, reason));
  }
}

/** What has come to its end meanwhile needs no ending. */
async function unlessOver(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!isKeelsonError(error, 'CONFLICT', 'NOT_FOUND')) throw error;
  }
}
