import type { Json } from '../../json.ts';
import { type ProgramOptions, ScenarioChild } from './child-of-scenario.ts';
import { seededRandom } from './seed.ts';

/** What is done to processes that work side by side. */
export interface KillLoopOptions extends ProgramOptions {
  /** What each process is passed; a function of its place. */
  readonly argument: Json | ((slot: number) => Json);
  /** How many work side by side. */
  readonly processes: number;
  /** How many SIGKILLs. A process that was killed is replaced at once. */
  readonly kills: number;
  /** How many are stopped (SIGSTOP) for `stallMs` and go on; none when left out. */
  readonly stalls?: number;
  /** Longer than a lease, or nothing is proved; 1,000 when left out. */
  readonly stallMs?: number;
  /** The least and the most time between two faults; 60 to 150 ms when left out. */
  readonly everyMs?: readonly [number, number];
  /**
   * How far the work is, such as the number of steps done. Where it is told, a fault waits until it has grown since the
   * one before, for `graceMs` at most: on a machine with much else, faults by the clock alone outrun all work.
   */
  progress?(): number | Promise<number>;
  /** 2,000 when left out. */
  readonly graceMs?: number;
  /** Processes kept loaded, so that a replacement works at once; 1 when left out. */
  readonly standby?: number;
  /** Chooses victims and moments; see `seedOf`. */
  readonly seed: number;
  /**
   * Whether the work is done; asked between faults. Left out, it is done when all processes have ended by
   * themselves.
   */
  done?(soFar: Pick<KillLoopReport, 'kills' | 'stalls' | 'said'>): boolean | Promise<boolean>;
  /** After which it is given up; 300,000 when left out. */
  readonly timeoutMs?: number;
  /** How long processes may take to come to their end when the work is done; 10,000 when left out. */
  readonly stopMs?: number;
}

/** What a kill loop did. */
export interface KillLoopReport {
  readonly seed: number;
  /** Kills that hit a process amid its work. */
  readonly kills: number;
  readonly stalls: number;
  /** How many processes were started. */
  readonly starts: number;
  /** What processes said, in order for each of them. */
  readonly said: readonly Json[];
  readonly tookMs: number;
}

/**
 * Runs processes side by side, kills or stalls one of those that work (by the seed), replaces it, and so on
 * until the faults are used up and the work is done; or the work is done, whichever comes first. Then it
 * asks all to come to their end. Rejects when a process ends by a failure of its own, when all have ended
 * and the work is not done, and when time is up: with the seed, and what a process said on stderr.
 * No process is left.
 */
export async function killLoop(options: KillLoopOptions): Promise<KillLoopReport> {
  const loop = new KillLoop(options);
  try {
    await loop.run();
    return await loop.stop();
  } finally {
    await loop.killAll();
  }
}

class KillLoop {
  readonly #options: KillLoopOptions;
  readonly #random: () => number;
  readonly #startedAt = performance.now();
  readonly #all: ScenarioChild[] = [];
  readonly #standby: ScenarioChild[] = [];
  readonly #slots: ScenarioChild[] = [];
  readonly #stalled = new Set<Promise<void>>();
  #faultAt = { progress: Number.NEGATIVE_INFINITY, time: performance.now() };
  #kills = 0;
  #stalls = 0;
  #turns = 0;

  constructor(options: KillLoopOptions) {
    this.#options = options;
    this.#random = seededRandom(options.seed);
  }

  async run(): Promise<void> {
    const { processes } = this.#options;
    for (let slot = 0; slot < processes; slot += 1) this.#fill(slot);
    this.#keepStandby();
    while (!(await this.#isDone())) {
      await this.#check();
      await this.#pause();
      if (!this.#faultsLeft() || !(await this.#hasGoneOn())) continue;
      const slot = this.#victim();
      if (slot !== undefined) await this.#fault(slot);
    }
    await this.#check();
  }

  async stop(): Promise<KillLoopReport> {
    const { seed, stopMs = 10_000 } = this.#options;
    await Promise.all(this.#stalled);
    const ended = await Promise.all(this.#slots.map((child) => child.stop(stopMs)));
    this.#failures();
    const late = ended.filter((inTime) => !inTime).length;
    if (late > 0)
      throw this.#error(`${late} process(es) had not ended ${stopMs} ms after they were asked to`);
    return {
      seed,
      ...this.#soFar(),
      starts: this.#turns,
      tookMs: performance.now() - this.#startedAt,
    };
  }

  async killAll(): Promise<void> {
    await Promise.all(this.#all.map((child) => child.kill()));
  }

  #fill(slot: number): void {
    const { argument, seed } = this.#options;
    const child = this.#standby.shift() ?? this.#start();
    this.#slots[slot] = child;
    const passed = typeof argument === 'function' ? argument(slot) : argument;
    const number = this.#turns;
    this.#turns += 1;
    void child.go({ argument: passed, slot, number, seed });
  }

  #start(): ScenarioChild {
    const child = new ScenarioChild(this.#options);
    this.#all.push(child);
    return child;
  }

  #keepStandby(): void {
    const { standby = 1 } = this.#options;
    const left = this.#killsLeft();
    while (this.#standby.length < Math.min(standby, left)) this.#standby.push(this.#start());
  }

  #killsLeft(): number {
    return this.#options.kills - this.#kills;
  }

  #stallsLeft(): number {
    return (this.#options.stalls ?? 0) - this.#stalls;
  }

  #faultsLeft(): boolean {
    return this.#killsLeft() + this.#stallsLeft() > 0;
  }

  /** Whether the work has gone on since the last fault, or has had its time. */
  async #hasGoneOn(): Promise<boolean> {
    const { progress, graceMs = 2_000 } = this.#options;
    if (progress === undefined) return true;
    const now = await progress();
    const waited = performance.now() - this.#faultAt.time;
    if (now <= this.#faultAt.progress && waited < graceMs) return false;
    this.#faultAt = { progress: now, time: performance.now() };
    return true;
  }

  #victim(): number | undefined {
    const working = [...this.#slots.keys()].filter((slot) => this.#slots[slot]?.working);
    return working[Math.floor(this.#random() * working.length)];
  }

  async #fault(slot: number): Promise<void> {
    const child = this.#slots[slot];
    if (child === undefined) return;
    const stalls = this.#stallsLeft();
    if (this.#random() * (stalls + this.#killsLeft()) < stalls) {
      this.#stalls += 1;
      const stalled = child.stall(this.#options.stallMs ?? 1_000).finally(() => {
        this.#stalled.delete(stalled);
      });
      this.#stalled.add(stalled);
      return;
    }
    if (!(await child.kill())) return;
    this.#kills += 1;
    this.#fill(slot);
    this.#keepStandby();
  }

  async #pause(): Promise<void> {
    const [least, most] = this.#options.everyMs ?? [60, 150];
    const ms = least + this.#random() * (most - least);
    await new Promise((resolve) => setTimeout(resolve, ms));
  }

  async #check(): Promise<void> {
    this.#failures();
    const { timeoutMs = 300_000 } = this.#options;
    if (performance.now() - this.#startedAt > timeoutMs) {
      throw this.#error(`the work was not done after ${timeoutMs} ms`);
    }
    if (this.#options.done === undefined || !this.#allOver()) return;
    // They may have done the last of it and ended since it was looked at.
    if (!(await this.#isDone()))
      throw this.#error('all processes have ended and the work is not done');
  }

  async #isDone(): Promise<boolean> {
    const { done } = this.#options;
    return done === undefined ? this.#allOver() : await done(this.#soFar());
  }

  #soFar(): Pick<KillLoopReport, 'kills' | 'stalls' | 'said'> {
    const said = this.#all.flatMap((child) => child.said);
    return { kills: this.#kills, stalls: this.#stalls, said };
  }

  #allOver(): boolean {
    return this.#slots.every(({ over }) => over);
  }

  #failures(): void {
    for (const { failure } of this.#all) {
      if (failure !== undefined) throw this.#error(`a process ${failure}`);
    }
  }

  #error(what: string): Error {
    const { seed } = this.#options;
    return new Error(
      `A kill loop (seed ${seed}; KEELSON_SEED=${seed} repeats it) after ${this.#kills} kills and ${this.#stalls} stalls: ${what}.`,
    );
  }
}
