import { describe, expect, test } from 'vitest';
import type { JsonObject } from '../json.ts';
import { decideGate, type Gate } from './gate.ts';

type Counts = readonly [canary: number, canaryBad: number, baseline: number, baselineBad: number];

function window([canaryRequests, canaryBad, baselineRequests, baselineBad]: Counts): JsonObject {
  return { canaryRequests, canaryBad, baselineRequests, baselineBad };
}

const of = (...windows: readonly Counts[]): JsonObject => ({ windows: windows.map(window) });
const alpha = 0.05;

describe('error-limit', () => {
  const gate: Gate = {
    ...{ gate: 'error-limit', goAt: 0.01, backAbove: 0.05, alpha, minimumRequests: 100 },
  };

  test.each<[string, Counts, string]>([
    ['nothing is inconclusive', [0, 0, 1000, 0], 'INCONCLUSIVE'],
    ['too few are inconclusive, however good', [99, 0, 1000, 0], 'INCONCLUSIVE'],
    ['enough and good enough go on', [100, 1, 0, 0], 'PASS'],
    ['between the two limits it waits', [1000, 30, 0, 0], 'INCONCLUSIVE'],
    ['a bad share that may be chance waits', [10, 1, 0, 0], 'INCONCLUSIVE'],
    ['shown to be above it turns back, with few requests too', [12, 8, 0, 0], 'FAIL'],
    ['the baseline does not excuse it', [1000, 200, 1000, 200], 'FAIL'],
  ])('%s', (_, counts, outcome) => {
    expect(decideGate(gate, of(counts)).outcome).toBe(outcome);
  });

  test('of 0 turns back by the first that fails', () => {
    const strict = { ...gate, goAt: 0, backAbove: 0, alpha: 0 };
    expect(decideGate(strict, of([1000, 1, 0, 0])).outcome).toBe('FAIL');
    expect(decideGate(strict, of([1000, 0, 0, 0])).outcome).toBe('PASS');
    expect(decideGate({ ...strict, minimumRequests: 0 }, of()).outcome).toBe('INCONCLUSIVE');
  });
});

describe('error-rate that goes on unless it is shown to be worse', () => {
  const line = { ratio: 1, margin: 0 };
  const gate: Gate = {
    ...{ gate: 'error-rate', alpha, worse: line, noWorse: { ratio: 1.25, margin: 0 } },
    ...{ minimumCanaryRequests: 100, passes: 'not-worse' },
  };

  test.each<[string, readonly Counts[], string]>([
    ['no data waits', [], 'INCONCLUSIVE'],
    ['too few wait', [[99, 0, 900, 0]], 'INCONCLUSIVE'],
    ['alike goes on', [[200, 2, 3800, 38]], 'PASS'],
    ['worse turns back before there are enough', [[30, 8, 600, 6]], 'FAIL'],
    ['both worse goes on: it is not the candidate', [[200, 40, 3800, 760]], 'PASS'],
  ])('%s', (_, windows, outcome) => {
    expect(decideGate(gate, of(...windows)).outcome).toBe(outcome);
  });

  test('windows of other weights are not lumped together', () => {
    // The share of errors is the same in both arms, first with 5 % weight and few errors, then with 50 % and many.
    const apart = of([500, 5, 9500, 95], [5000, 1000, 5000, 1000]);
    expect(decideGate(gate, apart).outcome).toBe('PASS');
    const together = of([5500, 1005, 14_500, 1095]);
    expect(decideGate(gate, together).outcome).toBe('FAIL');
  });
});

describe('latency', () => {
  const gate: Gate = {
    ...{ gate: 'latency', quantile: 0.95, goRatio: 1.1, backRatio: 1.5 },
    ...{ alpha, minimumRequests: 100 },
  };
  const limits = (go: Counts, back: Counts): JsonObject => ({
    limits: [[window(go)], [window(back)]],
  });

  test.each<[string, JsonObject, string]>([
    ['nothing is inconclusive', {}, 'INCONCLUSIVE'],
    ['as fast goes on', limits([200, 8, 3800, 150], [200, 1, 3800, 20]), 'PASS'],
    ['a little slower waits', limits([200, 30, 3800, 150], [200, 8, 3800, 20]), 'INCONCLUSIVE'],
    ['much slower turns back', limits([200, 90, 3800, 150], [200, 80, 3800, 20]), 'FAIL'],
    [
      'where the baseline is as slow it is not the candidate',
      limits([200, 90, 3800, 1710], [200, 80, 3800, 1520]),
      'PASS',
    ],
  ])('%s', (_, inputs, outcome) => {
    expect(decideGate(gate, inputs).outcome).toBe(outcome);
  });
});

describe('where requests come from users who are known', () => {
  const compared: Gate = {
    ...{ gate: 'error-rate', worse: { ratio: 1, margin: 0 }, noWorse: { ratio: 1.25, margin: 0 } },
    ...{ alpha, minimumCanaryRequests: 100, passes: 'not-worse' },
  };
  const limit: Gate = {
    ...{ gate: 'error-limit', goAt: 0.02, backAbove: 0.05, alpha, minimumRequests: 100 },
  };
  const bad: Counts = [200, 60, 800, 8];
  const well: Counts = [200, 2, 800, 8];
  const many: Counts = [100, 40, 400, 4];
  const few: Counts = [4, 2, 16, 0];
  const inputs = (requests: Counts, ...stages: readonly Counts[]): JsonObject => ({
    windows: [window(requests)],
    units: stages.map((counts) => [window(counts)]),
  });

  test.each<[string, Gate, JsonObject, string]>([
    ['one who fails again and again shows nothing', compared, inputs(bad, few), 'PASS'],
    ['nor of a limit, though it holds', limit, inputs(bad, few), 'INCONCLUSIVE'],
    ['many who fail turn back', compared, inputs(bad, many), 'FAIL'],
    ['so they do of a limit', limit, inputs(bad, many), 'FAIL'],
    ['in a later stage too', limit, inputs(bad, [0, 0, 0, 0], few, many), 'FAIL'],
    ['what goes on is counted in requests', limit, inputs(well, few), 'PASS'],
  ])('%s', (_, gate, given, outcome) => {
    expect(decideGate(gate, given).outcome).toBe(outcome);
  });

  test('the stages share the level', () => {
    // Enough in the first stage, where half of the level is; not in the fourth.
    const just: Counts = [30, 7, 0, 0];
    const none: Counts = [0, 0, 0, 0];
    expect(decideGate(limit, inputs(bad, just)).outcome).toBe('FAIL');
    expect(decideGate(limit, inputs(bad, none, none, none, just)).outcome).toBe('INCONCLUSIVE');
  });
});

test('latency alone turns back by what was before, where nobody else answers', () => {
  const gate: Gate = {
    ...{ gate: 'latency', quantile: 0.95, goRatio: 2, backRatio: 2, alpha, minimumRequests: 0 },
  };
  const inputs = { limits: [[window([200, 90, 0, 0])], [window([200, 90, 0, 0])]] };
  expect(decideGate(gate, inputs).outcome).not.toBe('FAIL');
  expect(decideGate({ ...gate, alone: true }, inputs).outcome).toBe('FAIL');
});

describe('the limit of accuracy', () => {
  const gate: Gate = {
    ...{ gate: 'accuracy-limit', goAt: 0.88, backBelow: 0.85, alpha, minimumLabels: 100 },
  };

  test.each<[string, Counts, string]>([
    ['no label is inconclusive', [0, 0, 0, 0], 'INCONCLUSIVE'],
    ['few are inconclusive', [50, 5, 0, 0], 'INCONCLUSIVE'],
    ['as right as asked goes on', [200, 22, 0, 0], 'PASS'],
    ['a little less waits', [200, 28, 0, 0], 'INCONCLUSIVE'],
    ['far less turns back, also of few', [60, 30, 0, 0], 'FAIL'],
  ])('%s', (_, counts, outcome) => {
    expect(decideGate(gate, of(counts)).outcome).toBe(outcome);
  });
});

describe('accuracy', () => {
  const gate: Gate = {
    ...{ gate: 'accuracy', goMargin: 0.02, backMargin: 0.05, alpha, minimumLabels: 100 },
  };

  test.each<[string, Counts, string]>([
    ['no label is inconclusive', [0, 0, 1000, 100], 'INCONCLUSIVE'],
    ['labels of one alone are inconclusive', [1000, 100, 0, 0], 'INCONCLUSIVE'],
    ['as right goes on', [200, 22, 1000, 100], 'PASS'],
    ['three in a hundred worse waits', [1000, 130, 1000, 100], 'INCONCLUSIVE'],
    ['far worse turns back', [200, 80, 1000, 100], 'FAIL'],
  ])('%s', (_, counts, outcome) => {
    expect(decideGate(gate, of(counts)).outcome).toBe(outcome);
  });
});

describe('drift', () => {
  const gate: Gate = { gate: 'drift', tolerance: 0.05, alpha, minimumItems: 50 };
  const answers = (
    candidate: Readonly<Record<string, number>>,
    baseline: Readonly<Record<string, number>>,
  ): JsonObject => ({ windows: [{ candidate, baseline }] });

  test.each<[string, JsonObject, string]>([
    ['nothing is inconclusive', {}, 'INCONCLUSIVE'],
    ['alike goes on', answers({ a: 60, b: 41 }, { a: 590, b: 410 }), 'PASS'],
    ['within the tolerance goes on', answers({ a: 63, b: 37 }, { a: 590, b: 410 }), 'PASS'],
    ['more of one class turns back', answers({ a: 200, b: 20 }, { a: 590, b: 410 }), 'FAIL'],
    ['a class that is new turns back', answers({ c: 100 }, { a: 590, b: 410 }), 'FAIL'],
    ['a class that is gone turns back', answers({ a: 300 }, { a: 500, b: 500 }), 'FAIL'],
    ['few are inconclusive', answers({ a: 10 }, { a: 500 }), 'INCONCLUSIVE'],
  ])('%s', (_, inputs, outcome) => {
    expect(decideGate(gate, inputs).outcome).toBe(outcome);
  });

  test('of very many classes counts the further ones together', () => {
    const many = (n: number): Record<string, number> =>
      Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`c${i}`, n]));
    expect(decideGate(gate, answers(many(2), many(20))).outcome).toBe('PASS');
  });
});

describe('metric', () => {
  const gate: Gate = {
    ...{ gate: 'metric', figure: 'revenue', go: { min: 9 }, back: { min: 8 }, minimumSamples: 30 },
  };

  test.each([
    ['no estimate is inconclusive', { samples: 500 }, 'INCONCLUSIVE'],
    ['good goes on', { estimate: 10, low: 9.5, high: 10.5, samples: 30 }, 'PASS'],
    ['good from few waits', { estimate: 10, low: 7, high: 13, samples: 29 }, 'INCONCLUSIVE'],
    ['below it waits', { estimate: 8.5, low: 7.5, high: 9.5, samples: 99 }, 'INCONCLUSIVE'],
    ['surely below turns back', { estimate: 7, low: 6.5, high: 7.9, samples: 5 }, 'FAIL'],
    ['without an interval the estimate counts', { estimate: 7, samples: 50 }, 'FAIL'],
  ] as const)('%s', (_, figures, outcome) => {
    expect(decideGate(gate, {}, figures).outcome).toBe(outcome);
  });
});

describe('ready', () => {
  const gate: Gate = { gate: 'ready', failingPercent: 10 };

  test.each<[string, JsonObject, string]>([
    ['nobody says so', {}, 'INCONCLUSIVE'],
    ['all live', { live: 4, replicas: 4 }, 'PASS'],
    ['one of twenty fails', { live: 19, replicas: 20 }, 'PASS'],
    ['two of four fail', { live: 2, replicas: 4 }, 'FAIL'],
    ['it cannot be loaded', { live: 0, replicas: 1 }, 'FAIL'],
  ])('%s', (_, inputs, outcome) => {
    expect(decideGate(gate, inputs).outcome).toBe(outcome);
  });
});
