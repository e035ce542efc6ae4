import { beforeEach, expect, test } from 'vitest';
import { CircuitBreaker } from './circuit-breaker.ts';

let now: number;
let breaker: CircuitBreaker;

beforeEach(() => {
  now = 1_000_000;
  breaker = new CircuitBreaker({
    failures: 3,
    window: 10,
    openMs: 100,
    maxOpenMs: 350,
    now: () => now,
  });
});

function failTimes(times: number): boolean[] {
  return Array.from({ length: times }, () => breaker.fail('it is gone'));
}

test('failures one after another open it; a success between them does not count with them', () => {
  expect(failTimes(2)).toEqual([false, false]);
  breaker.succeed();
  expect(failTimes(3)).toEqual([false, false, true]);
  expect(breaker.status).toEqual({
    state: 'open',
    opened: 1,
    reason: 'it is gone',
    retryAfterMs: 100,
  });
  // What began before is no news.
  expect(breaker.fail('late')).toBe(false);
  breaker.succeed();
  expect(breaker.status).toMatchObject({ state: 'open', opened: 1, reason: 'it is gone' });
});

test('half of the last calls failed: open, though never three in a row; the calls before those are forgotten', () => {
  const calls = 'ssssssssssffsffssf';
  const opened = [...calls].map((call) =>
    call === 'f' ? breaker.fail('flaky') : breaker.succeed(),
  );
  expect(opened.indexOf(true)).toBe(calls.length - 1);
});

test('few calls are no rate', () => {
  for (const call of 'fsfsfsfs') call === 'f' ? breaker.fail('flaky') : breaker.succeed();
  expect(breaker.isClosed).toBe(true);
});

test('one trial when its time has come; its failure doubles the wait, up to a limit; its success closes', () => {
  failTimes(3);
  now += 99;
  expect(breaker.tryHalfOpen()).toBe(false);
  now += 1;
  expect([breaker.tryHalfOpen(), breaker.tryHalfOpen()]).toEqual([true, false]);
  expect(breaker.status.state).toBe('half-open');
  const waits: number[] = [];
  for (let trial = 0; trial < 3; trial += 1) {
    breaker.endTrial('still gone');
    waits.push(breaker.status.retryAfterMs);
    now += breaker.status.retryAfterMs;
    expect(breaker.tryHalfOpen()).toBe(true);
  }
  expect(waits).toEqual([200, 350, 350]);
  breaker.endTrial(undefined);
  expect(breaker.status).toMatchObject({ state: 'closed', opened: 1, retryAfterMs: 0 });
  expect(failTimes(2)).toEqual([false, false]);
});

test('who fails again soon after is left alone for longer; after a good while it begins anew', () => {
  const openFor = (): number => {
    failTimes(3);
    const { retryAfterMs } = breaker.status;
    now += retryAfterMs;
    breaker.tryHalfOpen();
    breaker.endTrial(undefined);
    return retryAfterMs;
  };
  const first = openFor();
  now += 1000;
  const soon = openFor();
  now += 31_000;
  expect([first, soon, openFor()]).toEqual([100, 200, 100]);
});
