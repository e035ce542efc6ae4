import { dirname } from 'node:path';
import type { PointTarget, RunAddress } from '../contracts/point-target.ts';
import type { SeriesKey } from '../contracts/series-store.ts';
import { isKeelsonError, type KeelsonError } from '../errors.ts';
import { AdoptedSpools } from './adopted-spools.ts';
import { type PointBlock, takeBlock } from './point-block.ts';
import { type DrainReport, messageOf, PointFaults } from './point-faults.ts';
import { distance, type PointRing, reached } from './point-ring.ts';
import { PointSpool } from './point-spool.ts';
import { RunPulse } from './run-pulse.ts';
import { findLastSteps, StepNumbers } from './step-numbers.ts';
import { SystemReader } from './system-reading.ts';
import { SystemSampling } from './system-sampling.ts';
import { thinPoints } from './thin-points.ts';

/** How a writer thread works. */
export interface DrainOptions {
  /** The writer's id: random, new for each writer. */
  readonly writer: string;
  readonly flushMs: number;
  readonly heartbeatMs: number;
  readonly onFull: 'drop' | 'block';
  readonly spoolDir: string;
  readonly spoolBytes: number;
}

/** What the main thread tells besides points. */
export type DrainMessage =
  | { readonly do: 'series'; readonly index: number; readonly series: SeriesKey }
  /** `sampleMs`: how often the system is sampled into the run's metrics; never when left out. */
  | { readonly do: 'open-run'; readonly run: RunAddress; readonly sampleMs?: number }
  | { readonly do: 'close-run'; readonly run: RunAddress }
  /** Takes over the spools of writers that have died since. */
  | { readonly do: 'adopt-spools' };

/** The thread's side of the world: messages, reports, the backend. */
export interface DrainWorld {
  receive(): DrainMessage | undefined;
  report(report: DrainReport): void;
  open(): Promise<PointTarget>;
}

/** A block that is not in the store yet. */
interface Waiting {
  readonly sequence: number;
  readonly count: number;
  readonly start: number;
  readonly end: number;
  /** In memory: the oldest block alone, unless the spool failed. */
  block: PointBlock | undefined;
  spooled: boolean;
}

const batchPoints = 65_536;
/** A batch is stored before its time when so many points have come. */
const earlyPoints = 8_192;
/** An append that takes longer counts as an outage, as far as memory is concerned. */
const hangMs = 10_000;
/** An outage that lasts longer is no hiccup; and how long to leave a spool alone that failed. */
const stallMs = 1_000;
/** Blocks that go to the spool before anything else gets its turn: a loop may log as fast as we spill. */
const spillBlocks = 4;
/** Of the time for the store: after it, and so much more for a spool that fails, points are given up. */
const giveUpAfter = 1.6;
const busyMs = 50;
/** How often all that is in memory goes to the spool, in an outage. */
const spillMs = 500;
const longestPauseMs = 5_000;
const failuresUntilReopen = 5;
const idleFoldMs = 1_000;

/**
 * Carries points from a ring to a store, in order and exactly once. While the store is away it fills the
 * spool, and when that is full too thins the oldest points (`drop`) or lets the logger wait (`block`).
 * Runs in the writer thread; blocks it when there is nothing to do.
 */
export class PointDrain {
  readonly #ring: PointRing;
  readonly #options: DrainOptions;
  readonly #world: DrainWorld;
  readonly #series: SeriesKey[] = [];
  readonly #waiting: Waiting[] = [];
  readonly #steps: StepNumbers;
  readonly #pulse: RunPulse;
  readonly #sampling: SystemSampling;
  #target: PointTarget | undefined;
  #opening: Promise<PointTarget> | undefined;
  #spool: PointSpool | undefined;
  readonly #adopted: AdoptedSpools;
  #sequence = 0;
  /** The append under way, and since when. */
  #working: Promise<void> | undefined;
  #workingSince = 0;
  #flushedAt = 0;
  #appendedAt = 0;
  #unfolded = false;
  /** Failures of the store in a row, since when, and when to try again. */
  #failures = 0;
  #failingSince = 0;
  #retryAt = 0;
  #spilledAt = 0;
  #spoolRetryAt = 0;
  #finalSince = 0;
  readonly #faults: PointFaults;
  #givenUp = false;

  constructor(ring: PointRing, options: DrainOptions, world: DrainWorld) {
    this.#ring = ring;
    this.#options = options;
    this.#world = world;
    this.#faults = new PointFaults(ring, this.#series, (report) => world.report(report));
    this.#steps = new StepNumbers((series) => findLastSteps(this.#target as PointTarget, series));
    this.#pulse = new RunPulse(options.heartbeatMs, {
      open: () => this.#open(),
      beaten: () => {
        this.#faults.beat(undefined);
        if (this.#failures === 0) this.#recover();
      },
      failed: (error) => this.#faults.beat(error),
    });
    this.#adopted = new AdoptedSpools({
      mustWait: () => this.#isFinal() || this.#ring.used >= earlyPoints,
      findLastSteps: (target) => (series) => findLastSteps(target, series),
      stored: () => {
        this.#appendedAt = performance.now();
        this.#unfolded = true;
        this.#recover();
      },
      note: (error) => this.#faults.tell(messageOf(error)),
    });
    const reader = new SystemReader(dirname(options.spoolDir));
    this.#sampling = new SystemSampling({
      writer: `${options.writer}:system`,
      read: () => reader.read(),
      open: () => this.#open(),
      findLastSteps,
      stored: () => {
        this.#appendedAt = performance.now();
        this.#unfolded = true;
      },
    });
  }

  /** Works until the main thread asks for the end and everything is in the store or the spool. */
  async run(): Promise<void> {
    const ring = this.#ring;
    ring.start();
    try {
      this.#adopted.adopt(this.#options.spoolDir);
      while (!this.#isOver()) {
        const wakes = ring.wakes;
        const now = performance.now();
        ring.touchAhead(batchPoints);
        this.#receive();
        this.#pulse.beat(now);
        this.#sampling.sample(now);
        this.#work(now);
        this.#relieve(now);
        this.#faults.report();
        const { beating } = this.#pulse;
        const busy = [this.#working, beating, this.#sampling.working].filter(
          (one) => one !== undefined,
        );
        if (busy.length > 0) await Promise.race([...busy, pause(busyMs)]);
        else ring.waitForWake(wakes, this.#idleMs(performance.now()));
      }
      await this.#leave();
    } finally {
      this.#faults.report();
      ring.end();
    }
  }

  #receive(): void {
    for (
      let message = this.#world.receive();
      message !== undefined;
      message = this.#world.receive()
    ) {
      if (message.do === 'series') this.#series[message.index] = message.series;
      else if (message.do === 'open-run') this.#openRun(message.run, message.sampleMs);
      else if (message.do === 'adopt-spools') this.#adopted.adopt(this.#options.spoolDir);
      else {
        this.#pulse.close(message.run);
        this.#sampling.close(message.run);
      }
    }
  }

  #openRun(run: RunAddress, sampleMs: number | undefined): void {
    this.#pulse.open(run);
    if (sampleMs !== undefined) this.#sampling.open(run, sampleMs, performance.now());
  }

  #work(now: number): void {
    if (this.#working !== undefined || !this.#isDue(now)) return;
    this.#workingSince = now;
    this.#working = this.#carry()
      .catch((error: unknown) => this.#fail(error))
      .finally(() => {
        this.#working = undefined;
      });
  }

  #isDue(now: number): boolean {
    if (now < this.#retryAt) return false;
    const ring = this.#ring;
    const used = ring.used;
    if (used === 0 && this.#waiting.length === 0) {
      if (!this.#adopted.isEmpty) return true;
      return this.#unfolded && (this.#isFinal() || now - this.#appendedAt > idleFoldMs);
    }
    return (
      used >= earlyPoints ||
      this.#waiting.length > 0 ||
      this.#isFinal() ||
      !reached(ring.durable, ring.flushTo) ||
      // Half of it: a point that came just after a look is stored within the whole.
      now - this.#flushedAt >= this.#options.flushMs / 2
    );
  }

  /** Stores all there is, oldest first. Rejects when the store fails; nothing is lost by that. */
  async #carry(): Promise<void> {
    const target = await this.#open();
    this.#flushedAt = performance.now();
    while (this.#waiting.length > 0 || this.#ring.used > 0) {
      const next = this.#waiting[0] ?? this.#freeze();
      next.block ??= this.#spool?.first();
      if (next.block !== undefined) await this.#store(target, next);
      this.#settle(next);
      this.#workingSince = performance.now();
      // A store that answers in microtasks, and points without end, would let no timer run: no heartbeat.
      await nextTurn();
    }
    await this.#adopted.carry(target);
    const now = performance.now();
    if (this.#unfolded && (this.#isFinal() || now - this.#appendedAt > idleFoldMs)) {
      this.#unfolded = false;
      await target.store.fold();
    }
  }

  async #store(target: PointTarget, next: Waiting): Promise<void> {
    try {
      next.block = await this.#steps.resolve(next.block as PointBlock);
      await target.store.appendPoints(next.block);
    } catch (error) {
      // What the store will never take would dam up everything behind it.
      if (!isKeelsonError(error, 'INVALID')) throw error;
      this.#drop(next.block as PointBlock, error);
    }
    this.#appendedAt = performance.now();
    this.#unfolded = true;
    this.#recover();
  }

  #settle(next: Waiting): void {
    if (next.spooled) this.#spool?.remove(next.sequence, next.count);
    this.#waiting.shift();
    this.#ring.stored(Date.now());
    this.#showProgress();
  }

  #showProgress(): void {
    const ring = this.#ring;
    const durable = this.#waiting[0]?.start ?? ring.tail;
    const unsafe = this.#waiting.find((one) => !one.spooled);
    ring.settle(durable, unsafe?.start ?? ring.tail, this.#spool?.points ?? 0);
  }

  /** Takes points off the ring and gives them their number for good. */
  #freeze(): Waiting {
    const ring = this.#ring;
    // A point is shown after its series was sent: once it is seen, the message is there.
    const start = ring.tail;
    const count = Math.min(ring.used, batchPoints);
    this.#receive();
    const sequence = ++this.#sequence;
    const number = { writer: this.#options.writer, sequence };
    const block = takeBlock(ring, start, count, (i) => this.#series[i] as SeriesKey, number);
    const end = (start + count) | 0;
    const next: Waiting = { sequence, count, start, end, block, spooled: false };
    this.#waiting.push(next);
    ring.release(end);
    return next;
  }

  /** Frees memory while the store is away. */
  #relieve(now: number): void {
    const ring = this.#ring;
    const final = this.#isFinal() && this.#mustSpill(now);
    const hangs = this.#working !== undefined && now - this.#workingSince > hangMs;
    // Points keep their order: while the spool is carried to the store, the ring waits behind it.
    const behind = (this.#spool?.points ?? 0) > 0;
    if (!final && !hangs && !behind && this.#failures === 0) return;
    // Killed now, this process would lose what is in memory: of a longer outage that is little.
    const lasting = hangs || (this.#failures > 0 && now - this.#failingSince > stallMs);
    const all = final || (lasting && now - this.#spilledAt > spillMs);
    const half = ring.capacity / 2;
    let spilling = all || ring.used > half;
    for (let i = 0; spilling && i < spillBlocks && now >= this.#spoolRetryAt; i++) {
      spilling = this.#spill(now) && (all || ring.used > half);
    }
    if (all && !spilling) this.#spilledAt = now;
    this.#showProgress();
    const spoolFails = now < this.#spoolRetryAt;
    if (final && spoolFails && now - this.#finalSince > ring.finalMs * giveUpAfter) this.#giveUp();
    const full = ring.used > ring.capacity * 0.9;
    if (this.#options.onFull === 'drop' && spoolFails && full) this.#thin();
  }

  /** Moves the oldest block that is not in the spool there; false when there is none, or it failed. */
  #spill(now: number): boolean {
    const unsafe = this.#waiting.find((one) => !one.spooled);
    if (unsafe === undefined && this.#ring.used === 0) return false;
    const next = unsafe ?? this.#freeze();
    try {
      const { spoolDir, writer, spoolBytes } = this.#options;
      this.#spool ??= PointSpool.open(spoolDir, writer, spoolBytes);
      this.#spool.put(next.block as PointBlock);
      next.spooled = true;
      // The one being stored is still needed here.
      if (next !== this.#waiting[0]) next.block = undefined;
      return true;
    } catch (error) {
      this.#spoolRetryAt = now + stallMs;
      this.#faults.note(error);
      return false;
    }
  }

  #thin(): void {
    const ring = this.#ring;
    const flushTo = ring.flushTo;
    const from = ring.tail;
    let to = (from + ring.used / 2) | 0;
    // A flush that waits for points before `to` must not see them move behind the place it waits for.
    if (!reached(from, flushTo) && reached(to, flushTo)) to = flushTo;
    const { tail, dropped } = thinPoints(ring, from, distance(from, to));
    for (const [index, points] of dropped) this.#faults.drop(index, points);
    ring.release(tail);
    this.#showProgress();
  }

  /** The end has come, and neither store nor spool takes the points: they are counted, not settled. */
  #giveUp(): void {
    if (this.#givenUp || this.#working !== undefined) return;
    while (this.#ring.used > 0) this.#freeze();
    for (const { block, spooled } of this.#waiting) {
      if (!spooled && block !== undefined) this.#faults.dropBlock(block);
    }
    this.#givenUp = true;
  }

  /** A store that took the rest says by `details.lost` the places of the series that it did not take. */
  #drop(block: PointBlock, error: KeelsonError): void {
    const { lost } = error.details;
    this.#faults.dropBlock(block, Array.isArray(lost) ? new Set(lost) : undefined);
    this.#faults.tell(`The store refuses metric points, which are dropped: ${messageOf(error)}`);
  }

  async #open(): Promise<PointTarget> {
    if (this.#target !== undefined) return this.#target;
    // Points and heartbeats may ask at once; one of them opens.
    this.#opening ??= this.#world.open().finally(() => {
      this.#opening = undefined;
    });
    const target = await this.#opening;
    this.#target ??= target;
    return this.#target;
  }

  async #fail(error: unknown): Promise<void> {
    if (this.#failures === 0) this.#failingSince = performance.now();
    this.#failures += 1;
    const pauseMs = Math.min(longestPauseMs, 50 * 2 ** this.#failures);
    this.#retryAt = performance.now() + pauseMs * (0.5 + Math.random() / 2);
    this.#faults.note(error);
    // What no waiting mends, somebody has to know of before the spool is full.
    if (isKeelsonError(error, 'FORBIDDEN')) this.#faults.tell(messageOf(error));
    if (this.#failures % failuresUntilReopen !== 0) return;
    const target = this.#target;
    this.#target = undefined;
    await target?.close().catch((fault: unknown) => this.#faults.note(fault));
  }

  #recover(): void {
    this.#failures = 0;
    this.#retryAt = 0;
    this.#faults.recover();
  }

  #isFinal(): boolean {
    return this.#ring.finalMs > 0;
  }

  #mustSpill(now: number): boolean {
    if (this.#finalSince === 0) this.#finalSince = now;
    return this.#failures > 0 || now - this.#finalSince >= this.#ring.finalMs;
  }

  #isOver(): boolean {
    if (!this.#isFinal() || this.#working !== undefined) return false;
    this.#receive();
    if (this.#givenUp) return true;
    const fails = this.#failures > 0 || this.#faults.beatsFail;
    if ((this.#pulse.hasWork || this.#sampling.hasWork) && !fails) return false;
    if (this.#ring.used > 0) return false;
    if (this.#waiting.some((one) => !one.spooled)) return false;
    return this.#failures > 0 || (this.#waiting.length === 0 && !this.#unfolded);
  }

  async #leave(): Promise<void> {
    this.#showProgress();
    this.#spool?.close();
    this.#adopted.close();
    await this.#target?.close().catch((error: unknown) => this.#faults.note(error));
  }

  #idleMs(now: number): number {
    if (this.#givenUp) return 1;
    const times = [now + this.#options.flushMs / 2, this.#pulse.nextAt, this.#sampling.nextAt];
    if (this.#retryAt > now) times.push(this.#retryAt);
    return Math.max(1, Math.min(...times) - now);
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
