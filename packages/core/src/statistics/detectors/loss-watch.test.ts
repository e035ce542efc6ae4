import { describe, expect, it } from 'vitest';
import { seededRandom } from '../random/seeded-random.ts';
import { type DriftKind, type KindPoint, kindOfDrift } from './drift-kind.ts';
import { lossVerdict } from './loss-verdict.ts';
import { type LossWatchState, lossWatch, type TimedLoss } from './loss-watch.ts';

const hour = 3_600_000;

/** Losses, one an hour, of a law that the place decides. */
function losses(seed: string, count: number, of: (i: number, draw: Draw) => number): TimedLoss[] {
  const random = seededRandom(seed);
  const draw: Draw = {
    wrong: (rate) => (random.uniform() < rate ? 1 : 0),
    off: (scale) => Math.abs(random.normal()) * scale,
    normal: () => random.normal(),
    uniform: () => random.uniform(),
  };
  return Array.from({ length: count }, (_, i) => ({ at: i * hour, loss: of(i, draw) }));
}

interface Draw {
  wrong(rate: number): number;
  off(scale: number): number;
  normal(): number;
  uniform(): number;
}

const watched = (all: readonly TimedLoss[]): LossWatchState =>
  lossWatch.update(lossWatch.init(), all);

describe('a watch over losses', () => {
  it('goes on from stored states as if it had never stopped', () => {
    const random = seededRandom('cuts');
    const all = losses('resume', 4000, (i, draw) => draw.wrong(i < 2000 ? 0.1 : 0.3));
    const whole = watched(all);
    let state = lossWatch.init();
    for (let from = 0; from < all.length; ) {
      const to = from + 1 + random.below(500);
      state = lossWatch.update(JSON.parse(JSON.stringify(state)), all.slice(from, to));
      from = to;
    }
    expect(JSON.stringify(state)).toBe(JSON.stringify(whole));
    expect(JSON.stringify(lossVerdict(state))).toBe(JSON.stringify(lossVerdict(whole)));
    expect(JSON.stringify(state).length).toBeLessThan(60_000);
  });

  it('finds a step, says since when, and forgets it when it is over', () => {
    const step = (i: number): number => (i >= 2000 && i < 4000 ? 0.25 : 0.1);
    const all = losses('step', 8000, (i, draw) => draw.wrong(step(i)));
    const { change, degraded, current, reference } = lossVerdict(watched(all.slice(0, 3000)));
    expect(degraded).toBe(true);
    expect(change?.foundIndex).toBeLessThan(2400);
    expect(Math.abs((change?.since ?? 0) - 2000 * hour)).toBeLessThan(300 * hour);
    expect(reference?.mean).toBeCloseTo(0.1, 1);
    expect(current?.mean).toBeGreaterThan(0.2);
    const over = lossVerdict(watched(all));
    expect(over.degraded).toBe(false);
    expect(over.kind).toBe('recurring');
  });

  it('tells what gets better from what gets worse', () => {
    const all = losses('better', 4000, (i, draw) => draw.off(i < 2000 ? 1 : 0.5));
    const { change, degraded } = lossVerdict(watched(all));
    expect([change?.direction, degraded]).toEqual(['down', false]);
  });

  it('says when it has too few, and answers for constants', () => {
    expect(lossVerdict(watched(losses('few', 100, () => 1)))).toMatchObject({
      ...{ outcome: 'not-enough-data', losses: 100, minimum: 500, degraded: false },
    });
    for (const constant of [0, 1, 0.3, 1e300]) {
      const verdict = lossVerdict(watched(losses('constant', 1000, () => constant)));
      expect(verdict).toMatchObject({ outcome: 'measured', change: null, kind: 'none' });
      expect(JSON.stringify(verdict)).not.toMatch(/NaN|null,"deviation/);
    }
    const first = losses('first errors', 2000, (i, draw) => draw.wrong(i < 1000 ? 0 : 0.1));
    expect(lossVerdict(watched(first)).degraded).toBe(true);
    expect(() => lossWatch.update(lossWatch.init(), [{ at: 0, loss: Number.NaN }])).toThrow('loss');
    expect(() => lossWatch.init({ warmUp: 3 })).toThrow('warmUp');
  });

  it('is silent without change, and quick with one', () => {
    const laws: Record<string, (draw: Draw, isWorse: boolean) => number> = {
      rare: (draw, isWorse) => draw.wrong(isWorse ? 0.06 : 0.02),
      usual: (draw, isWorse) => draw.wrong(isWorse ? 0.25 : 0.1),
      even: (draw, isWorse) => draw.wrong(isWorse ? 0.65 : 0.5),
      errors: (draw, isWorse) => draw.off(isWorse ? 1.5 : 1),
      heavy: (draw, isWorse) => Math.exp(draw.normal() + (isWorse ? 0.5 : 0)),
    };
    const runs = 8;
    let alarms = 0;
    const medians: Record<string, number> = {};
    for (const [name, law] of Object.entries(laws)) {
      const delays: number[] = [];
      for (let run = 0; run < runs; run += 1) {
        let state = lossWatch.init();
        let isAlarm = false;
        const all = losses(`${name} ${run}`, 6500, (i, draw) => law(draw, i >= 4000));
        for (let from = 0; from < 4000; from += 500) {
          state = lossWatch.update(state, all.slice(from, from + 500));
          isAlarm ||= state.change !== null;
        }
        if (isAlarm) alarms += 1;
        state = lossWatch.update(state, all.slice(4000));
        const { change } = state;
        delays.push(change?.direction === 'up' ? change.foundIndex - 4000 : Infinity);
      }
      medians[name] = delays.sort((a, b) => a - b)[runs / 2] as number;
      const found = delays.filter((delay) => delay < Infinity).length;
      // Where ten errors are all that the reference has, some references are bad by chance.
      expect([name, found >= (name === 'rare' ? 6 : runs - 1)]).toEqual([name, true]);
    }
    // 40 runs of 4,000 losses without change; the long form is `npm run bench -- monitoring`.
    expect(alarms).toBeLessThanOrEqual(1);
    const limits = { rare: 800, usual: 200, even: 500, errors: 150, heavy: 200 };
    for (const [name, limit] of Object.entries(limits)) {
      expect([name, (medians[name] as number) < limit]).toEqual([name, true]);
    }
  }, 60_000);
});

describe('the kind of a change', () => {
  const points = 100;
  const size = 40;
  const kinds: readonly DriftKind[] = [
    ...(['none', 'sudden', 'gradual', 'incremental', 'recurring', 'blip'] as const),
  ];

  /** Means of 40 losses each; the level of each loss is 0 or `height`, or between, by the kind. */
  function series(kind: DriftKind, run: number): KindPoint[] {
    const random = seededRandom(`${kind} ${run}`);
    const from = 20 + random.below(30);
    const length = 20 + random.below(20);
    const height = 0.8 + 0.7 * random.uniform();
    const stay = 14 + random.below(8);
    const share = (i: number): number => Math.min(1, Math.max(0, (i - from) / length));
    const level = (i: number): number => {
      if (kind === 'none') return 0;
      if (kind === 'sudden') return i < from ? 0 : height;
      if (kind === 'gradual') return random.uniform() < share(i) ? height : 0;
      if (kind === 'incremental') return height * share(i);
      if (kind === 'blip') return i >= from && i < from + 1 + (run % 3) ? 2 * height : 0;
      return Math.floor(i / stay) % 2 === 1 ? height : 0;
    };
    // Some gradual changes alternate by whole points rather than loss by loss.
    const byPoint = kind === 'gradual' && run % 2 === 0;
    return Array.from({ length: points }, (_, i) => {
      const whole = level(i);
      const values = Array.from(
        { length: size },
        () => (byPoint ? whole : level(i)) + random.normal(),
      );
      const mean = values.reduce((sum, value) => sum + value, 0) / size;
      const square = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / size;
      return { mean, count: size, deviation: Math.sqrt(square) };
    });
  }

  it('is told of each kind, nine times in ten', () => {
    const runs = 20;
    const table = Object.fromEntries(
      kinds.map((truth) => {
        const row = Object.fromEntries(kinds.map((said) => [said, 0]));
        for (let run = 0; run < runs; run += 1) {
          const { kind } = kindOfDrift(series(truth, run));
          row[kind] = (row[kind] as number) + 1;
        }
        return [truth, row];
      }),
    );
    for (const kind of kinds) {
      expect([kind, (table[kind]?.[kind] as number) / runs >= 0.9]).toEqual([kind, true]);
    }
  }, 30_000);

  it('of shares says what it cannot tell, and of few points nothing', () => {
    const ramp = Array.from({ length: 60 }, (_, i) => {
      const mean = 0.1 + 0.4 * Math.min(1, Math.max(0, (i - 20) / 20));
      return { mean, count: 200, deviation: Math.sqrt(mean * (1 - mean)) };
    });
    expect(kindOfDrift(ramp)).toMatchObject({
      kind: 'incremental',
      notes: [expect.stringContaining('do not tell')],
    });
    expect(kindOfDrift(ramp.slice(0, 7)).kind).toBe('none');
    expect(kindOfDrift(Array.from({ length: 20 }, () => ({ mean: 3, count: 5 }))).kind).toBe(
      'none',
    );
    expect(() => kindOfDrift([{ mean: 1, count: 0 }])).toThrow('count');
  });
});
