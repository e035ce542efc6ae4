import { describe, expect, test } from 'vitest';
import { KeelsonError } from '../errors.ts';
import { canonicalJson } from '../json.ts';
import { retryPolicy } from './retry-options.ts';
import {
  afterFailure,
  classifyFailure,
  describeFailure,
  failureJson,
  StepError,
} from './step-policy.ts';

const withCode = (code: string) => Object.assign(new Error(code), { code });

describe('classifyFailure', () => {
  test.each([
    [new StepError('data', 'no rows'), 'data'],
    [new Error('wrapped', { cause: new StepError('permanent', 'x') }), 'permanent'],
    [new TypeError('fetch failed', { cause: withCode('ECONNREFUSED') }), 'transient'],
    [withCode('ENOSPC'), 'resource'],
    [withCode('ERR_MODULE_NOT_FOUND'), 'permanent'],
    [new KeelsonError('CORRUPT', 'x'), 'data'],
    [new KeelsonError('EXHAUSTED', 'x'), 'resource'],
    [new KeelsonError('FORBIDDEN', 'x'), 'permanent'],
    [new KeelsonError('FAILED', 'x', { cause: withCode('EACCES') }), 'permanent'],
    [new ReferenceError('x is not defined'), 'permanent'],
    [Object.assign(new Error('x'), { name: 'ZodError' }), 'data'],
    [new Error('what it was nobody knows'), 'transient'],
    ['thrown text', 'transient'],
  ])('%s is %s', (error, expected) => {
    expect(classifyFailure(error)).toBe(expected);
  });

  test('an error that is its own cause ends the search', () => {
    const error = new Error('round');
    error.cause = error;
    expect(classifyFailure(error)).toBe('transient');
  });
});

describe('describeFailure', () => {
  test('what is recorded can be stored, whatever was thrown, and is bounded', () => {
    const nasty = new Error(`\u0000\ud800${'x'.repeat(100_000)}`);
    for (const thrown of [
      nasty,
      '\u0000',
      undefined,
      null,
      5n,
      Symbol('s'),
      { toString: undefined },
    ]) {
      const failure = describeFailure(thrown);
      expect(canonicalJson(failureJson(failure)).length).toBeLessThan(40_000);
    }
    expect(describeFailure(nasty).message).toMatch(/^\\0\ufffdx+$/);
  });
});

describe('afterFailure', () => {
  const policy = retryPolicy({ limit: 3, delayMs: 100, factor: 2, maxDelayMs: 350 });

  test('delays grow to their bound, spread over the upper half, the same for everybody', () => {
    const bounds = [100, 200, 350];
    bounds.forEach((full, i) => {
      const drawn = Array.from({ length: 200 }, (_, n) => {
        const after = afterFailure(policy, 'transient', i + 1, `step-${n}`);
        expect(after).toEqual(afterFailure(policy, 'transient', i + 1, `step-${n}`));
        return after.next === 'retry' ? after.delayMs : Number.NaN;
      });
      expect(Math.min(...drawn)).toBeGreaterThanOrEqual(full / 2);
      expect(Math.max(...drawn)).toBeLessThanOrEqual(full);
      expect(Math.max(...drawn) - Math.min(...drawn)).toBeGreaterThan(full / 3);
    });
  });

  test('ends at the limit, saying so; at once for classes that are not worth it', () => {
    expect(afterFailure(policy, 'transient', 4, 's')).toEqual({ next: 'fail', exhausted: true });
    expect(afterFailure(policy, 'data', 1, 's')).toEqual({ next: 'fail', exhausted: false });
    expect(afterFailure(retryPolicy(undefined), 'transient', 1, 's')).toEqual({
      next: 'fail',
      exhausted: false,
    });
  });
});
