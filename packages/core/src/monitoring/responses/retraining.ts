import type { Scope } from '../../contracts/scope.ts';
import type { Deployments } from '../../deployments/deployments.ts';
import { isKeelsonError, KeelsonError } from '../../errors.ts';
import type { Json, JsonObject } from '../../json.ts';
import { freezeOf, freezesOf } from '../../operations/freezes.ts';
import type { Pipelines } from '../../pipelines/pipelines-types.ts';
import type { ModelVersion } from '../../registry/model-version.ts';
import type { Registry } from '../../registry/registry.ts';
import { optional } from '../../tracking/run.ts';
import type { Tracking } from '../../tracking/tracking.ts';
import { defaultRecentMs, type ResponsePolicy, type RetrainPlan } from './response-policy.ts';
import type { ResponseAct, ResponseDecision, Retraining } from './response-records.ts';

/** What a retraining is carried out with. */
export interface RetrainingParts {
  readonly pipelines: Pick<Pipelines, 'getDefinition' | 'start' | 'get' | 'wait'>;
  readonly tracking: Pick<Tracking, 'getRun'>;
  readonly registry: Pick<
    Registry,
    'getVersionById' | 'listVersions' | 'register' | 'requestTransition'
  >;
  readonly deployments: Pick<
    Deployments,
    'get' | 'route' | 'deploy' | 'startRollout' | 'getRollout'
  >;
  /** Compares what a version meets from now on with what it met up to a time. */
  moveBaseline(of: {
    readonly policy: ResponsePolicy;
    readonly versionId: string;
    readonly at: number;
    readonly reason: string;
  }): Promise<void>;
}

/** Where a retraining stands after a look at it. */
export type RetrainingMove =
  | { readonly to: 'stage'; readonly retraining: Retraining }
  /** Nothing to be done now. */
  | { readonly to: 'wait'; readonly waits: string }
  | { readonly to: 'end'; readonly state: 'DONE' | 'FAILED'; readonly outcome: string };

/** A retraining of a policy that an act is. */
export interface RetrainingOf {
  readonly policy: ResponsePolicy;
  readonly plan: RetrainPlan;
  readonly decision: ResponseDecision;
  readonly act: ResponseAct;
  readonly servingVersionId: string;
}

/**
 * One move of a retraining, from wherever it stands. Whatever it starts, it starts under a key of the act: made again,
 * by any process, it finds that and goes on.
 */
export async function moveRetraining(
  scope: Scope,
  parts: RetrainingParts,
  of: RetrainingOf,
): Promise<RetrainingMove> {
  const { retraining } = of.act;
  if (retraining === undefined) return train(parts, of);
  switch (retraining.stage) {
    case 'TRAINING':
      return register(parts, of, retraining);
    case 'CHECKING':
      return check(parts, of, retraining);
    case 'ROLLING_OUT':
      return rollOut(scope, parts, of, retraining);
    case 'PROMOTING':
      return promote(parts, of, retraining);
    case 'SETTLING':
      return settle(parts, of, retraining);
  }
}

const stage = (retraining: Retraining): RetrainingMove => ({ to: 'stage', retraining });
const wait = (waits: string): RetrainingMove => ({ to: 'wait', waits });
const failed = (outcome: string): RetrainingMove => ({ to: 'end', state: 'FAILED', outcome });

/** Starts the pipeline with recent data and the parameters that it starts from. */
async function train(parts: RetrainingParts, of: RetrainingOf): Promise<RetrainingMove> {
  const { policy, plan, decision, act, servingVersionId } = of;
  const pipeline = String(act.with['pipeline']);
  const { parameters: schema } = await parts.pipelines.getDefinition(pipeline);
  const declared = schema?.['properties'] as Readonly<Record<string, unknown>> | undefined;
  const known = (name: string): boolean => declared === undefined || Object.hasOwn(declared, name);
  const begins = await startingPoint(parts, policy, plan, servingVersionId);
  const former = Object.entries(begins.params).filter(
    ([name]) => declared !== undefined && known(name),
  );
  const to = Number(act.with['to']);
  const { trouble } = decision.inputs;
  const facts: Record<string, Json> = {
    ...{ deployment: policy.deployment, deploymentId: policy.deploymentId, model: policy.model },
    ...{ from: to - (plan.recentMs ?? defaultRecentMs), to, baseVersionId: begins.versionId },
    ...(trouble.alertId === undefined ? {} : { alertId: trouble.alertId }),
    ...(trouble.driftKind === undefined ? {} : { driftKind: trouble.driftKind }),
    ...(declared !== undefined && former.length === 0 ? { search: true } : {}),
  };
  const told = Object.entries(facts).filter(([name]) => known(name));
  const parameters = { ...Object.fromEntries([...former, ...told]), ...plan.parameters };
  const execution = await parts.pipelines.start(pipeline, parameters as JsonObject, {
    ...{ idempotencyKey: `response:${act.id}`, trigger: 'EVENT' },
    tags: { 'keelson.response': act.decisionId },
  });
  return stage({ stage: 'TRAINING', executionId: execution.id, baseVersionId: begins.versionId });
}

/** The version whose parameters a retraining starts from, and those of its run. */
async function startingPoint(
  { registry, tracking }: RetrainingParts,
  { model }: ResponsePolicy,
  { startFrom = 'best', metric }: RetrainPlan,
  servingVersionId: string,
): Promise<{ readonly versionId: string; readonly params: Readonly<Record<string, Json>> }> {
  const serving = await registry.getVersionById(servingVersionId);
  if (startFrom === 'search') return { versionId: serving.id, params: {} };
  const all =
    metric === undefined || startFrom === 'serving' ? [] : await registry.listVersions(model);
  const { id, lineage } = metric === undefined ? serving : best(all, metric, serving);
  const { sourceRunId } = lineage;
  if (sourceRunId === undefined) return { versionId: id, params: {} };
  return { versionId: id, params: (await tracking.getRun(sourceRunId)).params };
}

/** The version whose metric is best, of those that a run has made. */
function best(
  versions: readonly ModelVersion[],
  { name, better }: NonNullable<RetrainPlan['metric']>,
  serving: ModelVersion,
): ModelVersion {
  const sign = better === 'higher' ? 1 : -1;
  const scored = versions.flatMap((version) => {
    const { metrics, status, deletedAt, lineage } = version;
    const figure = Object.hasOwn(metrics, name) ? metrics[name] : undefined;
    const counts =
      figure !== undefined && Number.isFinite(figure) && lineage.sourceRunId !== undefined;
    return counts && status === 'READY' && deletedAt === undefined
      ? [{ version, score: sign * figure }]
      : [];
  });
  return scored.toSorted((a, b) => b.score - a.score)[0]?.version ?? serving;
}

/** Once the pipeline has ended: its version, with a lineage that names the drift. */
async function register(
  parts: RetrainingParts,
  of: RetrainingOf,
  retraining: Retraining,
): Promise<RetrainingMove> {
  const { executionId } = retraining;
  const { status } = await parts.pipelines.get(executionId);
  if (status !== 'COMPLETED' && status !== 'FAILED' && status !== 'CANCELLED') {
    return wait(`execution ${executionId} is ${status}`);
  }
  if (status !== 'COMPLETED') return failed(`execution ${executionId} is ${status}`);
  const { output } = await parts.pipelines.wait(executionId);
  const versionId = await versionOf(parts, of, retraining, output);
  return stage({ ...retraining, stage: 'CHECKING', versionId });
}

async function versionOf(
  { registry }: RetrainingParts,
  { policy, plan, decision, act }: RetrainingOf,
  { executionId, baseVersionId }: Retraining,
  output: unknown,
): Promise<string> {
  const said = (name: string): string | undefined => {
    if (typeof output !== 'object' || output === null) return undefined;
    const value = (output as Readonly<Record<string, unknown>>)[name];
    return typeof value === 'string' ? value : undefined;
  };
  const registered = said('versionId');
  if (registered !== undefined) return (await registry.getVersionById(registered)).id;
  const runId = said('runId') ?? said('modelRunId');
  if (runId === undefined) {
    throw new KeelsonError(
      'INVALID',
      `The output of execution ${executionId} names no run whose model could be registered; let the last step return { runId }.`,
    );
  }
  const base = await registry.getVersionById(baseVersionId);
  const { format, signature } = base;
  const version = await registry.register({
    ...{ model: policy.model, from: { runId, path: plan.path ?? 'model' }, format },
    ...{ bump: plan.bump ?? 'minor', ...optional('signature', signature) },
    ...optional('metrics', metricsOf(output)),
    lineage: { pipelineExecutionId: executionId, cause: causeOf(decision, act) },
  });
  return version.id;
}

/** What a pipeline says that it has measured of its model. */
function metricsOf(output: unknown): Readonly<Record<string, number>> | undefined {
  const metrics = (output as { readonly metrics?: unknown }).metrics;
  if (typeof metrics !== 'object' || metrics === null) return undefined;
  const numbers = Object.entries(metrics).filter(([, value]) => typeof value === 'number');
  return numbers.length === 0 ? undefined : (Object.fromEntries(numbers) as Record<string, number>);
}

/** What a version's lineage says of why it exists. */
function causeOf({ inputs, deployment, matched }: ResponseDecision, act: ResponseAct): JsonObject {
  const { trouble } = inputs;
  const { alertId, rule, driftKind, features, summary, since } = trouble;
  const known = { alertId, rule, driftKind, versionId: trouble.versionId };
  return {
    ...Object.fromEntries(Object.entries(known).filter(([, value]) => value !== undefined)),
    ...{ features: [...features], summary, since, deployment, matched },
    ...{ decisionId: act.decisionId, actId: act.id, correlationId: act.correlationId },
  } as JsonObject;
}

const ended: ReadonlySet<string> = new Set(['FAILED', 'REJECTED', 'WITHDRAWN', 'EXPIRED']);

/** The gates of the model's policy, on the way to Staging. */
async function check(
  { registry }: RetrainingParts,
  { act, decision }: RetrainingOf,
  retraining: Retraining,
): Promise<RetrainingMove> {
  const version = await registry.getVersionById(retraining.versionId ?? '');
  if (version.stage !== 'DEVELOPMENT') return stage({ ...retraining, stage: 'ROLLING_OUT' });
  const transition = await registry.requestTransition({
    ...{ model: version.model, version: version.version, to: 'STAGING' },
    reason: `It answers: ${decision.inputs.trouble.summary}`.slice(0, 2000),
    requestKey: `response:${act.id}:STAGING`,
  });
  const { status, checks } = transition;
  if (status === 'DONE') return stage({ ...retraining, stage: 'ROLLING_OUT' });
  if (!ended.has(status)) return wait(`transition ${transition.id} to STAGING is ${status}`);
  const why = checks
    .filter(({ passed }) => !passed)
    .map(({ name, detail }) => `${name}: ${detail}`);
  const name = `${version.model}@${version.version}`;
  return failed(`${name} may not go to Staging: ${why.join('; ') || status}`);
}

/** Begins its rollout, and then waits for the end of it. */
async function rollOut(
  scope: Scope,
  { registry, deployments }: RetrainingParts,
  { policy, plan, act, decision }: RetrainingOf,
  retraining: Retraining,
): Promise<RetrainingMove> {
  const { versionId = '', rolloutId } = retraining;
  if (rolloutId === undefined) {
    const { activeRolloutId, id: deploymentId } = await deployments.get(policy.deployment);
    const own =
      activeRolloutId === undefined ? undefined : await candidateOf(deployments, activeRolloutId);
    if (activeRolloutId !== undefined && own !== versionId) {
      return wait(`${activeRolloutId} steers the traffic of ${policy.deployment}`);
    }
    const freezes = await freezesOf(scope, policy.model);
    const frozen = freezeOf(freezes, 'rollouts', deploymentId, act.correlationId);
    if (frozen !== undefined) return wait(`rollouts are frozen by alert ${frozen.alertId}`);
    const { strategy, policy: how, steps, onInconclusive } = plan.rollout ?? {};
    const reason = `alert: ${decision.inputs.trouble.summary}`.slice(0, 2000);
    const asked = { versionId, reason, requestKey: `response:${act.id}` };
    const rollout =
      steps === undefined
        ? await deployments.deploy(policy.deployment, {
            ...{ ...asked, ...optional('strategy', strategy), ...optional('policy', how) },
          })
        : await deployments.startRollout({
            ...{ ...asked, deployment: policy.deployment, steps },
            ...optional('onInconclusive', onInconclusive),
          });
    return stage({ ...retraining, rolloutId: rollout.id });
  }
  const rollout = await deployments.getRollout(rolloutId);
  if (rollout.status === 'COMPLETED') return stage({ ...retraining, stage: 'PROMOTING' });
  if (rollout.status === 'IN_PROGRESS' || rollout.status === 'PAUSED') {
    return wait(`rollout ${rolloutId} is ${rollout.status} at step ${rollout.stepIndex + 1}`);
  }
  const { model, version } = await registry.getVersionById(versionId);
  const why = rollout.decisions.at(-1)?.reason ?? rollout.status;
  return failed(`${model}@${version} was turned back (${why}); ${rollout.baseline} answers`);
}

/** The candidate of what steers the traffic; an A/B test has none. */
async function candidateOf(
  deployments: Pick<Deployments, 'getRollout'>,
  id: string,
): Promise<string | undefined> {
  try {
    return (await deployments.getRollout(id)).candidateVersionId;
  } catch (error) {
    if (isKeelsonError(error, 'NOT_FOUND')) return undefined;
    throw error;
  }
}

/** To Production; where that cannot be, it serves all the same, and it is said. */
async function promote(
  { registry }: RetrainingParts,
  { act, plan }: RetrainingOf,
  retraining: Retraining,
): Promise<RetrainingMove> {
  const next: Retraining = { ...retraining, stage: 'SETTLING' };
  const version = await registry.getVersionById(retraining.versionId ?? '');
  if (plan.promote === false || version.stage === 'PRODUCTION') return stage(next);
  try {
    const transition = await registry.requestTransition({
      ...{ model: version.model, version: version.version, to: 'PRODUCTION' },
      reason: `rollout ${retraining.rolloutId} was completed`,
      requestKey: `response:${act.id}:PRODUCTION`,
    });
    const { status, id } = transition;
    if (status === 'DONE') return stage(next);
    if (!ended.has(status)) return wait(`transition ${id} to PRODUCTION is ${status}`);
    return stage({ ...next, notPromoted: transition.ended ?? status });
  } catch (error) {
    if (!isKeelsonError(error, 'CONFLICT')) throw error;
    return stage({ ...next, notPromoted: error.message });
  }
}

async function settle(
  parts: RetrainingParts,
  { policy, act }: RetrainingOf,
  { versionId = '', rolloutId = '', notPromoted }: Retraining,
): Promise<RetrainingMove> {
  const { evaluatedAt: at } = await parts.deployments.getRollout(rolloutId);
  const { model, version } = await parts.registry.getVersionById(versionId);
  const name = `${model}@${version}`;
  const reason = `${name}, retrained by ${act.decisionId}, answers`;
  await parts.moveBaseline({ policy, versionId, at, reason });
  const but = notPromoted === undefined ? '' : `, and is not in Production: ${notPromoted}`;
  return { to: 'end', state: 'DONE', outcome: `${name} answers${but}; the baseline has moved` };
}
