import type { ScalingConfig } from '@keelson/core';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decideScaling,
  noScalingState,
  type ScalingDecision,
  type ScalingSample,
} from './autoscaler.ts';
import { LoadMeter } from './load-meter.ts';
import { VersionScaler } from './version-scaler.ts';

/** A deployment whose replicas come `startMs` after they were asked for, under a load that is given. */
class Simulation {
  readonly decisions: (ScalingDecision & { readonly at: number })[] = [];
  at = 0;
  ready: number;
  #starting: { readonly readyAt: number }[] = [];
  #state = noScalingState(0);
  readonly #config: ScalingConfig;
  readonly #startMs: number;
  readonly #cores: number;

  constructor(config: ScalingConfig, { ready = 1, startMs = 2000, cores = 64 } = {}) {
    this.#config = config;
    this.ready = ready;
    this.#startMs = startMs;
    this.#cores = cores;
  }

  get replicas(): number {
    return this.ready + this.#starting.length;
  }

  /** `load` says what is seen at a time, given the ready replicas. */
  run(durationMs: number, load: (at: number, ready: number) => Partial<ScalingSample>): this {
    const end = this.at + durationMs;
    for (; this.at < end; this.at += 250) {
      this.ready += this.#starting.filter(({ readyAt }) => readyAt <= this.at).length;
      this.#starting = this.#starting.filter(({ readyAt }) => readyAt > this.at);
      const sample = {
        ...{ at: this.at, outstanding: 0, ready: this.ready, starting: this.#starting.length },
        ...load(this.at, this.ready),
      };
      const { state, decision } = decideScaling(this.#config, this.#state, sample, this.#cores);
      this.#state = state;
      const more = decision.replicas - this.replicas;
      if (more === 0) continue;
      this.decisions.push({ ...decision, at: this.at });
      for (let i = 0; i < more; i += 1) this.#starting.push({ readyAt: this.at + this.#startMs });
      if (more < 0) this.ready += more;
    }
    return this;
  }
}

const config: ScalingConfig = { min: 1, max: 20, targetOutstanding: 2 };

describe('the autoscaler', () => {
  test('follows a steady load, and stays within a tenth of it', () => {
    const steady = new Simulation(config).run(120_000, () => ({ outstanding: 10 }));
    expect(steady.replicas).toBe(5);
    const before = steady.decisions.length;
    steady.run(600_000, (at) => ({ outstanding: 10 + Math.sin(at / 7000) }));
    expect(steady.decisions.length).toBe(before);
  });

  test('answers a burst within seconds, and does not start slow starters twice', () => {
    const burst = new Simulation(config, { startMs: 30_000 });
    burst.run(60_000, () => ({ outstanding: 1 })).run(10_000, () => ({ outstanding: 24 }));
    // Within a tenth of the 12 that would be exact.
    expect(burst.replicas).toBe(11);
    expect(burst.decisions.at(-1)?.reason).toMatch(/requests are open at a time in a burst/);
    burst.run(20_000, () => ({ outstanding: 24 }));
    expect(burst.replicas).toBe(11);
  });

  test('does not oscillate under a load that comes and goes', () => {
    const square = new Simulation(config);
    square.run(120_000, (at) => ({ outstanding: Math.floor(at / 30_000) % 2 === 0 ? 16 : 0 }));
    const before = square.decisions.length;
    square.run(1_200_000, (at) => ({ outstanding: Math.floor(at / 30_000) % 2 === 0 ? 16 : 0 }));
    expect(square.decisions.slice(before)).toEqual([]);
  });

  test('shrinks only to the largest number that was needed lately, by half at a time, and says so', () => {
    const fading = new Simulation({ ...config, downAfterMs: 120_000 });
    fading.run(120_000, () => ({ outstanding: 32 }));
    expect(fading.replicas).toBe(16);
    const from = fading.decisions.length;
    fading.run(900_000, () => ({ outstanding: 1 }));
    const down = fading.decisions.slice(from).map(({ replicas }) => replicas);
    expect(down.at(-1)).toBe(1);
    for (const [i, replicas] of down.entries()) {
      expect(replicas).toBeGreaterThanOrEqual(Math.floor((down[i - 1] ?? 16) / 2));
    }
    expect(fading.decisions[from]?.at).toBeGreaterThanOrEqual(240_000);
    expect(fading.decisions[from]?.reason).toMatch(/were enough for 2\.0 min/);
  });

  test('a scale-up that empties the mean brings no scale-down with it', () => {
    const relieved = new Simulation(config);
    relieved.run(60_000, () => ({ outstanding: 12 }));
    expect(relieved.replicas).toBe(6);
    relieved.run(240_000, (_at, ready) => ({ outstanding: ready > 4 ? 2 : 12 }));
    expect(relieved.replicas).toBe(6);
  });

  test('slow answers ask for more only while waiting is a good part of them', () => {
    const slow = { ...config, latencyTargetMs: 100 };
    const compute = new Simulation(slow, { ready: 2 });
    compute.run(60_000, () => ({ outstanding: 4, p95Ms: 300, queueP95Ms: 20 }));
    expect(compute.replicas).toBe(2);
    const waiting = new Simulation(slow, { ready: 2 });
    waiting.run(14_000, () => ({ outstanding: 4, p95Ms: 300, queueP95Ms: 200 }));
    expect(waiting.replicas).toBe(2);
    waiting.run(2_000, () => ({ outstanding: 4, p95Ms: 300, queueP95Ms: 200 }));
    expect(waiting.replicas).toBe(6);
    expect(waiting.decisions[0]?.reason).toMatch(/p95 is 300 ms instead of 100/);
  });

  test('requests a second and CPU may each ask for more', () => {
    const rate = new Simulation({ ...config, targetRequestsPerSecond: 50 });
    rate.run(20_000, () => ({ outstanding: 1, requestsPerSecond: 400 }));
    expect(rate.replicas).toBe(8);
    const cpu = new Simulation({ ...config, targetCpuPercent: 50 }, { ready: 2 });
    cpu.run(250, () => ({ outstanding: 4, cpuPercent: 100 }));
    expect(cpu.replicas).toBe(4);
  });

  test('goes to nothing when nobody asks, and back at the first request', () => {
    const zero = { ...config, min: 0, scaleToZeroAfterMs: 60_000 };
    const dormant = new Simulation(zero).run(59_000, () => ({}));
    expect(dormant.replicas).toBe(1);
    dormant.run(2_000, () => ({}));
    expect(dormant.replicas).toBe(0);
    expect(dormant.decisions.at(-1)?.reason).toMatch(/nobody has asked for 60 s/);
    dormant.run(250, () => ({ outstanding: 1 }));
    expect(dormant.replicas).toBe(1);
  });

  test('keeps spares beyond what is needed', () => {
    const spared = new Simulation({ ...config, spares: 2 }).run(90_000, () => ({
      outstanding: 10,
    }));
    expect(spared.replicas).toBe(7);
  });

  test('says what kept it from more: the machine, or the maximum', () => {
    const machine = new Simulation(config, { cores: 4 }).run(20_000, () => ({ outstanding: 40 }));
    expect(machine.replicas).toBe(4);
    expect(machine.decisions.at(-1)).toMatchObject({
      limitedBy: 'cores',
      reason: expect.stringMatching(/the machine has 4 cores/),
    });
    const most = new Simulation(config).run(20_000, () => ({ outstanding: 100 }));
    expect(most.replicas).toBe(20);
    expect(most.decisions.at(-1)?.limitedBy).toBe('max');
  });

  test('where something keeps the replicas, none goes, not even to sleep, and more still come', () => {
    const sleepy = { ...config, min: 0, scaleToZeroAfterMs: 60_000 };
    const busy = new Simulation(sleepy).run(60_000, () => ({ outstanding: 10 }));
    expect(busy.replicas).toBe(5);
    const keep = 'frozen by alert a1';
    busy.run(1_200_000, () => ({ outstanding: 0, keep }));
    expect(busy.replicas).toBe(5);
    busy.run(60_000, () => ({ outstanding: 20, keep }));
    expect(busy.replicas).toBe(10);
    busy.run(1_200_000, () => ({}));
    expect(busy.replicas).toBe(0);
    busy.run(60_000, () => ({ keep }));
    expect(busy.replicas).toBe(0);
  });

  test('never leaves its bounds, whatever it sees', () => {
    const figure = fc.oneof(fc.nat(1000), fc.constantFrom(0, Number.MAX_SAFE_INTEGER));
    const step = fc.record({ outstanding: figure, p95Ms: figure, queueP95Ms: figure });
    fc.assert(
      fc.property(
        fc.record({ min: fc.nat(5), more: fc.nat(20), spares: fc.nat(3) }),
        fc.array(step, { minLength: 1, maxLength: 200 }),
        ({ min, more, spares }, steps) => {
          const bounds = { min, max: min + more + 1, spares, latencyTargetMs: 50 };
          const free = new Simulation({ ...bounds, scaleToZeroAfterMs: 10_000 });
          let i = 0;
          free.run(steps.length * 250, () => steps[i++] ?? {});
          for (const { replicas } of free.decisions) {
            expect(replicas).toBeGreaterThanOrEqual(min);
            expect(replicas).toBeLessThanOrEqual(bounds.max);
          }
        },
      ),
    );
  });
});

test('the cores of this machine bound replicas on it, and none elsewhere', () => {
  const scaling = { min: 1, max: 40, targetOutstanding: 1 };
  const wanted = (cores: number): number => {
    let at = 0;
    const pool = { readyCount: 1, wanted: 1, unsettled: 100, resize: async () => undefined };
    const scaler = new VersionScaler(pool, new LoadMeter(0), cores, {}, () => at);
    let replicas = 1;
    for (; at < 10_000; at += 250) {
      replicas = scaler.tick(scaling)?.replicas ?? replicas;
    }
    return replicas;
  };
  expect(wanted(2)).toBe(2);
  expect(wanted(Number.POSITIVE_INFINITY)).toBe(40);
});

test('what a program tells of the memory of its GPUs asks for more replicas', () => {
  const tell = (percent: number | undefined, target?: number) => {
    let at = 0;
    const pool = { readyCount: 2, wanted: 2, unsettled: 4, resize: async () => undefined };
    const signals = { gpuMemoryPercent: () => percent };
    const scaler = new VersionScaler(pool, new LoadMeter(0), 64, signals, () => at);
    at = 250;
    return scaler.tick({
      ...{ min: 1, max: 40 },
      ...(target === undefined ? {} : { targetGpuMemoryPercent: target }),
    });
  };
  expect(tell(90, 60)).toMatchObject({
    replicas: 3,
    reason: 'GPU memory is at 90 % instead of 60',
  });
  expect(tell(62, 60)).toBe(undefined);
  expect(tell(undefined, 60)).toBe(undefined);
  expect(tell(90)).toBe(undefined);
});
