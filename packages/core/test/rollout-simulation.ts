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
  /** Users who are dealt out by a sticky key and come again; each request is another's when left out. */
  readonly users?: SimulatedUsers;
}

/** Users whose own requests resemble each other. */
export interface SimulatedUsers {
  readonly count: number;
  /** The standard deviation of the logarithm of their failures and latencies. */
  readonly spread: number;
  /** Whether tests are told of them; `false` counts requests, as if they were independent. */
  readonly counted: boolean;
}

interface User {
  readonly key: number;
  /** Below the candidate's weight it is the candidate's. */
  readonly place: number;
  readonly failing: number;
  readonly slowness: number;
  readonly busy: number;
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

/** What counts once for a user, in which stage: windows of them. */
interface Units {
  readonly seen: Set<string>;
  readonly windows: Map<Counted, Window[][]>;
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
  const users = usersOf(random, canary.users);
  const units: Units = { seen: new Set(), windows: new Map() };
  let [stepIndex, stepBeganAt, at, canaryRequests] = [0, 0, 0, 0];
  for (let looks = 1; looks < 100_000; looks += 1) {
    const step = steps[stepIndex];
    if (step === undefined) throw new Error('It stands behind its last step.');
    at += canary.lookMs;
    const weight = step.weightPercent / 100;
    const to = { windows, units, stage: stepIndex, users };
    canaryRequests += draw(random, canary, weight, limits, to);
    const known = canary.users?.counted === true ? units.windows : undefined;
    const verdicts = step.gates.map((gate) => decided(gate, windows, known));
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

function usersOf(random: SeededRandom, users: SimulatedUsers | undefined): readonly User[] {
  if (users === undefined) return [];
  const { count, spread } = users;
  // Their mean is one.
  const effect = (): number => Math.exp(spread * random.normal() - spread ** 2 / 2);
  return Array.from({ length: count }, (_, key) => ({
    ...{ key, place: random.uniform(), failing: effect(), slowness: effect() ** 0.5 },
    busy: effect(),
  }));
}

/** Somebody, the busy ones oftener. */
function somebody(random: SeededRandom, users: readonly User[]): User | undefined {
  for (let tries = 0; users.length > 0 && tries < 1000; tries += 1) {
    const user = users[Math.floor(random.uniform() * users.length)];
    if (user !== undefined && random.uniform() * 5 < user.busy) return user;
  }
  return users[0];
}

/** The requests of one look; answers how many of them the candidate got. */
function draw(
  random: SeededRandom,
  { baseline, candidate, requestsPerLook }: SimulatedCanary,
  weight: number,
  limits: ReadonlyMap<Counted, number>,
  to: {
    readonly windows: Map<Counted, Window[]>;
    readonly units: Units;
    readonly stage: number;
    readonly users: readonly User[];
  },
): number {
  const { windows, units, stage, users } = to;
  const empty = (): Window => ({
    ...{ canaryRequests: 0, canaryBad: 0, baselineRequests: 0, baselineBad: 0 },
  });
  const fresh = new Map<Counted, Window>();
  const freshUnits = new Map<Counted, Window>();
  const add = (all: Map<Counted, Window>, what: Counted, isCanary: boolean, isBad: boolean) => {
    const window = all.get(what) ?? empty();
    all.set(what, window);
    window[isCanary ? 'canaryRequests' : 'baselineRequests'] += 1;
    if (isBad) window[isCanary ? 'canaryBad' : 'baselineBad'] += 1;
  };
  const count = (what: Counted, isCanary: boolean, isBad: boolean, user?: User): void => {
    add(fresh, what, isCanary, isBad);
    if (user === undefined) return;
    const kind = what === 'errors' || what === 'accuracy' ? what : 'latency';
    const unit = `${kind}:${stage}:${isCanary}:${user.key}`;
    if (units.seen.has(unit)) return;
    add(freshUnits, what, isCanary, isBad);
  };
  let canaries = 0;
  for (let i = 0; i < requestsPerLook; i += 1) {
    const user = somebody(random, users);
    const isCanary = user === undefined ? random.chance(weight) : user.place < weight;
    const version = isCanary ? candidate : baseline;
    if (isCanary) canaries += 1;
    const failed = random.chance(Math.min(1, version.errors * (user?.failing ?? 1)));
    count('errors', isCanary, failed, user);
    const right = random.chance(version.accuracy ** (user?.failing ?? 1));
    count('accuracy', isCanary, failed || !right, user);
    const latency = version.slowness * (user?.slowness ?? 1) * Math.exp(0.5 * random.normal());
    for (const [what, limit] of failed ? [] : limits) count(what, isCanary, latency > limit, user);
    if (user === undefined) continue;
    const met = ['errors', 'accuracy', ...(failed ? [] : ['latency'])];
    for (const kind of met) units.seen.add(`${kind}:${stage}:${isCanary}:${user.key}`);
  }
  for (const [what, window] of freshUnits) {
    const stages = units.windows.get(what) ?? [];
    const upTo = Array.from(
      { length: Math.max(stages.length, stage + 1) },
      (_, i) => stages[i] ?? [],
    );
    upTo[stage] = [...(upTo[stage] ?? []), window];
    units.windows.set(what, upTo);
  }
  for (const [what, window] of fresh) windows.set(what, [...(windows.get(what) ?? []), window]);
  return canaries;
}

function decided(
  gate: Gate,
  windows: ReadonlyMap<Counted, readonly Window[]>,
  units: ReadonlyMap<Counted, readonly (readonly Window[])[]> | undefined,
): GateVerdict {
  const unitsOf = (what: Counted): JsonObject =>
    units === undefined ? {} : ({ units: units.get(what) ?? [[]] } as unknown as JsonObject);
  const of = (what: Counted): JsonObject[] => [
    ...((windows.get(what) ?? []) as unknown as readonly JsonObject[]),
  ];
  if (gate.gate === 'latency') {
    const { quantile: share, goRatio, backRatio } = gate;
    const whats = [`${share}:${goRatio}`, `${share}:${backRatio}`] as const;
    const stages = { units: whats.map((what) => unitsOf(what)['units'] ?? [[]]) };
    const known = units === undefined ? {} : stages;
    return decideGate(gate, { limits: whats.map(of), ...known });
  }
  const what = gate.gate === 'accuracy' ? 'accuracy' : 'errors';
  return decideGate(gate, { windows: of(what), ...unitsOf(what) });
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

/** A candidate that is exactly as good, for users who come twenty times and differ by a lot. */
export function nullCanaryOfUsers(seed: number, counted: boolean): SimulatedEnd {
  return simulateCanary({
    ...{ seed, policy: simulatedPolicy, baseline: well, candidate: well },
    ...{ requestsPerLook: 300, lookMs: 150_000, users: { count: 780, spread: 1.2, counted } },
  });
}

/** {@link failingCanary} for such users. */
export function failingCanaryOfUsers(seed: number): SimulatedEnd {
  return simulateCanary({
    ...{ seed, policy: simulatedPolicy, baseline: well, candidate: { ...well, errors: 0.2 } },
    ...{ requestsPerLook: 20, lookMs: 5_000, users: { count: 780, spread: 1.2, counted: true } },
  });
}

/** A candidate whose requests fail twenty times as often: 1 % → 20 %. */
export function failingCanary(seed: number): SimulatedEnd {
  return simulateCanary({
    ...{ seed, policy: simulatedPolicy, baseline: well, candidate: { ...well, errors: 0.2 } },
    ...{ requestsPerLook: 20, lookMs: 5_000 },
  });
}
