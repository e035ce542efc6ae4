import { decideGate, type Gate, type GateVerdict } from '../src/deployments/gate.ts';
import { decideRollout, type Rollout } from '../src/deployments/rollout.ts';
import { planOf } from '../src/deployments/strategies.ts';
import type { RolloutPolicy } from '../src/deployments/strategy-policy.ts';
import type { JsonObject } from '../src/json.ts';
import { quantile, type SeededRandom, seededRandom } from '../src/statistics/index.ts';

/** How a version answers in a simulation. */
export interface SimulatedVersion {
  readonly errors: number;
  /** Its median latency against that of the baseline. */
  readonly slowness: number;
  readonly accuracy: number;
}

/** A canary that is simulated: no stores, no clock, the gates and decisions of real ones. */
export interface SimulatedCanary {
  readonly seed: number;
  readonly policy: RolloutPolicy;
  readonly baseline: SimulatedVersion;
  readonly candidate: SimulatedVersion;
  readonly requestsPerLook: number;
  readonly lookMs: number;
}

/** How it ended. */
export interface SimulatedEnd {
  readonly action: 'complete' | 'rollback' | 'fail';
  readonly reason: string;
  /** What the candidate had answered by then. */
  readonly canaryRequests: number;
  readonly looks: number;
}

interface Window {
  canaryRequests: number;
  canaryBad: number;
  baselineRequests: number;
  baselineBad: number;
}

/** What is counted: failures, wrong answers, and for each latency gate answers above its two limits. */
type Counted = 'errors' | 'accuracy' | `${number}:${number}`;

const baselineSamples = 1000;

/** Runs one canary to its end. */
export function simulateCanary(canary: SimulatedCanary): SimulatedEnd {
  const random = seededRandom(canary.seed);
  const { steps, onInconclusive } = planOf('canary', canary.policy);
  const gates = steps.flatMap((step) => step.gates);
  const latencies = Array.from({ length: baselineSamples }, () => Math.exp(0.5 * random.normal()));
  latencies.sort((a, b) => a - b);
  const limits = latencyLimits(gates, latencies);
  const windows = new Map<Counted, Window[]>();
  let [stepIndex, stepBeganAt, at, canaryRequests] = [0, 0, 0, 0];
  for (let looks = 1; looks < 100_000; looks += 1) {
    const step = steps[stepIndex];
    if (step === undefined) throw new Error('It stands behind its last step.');
    at += canary.lookMs;
    canaryRequests += draw(random, canary, step.weightPercent / 100, limits, windows);
    const verdicts = step.gates.map((gate) => decided(gate, windows));
    const rollout: Pick<Rollout, 'steps' | 'stepIndex' | 'stepBeganAt' | 'onInconclusive'> = {
      ...{ steps, stepIndex, stepBeganAt, onInconclusive },
    };
    const { action, reason } = decideRollout(rollout, verdicts, at);
    if (action === 'complete' || action === 'rollback' || action === 'fail')
      return { action, reason, canaryRequests, looks };
    if (action !== 'advance') continue;
    stepIndex += 1;
    stepBeganAt = at;
  }
  throw new Error('It does not come to an end.');
}

function latencyLimits(
  gates: readonly Gate[],
  latencies: readonly number[],
): ReadonlyMap<Counted, number> {
  const limits = new Map<Counted, number>();
  for (const gate of gates) {
    if (gate.gate !== 'latency') continue;
    const frozen = quantile(latencies, gate.quantile);
    for (const ratio of [gate.goRatio, gate.backRatio])
      limits.set(`${gate.quantile}:${ratio}`, frozen * ratio);
  }
  return limits;
}

/** The requests of one look; answers how many of them the candidate got. */
function draw(
  random: SeededRandom,
  { baseline, candidate, requestsPerLook }: SimulatedCanary,
  weight: number,
  limits: ReadonlyMap<Counted, number>,
  windows: Map<Counted, Window[]>,
): number {
  const empty = (): Window => ({
    ...{ canaryRequests: 0, canaryBad: 0, baselineRequests: 0, baselineBad: 0 },
  });
  const fresh = new Map<Counted, Window>();
  const count = (what: Counted, isCanary: boolean, isBad: boolean): void => {
    const window = fresh.get(what) ?? empty();
    fresh.set(what, window);
    window[isCanary ? 'canaryRequests' : 'baselineRequests'] += 1;
    if (isBad) window[isCanary ? 'canaryBad' : 'baselineBad'] += 1;
  };
  let canaries = 0;
  for (let i = 0; i < requestsPerLook; i += 1) {
    const isCanary = random.chance(weight);
    const version = isCanary ? candidate : baseline;
    if (isCanary) canaries += 1;
    const failed = random.chance(version.errors);
    count('errors', isCanary, failed);
    count('accuracy', isCanary, failed || !random.chance(version.accuracy));
    const latency = version.slowness * Math.exp(0.5 * random.normal());
    if (failed) continue;
    for (const [what, limit] of limits) count(what, isCanary, latency > limit);
  }
  for (const [what, window] of fresh) windows.set(what, [...(windows.get(what) ?? []), window]);
  return canaries;
}

function decided(gate: Gate, windows: ReadonlyMap<Counted, readonly Window[]>): GateVerdict {
  const of = (what: Counted): JsonObject[] => [
    ...((windows.get(what) ?? []) as unknown as readonly JsonObject[]),
  ];
  if (gate.gate === 'latency') {
    const { quantile: share, goRatio, backRatio } = gate;
    return decideGate(gate, { limits: [of(`${share}:${goRatio}`), of(`${share}:${backRatio}`)] });
  }
  return decideGate(gate, { windows: of(gate.gate === 'accuracy' ? 'accuracy' : 'errors') });
}

const well: SimulatedVersion = { errors: 0.01, slowness: 1, accuracy: 0.9 };

/** The default canary; the absolute limits are where a baseline with 1 % errors keeps them. */
export const simulatedPolicy: RolloutPolicy = {
  errors: { goAt: 0.02, backAbove: 0.05 },
  ...{ drift: false, ready: false },
  steps: [5, 25, 50, 75].map((weightPercent, i) => ({
    ...{ weightPercent, durationMs: ([10, 30, 60, 30][i] ?? 0) * 60_000 },
    ...(i === 0 ? { accuracy: false as const } : {}),
  })),
};

/** A candidate that is exactly as good. */
export function nullCanary(seed: number): SimulatedEnd {
  return simulateCanary({
    ...{ seed, policy: simulatedPolicy, baseline: well, candidate: well },
    ...{ requestsPerLook: 300, lookMs: 150_000 },
  });
}

/** A candidate whose requests fail twenty times as often: 1 % → 20 %. */
export function failingCanary(seed: number): SimulatedEnd {
  return simulateCanary({
    ...{ seed, policy: simulatedPolicy, baseline: well, candidate: { ...well, errors: 0.2 } },
    ...{ requestsPerLook: 20, lookMs: 5_000 },
  });
}
