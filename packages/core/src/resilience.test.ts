import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { openHttpReceiver } from '../test/receivers/http-receiver.ts';
import { KeelsonError } from './errors.ts';
import { type BreakerState, createPolicy, isTransient, type Policy } from './resilience.ts';

const away = () => new KeelsonError('UNAVAILABLE', 'It is away.');

/** Calls that fail as long as they are told to. */
function calls(): { failing: unknown; count: number; run(): Promise<string> } {
  const each = {
    failing: undefined as unknown,
    count: 0,
    async run() {
      each.count += 1;
      if (each.failing !== undefined) throw each.failing;
      return 'answer';
    },
  };
  return each;
}

async function codeOf(call: Promise<unknown>): Promise<unknown> {
  return await call.then(
    () => 'answered',
    (error: { readonly code?: unknown }) => error.code,
  );
}

describe('on a virtual clock', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  test('transient failures are tried again, with pauses that double and jitter', async () => {
    const policy = createPolicy({ name: 'x', retries: { attempts: 3, firstMs: 1000 } });
    const x = calls();
    x.failing = away();
    const call = codeOf(policy.run(() => x.run()));
    const pauses: number[] = [];
    let lastAt = Date.now();
    for (let seen = 1, ms = 0; ms < 8000; ms += 100) {
      await vi.advanceTimersByTimeAsync(100);
      if (x.count === seen) continue;
      seen = x.count;
      pauses.push(Date.now() - lastAt);
      lastAt = Date.now();
    }
    expect(await call).toBe('UNAVAILABLE');
    expect(pauses).toHaveLength(3);
    for (const [i, pause] of pauses.entries()) {
      expect(pause).toBeGreaterThanOrEqual(500 * 2 ** i);
      expect(pause).toBeLessThanOrEqual(1000 * 2 ** i + 100);
    }
  });

  test.each([
    ['INVALID', new KeelsonError('INVALID', 'x')],
    ['FORBIDDEN', new KeelsonError('FORBIDDEN', 'x')],
    ['EXHAUSTED', new KeelsonError('EXHAUSTED', 'x')],
    [
      'an unknown outcome',
      new KeelsonError('UNAVAILABLE', 'x', { details: { outcome: 'unknown' } }),
    ],
    ['a bug', new TypeError('x')],
  ])('%s is not tried again', async (_, error) => {
    const policy = createPolicy({ name: 'x', retries: { attempts: 3 } });
    const x = calls();
    x.failing = error;
    await expect(policy.run(() => x.run())).rejects.toBe(error);
    expect(x.count).toBe(1);
  });

  test('the other side says when it may be asked again', async () => {
    const policy = createPolicy({ name: 'x', retries: { attempts: 1, firstMs: 10 } });
    const x = calls();
    x.failing = new KeelsonError('UNAVAILABLE', 'Later.', { details: { retryAfterMs: 5000 } });
    const call = policy.run(() => x.run());
    await vi.advanceTimersByTimeAsync(4900);
    expect(x.count).toBe(1);
    x.failing = undefined;
    await vi.advanceTimersByTimeAsync(200);
    expect(await call).toBe('answer');
  });

  test('an attempt that takes too long is aborted, also when it does not listen', async () => {
    const policy = createPolicy({ name: 'x', timeoutMs: 1000 });
    let signal: AbortSignal | undefined;
    const call = codeOf(
      policy.run((given) => {
        signal = given;
        return new Promise(() => undefined);
      }),
    );
    await vi.advanceTimersByTimeAsync(999);
    expect(signal?.aborted).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect([await call, signal?.aborted]).toEqual(['TIMEOUT', true]);
  });

  test('the signal ends a call at once, in a pause too', async () => {
    const policy = createPolicy({ name: 'x', retries: { attempts: 3, firstMs: 60_000 } });
    const x = calls();
    x.failing = away();
    const ending = new AbortController();
    const call = codeOf(policy.run(() => x.run(), { signal: ending.signal }));
    await vi.advanceTimersByTimeAsync(10);
    ending.abort();
    expect(await call).toBe('ABORTED');
    await vi.advanceTimersByTimeAsync(600_000);
    expect(x.count).toBe(1);
    expect(await codeOf(policy.run(() => x.run(), { signal: ending.signal }))).toBe('ABORTED');
    expect(x.count).toBe(1);
  });

  describe('the breaker', () => {
    let changes: BreakerState[];
    let policy: Policy;
    beforeEach(() => {
      changes = [];
      const breaker = { failures: 3, restMs: 1000, mostMs: 3000 };
      policy = createPolicy({ name: 'x', breaker, onChange: (state) => changes.push(state) });
    });
    const fail = async (x: ReturnType<typeof calls>, times: number) => {
      x.failing = away();
      for (let i = 0; i < times; i += 1) await codeOf(policy.run(() => x.run()));
    };

    test('opens, lets one call through after its rest, and closes when that succeeds', async () => {
      const x = calls();
      await fail(x, 3);
      expect(policy.report()).toMatchObject({ breaker: 'open', failures: 3, refused: 0 });
      for (let i = 0; i < 1000; i += 1) await codeOf(policy.run(() => x.run()));
      expect(x.count).toBe(3);
      expect(policy.report().refused).toBe(1000);
      await vi.advanceTimersByTimeAsync(1000);
      x.failing = undefined;
      let answer: (text: string) => void = () => undefined;
      const trial = policy.run(
        () =>
          new Promise<string>((resolve) => {
            answer = resolve;
          }),
      );
      expect(policy.report().breaker).toBe('half-open');
      expect(await codeOf(policy.run(() => x.run()))).toBe('UNAVAILABLE');
      expect(x.count).toBe(3);
      answer('tried');
      expect(await trial).toBe('tried');
      expect(await policy.run(() => x.run())).toBe('answer');
      expect(changes).toEqual(['open', 'half-open', 'closed']);
    });

    test('rests longer each time the trial fails, up to its bound', async () => {
      const x = calls();
      await fail(x, 3);
      const at: number[] = [];
      const startedAt = Date.now();
      for (let ms = 0; ms < 16_000; ms += 100) {
        const { count } = x;
        await codeOf(policy.run(() => x.run()));
        if (x.count > count) at.push(Date.now() - startedAt);
        await vi.advanceTimersByTimeAsync(100);
      }
      expect(at.slice(0, 4)).toEqual([1000, 3000, 6000, 9000]);
    });

    test('does not open for what is the caller’s fault, nor for failures with successes between', async () => {
      const x = calls();
      x.failing = new KeelsonError('INVALID', 'x');
      for (let i = 0; i < 10; i += 1) await codeOf(policy.run(() => x.run()));
      for (let i = 0; i < 5; i += 1) {
        await fail(x, 2);
        x.failing = undefined;
        await policy.run(() => x.run());
      }
      for (let i = 0; i < 5; i += 1) {
        await fail(x, 2);
        x.failing = new KeelsonError('STALE', 'It answered.');
        await codeOf(policy.run(() => x.run()));
      }
      expect(policy.report().breaker).toBe('closed');
    });

    test('counts every attempt of retries, and its refusals are not tried again', async () => {
      const retrying = createPolicy({
        ...{ name: 'x', breaker: { failures: 2, restMs: 60_000 } },
        retries: { attempts: 5, firstMs: 10 },
      });
      const x = calls();
      x.failing = away();
      const call = codeOf(retrying.run(() => x.run()));
      await vi.advanceTimersByTimeAsync(10_000);
      expect([await call, x.count]).toEqual(['UNAVAILABLE', 2]);
      expect(retrying.report()).toMatchObject({ breaker: 'open', failures: 2, refused: 1 });
    });
  });

  test('the bulkhead lets so many run, so many wait, and refuses the rest', async () => {
    const policy = createPolicy({ name: 'x', bulkhead: { calls: 2, waiting: 1 } });
    const ends: (() => void)[] = [];
    const slow = () =>
      policy.run(
        () =>
          new Promise<string>((resolve) => {
            ends.push(() => resolve('done'));
          }),
      );
    const three = [slow(), slow(), slow()];
    expect(await codeOf(slow())).toBe('EXHAUSTED');
    expect([ends.length, policy.report().running]).toEqual([2, 3]);
    ends[0]?.();
    await vi.advanceTimersByTimeAsync(0);
    expect(ends).toHaveLength(3);
    for (const end of ends) end();
    expect(await Promise.all(three)).toEqual(['done', 'done', 'done']);
    expect(policy.report().running).toBe(0);
  });
});

test('a server that fails, is silent, and recovers', async () => {
  let answer: 'good' | 'bad' | 'silent' = 'bad';
  const server = await openHttpReceiver(() => {
    if (answer === 'silent') return undefined;
    return { status: answer === 'good' ? 200 : 503 };
  });
  const changes: BreakerState[] = [];
  const policy = createPolicy({
    ...{ name: 'the server', timeoutMs: 50, bulkhead: { calls: 4, waiting: 4 } },
    breaker: { failures: 4, restMs: 100, mostMs: 100 },
    retries: { attempts: 1, firstMs: 1 },
    onChange: (state) => changes.push(state),
  });
  const get = () =>
    policy.run(async (signal) => {
      const response = await fetch(server.url, { signal });
      if (!response.ok) throw new KeelsonError('UNAVAILABLE', `It answered ${response.status}.`);
      return response.status;
    });
  expect(await codeOf(get())).toBe('UNAVAILABLE');
  answer = 'silent';
  expect(await codeOf(get())).toBe('TIMEOUT');
  const many = await Promise.all(Array.from({ length: 200 }, () => codeOf(get())));
  expect(new Set(many)).toEqual(new Set(['UNAVAILABLE', 'EXHAUSTED']));
  expect(server.received).toHaveLength(4);
  answer = 'good';
  await vi.waitFor(async () => expect(await get()).toBe(200), { timeout: 5000, interval: 20 });
  expect(changes).toEqual(['open', 'half-open', 'closed']);
});

test('what is transient', () => {
  const fault = (code: string) => Object.assign(new Error(code), { code });
  const error = new TypeError('fetch failed', { cause: fault('ECONNREFUSED') });
  expect([error, fault('ECONNRESET'), away()].map(isTransient)).toEqual([true, true, true]);
  const circular = Object.assign(new Error('x'), {});
  circular.cause = circular;
  for (const other of [fault('ENOENT'), circular, undefined, null, 'ECONNRESET', 5]) {
    expect(isTransient(other)).toBe(false);
  }
});
