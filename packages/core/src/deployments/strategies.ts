import type { Gate } from './gate.ts';
import type { Strategy } from './revision.ts';
import type { RolloutStep } from './rollout.ts';
import type { CanaryStep, RolloutPolicy } from './strategy-policy.ts';

const minuteMs = 60_000;

/** The steps of a strategy, and what becomes of the deployment once all are passed. */
export interface StrategyPlan {
  readonly steps: readonly RolloutStep[];
  /** Who has the traffic in the end: a shadow may end without any. */
  readonly onComplete: 'candidate' | 'baseline';
  readonly onInconclusive: 'fail';
  readonly rollbackWatchMs: number;
  readonly windowMs: number;
}

/** The canary of the specification's table: each step with what differs from the policy's own. */
const canarySteps: readonly CanaryStep[] = [
  { weightPercent: 5, durationMs: 10 * minuteMs, accuracy: false, drift: false },
  {
    ...{ weightPercent: 25, durationMs: 30 * minuteMs, drift: false },
    errors: { backAbove: 0.002 },
  },
  { weightPercent: 50, durationMs: 60 * minuteMs, errors: { backAbove: 0.002 } },
  { weightPercent: 75, durationMs: 30 * minuteMs, errors: { backAbove: 0.002 }, manual: true },
];

const defaults = {
  canary: {
    errors: { goAt: 0.001, backAbove: 0.005, minimumRequests: 100 },
    comparison: { ratio: 1, margin: 0, minimumRequests: 100 },
    latency: { quantiles: [0.95, 0.99], goRatio: 1.1, backRatio: 1.5, minimumRequests: 100 },
    accuracy: { goMargin: 0.02, backMargin: 0.05, minimumLabels: 100 },
    drift: { tolerance: 0.1, minimumItems: 100 },
    ready: { failingPercent: 50 },
    durationMs: 0,
  },
  'blue-green': {
    errors: { goAt: 0.05, backAbove: 0.05, minimumRequests: 20 },
    latency: { quantiles: [0.95], goRatio: 2, backRatio: 2, minimumRequests: 20 },
    ready: { failingPercent: 0 },
    durationMs: 10 * minuteMs,
  },
  rolling: {
    errors: { goAt: 0.05, backAbove: 0.05, minimumRequests: 20 },
    ready: { failingPercent: 10 },
    durationMs: minuteMs,
  },
  immediate: {
    errors: { goAt: 0, backAbove: 0, minimumRequests: 1 },
    ready: { failingPercent: 0 },
    durationMs: 5 * minuteMs,
  },
  shadow: {
    errors: { goAt: 0.01, backAbove: 0.05, minimumRequests: 100 },
    comparison: { ratio: 1, margin: 0.01, minimumRequests: 100 },
    ready: { failingPercent: 50 },
    durationMs: 60 * minuteMs,
  },
} as const satisfies Record<Strategy, RolloutPolicy>;

/** Gates before their levels are dealt out. */
type GateOf<K extends Gate['gate']> = Extract<Gate, { readonly gate: K }>;

/** The plan of a strategy: what a policy leaves out is as the specification's table has it. */
export function planOf(strategy: Strategy, policy: RolloutPolicy = {}): StrategyPlan {
  const steps = shareLevels(stepsOf(strategy, policy), policy.alpha ?? 0.05);
  return {
    steps,
    onComplete: strategy === 'shadow' && policy.promote !== true ? 'baseline' : 'candidate',
    onInconclusive: 'fail',
    rollbackWatchMs: policy.rollbackWatchMs ?? 30 * minuteMs,
    windowMs: policy.windowMs ?? minuteMs,
  };
}

function stepsOf(strategy: Strategy, policy: RolloutPolicy): readonly RolloutStep[] {
  const durationMs = policy.durationMs ?? defaults[strategy].durationMs;
  const step = (more: Partial<RolloutStep>, gates: readonly Gate[]): RolloutStep => {
    const minDurationMs = more.minDurationMs ?? durationMs;
    const deadlineMs = policy.progressDeadlineMs ?? Math.max(60 * minuteMs, 4 * minDurationMs);
    const maxDurationMs = Math.max(minDurationMs, deadlineMs);
    return { weightPercent: 100, shadow: false, ...more, gates, minDurationMs, maxDurationMs };
  };
  const gates = gatesOf(strategy, policy);
  switch (strategy) {
    case 'canary': {
      const shadow = policy.paired !== undefined && policy.paired !== false;
      return [
        ...(policy.steps ?? canarySteps).map((each) =>
          step(
            {
              ...{ weightPercent: each.weightPercent, minDurationMs: each.durationMs, shadow },
              ...(each.manual === true ? { manual: true } : {}),
            },
            gatesOf(strategy, { ...policy, ...differing(policy, each) }),
          ),
        ),
        // Whoever has all of the traffic has passed; the step only says so.
        ...(policy.steps?.at(-1)?.weightPercent === 100 ? [] : [step({ minDurationMs: 0 }, [])]),
      ];
    }
    case 'blue-green': {
      const ready = gates.filter(({ gate }) => gate === 'ready');
      return [step({ weightPercent: 0, warm: true, minDurationMs: 0 }, ready), step({}, gates)];
    }
    case 'rolling': {
      const batch = policy.batchPercent ?? 25;
      const count = Math.ceil(100 / batch);
      return Array.from({ length: count }, (_, i) =>
        step({ weightPercent: Math.min(100, batch * (i + 1)) }, gates),
      );
    }
    case 'immediate':
      return [step({}, gates)];
    case 'shadow':
      return [step({ weightPercent: 0, shadow: true }, gates)];
  }
}

/** What a step has of its own, with the policy's numbers where it leaves them out. */
function differing(policy: RolloutPolicy, step: CanaryStep): Partial<RolloutPolicy> {
  const parts: Record<string, unknown> = {};
  for (const part of ['errors', 'latency', 'accuracy', 'drift'] as const) {
    const own = step[part];
    const common = policy[part];
    // What is left out of all steps stays out.
    if (own === undefined || common === false) continue;
    // The numbers that the user gives go before those of the table.
    const given = policy.steps === undefined ? { ...own, ...common } : { ...common, ...own };
    parts[part] = own === false ? false : given;
  }
  return parts;
}

function gatesOf(strategy: Strategy, policy: RolloutPolicy): readonly Gate[] {
  const own: RolloutPolicy = defaults[strategy];
  const part = <K extends keyof RolloutPolicy>(
    key: K,
  ): Exclude<RolloutPolicy[K], false> | undefined => {
    const given = policy[key];
    if (given === false || (given === undefined && own[key] === undefined)) return undefined;
    return { ...(own[key] as object), ...(given as object) } as Exclude<RolloutPolicy[K], false>;
  };
  const gates: Gate[] = [];
  const ready = part('ready');
  if (ready !== undefined) gates.push({ gate: 'ready', failingPercent: ready.failingPercent ?? 0 });
  const errors = part('errors');
  if (errors !== undefined) {
    const { goAt = 0.01, backAbove = 0.05, minimumRequests = 100 } = errors;
    gates.push({ gate: 'error-limit', goAt, backAbove, minimumRequests, alpha: 0 });
  }
  const comparison = part('comparison');
  if (comparison !== undefined) {
    const { ratio = 1, margin = 0, minimumRequests: minimumCanaryRequests = 100 } = comparison;
    const line = { ratio, margin };
    gates.push({
      ...{ gate: 'error-rate', worse: line, noWorse: { ratio: 1.25 * ratio, margin } },
      ...{ minimumCanaryRequests, passes: 'not-worse', alpha: 0 },
    });
  }
  const latency = part('latency');
  for (const quantile of latency?.quantiles ?? []) {
    const { goRatio = 1.1, backRatio = 1.5, minimumRequests = 100 } = latency ?? {};
    gates.push({ gate: 'latency', quantile, goRatio, backRatio, minimumRequests, alpha: 0 });
  }
  const accuracy = part('accuracy');
  if (accuracy !== undefined) {
    const { goMargin = 0.02, backMargin = 0.05, minimumLabels = 100 } = accuracy;
    gates.push({ gate: 'accuracy', goMargin, backMargin, minimumLabels, alpha: 0 });
  }
  const drift = part('drift');
  if (drift !== undefined) {
    const { tolerance = 0.1, minimumItems = 100 } = drift;
    gates.push({ gate: 'drift', tolerance, minimumItems, alpha: 0 });
  }
  const paired = part('paired');
  if (paired !== undefined) {
    const { margin = 0.02, minimumItems = 100 } = paired;
    const asked: GateOf<'paired-accuracy'> = {
      ...{ gate: 'paired-accuracy', needs: 'no-worse', margin, minimumItems, alpha: 0 },
    };
    gates.push(asked);
  }
  for (const { figure, go, back, minimumSamples = 1 } of policy.metrics ?? []) {
    const limits = back === undefined ? {} : { back };
    gates.push({ gate: 'metric', figure, go, ...limits, minimumSamples });
  }
  return gates;
}

/**
 * Deals the level out among the tests of all steps, so that they are wrong together no oftener. A test that several
 * steps ask is one: it goes on from step to step.
 */
function shareLevels(steps: readonly RolloutStep[], alpha: number): readonly RolloutStep[] {
  const tests = new Set(
    steps.flatMap(({ gates }) => gates.filter(isTest).map((gate) => JSON.stringify(gate))),
  );
  const each = alpha / Math.max(1, tests.size);
  return steps.map((step) => ({
    ...step,
    gates: step.gates.map((gate) => (isTest(gate) ? { ...gate, alpha: each } : gate)),
  }));
}

function isTest(gate: Gate): boolean {
  return 'alpha' in gate && !(gate.gate === 'error-limit' && gate.backAbove === 0);
}
