import { afterAll, describe, expect, it } from 'vitest';
import { type SeededRandom, seededRandom } from '../random/seeded-random.ts';
import { logRateEvidence } from './beta-mixture.ts';
import { logWealthAbove, logWealthBelow, logWealthEither } from './betting.ts';
import { type ClassCounts, distributionChange } from './distribution-change.ts';
import { meanSequence } from './mean-sequence.ts';
import { pairedTest } from './paired-test.ts';
import { rateChange } from './rate-change.ts';
import { rateComparison } from './rate-comparison.ts';
import { sampleRatioTest } from './sample-ratio-test.ts';

const alpha = 0.05;
const needed = -Math.log(alpha);

interface Row {
  readonly test: string;
  readonly truth: string;
  readonly looks: number;
  readonly runs: number;
  readonly alarms: string;
  readonly delay: string;
}

const table: Row[] = [];

/** What a run says: when it decided (undefined: never), and whether for what was asked. */
type Run = (random: SeededRandom) => number | undefined;

interface Simulated {
  readonly share: number;
  readonly median: number;
  readonly p90: number;
}

/** Runs a sequence many times with different seeds, and keeps the row for the report. */
function simulate(test: string, truth: string, runs: number, looks: number, run: Run): Simulated {
  const delays: number[] = [];
  for (let index = 0; index < runs; index += 1) {
    const delay = run(seededRandom(`${test}/${truth}/${index}`));
    if (delay !== undefined) delays.push(delay);
  }
  delays.sort((a, b) => a - b);
  const at = (share: number) => delays[Math.floor(delays.length * share)] ?? Number.NaN;
  const share = delays.length / runs;
  const delay = delays.length === 0 ? '–' : `${at(0.5)} / ${at(0.9)}`;
  table.push({ test, truth, looks, runs, alarms: `${(100 * share).toFixed(1)} %`, delay });
  return { share, median: at(0.5), p90: at(0.9) };
}

/** The stated level, with three standard errors of the simulation on top. */
function expectAtMostAlpha({ share }: Simulated, runs: number): void {
  expect(share).toBeLessThanOrEqual(alpha + 3 * Math.sqrt((alpha * (1 - alpha)) / runs));
}

afterAll(() => {
  if (process.env['KEELSON_SIMULATIONS'] === undefined) return;
  const head =
    '| test | truth | looks | runs | decided | after (median / 90 %) |\n|---|---|---|---|---|---|';
  const lines = table.map((row) => `| ${Object.values(row).join(' | ')} |`);
  process.stdout.write(`${[head, ...lines].join('\n')}\n`);
});

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

  it('raises no more false alarms than stated when looked at after every item', () => {
    const runs = 1000;
    const same = items(0.15, 0.15, 250, logWealthEither, 0.5);
    expectAtMostAlpha(
      simulate('paired, two-sided', 'equal, 30 % discordant', runs, 250, same),
      runs,
    );
    const rare = items(0.03, 0.03, 250, logWealthAbove, 0.5);
    expectAtMostAlpha(simulate('paired, better', 'equal, 6 % discordant', runs, 250, rare), runs);
    const atMargin = items(0.08, 0.13, 250, logWealthAbove, 0.475);
    expectAtMostAlpha(
      simulate('paired, no worse than 5 %', 'worse by 5 %', runs, 250, atMargin),
      runs,
    );
    const worse = items(0.1, 0.1, 250, logWealthBelow, 0.5);
    expectAtMostAlpha(simulate('paired, worse', 'equal, 20 % discordant', runs, 250, worse), runs);
  });

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

  it('raises no more false alarms than stated when looked at after every window', () => {
    const runs = 1000;
    const same = {
      share: steady(0.05),
      canary: steady(0.02),
      baseline: steady(0.02),
      windows: 60,
      requests: 100,
    };
    expectAtMostAlpha(
      simulate(
        'canary worse, share told',
        '2 % and 2 %, weight 5 %',
        runs,
        60,
        serving({ ...same, told: true }, 'worse'),
      ),
      runs,
    );
    expectAtMostAlpha(
      simulate(
        'canary worse, share seen',
        '2 % and 2 %, weight 5 %',
        runs,
        60,
        serving(same, 'worse'),
      ),
      runs,
    );
    const moving = {
      ...same,
      share: (window: number) => [0.05, 0.25, 0.5, 0.75][Math.floor(window / 15)] as number,
      canary: (window: number) => (window % 7 === 0 ? 0.15 : 0.01),
      baseline: (window: number) => (window % 7 === 0 ? 0.15 : 0.01),
    };
    expectAtMostAlpha(
      simulate(
        'canary worse, share seen',
        'equal, 1 % with bursts of 15 %, weight 5 → 75 %',
        runs,
        60,
        serving(moving, 'worse'),
      ),
      runs,
    );
    const tolerated = {
      ...same,
      share: steady(0.5),
      canary: steady(0.05),
      baseline: steady(0.03),
      line: { ratio: 1, margin: 0.02 },
    };
    expectAtMostAlpha(
      simulate(
        'canary worse by 2 %',
        '5 % and 3 %, weight 50 %',
        runs,
        60,
        serving(tolerated, 'worse'),
      ),
      runs,
    );
    const noBetter = {
      ...same,
      share: steady(0.5),
      canary: steady(0.0375),
      baseline: steady(0.03),
      line: { ratio: 1.25 },
    };
    expectAtMostAlpha(
      simulate(
        'canary no worse than 1.25 ×',
        '3.75 % and 3 %, weight 50 %',
        runs,
        60,
        serving(noBetter, 'noWorse'),
      ),
      runs,
    );
  });

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

describe('one rate and its interval', () => {
  it('never leaves the truth outside more often than stated', () => {
    for (const p of [0.02, 0.3]) {
      const run: Run = (random) => {
        let successes = 0;
        for (let trials = 1; trials <= 800; trials += 1) {
          if (random.chance(p)) successes += 1;
          if (logRateEvidence({ successes, trials }, p) >= needed) return trials;
        }
        return undefined;
      };
      expectAtMostAlpha(
        simulate('rate outside its interval', `${100 * p} %`, 1000, 800, run),
        1000,
      );
    }
  });

  it('sees a wrong split of traffic, and only that', () => {
    const split =
      (share: number): Run =>
      (random) => {
        let state = sampleRatioTest.init({ weight: 0.1, alpha });
        for (let count = 10; count <= 5000; count += 10) {
          const canary = Array.from({ length: 10 }, () => random.chance(share)).filter(
            Boolean,
          ).length;
          state = sampleRatioTest.update(state, { canary, baseline: 10 - canary });
          if (sampleRatioTest.verdict(state).mismatch) return count;
        }
        return undefined;
      };
    expectAtMostAlpha(simulate('sample ratio', '10 % as meant', 1000, 500, split(0.1)), 1000);
    expect(
      simulate('sample ratio', '13 % instead of 10 %', 100, 500, split(0.13)).share,
    ).toBeGreaterThan(0.95);
  });
});

describe('mean of bounded values', () => {
  it('never leaves the truth outside more often than stated, and narrows', () => {
    let width = 0;
    const run: Run = (random) => {
      let state = meanSequence.init({ low: 0, high: 10, alpha });
      let left: number | undefined;
      for (let count = 1; count <= 600; count += 1) {
        state = meanSequence.update(state, [10 * random.uniform() ** 3]);
        const { interval } = meanSequence.verdict(state);
        if (left === undefined && (interval.low > 2.5 || interval.high < 2.5)) left = count;
        width = interval.high - interval.low;
      }
      return left;
    };
    expectAtMostAlpha(
      simulate('mean outside its sequence', 'skewed in [0, 10], mean 2.5', 1000, 600, run),
      1000,
    );
    expect(width).toBeLessThan(1.5);
  });
});

describe('change of a rate since a reference', () => {
  interface Change {
    readonly sample: number;
    readonly before: number;
    readonly after: number;
    /** Trials before the change. */
    readonly at: number;
    readonly looks: number;
    readonly tolerance?: number;
  }

  /** Trials from the change until it is seen, looked at every 20. */
  function changing({ sample, before, after, at, looks, tolerance = 0 }: Change): Run {
    return (random) => {
      const draw = (p: number, trials: number) => {
        let successes = 0;
        for (let trial = 0; trial < trials; trial += 1) if (random.chance(p)) successes += 1;
        return { successes, trials };
      };
      let state = rateChange.init({ reference: draw(before, sample), alpha, tolerance });
      for (let look = 1; look <= looks; look += 1) {
        state = rateChange.update(state, draw(look * 20 > at ? after : before, 20));
        if (rateChange.verdict(state).decision === 'changed') return look * 20 - at;
      }
      return undefined;
    };
  }

  it('raises no more false alarms than stated, however small the reference', () => {
    for (const [sample, p] of [
      [30, 0.3],
      [200, 0.05],
      [1000, 0.5],
    ] as const) {
      const run = changing({ sample, before: p, after: p, at: 0, looks: 15 });
      expectAtMostAlpha(
        simulate('rate change', `none: ${100 * p} %, reference of ${sample}`, 500, 15, run),
        500,
      );
    }
    const within = changing({
      sample: 300,
      before: 0.2,
      after: 0.23,
      at: 0,
      looks: 40,
      tolerance: 0.03,
    });
    expectAtMostAlpha(
      simulate('rate change, tolerance 3 %', '20 → 23 %, reference of 300', 200, 40, within),
      200,
    );
  });

  it('finds a change at once, or a late one', () => {
    const early = changing({ sample: 200, before: 0.2, after: 0.05, at: 0, looks: 60 });
    const atOnce = simulate('rate change', '20 → 5 % at once, reference of 200', 150, 60, early);
    expect(atOnce.share).toBeGreaterThan(0.95);
    expect(atOnce.median).toBeLessThanOrEqual(160);
    const late = changing({ sample: 200, before: 0.2, after: 0.05, at: 400, looks: 80 });
    const later = simulate('rate change', '20 → 5 % after 400, reference of 200', 100, 80, late);
    expect(later.share).toBeGreaterThan(0.95);
    expect(later.median).toBeLessThanOrEqual(300);
  });
});

describe('change of a distribution', () => {
  const classes = ['drizzle', 'fog', 'rain', 'snow', 'sun'];
  const reference: Record<string, readonly number[]> = {
    dry: [0.05, 0.03, 0.18, 0.01, 0.73],
    wet: [0.1, 0.02, 0.68, 0.12, 0.08],
  };

  function nameAt(shares: readonly number[], place: number): string {
    let below = 0;
    const index = shares.findIndex((share) => {
      below += share;
      return place < below;
    });
    return classes.at(index) as string;
  }

  function draw(
    random: SeededRandom,
    trials: number,
    laws: Record<string, readonly number[]>,
  ): ClassCounts {
    const counts: Record<string, Record<string, number>> = { dry: {}, wet: {} };
    for (let trial = 0; trial < trials; trial += 1) {
      const stratum = random.chance(0.55) ? 'dry' : 'wet';
      const name = nameAt(laws[stratum] as readonly number[], random.uniform());
      const own = counts[stratum] as Record<string, number>;
      own[name] = (own[name] ?? 0) + 1;
    }
    return counts;
  }

  function changing(laws: Record<string, readonly number[]>, looks: number): Run {
    return (random) => {
      let state = distributionChange.init({ reference: draw(random, 365, reference), alpha });
      for (let look = 1; look <= looks; look += 1) {
        state = distributionChange.update(state, draw(random, 30, laws));
        if (distributionChange.verdict(state).decision === 'changed') return look * 30;
      }
      return undefined;
    };
  }

  it('raises no more false alarms than stated over five classes in two strata', () => {
    expectAtMostAlpha(
      simulate('label given input', 'none, reference of 365', 200, 12, changing(reference, 12)),
      200,
    );
  });

  it('finds that similar days are labelled otherwise', () => {
    const shifted = { ...reference, dry: [0.04, 0.12, 0.03, 0, 0.81] };
    const found = simulate(
      'label given input',
      'dry days: rain 18 → 3 %, fog 3 → 12 %',
      60,
      36,
      changing(shifted, 36),
    );
    expect(found.share).toBeGreaterThan(0.9);
  });
});
