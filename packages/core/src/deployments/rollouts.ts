import { assertObject } from '../check-options.ts';
import type { EvidenceSource } from '../contracts/evidence-source.ts';
import type { Loop } from '../contracts/loop.ts';
import type { Change } from '../contracts/metadata-store.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import type { Route } from '../contracts/traffic-router.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { correlated, withCorrelation } from '../events/correlation.ts';
import { asJson, assertText, type JsonObject } from '../json.ts';
import { assertAllowed, decideAndCommit } from '../operations/decide-and-commit.ts';
import type { Registry } from '../registry/registry.ts';
import { deployable } from './deployable.ts';
import { type Deployment, mainTarget, nameOf, stateOf } from './deployment.ts';
import { assertIdle, assertPresent } from './deployment-changes.ts';
import type { DeploymentRecords } from './deployment-records.ts';
import { decideGate, figureOf, type GateVerdict } from './gate.ts';
import { nextRevision } from './revision.ts';
import { revisionOfRollout } from './revisions.ts';
import {
  assertSteps,
  decideRollout,
  type Rollout,
  type RolloutDecision,
  type RolloutStep,
  rolloutFromRecord,
  routeOfStep,
} from './rollout.ts';
import { moveTraffic } from './traffic-move.ts';

/** A rollout to begin. */
export interface StartRollout {
  readonly deployment: string;
  readonly versionId: string;
  readonly steps: readonly RolloutStep[];
  readonly reason: string;
  /** `pause` (for a person) when left out. */
  readonly onInconclusive?: 'pause' | 'rollback';
  /** Asking again under the same key answers the first rollout. */
  readonly requestKey?: string;
  /** When it begins; now when left out. */
  readonly at?: number;
}

/** The verbs on rollouts. */
export interface Rollouts {
  /** CONFLICT while another rollout of the deployment is under way. */
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
  /** Back to the baseline, by hand. */
  abortRollout(id: string, reason: string): Promise<Rollout>;
}

/** Rollouts, bound to a scope; with the loop that evaluates those under way. */
export function createRollouts(
  scope: Scope,
  registry: Registry,
  records: DeploymentRecords,
  evidence: () => EvidenceSource,
): Rollouts & { readonly loop: Loop } {
  const { metadata, workspace } = scope;
  const { get, getById, routeRecord, replaceDeployment, shift, emit, edge } = records;

  async function startRollout(options: StartRollout): Promise<Rollout> {
    const steps = assertSteps(assertObject(options, 'startRollout').steps);
    assertText(options.deployment, 'A deployment');
    await assertAllowed(scope, 'deployment.deploy', `deployment:${options.deployment}`);
    const asked = await findByKey(options.requestKey);
    if (asked !== undefined) return asked;
    const id = scope.ids.next();
    try {
      await correlated(({ correlationId }) =>
        decideAndCommit(scope, () => decideStart(id, options, steps, correlationId)),
      );
    } catch (error) {
      const first = isKeelsonError(error, 'CONFLICT')
        ? await findByKey(options.requestKey)
        : undefined;
      if (first === undefined) throw error;
      return first;
    }
    return getRollout(id);
  }

  async function decideStart(
    id: string,
    options: StartRollout,
    steps: readonly RolloutStep[],
    correlationId: string,
  ): Promise<{ readonly changes: readonly Change[]; readonly result: undefined }> {
    const deployment = await get(options.deployment);
    assertIdle(deployment);
    assertPresent(deployment);
    const { version: candidate, changes } = await deployable(scope, registry, options.versionId);
    const record = await routeRecord(deployment.id);
    const route = record.body as unknown as Route;
    const baseline = mainTarget(route);
    if (candidate.id === baseline) {
      throw new KeelsonError(
        'CONFLICT',
        `Version ${candidate.version} serves ${deployment.name} already.`,
      );
    }
    const at = options.at ?? scope.clock.now();
    const columns = { candidateVersionId: candidate.id, baselineVersionId: baseline };
    const names = {
      candidate: nameOf(candidate),
      baseline: nameOf(await registry.getVersionById(baseline)),
    };
    const first = routeOfStep(route, { ...columns, ...names }, steps[0] as RolloutStep);
    const before = stateOf(deployment, route);
    const revision = nextRevision(scope.ids.next(), deployment, {
      ...{ before, after: { ...before, versionId: candidate.id, version: names.candidate } },
      ...{ strategy: 'canary', rolloutStatus: 'IN_PROGRESS', rolloutId: id },
      ...{ reason: options.reason, createdBy: scope.principal.id, at },
    });
    const body = {
      ...names,
      steps,
      onInconclusive: options.onInconclusive ?? 'pause',
      decisions: [],
      latest: [],
      reason: assertText(options.reason, 'A reason', 2000),
      correlationId,
    };
    return {
      changes: [
        ...changes,
        replaceDeployment(deployment, { activeRolloutId: id, ...revision.columns }),
        revision.create,
        {
          op: 'create',
          kind: 'rollout',
          id,
          columns: {
            ...columns,
            deploymentId: deployment.id,
            status: 'IN_PROGRESS',
            stepIndex: 0,
            beganAt: at,
            stepBeganAt: at,
            evaluatedAt: at,
            requestKey: options.requestKey,
          },
          body: asJson(body) as JsonObject,
        },
        ...shift(deployment, record, first, options.reason),
        edge(candidate.id, id, 'candidate'),
        edge(id, deployment.id, 'rollout'),
        emit('rollout.started', deployment.name, {
          rolloutId: id,
          ...columns,
          steps: steps.length,
        }),
      ],
      result: undefined,
    };
  }

  async function evaluate(id: string, at: number): Promise<Rollout> {
    const before = await getRollout(id);
    if (before.status !== 'IN_PROGRESS' || at <= before.evaluatedAt) return before;
    await withCorrelation({ correlationId: before.correlationId }, () =>
      decideAndCommit(scope, async () => {
        const rollout = await getRollout(id);
        if (rollout.status !== 'IN_PROGRESS' || at <= rollout.evaluatedAt) {
          return { changes: [], result: undefined };
        }
        const verdicts = await askGates(rollout, at);
        const decision = {
          ...decideRollout(rollout, verdicts, at),
          at,
          stepIndex: rollout.stepIndex,
          verdicts,
        };
        return { changes: await act(rollout, decision), result: undefined };
      }),
    );
    return getRollout(id);
  }

  async function askGates(rollout: Rollout, at: number): Promise<readonly GateVerdict[]> {
    const gates = rollout.steps[rollout.stepIndex]?.gates ?? [];
    return Promise.all(
      gates.map(async (gate) => {
        const { deploymentId, candidateVersionId, baselineVersionId, beganAt: from } = rollout;
        const answer = await evidence().ask({
          figure: figureOf(gate),
          deploymentId,
          candidateVersionId,
          baselineVersionId,
          from,
          to: at,
        });
        return decideGate(gate, answer.inputs);
      }),
    );
  }

  async function act(rollout: Rollout, decision: RolloutDecision): Promise<readonly Change[]> {
    const { action, at, verdicts } = decision;
    const record = await routeRecord(rollout.deploymentId);
    const deployment = await getById(rollout.deploymentId);
    const route = record.body as unknown as Route;
    const { candidateVersionId, baselineVersionId } = rollout;
    const kept = { decisions: [...rollout.decisions, decision], latest: verdicts };
    const payload = {
      rolloutId: rollout.id,
      candidateVersionId,
      baselineVersionId,
      reason: decision.reason,
    };
    switch (action) {
      case 'hold':
        return [saveRollout(rollout, { evaluatedAt: at }, { latest: verdicts })];
      case 'pause':
        return [
          saveRollout(rollout, { evaluatedAt: at, status: 'PAUSED' }, kept),
          emit('rollout.paused', deployment.name, payload),
        ];
      case 'advance': {
        const stepIndex = rollout.stepIndex + 1;
        const next = routeOfStep(route, rollout, rollout.steps[stepIndex] as RolloutStep);
        return [
          saveRollout(rollout, { evaluatedAt: at, stepIndex, stepBeganAt: at }, kept),
          ...shift(deployment, record, next, decision.reason),
          emit('rollout.advanced', deployment.name, { ...payload, stepIndex }),
        ];
      }
      case 'complete':
        return [
          saveRollout(rollout, { evaluatedAt: at, status: 'COMPLETED' }, kept),
          ...(await ended(rollout, deployment, record, {
            ...{ status: 'COMPLETED', at, reason: decision.reason },
            ...{ versionId: candidateVersionId, key: rollout.candidate, cold: [] },
          })),
          emit('rollout.completed', deployment.name, payload),
        ];
      case 'rollback':
        return [
          saveRollout(rollout, { evaluatedAt: at, status: 'ROLLED_BACK' }, kept),
          ...(await ended(rollout, deployment, record, {
            ...{ status: 'ROLLED_BACK', at, reason: decision.reason },
            versionId: baselineVersionId,
            key: rollout.baseline,
            cold: [candidateVersionId],
          })),
          emit('deployment.rolled_back', deployment.name, payload),
        ];
    }
  }

  /** All traffic to one version, the deployment free again, the revision at its end. */
  async function ended(
    rollout: Rollout,
    deployment: Deployment,
    record: StoredRecord,
    to: {
      readonly status: 'COMPLETED' | 'ROLLED_BACK';
      readonly versionId: string;
      readonly key: string;
      readonly cold: readonly string[];
      readonly at: number;
      readonly reason: string;
    },
  ): Promise<readonly Change[]> {
    const move = moveTraffic(records, deployment, record, to);
    const revision = await revisionOfRollout(scope, rollout.id);
    const number = revision?.columns['number'] as number | undefined;
    const done = to.status === 'COMPLETED' && number !== undefined;
    return [
      replaceDeployment(
        deployment,
        {
          activeRolloutId: undefined,
          ...move.columns,
          ...(done ? { currentRevision: number } : {}),
        },
        move.body,
      ),
      ...(revision === undefined ? [] : [revisionEnded(revision, to.status, to.at)]),
      ...move.changes,
    ];
  }

  async function getRollout(id: string): Promise<Rollout> {
    const record = await metadata.find(workspace, 'rollout', id);
    if (record !== undefined) return rolloutFromRecord(record);
    throw new KeelsonError('NOT_FOUND', `There is no rollout ${id}.`);
  }

  async function findByKey(key: string | undefined): Promise<Rollout | undefined> {
    if (key === undefined) return undefined;
    const left = { from: 'column', name: 'requestKey' } as const;
    const where = { op: 'compare', left, cmp: '=', value: key } as const;
    const { records } = await metadata.query(workspace, 'rollout', { where, limit: 1 });
    return records[0] && rolloutFromRecord(records[0]);
  }

  async function rolloutsWhere(name: string, value: string): Promise<readonly Rollout[]> {
    const { records } = await metadata.query(workspace, 'rollout', {
      where: { op: 'compare', left: { from: 'column', name }, cmp: '=', value },
      orderBy: [{ by: { from: 'column', name: 'beganAt' }, direction: 'asc' }],
      limit: 1000,
    });
    return records.map(rolloutFromRecord);
  }

  function saveRollout(
    rollout: Rollout,
    columns: Readonly<Record<string, string | number>>,
    change: Partial<Pick<Rollout, 'decisions' | 'latest'>>,
  ): Change {
    const { candidate, baseline, steps, onInconclusive, reason, correlationId } = rollout;
    const { decisions, latest } = { ...rollout, ...change };
    const names = { candidate, baseline };
    const body = asJson({
      ...names,
      steps,
      onInconclusive,
      decisions,
      latest,
      reason,
      correlationId,
    });
    return {
      op: 'replace',
      kind: 'rollout',
      id: rollout.id,
      expect: rollout.revision,
      columns,
      body: body as JsonObject,
    };
  }

  const loop: Loop = {
    name: 'rollouts',
    idleMs: 5_000,
    async runOnce(signal) {
      for (const rollout of await rolloutsWhere('status', 'IN_PROGRESS')) {
        if (signal.aborted) return false;
        await evaluate(rollout.id, scope.clock.now());
      }
      return false;
    },
  };

  return {
    startRollout,
    getRollout,
    loop,

    async activeRollout(name) {
      const { activeRolloutId } = await get(name);
      return activeRolloutId === undefined ? undefined : getRollout(activeRolloutId);
    },

    async listRollouts(name) {
      return rolloutsWhere('deploymentId', (await get(name)).id);
    },

    evaluateRollout: async (id, options = {}) =>
      evaluate(id, assertObject(options, 'evaluateRollout').at ?? scope.clock.now()),

    async abortRollout(id, reason) {
      const { correlationId } = await getRollout(id);
      await withCorrelation({ correlationId }, () =>
        decideAndCommit(scope, async () => {
          const rollout = await getRollout(id);
          if (rollout.status === 'COMPLETED' || rollout.status === 'ROLLED_BACK') {
            throw new KeelsonError(
              'CONFLICT',
              `Rollout ${id} is ${rollout.status}; nothing to abort.`,
            );
          }
          const at = Math.max(scope.clock.now(), rollout.evaluatedAt);
          const decision = {
            at,
            stepIndex: rollout.stepIndex,
            action: 'rollback',
            reason,
            verdicts: [],
          } as const;
          return { changes: await act(rollout, decision), result: undefined, reason };
        }),
      );
      return getRollout(id);
    },
  };
}

function revisionEnded(
  { id, revision: expect }: StoredRecord,
  rolloutStatus: string,
  endedAt: number,
): Change {
  const columns = { rolloutStatus, endedAt };
  return { op: 'replace', kind: 'deployment_revision', id, expect, columns };
}
