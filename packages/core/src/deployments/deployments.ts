import type { EvidenceSource } from '../contracts/evidence-source.ts';
import type { Loop } from '../contracts/loop.ts';
import type { Change } from '../contracts/metadata-store.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import type { Route, VersionedRoute } from '../contracts/traffic-router.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { correlated, withCorrelation } from '../events/correlation.ts';
import { draftEvent } from '../events/draft-event.ts';
import { asJson, assertText, type JsonObject } from '../json.ts';
import { assertAllowed, commitChanges, decideAndCommit } from '../operations/decide-and-commit.ts';
import type { Registry } from '../registry/registry.ts';
import { decideGate, figureOf, type GateVerdict } from './gate.ts';
import {
  assertSteps,
  decideRollout,
  type Rollout,
  type RolloutDecision,
  type RolloutStep,
  rolloutFromRecord,
  routeOfStep,
  routeOfVersion,
} from './rollout.ts';

/** An endpoint under a name, whatever version answers it. */
export interface Deployment {
  readonly id: string;
  readonly name: string;
  readonly model: string;
  readonly environment: 'DEVELOPMENT' | 'STAGING' | 'PRODUCTION';
  readonly status: 'CREATING' | 'HEALTHY' | 'DEGRADED' | 'FAILED' | 'TERMINATING' | 'STOPPED';
  readonly activeRolloutId?: string;
  readonly createdAt: number;
  readonly revision: number;
}

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

/** From a registered version to an endpoint, and from one version to the next. */
export interface Deployments {
  /** CONFLICT for a name that is taken, unless `ifExists` is `reuse`. */
  create(options: {
    readonly name: string;
    readonly versionId: string;
    readonly environment: Deployment['environment'];
    readonly sticky?: Route['sticky'];
    readonly ifExists?: 'error' | 'reuse';
  }): Promise<Deployment>;
  get(name: string): Promise<Deployment>;
  find(name: string): Promise<Deployment | undefined>;
  list(): Promise<readonly Deployment[]>;
  /** Who answers now; its generation rises with every change. */
  route(name: string): Promise<VersionedRoute>;
  /** Every route that was in force, oldest first. */
  routeHistory(name: string): Promise<readonly (VersionedRoute & { readonly at: number; readonly reason?: string })[]>;
  /** All traffic to one version at once. */
  setVersion(name: string, versionId: string, reason: string): Promise<VersionedRoute>;
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
  readonly loops: readonly Loop[];
}

/** Deployments, bound to a scope. `evidence` answers the gates. */
export function createDeployments(
  scope: Scope,
  registry: Registry,
  evidence: () => EvidenceSource,
): Deployments {
  const { metadata, workspace } = scope;

  async function findRecord(name: string): Promise<StoredRecord | undefined> {
    const left = { from: 'column', name: 'name' } as const;
    const where = { op: 'compare', left, cmp: '=', value: name } as const;
    return (await metadata.query(workspace, 'deployment', { where, limit: 1 })).records[0];
  }

  async function get(name: string): Promise<Deployment> {
    const record = await findRecord(assertText(name, 'A deployment name'));
    if (record !== undefined) return deploymentFromRecord(record);
    throw new KeelsonError('NOT_FOUND', `There is no deployment ${JSON.stringify(name)}.`);
  }

  async function routeRecord(deploymentId: string): Promise<StoredRecord> {
    const record = await metadata.find(workspace, 'route', deploymentId);
    if (record !== undefined) return record;
    throw new KeelsonError('NOT_FOUND', `Deployment ${deploymentId} has no route.`);
  }

  async function create(options: Parameters<Deployments['create']>[0]): Promise<Deployment> {
    const name = assertText(options.name, 'A deployment name', 255);
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name)) {
      throw new KeelsonError(
        'INVALID',
        `Deployment name ${JSON.stringify(name)} stands in URLs; use letters, digits, dots, dashes and underscores.`,
      );
    }
    await assertAllowed(scope, 'deployment.create', `deployment:${name}`);
    const existing = options.ifExists === 'reuse' ? await findRecord(name) : undefined;
    if (existing !== undefined) return deploymentFromRecord(existing);
    const version = await registry.getVersionById(options.versionId);
    const id = scope.ids.next();
    const targets = [{ versionId: version.id, weightPercent: 100, key: nameOf(version) }];
    const sticky = options.sticky === undefined ? {} : { sticky: options.sticky };
    const route: Route = { deploymentId: id, targets, rules: [], shadows: [], ...sticky };
    const columns = {
      name,
      modelName: version.model,
      environment: options.environment,
      status: 'CREATING',
      createdBy: scope.principal.id,
    };
    try {
      await commitChanges(scope, [
        { op: 'create', kind: 'deployment', id, columns },
        {
          op: 'create',
          kind: 'route',
          id,
          columns: { deploymentId: id, deploymentName: name },
          body: asJson(route) as JsonObject,
        },
        edge(version.id, id, 'deployed'),
        emit('deployment.started', name, { deploymentId: id, versionId: version.id }),
      ]);
    } catch (error) {
      const raced = options.ifExists === 'reuse' && isKeelsonError(error, 'CONFLICT');
      const first = raced ? await findRecord(name) : undefined;
      if (first === undefined) throw error;
      return deploymentFromRecord(first);
    }
    return get(name);
  }

  async function startRollout(options: StartRollout): Promise<Rollout> {
    const steps = assertSteps(options.steps);
    await assertAllowed(scope, 'deployment.rollout', `deployment:${options.deployment}`);
    const asked = await findByKey(options.requestKey);
    if (asked !== undefined) return asked;
    const id = scope.ids.next();
    try {
      await correlated(({ correlationId }) =>
        decideAndCommit(scope, () => decideStart(id, options, steps, correlationId)),
      );
    } catch (error) {
      const first = isKeelsonError(error, 'CONFLICT') ? await findByKey(options.requestKey) : undefined;
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
    if (deployment.activeRolloutId !== undefined) {
      throw new KeelsonError(
        'CONFLICT',
        `Deployment ${deployment.name} is in rollout ${deployment.activeRolloutId}; finish or abort it first.`,
      );
    }
    const [candidate, record] = await Promise.all([
      registry.getVersionById(options.versionId),
      routeRecord(deployment.id),
    ]);
    const route = record.body as unknown as Route;
    const baseline = mainTarget(route);
    if (candidate.id === baseline) {
      throw new KeelsonError('CONFLICT', `Version ${candidate.version} serves ${deployment.name} already.`);
    }
    const at = options.at ?? scope.clock.now();
    const columns = { candidateVersionId: candidate.id, baselineVersionId: baseline };
    const names = {
      candidate: nameOf(candidate),
      baseline: nameOf(await registry.getVersionById(baseline)),
    };
    const first = routeOfStep(route, { ...columns, ...names }, steps[0] as RolloutStep);
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
        replaceDeployment(deployment, { activeRolloutId: id }),
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
        emit('rollout.started', deployment.name, { rolloutId: id, ...columns, steps: steps.length }),
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
        const decision = { ...decideRollout(rollout, verdicts, at), at, stepIndex: rollout.stepIndex, verdicts };
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
    const payload = { rolloutId: rollout.id, candidateVersionId, baselineVersionId, reason: decision.reason };
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
          replaceDeployment(deployment, { activeRolloutId: undefined }),
          ...shift(deployment, record, routeOfVersion(route, candidateVersionId, rollout.candidate), decision.reason),
          emit('rollout.completed', deployment.name, payload),
        ];
      case 'rollback':
        return [
          saveRollout(rollout, { evaluatedAt: at, status: 'ROLLED_BACK' }, kept),
          replaceDeployment(deployment, { activeRolloutId: undefined }),
          ...shift(deployment, record, routeOfVersion(route, baselineVersionId, rollout.baseline), decision.reason),
          emit('deployment.rolled_back', deployment.name, payload),
        ];
    }
  }

  async function getRollout(id: string): Promise<Rollout> {
    const record = await metadata.find(workspace, 'rollout', id);
    if (record !== undefined) return rolloutFromRecord(record);
    throw new KeelsonError('NOT_FOUND', `There is no rollout ${id}.`);
  }

  async function getById(id: string): Promise<Deployment> {
    const record = await metadata.find(workspace, 'deployment', id);
    if (record !== undefined) return deploymentFromRecord(record);
    throw new KeelsonError('NOT_FOUND', `There is no deployment ${id}.`);
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

  /** The route's next generation, and the event that tells of it. */
  function shift(deployment: Deployment, record: StoredRecord, route: Route, reason: string): Change[] {
    const body = asJson(route) as JsonObject;
    const { id, revision: expect } = record;
    const oldWeights = weights(record.body as unknown as Route);
    return [
      { op: 'replace', kind: 'route', id, expect, body },
      emit('traffic.shifted', deployment.name, { oldWeights, newWeights: weights(route), reason }),
    ];
  }

  function saveRollout(
    rollout: Rollout,
    columns: Readonly<Record<string, string | number>>,
    change: Partial<Pick<Rollout, 'decisions' | 'latest'>>,
  ): Change {
    const { candidate, baseline, steps, onInconclusive, reason, correlationId } = rollout;
    const { decisions, latest } = { ...rollout, ...change };
    const names = { candidate, baseline };
    const body = asJson({ ...names, steps, onInconclusive, decisions, latest, reason, correlationId });
    return {
      op: 'replace',
      kind: 'rollout',
      id: rollout.id,
      expect: rollout.revision,
      columns,
      body: body as JsonObject,
    };
  }

  function emit(type: string, deployment: string, payload: JsonObject): Change {
    const event = {
      type,
      subject: `deployment:${deployment}`,
      source: 'deployments',
      payload: { deployment, ...payload },
    };
    return { op: 'emit', event: draftEvent(scope, event) };
  }

  function edge(from: string, to: string, role: string): Change {
    return { op: 'create', kind: 'edge', id: scope.ids.next(), columns: { from, to, role } };
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
    create,
    get,
    startRollout,
    getRollout,
    loops: [loop],

    async find(name) {
      const record = await findRecord(name);
      return record && deploymentFromRecord(record);
    },

    async list() {
      const { records } = await metadata.query(workspace, 'deployment', {
        orderBy: [{ by: { from: 'column', name: 'name' }, direction: 'asc' }],
        limit: 1000,
      });
      return records.map(deploymentFromRecord);
    },

    async route(name) {
      const { id } = await get(name);
      const record = await routeRecord(id);
      return { generation: record.revision, route: record.body as unknown as Route };
    },

    async routeHistory(name) {
      const { id } = await get(name);
      const entries = await metadata.history(workspace, 'route', id, { limit: 1000 });
      return entries.map((entry) => ({
        generation: entry.revision,
        route: entry.body as unknown as Route,
        at: entry.at,
        ...(entry.reason === undefined ? {} : { reason: entry.reason }),
      }));
    },

    async setVersion(name, versionId, reason) {
      await assertAllowed(scope, 'deployment.rollout', `deployment:${name}`);
      const version = await registry.getVersionById(versionId);
      await decideAndCommit(scope, async () => {
        const deployment = await get(name);
        const record = await routeRecord(deployment.id);
        const next = routeOfVersion(record.body as unknown as Route, version.id, nameOf(version));
        return { changes: shift(deployment, record, next, reason), result: undefined, reason };
      });
      return this.route(name);
    },

    async activeRollout(name) {
      const { activeRolloutId } = await get(name);
      return activeRolloutId === undefined ? undefined : getRollout(activeRolloutId);
    },

    async listRollouts(name) {
      return rolloutsWhere('deploymentId', (await get(name)).id);
    },

    evaluateRollout: (id, options = {}) => evaluate(id, options.at ?? scope.clock.now()),

    async abortRollout(id, reason) {
      const { correlationId } = await getRollout(id);
      await withCorrelation({ correlationId }, () =>
        decideAndCommit(scope, async () => {
          const rollout = await getRollout(id);
          if (rollout.status === 'COMPLETED' || rollout.status === 'ROLLED_BACK') {
            throw new KeelsonError('CONFLICT', `Rollout ${id} is ${rollout.status}; nothing to abort.`);
          }
          const at = Math.max(scope.clock.now(), rollout.evaluatedAt);
          const decision = { at, stepIndex: rollout.stepIndex, action: 'rollback', reason, verdicts: [] } as const;
          return { changes: await act(rollout, decision), result: undefined, reason };
        }),
      );
      return getRollout(id);
    },
  };
}

function replaceDeployment(
  deployment: Deployment,
  columns: Readonly<Record<string, string | undefined>>,
): Change {
  const { id, revision: expect } = deployment;
  return { op: 'replace', kind: 'deployment', id, expect, columns };
}

function deploymentFromRecord(record: StoredRecord): Deployment {
  const c = record.columns;
  const active = c['activeRolloutId'] as string | undefined;
  return {
    id: record.id,
    name: c['name'] as string,
    model: c['modelName'] as string,
    environment: c['environment'] as Deployment['environment'],
    status: c['status'] as Deployment['status'],
    createdAt: record.createdAt,
    revision: record.revision,
    ...(active === undefined ? {} : { activeRolloutId: active }),
  };
}

function nameOf(version: { readonly model: string; readonly version: string }): string {
  return `${version.model}@${version.version}`;
}

/** The version with the most weight: what a rollout is compared with and falls back to. */
function mainTarget(route: Route): string {
  const [main] = [...route.targets].sort((a, b) => b.weightPercent - a.weightPercent);
  if (main === undefined) throw new KeelsonError('INTERNAL', 'A route has no target.');
  return main.versionId;
}

function weights(route: Route): JsonObject {
  return Object.fromEntries(route.targets.map((target) => [target.versionId, target.weightPercent]));
}
