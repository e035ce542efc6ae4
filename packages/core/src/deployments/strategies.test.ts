import { describe, expect, test } from 'vitest';
import { isKeelsonError } from '../errors.ts';
import type { Gate } from './gate.ts';
import type { Strategy } from './revision.ts';
import { assertSteps } from './rollout.ts';
import { planOf } from './strategies.ts';
import { checkPolicy, type RolloutPolicy } from './strategy-policy.ts';

const minuteMs = 60_000;

/** The steps of a plan, as `5 % 10 min: gates`. */
function told(strategy: Strategy, policy: RolloutPolicy = {}): readonly string[] {
  return planOf(strategy, policy).steps.map(
    ({ weightPercent, minDurationMs, shadow, warm, manual, gates }) =>
      [
        `${weightPercent} % ${minDurationMs / minuteMs} min`,
        ...(shadow ? ['shadow'] : []),
        ...(warm === true ? ['warm'] : []),
        ...(manual === true ? ['manual'] : []),
        gates.map(({ gate }) => gate).join(' '),
      ].join(': '),
  );
}

function gate<K extends Gate['gate']>(
  policy: RolloutPolicy,
  kind: K,
  step: number,
  strategy: Strategy = 'canary',
): Extract<Gate, { readonly gate: K }> | undefined {
  const found = planOf(strategy, policy).steps[step]?.gates.find((each) => each.gate === kind);
  return found as Extract<Gate, { readonly gate: K }> | undefined;
}

describe('the plan of', () => {
  test('a canary is the table of the specification', () => {
    const always = 'ready error-limit error-rate latency latency';
    expect(told('canary')).toEqual([
      `5 % 10 min: ${always}`,
      `25 % 30 min: ${always} accuracy`,
      `50 % 60 min: ${always} accuracy drift`,
      `75 % 30 min: manual: ${always} accuracy drift`,
      '100 % 0 min: ',
    ]);
    expect(gate({}, 'error-limit', 0)).toMatchObject({ goAt: 0.001, backAbove: 0.005 });
    expect(gate({}, 'error-limit', 1)).toMatchObject({ goAt: 0.001, backAbove: 0.002 });
    expect(gate({}, 'latency', 0)).toMatchObject({ quantile: 0.95, goRatio: 1.1, backRatio: 1.5 });
    expect(gate({}, 'accuracy', 1)).toMatchObject({ goMargin: 0.02, backMargin: 0.05 });
  });

  test('blue-green is checked before the switch and watched after it', () => {
    expect(told('blue-green')).toEqual([
      '0 % 0 min: warm: ready',
      '100 % 10 min: ready error-limit latency',
    ]);
    const policy = {};
    expect(gate(policy, 'error-limit', 1, 'blue-green')).toMatchObject({ backAbove: 0.05 });
    expect(gate(policy, 'latency', 1, 'blue-green')).toMatchObject({ backRatio: 2 });
  });

  test('rolling goes batch by batch, immediate at once, a shadow gets no traffic', () => {
    expect(told('rolling').map((step) => step.split(':')[0])).toEqual([
      ...['25 % 1 min', '50 % 1 min', '75 % 1 min', '100 % 1 min'],
    ]);
    expect(told('rolling', { batchPercent: 40 })).toHaveLength(3);
    expect(gate({}, 'ready', 0, 'rolling')).toMatchObject({ failingPercent: 10 });
    expect(told('immediate')).toEqual(['100 % 5 min: ready error-limit']);
    expect(gate({}, 'error-limit', 0, 'immediate')).toMatchObject({ backAbove: 0 });
    expect(told('shadow')).toEqual(['0 % 60 min: shadow: ready error-limit error-rate']);
    expect(planOf('shadow').onComplete).toBe('baseline');
    expect(planOf('shadow', { promote: true }).onComplete).toBe('candidate');
  });

  test.each<Strategy>(['canary', 'blue-green', 'rolling', 'immediate', 'shadow'])(
    '%s can be followed, and has a deadline at each step',
    (strategy) => {
      const { steps, onComplete, onInconclusive } = planOf(strategy);
      expect(assertSteps(steps, onComplete)).toBe(steps);
      expect(onInconclusive).toBe('fail');
      for (const step of steps) {
        expect(step.maxDurationMs).toBeGreaterThanOrEqual(Math.max(step.minDurationMs, 1));
      }
    },
  );
});

describe('a number of a policy', () => {
  test('takes the place of that of the table, in every step', () => {
    const policy = { errors: { goAt: 0.02, backAbove: 0.1 }, latency: { quantiles: [0.5] } };
    for (const step of [0, 1, 2, 3]) {
      expect(gate(policy, 'error-limit', step)).toMatchObject({ goAt: 0.02, backAbove: 0.1 });
      expect(gate(policy, 'latency', step)).toMatchObject({ quantile: 0.5, goRatio: 1.1 });
    }
  });

  test('of a step goes before that of the policy', () => {
    const policy = {
      errors: { backAbove: 0.1, minimumRequests: 7 },
      steps: [
        { weightPercent: 10, durationMs: minuteMs, errors: { backAbove: 0.2 } },
        { weightPercent: 90, durationMs: minuteMs, errors: false, accuracy: false },
      ],
    } as const;
    expect(told('canary', policy).map((step) => step.split(' min')[0])).toEqual([
      ...['10 % 1', '90 % 1', '100 % 0'],
    ]);
    expect(gate(policy, 'error-limit', 0)).toMatchObject({ backAbove: 0.2, minimumRequests: 7 });
    expect(gate(policy, 'error-limit', 1)).toBeUndefined();
    expect(gate(policy, 'accuracy', 0)).toBeDefined();
    expect(gate(policy, 'accuracy', 1)).toBeUndefined();
  });

  test('that is false leaves the gate out of every step', () => {
    const policy = { accuracy: false, drift: false, latency: false, ready: false } as const;
    for (const step of told('canary', policy).slice(0, 4))
      expect(step).toMatch(/: error-limit error-rate$/);
  });

  test('asks for a shadow where labels are to compare both', () => {
    const [first] = planOf('canary', { paired: { margin: 0.01 } }).steps;
    expect(first?.shadow).toBe(true);
    expect(gate({ paired: { margin: 0.01 } }, 'paired-accuracy', 0)?.margin).toBe(0.01);
  });

  test.each<[string, Strategy, object]>([
    ['errors.backAbove', 'canary', { errors: { backAbove: 2 } }],
    ['errors', 'canary', { errors: { back: 0.1 } }],
    ['steps.0.weightPercent', 'canary', { steps: [{ weightPercent: 0, durationMs: 1 }] }],
    ['alpha', 'canary', { alpha: 0 }],
    ['steps', 'rolling', { steps: [{ weightPercent: 5, durationMs: 1 }] }],
    ['batchPercent', 'canary', { batchPercent: 10 }],
    ['promote', 'immediate', { promote: true }],
    ['metrics.0.go', 'canary', { metrics: [{ figure: 'x' }] }],
  ])('is refused by its name: %s', (field, strategy, policy) => {
    try {
      checkPolicy(strategy, policy);
      expect.fail('It was not refused.');
    } catch (error) {
      if (!isKeelsonError(error, 'INVALID')) throw error;
      expect(error.message).toContain(field);
    }
  });
});

test('the level is shared by all tests of a rollout, each of which goes on from step to step', () => {
  const { steps } = planOf('canary', { alpha: 0.04 });
  const tests = new Map<string, number>();
  for (const { gates } of steps) {
    for (const each of gates) if ('alpha' in each) tests.set(JSON.stringify(each), each.alpha);
  }
  // Two limits of errors (0.5 % and 0.2 %), the comparison, two quantiles, accuracy and drift.
  expect(tests.size).toBe(7);
  expect([...tests.values()].reduce((sum, each) => sum + each, 0)).toBeCloseTo(0.04);
});
