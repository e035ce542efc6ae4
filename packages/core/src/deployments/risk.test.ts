import { describe, expect, test } from 'vitest';
import { type RiskFacts, type RiskInputs, suggestStrategy } from './risk.ts';
import { assertSteps } from './rollout.ts';
import { checkPolicy } from './strategy-policy.ts';

const signature = {
  inputs: [{ name: 'x', datatype: 'FP64', shape: [-1, 2] }],
  outputs: [{ name: 'y', datatype: 'FP64', shape: [-1] }],
} as const;
const more = {
  ...signature,
  outputs: [...signature.outputs, { ...signature.outputs[0], name: 'z' }],
};
const other = { ...signature, inputs: [{ ...signature.inputs[0], shape: [-1, 3] }] };
const baseline: RiskFacts = {
  ...{ id: 'a', signature, format: 'ONNX', sizeBytes: 1000, validations: {} },
  metrics: { accuracy: 0.9, loss: 0.2, seen: 12 },
  lineage: { parentVersionIds: [] },
};
const { signature: _, ...unsigned } = baseline;

/** A candidate that comes from the baseline and differs in what is named. */
function asked(change: Partial<RiskFacts>, more: Partial<RiskInputs> = {}): RiskInputs {
  const candidate = { ...baseline, id: 'b', lineage: { parentVersionIds: ['a'] }, ...change };
  return { candidate, baseline, environment: 'PRODUCTION', ...more };
}

const metrics = (changed: Readonly<Record<string, number>>): Partial<RiskFacts> => ({
  metrics: { ...baseline.metrics, ...changed },
});
const unknownParent = { lineage: { parentVersionIds: ['c'] } };

describe('the risk of', () => {
  test.each<[string, RiskInputs, readonly string[]]>([
    ['nothing', asked({}), []],
    ['a signature that callers do not fit', asked({ signature: other }), ['signature 40']],
    ['a signature that gives more', asked({ signature: more }), ['signature 10']],
    ['no signature', asked({}, { baseline: unsigned }), ['signature 15']],
    ['another format', asked({ format: 'JS' }), ['format 20']],
    ['ten times the size', asked({ sizeBytes: 10_000 }), ['size 15']],
    ['a fifth of the size', asked({ sizeBytes: 200 }), ['size 8']],
    ['a little more', asked({ sizeBytes: 1300 }), ['size 3']],
    ['a metric that is much worse', asked(metrics({ accuracy: 0.8 })), ['metrics 30']],
    ['a metric that is worse', asked(metrics({ loss: 0.208 })), ['metrics 15']],
    ['a metric that is hardly worse', asked(metrics({ accuracy: 0.899 })), ['metrics 5']],
    ['the worst of several', asked(metrics({ accuracy: 0.99, loss: 0.3 })), ['metrics 30']],
    ['a metric that is none', asked(metrics({ loss: Number.NaN })), ['metrics 30']],
    ['a leap', asked(metrics({ loss: 0.1 })), ['metrics 10']],
    ['better by little', asked(metrics({ accuracy: 0.91 })), []],
    ['no metric in common', asked({ metrics: { seen: 9 } }), ['metrics 15']],
    ['an unknown parent', asked(unknownParent), ['parent 10']],
    ['a validation that failed', asked({ validations: { s: 'FAILED' } }), ['validations 25']],
    ['what was turned back', asked({}, { before: 'turned back' }), ['history 30']],
    [
      'what was good before, from elsewhere',
      asked({ ...unknownParent, format: 'JS' }, { before: 'good' }),
      ['history -30', 'format 20', 'parent 10'],
    ],
    [
      'the same outside of production',
      asked({ format: 'JS' }, { environment: 'STAGING' }),
      ['environment -25', 'format 20'],
    ],
  ])('%s', (_name, inputs, reasons) => {
    const { score, ...risk } = suggestStrategy(inputs);
    expect(risk.reasons.map(({ what, points }) => `${what} ${points}`)).toEqual(reasons);
    const sum = risk.reasons.reduce((total, { points }) => total + points, 0);
    expect(score).toBe(Math.max(0, sum));
  });
});

describe('what is suggested', () => {
  test.each<[string, RiskInputs, string]>([
    ['nothing changes', asked({}), '0 immediate 100'],
    ['its parent is not known', asked(unknownParent), '10 rolling 25,50,75,100'],
    ['it is of another format', asked({ format: 'JS' }), '20 blue-green 0,100'],
    ['callers may be refused', asked({ signature: other }), '40 canary 5,25,50,75,100'],
    [
      'callers may be refused, and it is worse',
      asked({ signature: other, ...metrics({ accuracy: 0.5 }) }),
      '70 canary 1,5,25,50,75,100',
    ],
    [
      'all is wrong',
      asked(
        {
          ...unsigned,
          ...unknownParent,
          ...metrics({ loss: 9 }),
          sizeBytes: 1e9,
          format: 'JS',
          validations: { s: 'FAILED' },
        },
        { before: 'turned back' },
      ),
      '100 canary 1,5,25,50,75,100',
    ],
  ])('where %s', (_name, inputs, due) => {
    const { score, strategy, steps, policy } = suggestStrategy(inputs);
    const weights = steps.map(({ weightPercent }) => weightPercent);
    expect(`${score} ${strategy} ${weights}`).toBe(due);
    expect(assertSteps(steps)).toBe(steps);
    expect(checkPolicy(strategy, policy)).toBe(policy);
  });
});
