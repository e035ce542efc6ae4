import { describe, expect, test } from 'vitest';
import { KeelsonError } from '../errors.ts';
import { alike, BrokenPromise, defined, equal, ok, rejects } from './assertions.ts';
import { type Case, runCase, runSuite } from './suite.ts';

class Harness {
  readonly log: string[];
  readonly #fails: boolean;

  constructor(log: string[] = [], fails = false) {
    this.log = log;
    this.#fails = fails;
    log.push('open');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.log.push('closed');
    if (this.#fails) throw new Error('does not close');
  }
}

const suiteCase = (name: string, run: Case<Harness>['run']): Case<Harness> => ({
  name,
  promise: name,
  run,
});
const passes = suiteCase('passes', async ({ log }) => void log.push('ran'));
const fails = suiteCase('fails', async () => ok(false, 'this should be so'));

describe('runSuite', () => {
  test('gives each case a harness of its own and closes it, also after a failure', async () => {
    const log: string[] = [];
    const suite = { contract: 'any', cases: [passes, fails, passes] };
    const results = await runSuite(suite, () => new Harness(log));
    expect(log).toEqual(['open', 'ran', 'closed', 'open', 'closed', 'open', 'ran', 'closed']);
    expect(results.map(({ name, passed }) => [name, passed])).toEqual([
      ['passes', true],
      ['fails', false],
      ['passes', true],
    ]);
    expect(results[1]?.error).toBeInstanceOf(BrokenPromise);
  });

  test('fails a case that does not end, one whose harness does not close, one that cannot open', async () => {
    const hangs = suiteCase('hangs', () => new Promise(() => undefined));
    await expect(runCase(hangs, () => new Harness(), { timeoutMs: 10 })).rejects.toThrow(
      '"hangs" was not over after 10 ms',
    );
    await expect(runCase(passes, () => new Harness([], true))).rejects.toThrow('does not close');
    const broken = async (): Promise<Harness> => {
      throw new Error('does not open');
    };
    await expect(runCase(passes, broken)).rejects.toThrow('does not open');
  });
});

describe('assertions', () => {
  test.each<[unknown, unknown, boolean]>([
    [Number.NaN, Number.NaN, true],
    [0, -0, false],
    ['1', 1, false],
    [null, undefined, false],
    [{ a: 1, b: undefined }, { a: 1 }, true],
    [{ a: undefined }, { b: undefined }, true],
    [{ a: 1 }, { a: 1, b: null }, false],
    [Object.assign(Object.create(null), { a: 1 }), { a: 1 }, true],
    [Object.fromEntries([['__proto__', 1]]), {}, false],
    [Object.fromEntries([['__proto__', 1]]), Object.fromEntries([['__proto__', 1]]), true],
    [[1, [2]], [1, [2]], true],
    [[1], [1, undefined], false],
    [[], {}, false],
    [new Float64Array([Number.NaN, -0]), new Float64Array([Number.NaN, -0]), true],
    [new Float64Array([0]), new Float64Array([-0]), false],
    [new Uint8Array([1]), [1], false],
    [Buffer.from([1]), new Uint8Array([1]), true],
    [new Map([[1, { a: 1 }]]), new Map([[1, { a: 1 }]]), true],
    [new Map([[1, 2]]), new Map([[1, 3]]), false],
    [new Set([1]), new Set([1, 2]), false],
  ])('%o and %o: %s', (a, b, expected) => {
    expect(alike(a, b)).toBe(expected);
    expect(alike(b, a)).toBe(expected);
  });

  test('say what was expected and what came', () => {
    expect(() => equal([1], [2], 'The list')).toThrow(
      'The list\n  expected: [ 2 ]\n  actual:   [ 1 ]',
    );
    expect(() => defined(undefined, 'It')).toThrow('It');
    expect(defined(0, 'It')).toBe(0);
  });

  test('rejects holds for the code and what it names, and for nothing else', async () => {
    const refuse = () => {
      throw new KeelsonError('STALE', 'The item a is old.', { details: { id: 'a1' } });
    };
    expect((await rejects('STALE', refuse, 'x', ['item a', 'a1'])).code).toBe('STALE');
    await rejects(['LOST', 'STALE'], async () => refuse(), 'x');
    await expect(rejects('LOST', refuse, 'x')).rejects.toThrow('KeelsonError LOST');
    await expect(rejects('STALE', refuse, 'x', ['item b'])).rejects.toThrow('should name');
    await expect(rejects('STALE', () => 5, 'x')).rejects.toThrow('a rejection with STALE');
    const bare = () => Promise.reject(new Error('bare'));
    await expect(rejects('STALE', bare, 'x')).rejects.toThrow('bare');
  });
});
