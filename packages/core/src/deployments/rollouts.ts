import { z } from 'zod';
import { assertObject, checkOptions } from '../check-options.ts';
import type { Loop } from '../contracts/loop.ts';
import type { Change } from '../contracts/metadata-store.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { withCorrelation } from '../events/correlation.ts';
import { assertText } from '../json.ts';
import { assertAllowed, decideAndCommit } from '../operations/decide-and-commit.ts';
import { columnIs, everyRecord } from '../operations/every-record.ts';
import { assertUnfrozen } from '../operations/freezes.ts';
import { assertReason } from './deployment-changes.ts';
import type { DeploymentRecords } from './deployment-records.ts';
import {
  decideRollout,
  hasEnded,
  type Rollout,
  type RolloutDecision,
  rolloutFromRecord,
} from './rollout.ts';
import { rolloutChanges, rolloutSaved } from './rollout-acts.ts';
import type { RolloutEvidence } from './rollout-evidence.ts';
import type { DeployVersion, RolloutStarts, StartRollout } from './rollout-start.ts';

/** The verbs on rollouts. */
export interface Rollouts {
  /**
   * Deploys a version step by step: the steps and gates of a strategy, with a policy's numbers. CONFLICT while another
   * rollout of the deployment is under way.
   */
  deploy(deployment: string, options: DeployVersion): Promise<Rollout>;
  /** The same by steps of one's own. */
  startRollout(options: StartRollout): Promise<Rollout>;
  getRollout(id: string): Promise<Rollout>;
  activeRollout(deployment: string): Promise<Rollout | undefined>;
  /** Oldest first. */
  listRollouts(deployment: string): Promise<readonly Rollout[]>;
  /**
   * Asks the gates for evidence up to `at` and acts on it. Idempotent: a time that was evaluated before
   * changes nothing. The background loop calls this; so may a script that owns time.
   */
  evaluateRollout(id: string, options?: { readonly at?: number }): Promise<Rollout>;
  /** Stays at its step; its gates go on turning it back. CONFLICT unless it is in progress. */
  pauseRollout(id: string, reason: string): Promise<Rollout>;
  /** Goes on from where it was paused, with the whole time of the step. CONFLICT unless it is paused. */
  resumeRollout(id: string, reason: string): Promise<Rollout>;
  /** To the next step, or to the end, whatever the gates say; also what passes a manual gate. */
  promoteRollout(
    id: string,
    reason: string,
    options?: { readonly to?: 'next' | 'end' },
  ): Promise<Rollout>;
  /** Back to the baseline, by hand. */
  abortRollout(id: string, reason: string): Promise<Rollout>;
}

const promoteShape = z.strictObject({ to: z.enum(['next', 'end']).optional() });
/** The loop writes a look that changes nothing so often only: each is a kept revision. */
const quietMs = 60_000;

/** What a person decides about a rollout. */
type ByHand = Pick<RolloutDecision, 'action'> & { readonly stepIndex?: number };

/** Rollouts, bound to a scope; with the loop that evaluates those under way. */
export function createRollouts(
  scope: Scope,
  records: DeploymentRecords,
  starts: RolloutStarts,
  evidence: RolloutEvidence,
): Rollouts & { readonly loop: Loop } {
  const { metadata, workspace } = scope;

  async function evaluate(id: string, at: number, quiet: boolean): Promise<Rollout> {
    const first = await getRollout(id);
    if (hasEnded(first) || at <= first.evaluatedAt) return first;
    await withCorrelation({ correlationId: first.correlationId }, () =>
      decideAndCommit(scope, async () => {
        const rollout = await getRollout(id);
        if (hasEnded(rollout) || at <= rollout.evaluatedAt) {
          return { changes: [], result: undefined };
        }
        const { verdicts, frozen } = await evidence.findings(rollout, at);
        const decided = decideRollout(rollout, verdicts, at);
        const { action, reason, asserted } = await unlessFrozen(scope, records, rollout, decided);
        const known = { ...rollout, frozen };
        if (action === 'hold') {
          const news = outcomesOf(verdicts) !== outcomesOf(rollout.latest);
          const frozenNow = Object.keys(frozen).length > Object.keys(rollout.frozen).length;
          const due = !quiet || news || frozenNow || at >= rollout.evaluatedAt + quietMs;
          const look = rolloutSaved(known, { evaluatedAt: at }, { latest: verdicts });
          return { changes: due ? [look] : [], result: undefined };
        }
        const decision = { action, reason, at, stepIndex: rollout.stepIndex, verdicts };
        const changes = await rolloutChanges(scope, records, known, decision);
        return { changes: [...asserted, ...changes], result: undefined, reason };
      }),
    );
    return getRollout(id);
  }

  /** Decides by hand, on what stands at the moment; `choose` refuses what cannot be. */
  async function byHand(
    id: string,
    reason: string,
    choose: (rollout: Rollout) => ByHand,
  ): Promise<Rollout> {
    assertText(id, 'The id of a rollout');
    assertReason(reason);
    const { correlationId, deploymentId } = await getRollout(id);
    const { name } = await records.getById(deploymentId);
    await assertAllowed(scope, 'deployment.deploy', `deployment:${name}`);
    await withCorrelation({ correlationId }, () =>
      decideAndCommit(scope, async () => {
        const rollout = await getRollout(id);
        const { action, stepIndex = rollout.stepIndex } = choose(rollout);
        const at = Math.max(scope.clock.now(), rollout.evaluatedAt);
        const { model } = await records.getById(deploymentId);
        const asserted = forwards.has(action)
          ? [await assertUnfrozen(scope, 'rollouts', { model, deploymentId })]
          : [];
        const changes: readonly Change[] = await rolloutChanges(
          scope,
          records,
          { ...rollout, stepIndex },
          {
            ...{ action, reason, at, verdicts: rollout.latest },
            stepIndex,
            by: scope.principal.id,
          },
        );
        return { changes: [...asserted, ...changes], result: undefined, reason };
      }),
    );
    return getRollout(id);
  }

  async function getRollout(id: string): Promise<Rollout> {
    const record = await metadata.find(workspace, 'rollout', assertText(id, 'A rollout id'));
    if (record !== undefined) return rolloutFromRecord(record);
    throw new KeelsonError('NOT_FOUND', `There is no rollout ${id}.`);
  }

  const loop: Loop = {
    name: 'rollouts',
    idleMs: 5_000,
    async runOnce(signal) {
      for (const status of ['IN_PROGRESS', 'PAUSED']) {
        const where = columnIs('status', status);
        for await (const { id } of everyRecord(scope, 'rollout', { where, body: false })) {
          if (signal.aborted) return false;
          await evaluate(id, scope.clock.now(), true);
        }
      }
      return false;
    },
  };

  return {
    getRollout,
    loop,
    deploy: async (name, options) => getRollout(await starts.deploy(name, options)),
    startRollout: async (options) => getRollout(await starts.start(options)),

    async activeRollout(name) {
      const { activeRolloutId } = await records.get(name);
      if (activeRolloutId === undefined) return undefined;
      const record = await metadata.find(workspace, 'rollout', activeRolloutId);
      return record && rolloutFromRecord(record);
    },

    async listRollouts(name) {
      const where = columnIs('deploymentId', (await records.get(name)).id);
      const by = { from: 'column', name: 'beganAt' } as const;
      const query = { where, orderBy: [{ by, direction: 'asc' } as const], limit: 1000 };
      return (await metadata.query(workspace, 'rollout', query)).records.map(rolloutFromRecord);
    },

    evaluateRollout: async (id, options = {}) =>
      evaluate(id, assertObject(options, 'evaluateRollout').at ?? scope.clock.now(), false),

    pauseRollout: (id, reason) =>
      byHand(id, reason, (rollout) => {
        assertStands(rollout, ['IN_PROGRESS'], 'paused');
        return { action: 'pause' };
      }),

    resumeRollout: (id, reason) =>
      byHand(id, reason, (rollout) => {
        assertStands(rollout, ['PAUSED'], 'resumed');
        return { action: 'resume' };
      }),

    async promoteRollout(id, reason, options = {}) {
      const { to = 'next' } = checkOptions(promoteShape, options, 'promoteRollout');
      return byHand(id, reason, (rollout) => {
        assertStands(rollout, ['IN_PROGRESS', 'PAUSED'], 'promoted');
        const last = rollout.stepIndex >= rollout.steps.length - 1;
        return { action: to === 'end' || last ? 'complete' : 'advance' };
      });
    },

    abortRollout: (id, reason) =>
      byHand(id, reason, (rollout) => {
        assertStands(rollout, ['IN_PROGRESS', 'PAUSED'], 'aborted');
        return { action: 'rollback' };
      }),
  };
}

/** What gives a candidate more traffic. */
const forwards: ReadonlySet<RolloutDecision['action']> = new Set(['advance', 'complete']);

/** A decision that goes forwards waits while rollouts are frozen; one that goes back does not. */
async function unlessFrozen(
  scope: Scope,
  records: DeploymentRecords,
  { deploymentId }: Rollout,
  decided: Pick<RolloutDecision, 'action' | 'reason'>,
): Promise<typeof decided & { readonly asserted: readonly Change[] }> {
  if (!forwards.has(decided.action)) return { ...decided, asserted: [] };
  const { model } = await records.getById(deploymentId);
  try {
    const unfrozen = await assertUnfrozen(scope, 'rollouts', { model, deploymentId });
    return { ...decided, asserted: [unfrozen] };
  } catch (error) {
    if (!isKeelsonError(error, 'CONFLICT')) throw error;
    return { action: 'hold', reason: error.message, asserted: [] };
  }
}

function outcomesOf(verdicts: Rollout['latest']): string {
  return JSON.stringify(verdicts.map(({ outcome, problem }) => [outcome, problem]));
}

function assertStands(
  { id, status }: Rollout,
  allowed: readonly Rollout['status'][],
  what: string,
): void {
  if (allowed.includes(status)) return;
  throw new KeelsonError('CONFLICT', `Rollout ${id} is ${status}; it cannot be ${what}.`);
}
