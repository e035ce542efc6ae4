import { afterAll, describe, expect, it } from 'vitest';
import {
  expectAtMostAlpha,
  needed,
  printSimulations,
  type Run,
  simulate,
} from '../fixtures/simulation.ts';
import type { SeededRandom } from '../random/seeded-random.ts';
import { logWealthAbove, logWealthBelow, logWealthEither } from './betting.ts';
import { pairedTest } from './paired-test.ts';
import { rateComparison } from './rate-comparison.ts';

afterAll(printSimulations);

describe('paired test', () => {
  type Log = typeof logWealthEither;

  /** Looks after every item; p of a win and of a loss. */
  function items(win: number, loss: number, count: number, log: Log, mean: number): Run {
    return (random) => {
      const outcomes = [1, 0.5, 0].map((value) => ({ value, count: 0 }));
      for (let item = 1; item <= count; item += 1) {
        const u = random.uniform();
        let slot = 1;
        if (u < win) slot = 0;
        else if (u >= 1 - loss) slot = 2;
        (outcomes[slot] as { count: number }).count += 1;
        if (log(outcomes, mean) >= needed) return item;
      }
      return undefined;
    };
  }

  it.each([
    ['paired, two-sided', 'equal, 30 % discordant', 0.15, 0.15, logWealthEither, 0.5],
    ['paired, better', 'equal, 6 % discordant', 0.03, 0.03, logWealthAbove, 0.5],
    ['paired, no worse than 5 %', 'worse by 5 %', 0.08, 0.13, logWealthAbove, 0.475],
    ['paired, worse', 'equal, 20 % discordant', 0.1, 0.1, logWealthBelow, 0.5],
  ] as const)(
    '%s, %s: no more false alarms than stated, with a look after every item',
    (test, truth, win, loss, log, mean) => {
      expectAtMostAlpha(simulate(test, truth, 1000, 250, items(win, loss, 250, log, mean)), 1000);
    },
  );

  /** Decisions as a gate makes them, looked at every ten items. */
  function gate(win: number, loss: number, margin: number, wanted: string): Run {
    return (random) => {
      let state = pairedTest.init({ margin });
      for (let item = 10; item <= 1500; item += 10) {
        const counts = { candidateOnly: 0, baselineOnly: 0, bothRight: 0 };
        for (let index = 0; index < 10; index += 1) {
          const u = random.uniform();
          if (u < win) counts.candidateOnly += 1;
          else if (u < win + loss) counts.baselineOnly += 1;
          else counts.bothRight += 1;
        }
        state = pairedTest.update(state, counts);
        const { decision } = pairedTest.verdict(state);
        if (decision !== 'inconclusive') return decision === wanted ? item : undefined;
      }
      return undefined;
    };
  }

  it('would catch a test that does not allow for the looks', () => {
    const naive: Run = (random) => {
      let sum = 0;
      for (let discordant = 1; discordant <= 200; discordant += 1) {
        sum += random.chance(0.5) ? 1 : -1;
        if (discordant >= 10 && Math.abs(sum) > 1.96 * Math.sqrt(discordant)) return discordant;
      }
      return undefined;
    };
    const found = simulate('for comparison: z-test at every look', 'equal', 1000, 191, naive);
    expect(() => expectAtMostAlpha(found, 1000)).toThrow();
    expect(found.share).toBeGreaterThan(0.25);
  });

  it('finds what is there', () => {
    const better = simulate(
      'paired gate, better',
      '+10 % (15 against 5)',
      60,
      150,
      gate(0.15, 0.05, 0, 'better'),
    );
    expect(better.share).toBeGreaterThan(0.95);
    expect(better.median).toBeLessThan(260);
    const worse = simulate(
      'paired gate, worse',
      '−10 % (5 against 15)',
      60,
      150,
      gate(0.05, 0.15, 0, 'worse'),
    );
    expect(worse.share).toBeGreaterThan(0.95);
    const close = simulate(
      'paired gate, no worse than 5 %',
      'equal (5 against 5)',
      40,
      150,
      gate(0.05, 0.05, 0.05, 'no-worse'),
    );
    expect(close.share).toBeGreaterThan(0.85);
  });
});

describe('rate comparison', () => {
  interface Serving {
    /** Share of requests on the canary, by window. */
    readonly share: (window: number) => number;
    readonly canary: (window: number) => number;
    readonly baseline: (window: number) => number;
    readonly windows: number;
    readonly requests: number;
    /** Whether the test is told the share. */
    readonly told?: boolean;
    readonly line?: { readonly ratio?: number; readonly margin?: number };
  }

  /** Canary requests until the wanted decision, looked at after every window. */
  function serving(options: Serving, wanted: 'worse' | 'noWorse'): Run {
    return (random) => {
      let state = rateComparison.init({ [wanted]: options.line ?? {} });
      let canaryRequests = 0;
      for (let window = 0; window < options.windows; window += 1) {
        const counts = windowOf(options, window, random);
        canaryRequests += counts.canaryRequests;
        const told = options.told === true ? { weight: options.share(window) } : {};
        state = rateComparison.update(state, { ...counts, ...told });
        if (rateComparison.verdict(state)[wanted].logE >= needed) return canaryRequests;
      }
      return undefined;
    };
  }

  function windowOf(options: Serving, window: number, random: SeededRandom) {
    const counts = { canaryRequests: 0, canaryBad: 0, baselineRequests: 0, baselineBad: 0 };
    for (let request = 0; request < options.requests; request += 1) {
      if (random.chance(options.share(window))) {
        counts.canaryRequests += 1;
        if (random.chance(options.canary(window))) counts.canaryBad += 1;
      } else {
        counts.baselineRequests += 1;
        if (random.chance(options.baseline(window))) counts.baselineBad += 1;
      }
    }
    return counts;
  }

  const steady = (value: number) => () => value;

  const same = {
    share: steady(0.05),
    canary: steady(0.02),
    baseline: steady(0.02),
    windows: 50,
    requests: 100,
  };
  const bursts = (window: number) => (window % 7 === 0 ? 0.15 : 0.01);
  const half = { ...same, share: steady(0.5), baseline: steady(0.03) };

  it.each([
    ['canary worse, share told', '2 % and 2 %, weight 5 %', { ...same, told: true }, 'worse'],
    ['canary worse, share seen', '2 % and 2 %, weight 5 %', same, 'worse'],
    [
      'canary worse, share seen',
      'equal, 1 % with bursts of 15 %, weight 5 → 75 %',
      {
        ...same,
        share: (window: number) => [0.05, 0.25, 0.5, 0.75][Math.floor(window / 13)] as number,
        canary: bursts,
        baseline: bursts,
      },
      'worse',
    ],
    [
      'canary worse by 2 %',
      '5 % and 3 %, weight 50 %',
      { ...half, canary: steady(0.05), line: { margin: 0.02 } },
      'worse',
    ],
    [
      'canary no worse than 1.25 ×',
      '3.75 % and 3 %, weight 50 %',
      { ...half, canary: steady(0.0375), line: { ratio: 1.25 } },
      'noWorse',
    ],
  ] as const)(
    '%s, %s: no more false alarms than stated, with a look after every window',
    (test, truth, options, wanted) => {
      expectAtMostAlpha(
        simulate(test, truth, 1000, options.windows, serving(options, wanted)),
        1000,
      );
    },
  );

  it('finds a bad canary within few of its requests', () => {
    const bad = {
      share: steady(0.05),
      canary: steady(0.2),
      baseline: steady(0.01),
      windows: 1000,
      requests: 20,
    };
    const sudden = simulate(
      'canary worse, share seen',
      '20 % against 1 %, weight 5 %',
      400,
      1000,
      serving(bad, 'worse'),
    );
    expect(sudden.share).toBe(1);
    expect(sudden.median).toBeLessThanOrEqual(16);
    expect(sudden.p90).toBeLessThanOrEqual(30);
    const told = simulate(
      'canary worse, share told',
      '20 % against 1 %, weight 5 %',
      400,
      1000,
      serving({ ...bad, told: true }, 'worse'),
    );
    expect(told.median).toBeLessThanOrEqual(16);
    const triple = { ...bad, canary: steady(0.03), windows: 300, requests: 200 };
    expect(
      simulate(
        'canary worse, share seen',
        '3 % against 1 %, weight 5 %',
        60,
        300,
        serving(triple, 'worse'),
      ).share,
    ).toBeGreaterThan(0.95);
  });

  it('lets a good canary pass', () => {
    const good = {
      share: steady(0.5),
      canary: steady(0.01),
      baseline: steady(0.01),
      windows: 300,
      requests: 100,
      line: { ratio: 1, margin: 0.01 },
    };
    const passed = simulate(
      'canary no worse by 1 %',
      '1 % and 1 %, weight 50 %',
      100,
      300,
      serving(good, 'noWorse'),
    );
    expect(passed.share).toBeGreaterThan(0.95);
  });
});
