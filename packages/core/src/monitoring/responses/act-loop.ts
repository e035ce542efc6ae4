import type { Change, Claimed } from '../../contracts/metadata-store.ts';
import type { Predicate } from '../../contracts/query.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError } from '../../errors.ts';
import { withCorrelation } from '../../events/correlation.ts';
import type { Hold } from '../../events/hold-claim.ts';
import type { Owners } from '../../events/subscription.ts';
import { asJson, type JsonObject, storableText } from '../../json.ts';
import { decideAndCommit } from '../../operations/decide-and-commit.ts';
import { everyRecord } from '../../operations/every-record.ts';
import { claimAct, holdAct } from './act-claim.ts';
import { servingOf } from './response-facts.ts';
import type { ResponsePolicy } from './response-policy.ts';
import {
  actFromRecord,
  emitResponse,
  openStates,
  type ResponseAct,
  type ResponseActState,
  type ResponseDecision,
  type Retraining,
} from './response-records.ts';
import { moveRetraining, type RetrainingParts } from './retraining.ts';
import { type ActingParts, actOnce, isLasting } from './simple-acts.ts';

/** What acts are carried out with. */
export interface ActParts extends Omit<ActingParts & RetrainingParts, 'deployments'> {
  readonly deployments: ActingParts['deployments'] & RetrainingParts['deployments'];
  readonly owners: Owners;
  findPolicy(deploymentId: string): Promise<ResponsePolicy | undefined>;
  decision(id: string): Promise<ResponseDecision>;
}

/** What waits was looked at so long ago at least before it is looked at again, in ms by this process. */
const lookAgainMs = 1_000;

/**
 * Carries out acts that are due, each by one process at a time: under a claim, which every commit asserts. Killed
 * anywhere, another process goes on where it was; answers whether something was moved.
 */
export class ActLoop {
  readonly #scope: Scope;
  readonly #parts: () => ActParts;
  /** When those that wait were looked at last. */
  readonly #looked = new Map<string, number>();

  constructor(scope: Scope, parts: () => ActParts) {
    this.#scope = scope;
    this.#parts = parts;
  }

  /** What waits is looked at again at once. */
  lookAgain(): void {
    this.#looked.clear();
  }

  async runOnce(signal: AbortSignal): Promise<boolean> {
    // All: those of disabled policies and those that wait are due for ever, and keep no other from its turn.
    const records = everyRecord(this.#scope, 'response_act', {
      where: isDue(this.#scope.clock.now()),
      orderBy: [{ by: { from: 'column', name: 'dueAt' }, direction: 'asc' }],
    });
    let moved = false;
    let fault: unknown;
    for await (const record of records) {
      if (signal.aborted) return false;
      const act = actFromRecord(record);
      if (!this.#isTime(act)) continue;
      try {
        moved = (await this.#take(act, signal)) || moved;
      } catch (error) {
        // One that cannot be moved now keeps no other waiting.
        fault ??= error;
      }
    }
    if (fault !== undefined) throw fault;
    return moved;
  }

  #isTime({ id }: ResponseAct): boolean {
    const last = this.#looked.get(id);
    return last === undefined || performance.now() - last >= lookAgainMs;
  }

  async #take(act: ResponseAct, signal: AbortSignal): Promise<boolean> {
    const { owners, findPolicy } = this.#parts();
    const policy = await findPolicy(act.deploymentId);
    // A disabled policy does nothing, and what is under way of it stays where it is.
    if (policy === undefined || !policy.enabled) {
      this.#looked.set(act.id, performance.now());
      return false;
    }
    const claimed = await claimAct(this.#scope, owners, act.id);
    if (claimed === undefined) return false;
    const hold = holdAct(this.#scope, claimed, signal);
    try {
      return await this.#carryOut(policy, claimed, hold);
    } catch (error) {
      if (!isKeelsonError(error, 'LOST', 'STALE')) throw error;
      return false;
    } finally {
      await hold.release();
    }
  }

  /** As far as it goes now. */
  async #carryOut(policy: ResponsePolicy, claimed: Claimed, hold: Hold): Promise<boolean> {
    const { id } = claimed.record;
    const decision = await this.#parts().decision(actFromRecord(claimed.record).decisionId);
    const correlation = { correlationId: decision.correlationId, causationId: decision.eventId };
    let moved = false;
    while (!hold.signal.aborted) {
      const act = await this.#read(id);
      if (act === undefined || !openStates.includes(act.state)) return moved;
      const went = await withCorrelation(correlation, () =>
        this.#step({ policy, decision, act, claimed }),
      );
      if (!went) {
        this.#looked.set(id, performance.now());
        return moved;
      }
      moved = true;
    }
    return moved;
  }

  async #read(id: string): Promise<ResponseAct | undefined> {
    const { metadata, workspace } = this.#scope;
    const record = await metadata.find(workspace, 'response_act', id);
    return record && actFromRecord(record);
  }

  async #step(of: {
    readonly policy: ResponsePolicy;
    readonly decision: ResponseDecision;
    readonly act: ResponseAct;
    readonly claimed: Claimed;
  }): Promise<boolean> {
    const { act, claimed } = of;
    try {
      if (act.action === 'retrain' || act.action === 'update') return await this.#retrain(of);
      const { state, outcome, changes } = await actOnce(this.#scope, this.#parts(), of);
      await this.#save(claimed, act, { state, outcome }, changes);
    } catch (error) {
      if (!isLasting(error)) throw error;
      const outcome = storableText((error as Error).message, 2000);
      await this.#save(claimed, act, { state: 'FAILED', outcome }, []);
    }
    return true;
  }

  async #retrain(of: {
    readonly policy: ResponsePolicy;
    readonly decision: ResponseDecision;
    readonly act: ResponseAct;
    readonly claimed: Claimed;
  }): Promise<boolean> {
    const { policy, act, claimed } = of;
    const { retrain: plan } = policy;
    if (plan === undefined) {
      const outcome = 'the policy names no pipeline any more (retrain)';
      await this.#save(claimed, act, { state: 'FAILED', outcome }, []);
      return true;
    }
    const { route } = await this.#parts().deployments.route(policy.deployment);
    const servingVersionId = servingOf(route);
    const move = await moveRetraining(this.#scope, this.#parts(), {
      ...of,
      plan,
      servingVersionId,
    });
    if (move.to === 'end') {
      await this.#save(claimed, act, move, []);
      return true;
    }
    if (move.to === 'stage') {
      const { retraining } = move;
      await this.#save(claimed, act, { state: 'RUNNING', retraining }, [
        this.#advanced(act, retraining),
      ]);
      return true;
    }
    const { retraining } = act;
    if (retraining !== undefined && retraining.waits !== move.waits) {
      const waiting = { ...retraining, waits: move.waits };
      await this.#save(claimed, act, { state: 'RUNNING', retraining: waiting }, []);
    }
    return false;
  }

  #advanced(act: ResponseAct, { waits: _, baseVersionId: __, ...to }: Retraining): Change {
    const { notPromoted: ___, ...facts } = to;
    const { deployment, deploymentId, id: actId } = act;
    const scope = this.#scope;
    const of = { deployment, deploymentId, actId };
    return emitResponse(scope, 'retraining.advanced', { ...of, ...facts });
  }

  /** Says what became of an act, once, and only while its claim is held. */
  async #save(
    { owner, fence }: Claimed,
    before: ResponseAct,
    to: {
      readonly state: ResponseActState;
      readonly outcome?: string;
      readonly retraining?: Retraining;
    },
    more: readonly Change[],
  ): Promise<void> {
    const { id } = before;
    const holding: Change = { op: 'hold', kind: 'response_act', id, owner, fence };
    const isOver = to.state === 'DONE' || to.state === 'FAILED';
    await decideAndCommit(this.#scope, async () => {
      const act = await this.#read(id);
      // Somebody has stopped it meanwhile.
      if (act === undefined || !openStates.includes(act.state))
        return { changes: [], result: undefined };
      return {
        changes: [holding, actSaved(act, to), ...more, ...(isOver ? [this.#over(act, to)] : [])],
        result: undefined,
        ...(to.outcome === undefined ? {} : { reason: to.outcome.slice(0, 2000) }),
      };
    });
  }

  #over(
    { deployment, deploymentId, decisionId, action }: ResponseAct,
    { state, outcome = '' }: { readonly state: ResponseActState; readonly outcome?: string },
  ): Change {
    return emitResponse(this.#scope, 'response.acted', {
      ...{ deployment, deploymentId, decisionId, action, outcome },
      state: state as 'DONE' | 'FAILED',
    });
  }
}

/** An act at another state, with what it has come to. */
export function actSaved(
  act: ResponseAct,
  to: {
    readonly state: ResponseActState;
    readonly outcome?: string;
    readonly retraining?: Retraining;
  },
): Change {
  const { id, revision: expect, deployment, reason, with: how } = act;
  const retraining = to.retraining ?? act.retraining;
  const versionId = retraining?.versionId;
  return {
    ...({ op: 'replace', kind: 'response_act', id, expect } as const),
    columns: { state: to.state, ...(versionId === undefined ? {} : { versionId }) },
    body: asJson({
      ...{ deployment, reason, with: how },
      ...(to.outcome === undefined ? {} : { outcome: to.outcome }),
      ...(retraining === undefined ? {} : { retraining }),
    }) as JsonObject,
  };
}

function isDue(now: number): Predicate {
  const column = (name: string) => ({ from: 'column', name }) as const;
  return {
    op: 'and',
    of: [
      { op: 'in', left: column('state'), values: [...openStates] },
      { op: 'compare', left: column('dueAt'), cmp: '<=', value: now },
    ],
  };
}
