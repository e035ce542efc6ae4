import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isKeelsonError } from '../../errors.ts';
import { distributionChange } from './distribution-change.ts';
import { eBenjaminiHochberg, eValueFromLog, meanOfE, productOfE, rejects } from './e-value.ts';
import { meanSequence } from './mean-sequence.ts';
import { type PairedCounts, pairedTest } from './paired-test.ts';
import { rateChange } from './rate-change.ts';
import { rateComparison } from './rate-comparison.ts';
import { rateTest } from './rate-test.ts';
import { sampleRatioTest } from './sample-ratio-test.ts';

function expectInvalid(call: () => unknown): void {
  let caught: unknown;
  try {
    call();
  } catch (error) {
    caught = error;
  }
  expect(isKeelsonError(caught, 'INVALID'), `threw ${String(caught)}`).toBe(true);
}

const counts = fc.record({
  bothRight: fc.nat(30),
  candidateOnly: fc.nat(30),
  baselineOnly: fc.nat(30),
  bothWrong: fc.nat(30),
});

describe('every sequential test', () => {
  const states = {
    paired: pairedTest.update(pairedTest.init({ margin: 0.01 }), {
      candidateOnly: 7,
      baselineOnly: 2,
      bothRight: 40,
    }),
    comparison: rateComparison.update(rateComparison.init({}), {
      canaryRequests: 100,
      canaryBad: 4,
      baselineRequests: 900,
      baselineBad: 9,
    }),
    rate: rateTest.update(rateTest.init({ limit: 0.1 }), { successes: 3, trials: 90 }),
    change: rateChange.update(rateChange.init({ reference: { successes: 40, trials: 200 } }), {
      successes: 2,
      trials: 90,
    }),
    distribution: distributionChange.update(
      distributionChange.init({
        reference: { dry: { rain: 35, sun: 154 }, __proto__: { rain: 1 } },
      }),
      { dry: { rain: 9, sun: 190, hail: 14 }, windy: { sun: 3 } },
    ),
    ratio: sampleRatioTest.update(sampleRatioTest.init({ weight: 0.1 }), {
      canary: 9,
      baseline: 101,
    }),
    mean: meanSequence.update(meanSequence.init({ low: -1, high: 3 }), [0, 1, 0.5, 3, -1]),
  };
  const verdicts = {
    paired: () => pairedTest.verdict(JSON.parse(JSON.stringify(states.paired))),
    comparison: () => rateComparison.verdict(JSON.parse(JSON.stringify(states.comparison))),
    rate: () => rateTest.verdict(JSON.parse(JSON.stringify(states.rate))),
    change: () => rateChange.verdict(JSON.parse(JSON.stringify(states.change))),
    distribution: () => distributionChange.verdict(JSON.parse(JSON.stringify(states.distribution))),
    ratio: () => sampleRatioTest.verdict(JSON.parse(JSON.stringify(states.ratio))),
    mean: () => meanSequence.verdict(JSON.parse(JSON.stringify(states.mean))),
  };
  const direct = {
    paired: pairedTest.verdict(states.paired),
    comparison: rateComparison.verdict(states.comparison),
    rate: rateTest.verdict(states.rate),
    change: rateChange.verdict(states.change),
    distribution: distributionChange.verdict(states.distribution),
    ratio: sampleRatioTest.verdict(states.ratio),
    mean: meanSequence.verdict(states.mean),
  };

  it.each(Object.keys(verdicts) as (keyof typeof verdicts)[])(
    '%s: a stored state gives the same verdict, as plain JSON',
    (name) => {
      expect(verdicts[name]()).toStrictEqual(direct[name]);
      expect(JSON.parse(JSON.stringify(direct[name]))).toStrictEqual(direct[name]);
    },
  );

  it('refuses the state of another test', () => {
    expectInvalid(() => pairedTest.verdict(states.rate as never));
    expectInvalid(() => rateChange.update(states.rate as never, { successes: 1, trials: 1 }));
    expectInvalid(() => sampleRatioTest.verdict(states.mean as never));
  });

  it('refuses counts and options that are none', () => {
    for (const count of [-1, 0.5, Number.NaN, Infinity, 2 ** 53, '3']) {
      expectInvalid(() => pairedTest.update(states.paired, { bothRight: count as number }));
      expectInvalid(() => rateTest.update(states.rate, { successes: 0, trials: count as number }));
      expectInvalid(() =>
        distributionChange.update(states.distribution, { dry: { rain: count as number } }),
      );
    }
    expectInvalid(() => rateTest.update(states.rate, { successes: 2, trials: 1 }));
    expectInvalid(() => meanSequence.update(states.mean, [3.1]));
    expectInvalid(() =>
      rateComparison.update(states.comparison, {
        canaryRequests: 1,
        canaryBad: 2,
        baselineRequests: 1,
        baselineBad: 0,
      }),
    );
    for (const alpha of [0, 1, -1, Number.NaN]) {
      expectInvalid(() => pairedTest.init({ alpha }));
      expectInvalid(() => rateComparison.init({ alpha }));
      expectInvalid(() => rateTest.init({ alpha, limit: 0.1 }));
      expectInvalid(() => rateChange.init({ alpha, reference: { successes: 1, trials: 2 } }));
      expectInvalid(() => distributionChange.init({ alpha, reference: {} }));
    }
    expectInvalid(() => pairedTest.init({ margin: -0.1 }));
    expectInvalid(() => rateComparison.init({ worse: { ratio: 0 } }));
    expectInvalid(() => meanSequence.init({ low: 1, high: 1 }));
    expectInvalid(() => rateTest.init({ limit: 0 }));
  });
});

describe('paired test', () => {
  it('depends on the items alone, not on how they were batched', () => {
    fc.assert(
      fc.property(fc.array(counts, { maxLength: 6 }), (batches) => {
        const options = { margin: 0.02 };
        const total = (name: keyof PairedCounts) =>
          batches.reduce((sum, batch) => sum + batch[name], 0);
        const stepwise = batches.reduce(pairedTest.update, pairedTest.init(options));
        const atOnce = pairedTest.update(pairedTest.init(options), {
          bothRight: total('bothRight'),
          candidateOnly: total('candidateOnly'),
          baselineOnly: total('baselineOnly'),
          bothWrong: total('bothWrong'),
        });
        expect(pairedTest.verdict(stepwise)).toStrictEqual(pairedTest.verdict(atOnce));
      }),
    );
  });

  it('is the mirror image of itself when the two are exchanged', () => {
    fc.assert(
      fc.property(counts, (batch) => {
        const verdict = (one: PairedCounts) =>
          pairedTest.verdict(pairedTest.update(pairedTest.init({}), one));
        const straight = verdict(batch);
        const exchanged = verdict({
          ...batch,
          candidateOnly: batch.baselineOnly,
          baselineOnly: batch.candidateOnly,
        });
        expect(exchanged.better.logE).toBeCloseTo(straight.worse.logE, 9);
        expect(exchanged.different.logE).toBeCloseTo(straight.different.logE, 9);
        expect(exchanged.interval.low).toBeCloseTo(-straight.interval.high, 9);
      }),
    );
  });

  it('says what the interval says, and keeps the estimate inside', () => {
    fc.assert(
      fc.property(counts, fc.constantFrom(0, 0.05, 0.3), (batch, margin) => {
        const verdict = pairedTest.verdict(pairedTest.update(pairedTest.init({ margin }), batch));
        const { low, high } = verdict.interval;
        if (verdict.difference !== null) {
          expect(low).toBeLessThanOrEqual(verdict.difference);
          expect(high).toBeGreaterThanOrEqual(verdict.difference);
        }
        const expected =
          low > 0
            ? 'better'
            : high < -margin
              ? 'worse'
              : low > -margin
                ? 'no-worse'
                : 'inconclusive';
        expect(verdict.decision).toBe(expected);
        expect(verdict.decision === 'better').toBe(
          verdict.decision === 'better' && verdict.different.eValue >= 20,
        );
      }),
    );
  });

  it('ten wins of ten decide, with the rest concordant; a coin toss does not', () => {
    const verdict = (one: PairedCounts) =>
      pairedTest.verdict(pairedTest.update(pairedTest.init({}), one));
    expect(verdict({ candidateOnly: 10, bothRight: 90 })).toMatchObject({
      decision: 'better',
      items: 100,
      discordant: 10,
    });
    expect(verdict({ baselineOnly: 10, bothRight: 90 }).decision).toBe('worse');
    expect(verdict({ candidateOnly: 10, baselineOnly: 9, bothRight: 90 }).decision).toBe(
      'inconclusive',
    );
    expect(verdict({})).toMatchObject({
      decision: 'inconclusive',
      difference: null,
      interval: { low: -1, high: 1 },
    });
  });

  it('decides nothing below its minimum', () => {
    const ten = { candidateOnly: 10, bothRight: 90 };
    for (const options of [{ minimumItems: 101 }, { minimumDiscordant: 11 }]) {
      const verdict = pairedTest.verdict(pairedTest.update(pairedTest.init(options), ten));
      expect(verdict).toMatchObject({ decision: 'inconclusive', enoughData: false });
    }
    const enough = pairedTest.init({ minimumItems: 100, minimumDiscordant: 10 });
    expect(pairedTest.verdict(pairedTest.update(enough, ten))).toMatchObject({
      decision: 'better',
      enoughData: true,
    });
  });
});

describe('rate comparison', () => {
  const window = { canaryRequests: 50, canaryBad: 10, baselineRequests: 950, baselineBad: 9 };

  it('tells worse, no worse and neither', () => {
    const state = rateComparison.update(rateComparison.init({}), window);
    expect(rateComparison.verdict(state).decision).toBe('worse');
    const quiet = { canaryRequests: 600, canaryBad: 1, baselineRequests: 600, baselineBad: 2 };
    const lenient = rateComparison.init({ noWorse: { ratio: 1, margin: 0.02 } });
    expect(rateComparison.verdict(rateComparison.update(lenient, quiet)).decision).toBe('no-worse');
    expect(
      rateComparison.verdict(rateComparison.update(rateComparison.init({}), quiet)).decision,
    ).toBe('inconclusive');
    expect(rateComparison.verdict(rateComparison.init({})).decision).toBe('inconclusive');
    const few = rateComparison.init({ minimumCanaryRequests: 51 });
    expect(rateComparison.verdict(rateComparison.update(few, window))).toMatchObject({
      decision: 'inconclusive',
      enoughData: false,
    });
  });

  it('keeps a window of one arm until the other has served', () => {
    const canaryOnly = { canaryRequests: 50, canaryBad: 10, baselineRequests: 0, baselineBad: 0 };
    const waiting = rateComparison.update(rateComparison.init({}), canaryOnly);
    expect(rateComparison.verdict(waiting).worse.logE).toBe(0);
    expect(rateComparison.verdict(waiting).canary).toMatchObject({
      requests: 50,
      bad: 10,
      rate: 0.2,
    });
    const both = rateComparison.update(waiting, {
      canaryRequests: 0,
      canaryBad: 0,
      baselineRequests: 950,
      baselineBad: 9,
    });
    const atOnce = rateComparison.update(rateComparison.init({}), window);
    expect(rateComparison.verdict(both)).toStrictEqual(rateComparison.verdict(atOnce));
  });

  it('agrees with the published form where the share is known and nothing is tolerated', () => {
    const weight = 0.05;
    const state = rateComparison.update(rateComparison.init({}), { ...window, weight });
    const multipliers = Array.from(
      { length: 40 },
      (_, index) => 1.05 * (20 / 1.05) ** (index / 39),
    );
    const capital = multipliers.map((multiplier) => {
      const odds = (weight / (1 - weight)) * multiplier;
      const theta = odds / (1 + odds);
      return (
        (theta / weight) ** window.canaryBad * ((1 - theta) / (1 - weight)) ** window.baselineBad
      );
    });
    const mean = capital.reduce((sum, one) => sum + one, 0) / capital.length;
    expect(rateComparison.verdict(state).worse.logE).toBeCloseTo(Math.log(mean), 9);
  });
});

describe('rate test', () => {
  it('tells above, below and neither', () => {
    const decision = (successes: number, trials: number) =>
      rateTest.verdict(rateTest.update(rateTest.init({ limit: 0.05 }), { successes, trials }))
        .decision;
    expect(decision(30, 200)).toBe('above');
    expect(decision(1, 400)).toBe('below');
    expect(decision(10, 200)).toBe('inconclusive');
    expect(decision(0, 0)).toBe('inconclusive');
  });
});

describe('change of a rate', () => {
  const judged = (before: [number, number], after: readonly [number, number][], options = {}) => {
    const start = rateChange.init({
      reference: { successes: before[0], trials: before[1] },
      ...options,
    });
    const state = after.reduce(
      (kept, [successes, trials]) => rateChange.update(kept, { successes, trials }),
      start,
    );
    return rateChange.verdict(state);
  };

  it('sees rain on dry days fall from 35 of 189 to 9 of 213', () => {
    expect(judged([35, 189], [[9, 213]])).toMatchObject({
      decision: 'changed',
      direction: 'down',
      changedSince: 0,
    });
    expect(judged([9, 213], [[35, 189]])).toMatchObject({ decision: 'changed', direction: 'up' });
  });

  it('says when the change began', () => {
    const months = Array.from({ length: 20 }, (_, month): [number, number] => [
      month < 12 ? 8 : 1,
      40,
    ]);
    const verdict = judged([200, 1000], months);
    expect(verdict).toMatchObject({ decision: 'changed', direction: 'down', changedSince: 480 });
    expect(verdict.sinceChange).toEqual({ successes: 8, trials: 320 });
  });

  it('does not take a small reference for the truth', () => {
    expect(judged([2, 10], [[50, 1000]]).decision).toBe('inconclusive');
    expect(judged([200, 1000], [[50, 1000]]).decision).toBe('changed');
    expect(judged([0, 0], [[50, 1000]])).toMatchObject({
      decision: 'inconclusive',
      enoughData: false,
    });
  });

  it('lets pass what is tolerated', () => {
    expect(judged([2000, 10_000], [[2300, 10_000]]).decision).toBe('changed');
    expect(judged([2000, 10_000], [[2300, 10_000]], { tolerance: 0.05 }).decision).toBe(
      'inconclusive',
    );
  });

  it('keeps a bounded number of epochs, whatever comes', () => {
    const days = Array.from({ length: 500 }, (): [number, number] => [4, 20]);
    const start = rateChange.init({ reference: { successes: 40, trials: 200 } });
    const state = days.reduce(
      (kept, [successes, trials]) => rateChange.update(kept, { successes, trials }),
      start,
    );
    expect(state.epochs.length).toBeLessThanOrEqual(64);
    expect(rateChange.verdict(state)).toMatchObject({
      decision: 'inconclusive',
      current: { successes: 2000, trials: 10_000 },
    });
  });
});

describe('change of a distribution', () => {
  const reference = { dry: { rain: 35, sun: 150, fog: 4 }, wet: { rain: 120, sun: 20, snow: 26 } };

  it('names the class and the stratum', () => {
    const state = distributionChange.update(distributionChange.init({ reference }), {
      dry: { rain: 3, sun: 380, fog: 20 },
      wet: { rain: 122, sun: 22, snow: 25 },
    });
    const verdict = distributionChange.verdict(state);
    expect(verdict.decision).toBe('changed');
    expect(verdict.streams[0]).toMatchObject({
      stratum: 'dry',
      class: 'rain',
      direction: 'down',
      flagged: true,
    });
    expect(
      verdict.streams.filter((stream) => stream.stratum === 'wet').some((stream) => stream.flagged),
    ).toBe(false);
  });

  it('counts classes that the reference never showed as one stream, and new strata apart', () => {
    const state = distributionChange.update(distributionChange.init({ reference }), {
      dry: { sun: 150, hail: 30, dust: 10 },
      stormy: { rain: 7 },
    });
    const verdict = distributionChange.verdict(state);
    const unseen = verdict.streams.find(
      (stream) => stream.stratum === 'dry' && stream.class === null,
    );
    expect(unseen).toMatchObject({
      flagged: true,
      direction: 'up',
      current: { successes: 40, trials: 190 },
    });
    expect(verdict.newStrata).toEqual([{ stratum: 'stormy', trials: 7 }]);
  });

  it('without a reference there is nothing to say', () => {
    const state = distributionChange.update(distributionChange.init({ reference: {} }), {
      dry: { sun: 5 },
    });
    expect(distributionChange.verdict(state)).toMatchObject({
      decision: 'inconclusive',
      enoughData: false,
      streams: [],
    });
  });

  it('takes names as they come', () => {
    const odd = JSON.parse('{"__proto__": {"constructor": 50, "toString": 50}}');
    const state = distributionChange.update(distributionChange.init({ reference: odd }), odd);
    const streams = distributionChange.verdict(state).streams;
    expect(streams.map((stream) => stream.class).sort()).toEqual(
      ['constructor', 'toString', null].sort(),
    );
    expect(
      streams.every((stream) => stream.stratum === '__proto__' && stream.current.trials === 100),
    ).toBe(true);
  });
});

describe('mean of bounded values', () => {
  it('does not depend on how values were batched', () => {
    const values = [0.2, 0.9, 0.4, 0.4, 0, 1, 0.3];
    const atOnce = meanSequence.update(meanSequence.init({ low: 0, high: 1 }), values);
    const stepwise = values.reduce(
      (state, value) => meanSequence.update(state, [value]),
      meanSequence.init({ low: 0, high: 1 }),
    );
    expect(stepwise).toStrictEqual(atOnce);
    expect(meanSequence.verdict(meanSequence.init({ low: 2, high: 5 }))).toMatchObject({
      mean: null,
      interval: { low: 2, high: 5 },
    });
  });

  it('scales with the range', () => {
    const unit = meanSequence.verdict(
      meanSequence.update(meanSequence.init({ low: 0, high: 1 }), [0.25, 0.5, 1]),
    );
    const wide = meanSequence.verdict(
      meanSequence.update(meanSequence.init({ low: -10, high: 30 }), [0, 10, 30]),
    );
    expect(wide.mean).toBeCloseTo(-10 + 40 * (unit.mean as number), 9);
    expect(wide.interval.low).toBeCloseTo(-10 + 40 * unit.interval.low, 9);
  });
});

describe('e-values', () => {
  const of = (e: number) => eValueFromLog(Math.log(e));

  it('are means, products and thresholds', () => {
    expect(meanOfE([of(1), of(9)]).eValue).toBeCloseTo(5, 12);
    expect(meanOfE([of(1), of(9)], [3, 1]).eValue).toBeCloseTo(3, 12);
    expect(productOfE([of(2), of(9)]).eValue).toBeCloseTo(18, 12);
    expect(rejects(of(20.001), 0.05)).toBe(true);
    expect(rejects(of(19.999), 0.05)).toBe(false);
    expect(of(4).pValue).toBeCloseTo(0.25, 12);
    expect(of(0.5).pValue).toBe(1);
    expectInvalid(() => meanOfE([]));
    expectInvalid(() => eValueFromLog(Number.NaN));
  });

  it('stay plain JSON however large', () => {
    expect(JSON.parse(JSON.stringify(eValueFromLog(Infinity)))).toEqual({
      logE: Number.MAX_VALUE,
      eValue: Number.MAX_VALUE,
      pValue: 0,
    });
    expect(eValueFromLog(-Infinity)).toEqual({ logE: -Number.MAX_VALUE, eValue: 0, pValue: 1 });
  });

  it('e-BH rejects the k largest that reach n/(alpha·k)', () => {
    expect(eBenjaminiHochberg([of(40), of(1), of(41), of(30), of(0.1)], 0.05)).toEqual([
      false,
      false,
      false,
      false,
      false,
    ]);
    expect(eBenjaminiHochberg([of(51), of(1), of(52), of(30), of(0.1)], 0.05)).toEqual([
      true,
      false,
      true,
      false,
      false,
    ]);
    expect(eBenjaminiHochberg([of(34), of(1), of(52), of(35), of(0.1)], 0.05)).toEqual([
      true,
      false,
      true,
      true,
      false,
    ]);
    expect(eBenjaminiHochberg([], 0.05)).toEqual([]);
  });
});
