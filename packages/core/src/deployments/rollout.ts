import { assertObject } from '../check-options.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Route } from '../contracts/traffic-router.ts';
import { KeelsonError } from '../errors.ts';
import type { FrozenLatency, Gate, GateVerdict } from './gate.ts';
import type { Strategy } from './revision.ts';

/** Where a rollout stands. */
export type RolloutStatus =
  | 'IN_PROGRESS'
  /** Waits for a person; what its gates find turns it back all the same. */
  | 'PAUSED'
  | 'COMPLETED'
  /** Its gates, or a person, turned it back. */
  | 'ROLLED_BACK'
  /** It could not go on in its time, and was turned back. */
  | 'FAILED';

/** One step: how much traffic the candidate has, and what must be shown before the next. */
export interface RolloutStep {
  /** Of the answers; 0 when it only shadows. */
  readonly weightPercent: number;
  /** The candidate gets a copy of the requests that it does not answer. */
  readonly shadow: boolean;
  /** The candidate is kept ready, with all of its replicas, although it answers nothing. */
  readonly warm?: boolean;
  /** What has passed waits for `promoteRollout`. */
  readonly manual?: boolean;
  readonly gates: readonly Gate[];
  /** Not before this time in the step. */
  readonly minDurationMs: number;
  /** Still inconclusive after this time: see `onInconclusive`. */
  readonly maxDurationMs?: number;
}

/** A rollout as it is read. */
export interface Rollout {
  readonly id: string;
  readonly deploymentId: string;
  readonly candidateVersionId: string;
  readonly baselineVersionId: string;
  /** As `model@version`. */
  readonly candidate: string;
  readonly baseline: string;
  readonly status: RolloutStatus;
  readonly steps: readonly RolloutStep[];
  readonly stepIndex: number;
  readonly beganAt: number;
  readonly stepBeganAt: number;
  readonly evaluatedAt: number;
  readonly onInconclusive: OnInconclusive;
  readonly strategy: Strategy;
  /** Who has all of the traffic once every step has passed. */
  readonly onComplete: 'candidate' | 'baseline';
  /** How long the baseline is watched after a rollback before that is told as done. */
  readonly rollbackWatchMs: number;
  /** The windows in which both versions are compared; days when left out. */
  readonly windowMs?: number;
  /** The baseline's latencies before the candidate had any traffic, by quantile. */
  readonly frozen: Readonly<Record<string, FrozenLatency>>;
  /** What was decided, when, on which evidence; holds without news are not listed. */
  readonly decisions: readonly RolloutDecision[];
  /** The evidence of the last evaluation. */
  readonly latest: readonly GateVerdict[];
  readonly reason: string;
  /** The promotion that it follows, and goes back with it. */
  readonly promotion?: RolloutPromotion;
  readonly correlationId: string;
  readonly revision: number;
}

/** The promotion to Production that a rollout follows. */
export interface RolloutPromotion {
  /** Of the registry's stage transition. */
  readonly transitionId: string;
  /** What was in production before. */
  readonly supersededId?: string;
  /** By a rollback of the registry: a person's word, which is not put back. */
  readonly emergency?: true;
}

/** What becomes of a step that is still inconclusive after its longest time. */
export type OnInconclusive =
  /** For a person. */
  | 'pause'
  | 'rollback'
  /** Turned back, as FAILED. */
  | 'fail';

/** One decision with its evidence. */
export interface RolloutDecision {
  readonly at: number;
  readonly stepIndex: number;
  readonly action: 'hold' | 'advance' | 'complete' | 'rollback' | 'fail' | 'pause' | 'resume';
  readonly reason: string;
  /** Who decided it, where that was a person. */
  readonly by?: string;
  readonly verdicts: readonly GateVerdict[];
}

/**
 * What to do now: any failed gate turns the rollout back; all passed and the time served go on; the
 * rest holds, until the step's longest time makes inconclusive a decision of its own.
 */
export function decideRollout(
  rollout: Pick<Rollout, 'steps' | 'stepIndex' | 'stepBeganAt' | 'onInconclusive'> &
    Partial<Pick<Rollout, 'status'>>,
  verdicts: readonly GateVerdict[],
  at: number,
): Pick<RolloutDecision, 'action' | 'reason'> {
  const step = rollout.steps[rollout.stepIndex];
  if (step === undefined)
    throw new KeelsonError('INTERNAL', 'A rollout stands behind its last step.');
  const failed = verdicts.filter((verdict) => verdict.outcome === 'FAIL');
  if (failed.length > 0) {
    return { action: 'rollback', reason: `failed: ${failed.map((v) => v.gate.gate).join(', ')}` };
  }
  if (rollout.status === 'PAUSED') return { action: 'hold', reason: 'it waits for a person' };
  const servedMs = at - rollout.stepBeganAt;
  const open = verdicts.filter((verdict) => verdict.outcome === 'INCONCLUSIVE');
  if (open.length === 0 && servedMs >= step.minDurationMs) {
    const last = rollout.stepIndex === rollout.steps.length - 1;
    const passed = verdicts.map((v) => v.gate.gate).join(', ') || 'no gate asked for more';
    if (step.manual === true)
      return { action: 'pause', reason: `a person decides; passed: ${passed}` };
    return { action: last ? 'complete' : 'advance', reason: `passed: ${passed}` };
  }
  if (open.length > 0 && step.maxDurationMs !== undefined && servedMs >= step.maxDurationMs) {
    const action = rollout.onInconclusive;
    return {
      action,
      reason: `inconclusive in its time: ${open.map((v) => v.gate.gate).join(', ')}`,
    };
  }
  return {
    action: 'hold',
    reason: open.length > 0 ? 'not enough evidence yet' : 'the step has not served its time',
  };
}

/** The two versions of a rollout. */
export type RolloutVersions = Pick<
  Rollout,
  'candidateVersionId' | 'baselineVersionId' | 'candidate' | 'baseline'
>;

/** The route while a step is in force. */
export function routeOfStep(base: Route, versions: RolloutVersions, step: RolloutStep): Route {
  const { candidateVersionId, baselineVersionId } = versions;
  const weight = step.weightPercent;
  const targets = [
    { versionId: baselineVersionId, weightPercent: 100 - weight, key: versions.baseline },
    { versionId: candidateVersionId, weightPercent: weight, key: versions.candidate },
  ].filter((target) => target.weightPercent > 0);
  // Whoever does not answer a request scores it in the shadow, so that both are compared on all of them.
  const shadowed = weight === 100 ? [baselineVersionId] : [candidateVersionId, baselineVersionId];
  const { warmVersionIds: before = [], ...rest } = base;
  const others = before.filter((id) => id !== candidateVersionId && id !== baselineVersionId);
  const warmVersionIds = step.warm === true ? [...others, candidateVersionId] : others;
  return {
    ...rest,
    targets,
    shadows: step.shadow ? shadowed.map((versionId) => ({ versionId, samplePercent: 100 })) : [],
    fallbackVersionId: baselineVersionId,
    ...(warmVersionIds.length === 0 ? {} : { warmVersionIds }),
  };
}

/** What a route keeps beside who answers. */
export interface RouteKeeping {
  readonly fallbackVersionId?: string;
  readonly warmVersionIds?: readonly string[];
}

/** The route once a rollout has ended: all traffic on one version. */
export function routeOfVersion(
  base: Route,
  versionId: string,
  key: string,
  keeping: RouteKeeping = {},
): Route {
  const { fallbackVersionId: _, warmVersionIds: __, ...rest } = base;
  const { fallbackVersionId, warmVersionIds = [] } = keeping;
  return {
    ...rest,
    targets: [{ versionId, weightPercent: 100, key }],
    shadows: [],
    ...(fallbackVersionId === undefined ? {} : { fallbackVersionId }),
    ...(warmVersionIds.length === 0 ? {} : { warmVersionIds }),
  };
}

/** Refuses steps that could not be followed. */
export function assertSteps(
  steps: readonly RolloutStep[],
  onComplete: Rollout['onComplete'] = 'candidate',
): readonly RolloutStep[] {
  const refuse = (why: string): never => {
    throw new KeelsonError('INVALID', `The rollout's steps ${why}.`);
  };
  if (!Array.isArray(steps) || steps.length === 0) refuse('are missing; give at least one');
  steps.forEach((step, i) => {
    const { weightPercent } = assertObject(step, 'A step of a rollout');
    if (!(weightPercent >= 0 && weightPercent <= 100))
      refuse(`want ${weightPercent} % in step ${i + 1}`);
    if (weightPercent < (steps[i - 1]?.weightPercent ?? 0))
      refuse(`take traffic away in step ${i + 1}`);
    if (weightPercent === 0 && !step.shadow && step.warm !== true)
      refuse(`give the candidate nothing in step ${i + 1}`);
  });
  if (onComplete === 'candidate' && steps.at(-1)?.weightPercent !== 100)
    refuse('do not end with 100 % on the candidate');
  return steps;
}

/** What a rollout's body holds; those of before hold less. */
type RolloutBody = Pick<
  Rollout,
  | 'candidate'
  | 'baseline'
  | 'steps'
  | 'onInconclusive'
  | 'strategy'
  | 'onComplete'
  | 'rollbackWatchMs'
  | 'windowMs'
  | 'frozen'
  | 'decisions'
  | 'latest'
  | 'reason'
  | 'correlationId'
  | 'promotion'
>;

/** What its record's body is made of. */
export function bodyOfRollout(rollout: RolloutBody): RolloutBody {
  const { candidate, baseline, steps, onInconclusive, strategy, onComplete } = rollout;
  const { rollbackWatchMs, windowMs, frozen, decisions, latest, reason, correlationId } = rollout;
  const { promotion } = rollout;
  return {
    ...{ candidate, baseline, steps, onInconclusive, strategy, onComplete, rollbackWatchMs },
    ...{ frozen, decisions, latest, reason, correlationId },
    ...(windowMs === undefined ? {} : { windowMs }),
    ...(promotion === undefined ? {} : { promotion }),
  };
}

/** A rollout out of its record. */
export function rolloutFromRecord(record: StoredRecord): Rollout {
  const c = record.columns;
  const body = record.body as unknown as RolloutBody;
  const before = { strategy: 'canary', onComplete: 'candidate', rollbackWatchMs: 0, frozen: {} };
  return {
    ...(before as Pick<Rollout, 'strategy' | 'onComplete' | 'rollbackWatchMs' | 'frozen'>),
    ...body,
    id: record.id,
    deploymentId: c['deploymentId'] as string,
    candidateVersionId: c['candidateVersionId'] as string,
    baselineVersionId: c['baselineVersionId'] as string,
    status: c['status'] as RolloutStatus,
    stepIndex: c['stepIndex'] as number,
    beganAt: c['beganAt'] as number,
    stepBeganAt: c['stepBeganAt'] as number,
    evaluatedAt: c['evaluatedAt'] as number,
    revision: record.revision,
  };
}

/** Whether nothing happens with it any more. */
export function hasEnded({ status }: Pick<Rollout, 'status'>): boolean {
  return status !== 'IN_PROGRESS' && status !== 'PAUSED';
}
