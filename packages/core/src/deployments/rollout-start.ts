import { z } from 'zod';
import { assertObject, checkOptions } from '../check-options.ts';
import type { Scope } from '../contracts/scope.ts';
import type { Route } from '../contracts/traffic-router.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { correlated } from '../events/correlation.ts';
import { asJson, assertText, type JsonObject } from '../json.ts';
import { assertAllowed, type Decision, decideAndCommit } from '../operations/decide-and-commit.ts';
import { columnIs } from '../operations/every-record.ts';
import { assertUnfrozen } from '../operations/freezes.ts';
import type { ModelVersion } from '../registry/model-version.ts';
import type { Registry } from '../registry/registry.ts';
import { deployable } from './deployable.ts';
import { type Deployment, mainTarget, nameOf, stateOf } from './deployment.ts';
import { assertIdle, assertPresent, assertReason } from './deployment-changes.ts';
import type { BodyChange, DeploymentRecords } from './deployment-records.ts';
import { monitorHeld } from './monitor-window.ts';
import { nextRevision, type Revision, type Strategy } from './revision.ts';
import {
  assertSteps,
  bodyOfRollout,
  type Rollout,
  type RolloutPromotion,
  type RolloutStep,
  rolloutFromRecord,
  routeOfStep,
} from './rollout.ts';
import type { RolloutEvidence } from './rollout-evidence.ts';
import { planOf, type StrategyPlan } from './strategies.ts';
import { checkPolicy, type RolloutPolicy } from './strategy-policy.ts';
import type { Suggestions } from './suggestions.ts';

/** A rollout of steps of one's own. */
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

/** A version to deploy, and how. */
export interface DeployVersion {
  readonly versionId: string;
  /** `canary` when left out; `suggested`: what `suggestStrategy` says, with its numbers. */
  readonly strategy?: Strategy | 'suggested';
  /**
   * What the strategy leaves to it; every number has a default. With `suggested`, the numbers that mean something to
   * every strategy.
   */
  readonly policy?: RolloutPolicy;
  readonly reason: string;
  /** Asking again under the same key answers the first rollout. */
  readonly requestKey?: string;
  /** When it begins; now when left out. */
  readonly at?: number;
}

const deployShape = z.strictObject({
  versionId: z.string(),
  strategy: z
    .enum(['canary', 'blue-green', 'rolling', 'immediate', 'shadow', 'suggested'])
    .optional(),
  policy: z.unknown().optional(),
  reason: z.string(),
  requestKey: z.string().min(1).max(500).optional(),
  at: z.number().optional(),
} satisfies Record<keyof DeployVersion, z.ZodType>);

/** What begins: by whose steps, and whatever plan made them. */
interface Beginning extends Omit<StrategyPlan, 'onInconclusive' | 'windowMs'> {
  readonly deployment: string;
  readonly versionId: string;
  readonly strategy: Strategy;
  readonly reason: string;
  readonly requestKey: string | undefined;
  readonly at: number | undefined;
  readonly windowMs?: number;
  readonly onInconclusive: Rollout['onInconclusive'];
  readonly promotion?: RolloutPromotion;
  readonly risk?: Revision['risk'];
}

/** Begins rollouts; answers their ids. */
export interface RolloutStarts {
  start(options: StartRollout): Promise<string>;
  deploy(deployment: string, options: DeployVersion): Promise<string>;
  /**
   * What a promotion starts, once: by the deployment's policy, which is asked for nobody's rights. CONFLICT where the
   * promotion was followed meanwhile, or the version has left production.
   */
  follow(deployment: string, options: FollowPromotion): Promise<string>;
}

/** A promotion that a deployment follows. */
export interface FollowPromotion {
  readonly versionId: string;
  readonly strategy: Strategy | 'suggested';
  readonly policy: RolloutPolicy;
  readonly reason: string;
  readonly promotion: RolloutPromotion;
}

/** {@link RolloutStarts} of a scope. */
export function createRolloutStarts(
  scope: Scope,
  registry: Registry,
  records: DeploymentRecords,
  evidence: RolloutEvidence,
  suggestions: Suggestions,
): RolloutStarts {
  const { metadata, workspace } = scope;

  async function begin(beginning: Beginning): Promise<string> {
    const { requestKey } = beginning;
    const asked = await findByKey(requestKey);
    if (asked !== undefined) return asked;
    const id = scope.ids.next();
    try {
      await correlated(({ correlationId }) =>
        decideAndCommit(scope, () => decide(id, beginning, correlationId)),
      );
      return id;
    } catch (error) {
      const first = isKeelsonError(error, 'CONFLICT') ? await findByKey(requestKey) : undefined;
      if (first === undefined) throw error;
      return first;
    }
  }

  async function decide(
    id: string,
    beginning: Beginning,
    correlationId: string,
  ): Promise<Decision<undefined>> {
    const { steps, reason } = beginning;
    const deployment = await records.get(beginning.deployment);
    assertIdle(deployment);
    assertPresent(deployment);
    assertRunning(deployment);
    const { id: deploymentId, model } = deployment;
    const unfrozen = await assertUnfrozen(scope, 'rollouts', { model, deploymentId });
    const { version: candidate, changes } = await deployable(scope, registry, beginning.versionId);
    const follows = followsNow(deployment, candidate, beginning.promotion);
    const record = await records.routeRecord(deployment.id);
    const route = record.body as unknown as Route;
    const baseline = mainTarget(route);
    if (candidate.id === baseline) {
      throw new KeelsonError(
        'CONFLICT',
        `Version ${candidate.version} serves ${deployment.name} already.`,
      );
    }
    const at = beginning.at ?? scope.clock.now();
    const ids = { candidateVersionId: candidate.id, baselineVersionId: baseline };
    const names = {
      candidate: nameOf(candidate),
      baseline: nameOf(await registry.getVersionById(baseline)),
    };
    const first = routeOfStep(route, { ...ids, ...names }, steps[0] as RolloutStep);
    const before = stateOf(deployment, route);
    const moved = { versionId: candidate.id, version: names.candidate };
    const revision = nextRevision(scope.ids.next(), deployment, {
      ...{ before, after: beginning.onComplete === 'candidate' ? { ...before, ...moved } : before },
      ...{ strategy: beginning.strategy, rolloutStatus: 'IN_PROGRESS', rolloutId: id },
      ...{ reason, createdBy: scope.principal.id, at },
      ...(beginning.risk === undefined ? {} : { risk: beginning.risk }),
    });
    const gates = steps.flatMap((step) => step.gates);
    const of = { deploymentId: deployment.id, ...ids, frozen: {} };
    const frozen = await evidence.frozen(of, gates, at);
    const body = bodyOfRollout({
      ...{ ...beginning, ...names, frozen, decisions: [], latest: [], reason, correlationId },
    });
    return {
      changes: [
        unfrozen,
        ...changes,
        records.replaceDeployment(
          deployment,
          { activeRolloutId: id, ...revision.columns },
          follows,
        ),
        revision.create,
        {
          ...({ op: 'create', kind: 'rollout', id } as const),
          columns: {
            ...{ ...ids, deploymentId: deployment.id, status: 'IN_PROGRESS', stepIndex: 0 },
            ...{ beganAt: at, stepBeganAt: at, evaluatedAt: at, requestKey: beginning.requestKey },
          },
          body: asJson(body) as JsonObject,
        },
        ...records.shift(deployment, record, first, reason),
        ...(await monitorHeld(scope, deployment.id, id)),
        records.edge(candidate.id, id, 'candidate'),
        records.edge(id, deployment.id, 'rollout'),
        records.emit('rollout.started', deployment.name, {
          ...{ rolloutId: id, ...ids, steps: steps.length },
        }),
      ],
      result: undefined,
      reason,
    };
  }

  async function findByKey(key: string | undefined): Promise<string | undefined> {
    if (key === undefined) return undefined;
    const where = columnIs('requestKey', key);
    const { records: found } = await metadata.query(workspace, 'rollout', { where, limit: 1 });
    return found[0] && rolloutFromRecord(found[0]).id;
  }

  /** The plan of a strategy, and how risky what it does looks. */
  async function planned(
    deployment: string,
    versionId: string,
    wanted: Strategy | 'suggested',
    given: RolloutPolicy,
  ): Promise<StrategyPlan & Required<Pick<Beginning, 'strategy' | 'risk'>>> {
    const { score, reasons, ...suggested } = await suggestions.of(deployment, versionId);
    const takes = wanted === 'suggested';
    const strategy = takes ? suggested.strategy : wanted;
    const plan = planOf(strategy, takes ? { ...suggested.policy, ...given } : given);
    assertSteps(plan.steps, plan.onComplete);
    return { ...plan, strategy, risk: { score, reasons, suggested: suggested.strategy } };
  }

  return {
    async start(options) {
      const steps = assertSteps(assertObject(options, 'startRollout').steps);
      const { deployment, versionId, onInconclusive = 'pause', requestKey, at } = options;
      assertText(deployment, 'A deployment');
      assertText(versionId, 'A version id');
      await assertAllowed(scope, 'deployment.deploy', `deployment:${deployment}`);
      return begin({
        ...{ deployment, versionId, steps, onInconclusive, requestKey, at },
        ...{ reason: assertReason(options.reason), strategy: 'canary', onComplete: 'candidate' },
        rollbackWatchMs: 0,
      });
    },

    async deploy(deployment, options) {
      assertText(deployment, 'A deployment');
      const {
        versionId,
        strategy = 'canary',
        policy = {},
      } = checkOptions(deployShape, options, 'deploy');
      assertText(versionId, 'A version id');
      checkPolicy(strategy, policy);
      const { reason, requestKey, at } = options;
      assertReason(reason);
      await assertAllowed(scope, 'deployment.deploy', `deployment:${deployment}`);
      const plan = await planned(deployment, versionId, strategy, policy);
      return begin({ ...plan, deployment, versionId, reason, requestKey, at });
    },

    async follow(deployment, { versionId, strategy, policy, reason, promotion }) {
      const { id } = await records.get(deployment);
      const plan = await planned(deployment, versionId, strategy, policy);
      const requestKey = `promotion:${promotion.transitionId}:${id}`;
      const facts = { deployment, versionId, reason, requestKey, at: undefined };
      return begin({ ...plan, ...facts, promotion });
    },
  };
}

/** That a promotion is followed: the deployment says so in the commit that begins its rollout. */
function followsNow(
  { name, onPromotion }: Deployment,
  candidate: ModelVersion,
  promotion: RolloutPromotion | undefined,
): BodyChange | undefined {
  if (promotion === undefined) return undefined;
  const { transitionId } = promotion;
  if (onPromotion === undefined || onPromotion.transitionId === transitionId) {
    throw new KeelsonError('CONFLICT', `Deployment ${name} does not follow ${transitionId} now.`);
  }
  if (candidate.stage !== 'PRODUCTION') {
    const what = `Version ${candidate.version} of ${candidate.model}`;
    throw new KeelsonError('CONFLICT', `${what} is in production no longer.`);
  }
  return { onPromotion: { ...onPromotion, transitionId } };
}

function assertRunning({ name, status }: Deployment): void {
  if (status !== 'STOPPED') return;
  throw new KeelsonError('CONFLICT', `Deployment ${name} is stopped; start it first.`);
}
