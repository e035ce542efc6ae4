import type { ModelSignature } from '../contracts/model-runtime.ts';
import type { ModelVersion } from '../registry/model-version.ts';
import { signatureBreaks } from '../registry/signature-breaks.ts';
import { directionByName } from '../tracking/metric-direction.ts';
import type { Environment } from './deployment.ts';
import type { Strategy } from './revision.ts';
import { planOf, type StrategyPlan } from './strategies.ts';
import type { RolloutPolicy } from './strategy-policy.ts';

/** What of a version is looked at. */
export type RiskFacts = Pick<
  ModelVersion,
  'id' | 'signature' | 'format' | 'sizeBytes' | 'metrics' | 'lineage' | 'validations'
>;

/** What a risk score is made of. */
export interface RiskInputs {
  readonly candidate: RiskFacts;
  /** What answers now. */
  readonly baseline: RiskFacts;
  readonly environment: Environment;
  /** Whether the deployment has had the candidate before, and what came of it; left out where it has not. */
  readonly before?: 'good' | 'turned back';
}

/** What a difference adds to the score. */
export interface RiskReason {
  readonly what:
    | 'signature'
    | 'format'
    | 'size'
    | 'metrics'
    | 'parent'
    | 'validations'
    | 'history'
    | 'environment';
  /** Below 0 where it makes the change safer. */
  readonly points: number;
  readonly why: string;
}

/** How risky it is to let one version follow another. */
export interface Risk {
  /** 0 to 100: the sum of the reasons' points. */
  readonly score: number;
  /** Those that count, the weightiest first. */
  readonly reasons: readonly RiskReason[];
}

/** A strategy for a risk. */
export interface StrategySuggestion extends Risk {
  readonly strategy: Strategy;
  /** The numbers that differ from the strategy's own. */
  readonly policy: RolloutPolicy;
  readonly steps: StrategyPlan['steps'];
}

const minuteMs = 60_000;

/** For what is riskier than the usual: from one percent on, and longer. */
const careful: RolloutPolicy = {
  steps: [
    { weightPercent: 1, durationMs: 30 * minuteMs, accuracy: false, drift: false },
    { weightPercent: 5, durationMs: 60 * minuteMs, accuracy: false, drift: false },
    { weightPercent: 25, durationMs: 120 * minuteMs },
    { weightPercent: 50, durationMs: 120 * minuteMs },
    { weightPercent: 75, durationMs: 60 * minuteMs, manual: true },
  ],
};

/** From which score on which strategy is suggested, the riskiest first. */
const suggestions: readonly (readonly [number, Strategy, RolloutPolicy])[] = [
  [70, 'canary', careful],
  [35, 'canary', {}],
  [20, 'blue-green', {}],
  [10, 'rolling', {}],
  [0, 'immediate', {}],
];

/** A strategy for what changes between two versions; the same for the same facts. */
export function suggestStrategy(inputs: RiskInputs): StrategySuggestion {
  const risk = riskOf(inputs);
  const found = suggestions.find(([from]) => risk.score >= from);
  const [, strategy, policy] = found ?? ([0, 'canary', {}] as const);
  return { ...risk, strategy, policy, steps: planOf(strategy, policy).steps };
}

/** The score of what changes between two versions, with each part of it. */
function riskOf(inputs: RiskInputs): Risk {
  const { candidate, baseline } = inputs;
  const all: readonly RiskReason[] = [
    ofSignature(candidate.signature, baseline.signature),
    ofFormat(candidate.format, baseline.format),
    ofSize(candidate.sizeBytes, baseline.sizeBytes),
    ofMetrics(candidate.metrics, baseline.metrics),
    ofParent(candidate, baseline.id),
    ofValidations(candidate.validations),
    ofHistory(inputs.before),
    ofEnvironment(inputs.environment),
  ];
  const reasons = all
    .filter(({ points }) => points !== 0)
    .toSorted((a, b) => Math.abs(b.points) - Math.abs(a.points));
  const sum = reasons.reduce((total, { points }) => total + points, 0);
  return { score: Math.min(100, Math.max(0, sum)), reasons };
}

function ofSignature(
  candidate: ModelSignature | undefined,
  baseline: ModelSignature | undefined,
): RiskReason {
  const what = 'signature';
  if (candidate === undefined || baseline === undefined)
    return { what, points: 15, why: 'one of the two has none, so callers may be refused' };
  const breaks = signatureBreaks(baseline, candidate);
  if (breaks.length > 0)
    return { what, points: 40, why: `callers may be refused: ${breaks.slice(0, 5).join(', ')}` };
  const differs = signatureBreaks(candidate, baseline).length > 0;
  return { what, points: differs ? 10 : 0, why: 'it takes or gives more than before' };
}

function ofFormat(candidate: string, baseline: string): RiskReason {
  const points = candidate === baseline ? 0 : 20;
  return { what: 'format', points, why: `${candidate} after ${baseline}: another runtime` };
}

function ofSize(candidate: number, baseline: number): RiskReason {
  const [small, large] = [candidate, baseline].toSorted((a, b) => a - b) as [number, number];
  const ratio = large === small ? 1 : large / Math.max(1, small);
  const points = ratio >= 10 ? 15 : ratio >= 2 ? 8 : ratio >= 1.25 ? 3 : 0;
  const times = ratio >= 10 ? ratio.toFixed(0) : ratio.toFixed(1);
  const how = candidate > baseline ? 'larger' : 'smaller';
  return { what: 'size', points, why: `${times} times ${how}: other load times and latencies` };
}

/** The worst metric counts; a leap is as often a leak as it is luck. */
function ofMetrics(
  candidate: Readonly<Record<string, number>>,
  baseline: Readonly<Record<string, number>>,
): RiskReason {
  const what = 'metrics';
  const compared = Object.entries(baseline).flatMap(([name, before]) => {
    const after = candidate[name];
    const better = directionByName(name);
    if (after === undefined || better === undefined) return [];
    const loss = better === 'higher' ? before - after : after - before;
    const share = loss === 0 ? 0 : loss / Math.max(Math.abs(before), Number.MIN_VALUE);
    // What is no number is worse than any.
    return [{ name, before, after, loss: Number.isNaN(share) ? Number.POSITIVE_INFINITY : share }];
  });
  const [worst] = compared.toSorted((a, b) => b.loss - a.loss);
  const best = compared.toSorted((a, b) => a.loss - b.loss)[0];
  if (worst === undefined || best === undefined)
    return { what, points: 15, why: 'no metric of both says which is better' };
  const told = ({ name, before, after }: typeof worst): string => `${name} ${before} → ${after}`;
  if (worst.loss > 0) {
    const points = worst.loss > 0.05 ? 30 : worst.loss > 0.01 ? 15 : 5;
    return { what, points, why: `worse: ${told(worst)}` };
  }
  const leap = best.loss < -0.2;
  return { what, points: leap ? 10 : 0, why: `better by a leap: ${told(best)}` };
}

function ofParent({ id, lineage }: RiskFacts, baselineId: string): RiskReason {
  const points = id === baselineId || lineage.parentVersionIds.includes(baselineId) ? 0 : 10;
  return { what: 'parent', points, why: 'it is not known to come from what answers now' };
}

function ofValidations(validations: RiskFacts['validations']): RiskReason {
  const failed = Object.entries(validations).filter(([, outcome]) => outcome === 'FAILED');
  const names = failed.map(([name]) => name).join(', ');
  return { what: 'validations', points: failed.length > 0 ? 25 : 0, why: `failed: ${names}` };
}

function ofHistory(before: RiskInputs['before']): RiskReason {
  const what = 'history';
  if (before === 'turned back') return { what, points: 30, why: 'it was turned back here before' };
  const points = before === 'good' ? -30 : 0;
  return { what, points, why: 'it has answered here before' };
}

function ofEnvironment(environment: Environment): RiskReason {
  const points = { DEVELOPMENT: -60, STAGING: -25, PRODUCTION: 0 }[environment];
  return { what: 'environment', points, why: `the deployment is for ${environment}` };
}
