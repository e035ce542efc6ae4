import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Route } from '../contracts/traffic-router.ts';
import { decideGate, type Gate, type GateVerdict } from './gate.ts';
import {
  assertSteps,
  decideRollout,
  type RolloutStep,
  routeOfStep,
  routeOfVersion,
} from './rollout.ts';

const paired: Gate = {
  gate: 'paired-accuracy',
  needs: 'no-worse',
  margin: 0.05,
  alpha: 0.05,
  minimumItems: 20,
};
const step: RolloutStep = {
  weightPercent: 25,
  shadow: true,
  gates: [paired],
  minDurationMs: 100,
  maxDurationMs: 1000,
};
const steps = [step, { ...step, weightPercent: 100 }];

function verdict(outcome: GateVerdict['outcome']): GateVerdict {
  return { gate: paired, outcome, test: {}, inputs: {} };
}

describe('decideRollout', () => {
  test.each([
    ['a failed gate turns back at once', ['FAIL', 'PASS'], 1, 'rollback'],
    ['a failed gate turns back however late', ['FAIL'], 5000, 'rollback'],
    ['what passed early waits for its time', ['PASS'], 99, 'hold'],
    ['what passed in its time goes on', ['PASS', 'PASS'], 100, 'advance'],
    ['no gates: the time alone', [], 100, 'advance'],
    ['one gate still open holds', ['PASS', 'INCONCLUSIVE'], 500, 'hold'],
    ['open at the longest time: for a person', ['INCONCLUSIVE'], 1000, 'pause'],
  ] as const)('%s', (_, outcomes, servedMs, action) => {
    const rollout = { steps, stepIndex: 0, stepBeganAt: 10, onInconclusive: 'pause' } as const;
    expect(decideRollout(rollout, outcomes.map(verdict), 10 + servedMs).action).toBe(action);
  });

  test('the last step completes, and inconclusive may mean rollback', () => {
    const last = { steps, stepIndex: 1, stepBeganAt: 0, onInconclusive: 'rollback' } as const;
    expect(decideRollout(last, [verdict('PASS')], 100).action).toBe('complete');
    expect(decideRollout(last, [verdict('INCONCLUSIVE')], 1000).action).toBe('rollback');
  });
});

describe('routes', () => {
  const base: Route = { deploymentId: 'd', targets: [], rules: [], shadows: [] };
  const versions = {
    candidateVersionId: 'c',
    baselineVersionId: 'b',
    candidate: 'm@2',
    baseline: 'm@1',
  };

  test('weights always sum to 100, and nobody has 0', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 100 }), fc.boolean(), (weightPercent, shadow) => {
        const route = routeOfStep(base, versions, { ...step, weightPercent, shadow });
        const weights = route.targets.map((target) => target.weightPercent);
        expect(weights.reduce((sum, weight) => sum + weight, 0)).toBe(100);
        expect(weights.every((weight) => weight > 0)).toBe(true);
        expect(route.fallbackVersionId).toBe('b');
        if (!shadow) expect(route.shadows).toEqual([]);
      }),
    );
  });

  test('an ended rollout leaves neither shadows nor a fallback', () => {
    const during = routeOfStep(base, versions, step);
    expect(routeOfVersion(during, 'c', 'm@2')).toEqual({
      deploymentId: 'd',
      rules: [],
      shadows: [],
      targets: [{ versionId: 'c', weightPercent: 100, key: 'm@2' }],
    });
  });

  test.each([
    ['none', []],
    ['not ending with all traffic', [step]],
    [
      'taking traffic away',
      [{ ...step, weightPercent: 50 }, step, { ...step, weightPercent: 100 }],
    ],
    ['more than all', [{ ...step, weightPercent: 101 }]],
    ['no number', [{ ...step, weightPercent: Number.NaN }]],
    [
      'nothing for the candidate',
      [
        { ...step, weightPercent: 0, shadow: false },
        { ...step, weightPercent: 100 },
      ],
    ],
  ])('steps are refused: %s', (_, bad) => {
    expect(() => assertSteps(bad)).toThrow('The rollout');
  });
});

describe('decideGate', () => {
  test('no data is inconclusive, never success', () => {
    expect(decideGate(paired, {}).outcome).toBe('INCONCLUSIVE');
    const errors: Gate = {
      gate: 'error-rate',
      alpha: 0.05,
      worse: { ratio: 1, margin: 0 },
      noWorse: { ratio: 1.25, margin: 0 },
      minimumCanaryRequests: 10,
    };
    expect(decideGate(errors, { windows: [] }).outcome).toBe('INCONCLUSIVE');
    expect(decideGate(errors, {}).outcome).toBe('INCONCLUSIVE');
  });

  test('a clearly worse candidate fails, a clearly better one passes', () => {
    const counts = { bothRight: 100, candidateOnly: 2, baselineOnly: 60, bothWrong: 10 };
    expect(decideGate(paired, counts).outcome).toBe('FAIL');
    expect(decideGate(paired, { ...counts, candidateOnly: 60, baselineOnly: 2 }).outcome).toBe(
      'PASS',
    );
  });
});
