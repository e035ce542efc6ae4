import type { Scope } from '../../contracts/scope.ts';
import type { Rollup, StreamKey } from '../../contracts/series-store.ts';
import { isKeelsonError } from '../../errors.ts';
import { uuidV7 } from '../../uuid.ts';
import { predictionStream } from '../predictions/prediction-stream.ts';

/** Everything is counted by the minute. */
export const minuteMs = 60_000;
/** Minutes add up to hours and days (of UTC), which are stored beside them. */
export const levels: readonly number[] = [minuteMs, 3_600_000, 86_400_000];

/** What is counted is stored at the latest so long after, by a process that goes on. */
const putEveryMs = 5000;
/** Windows that are open at once: rows may come late. */
const maxOpen = 1024;

/** A kind of counts: how one minute is counted, and how counts add up. */
export interface Counting<Item, Counts> {
  /** Of the rollups. */
  readonly name: string;
  /** The lengths of the windows that are stored; {@link levels} when left out. */
  readonly levels?: readonly number[];
  begin(): { add(item: Item): void; counts(): Counts };
  merge(all: readonly [Counts, ...Counts[]]): Counts;
  encode(counts: Counts): string;
}

interface Fresh {
  readonly deploymentId: string;
  readonly counting: Counting<unknown, unknown>;
  readonly at: number;
  readonly counter: { add(item: unknown): void; counts(): unknown };
}

interface OpenWindow {
  readonly stream: StreamKey;
  readonly counting: Counting<unknown, unknown>;
  readonly windowMs: number;
  readonly at: number;
  /** Of this window alone: one that was closed and is opened again must not replace what it was. */
  readonly writer: string;
  counts: unknown;
  dirty: boolean;
  /** When something was counted in it last, by the process's own clock: items may have any time. */
  touchedAt: number;
}

/**
 * Counts by the minute, hour and day of the items' time, and keeps the counts as rollups: each writer its own, readers
 * add them up. Memory is bounded. What a killed process had counted and not stored, five seconds' worth, is lost.
 */
export class CountedRollups {
  readonly #scope: Pick<Scope, 'series' | 'workspace' | 'logger'>;
  readonly #writer = uuidV7();
  /** What came since it was last stored. */
  #fresh = new Map<string, Fresh>();
  readonly #open = new Map<string, OpenWindow>();
  #opened = 0;
  #putAt = performance.now();
  #putting: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;

  constructor(scope: Pick<Scope, 'series' | 'workspace' | 'logger'>) {
    this.#scope = scope;
  }

  /** What counts items of the minute that `at` lies in; good until the next {@link put}, so not to be kept over an await. */
  counter<Item, Counts>(
    deploymentId: string,
    counting: Counting<Item, Counts>,
    at: number,
  ): { add(item: Item): void } {
    const minute = Math.floor(at / minuteMs) * minuteMs;
    const key = keyOf(deploymentId, counting.name, minute);
    let fresh = this.#fresh.get(key);
    if (fresh === undefined) {
      const of = counting as Counting<unknown, unknown>;
      fresh = { deploymentId, counting: of, at: minute, counter: of.begin() };
      this.#fresh.set(key, fresh);
      this.#putSoon();
    }
    return fresh.counter;
  }

  /** Whether so many windows are open that they had better be stored now. */
  get isFull(): boolean {
    return this.#fresh.size * levels.length + this.#open.size > maxOpen;
  }

  /** Stores what was counted since the last time; nothing before its time, unless `all`. */
  put({ all }: { readonly all: boolean }): Promise<void> {
    if (!all && performance.now() - this.#putAt < putEveryMs) return Promise.resolve();
    this.#putAt = performance.now();
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const done = this.#putting.catch(() => undefined).then(() => this.#putNow());
    this.#putting = done;
    return done;
  }

  async #putNow(): Promise<void> {
    this.#takeFresh();
    const dirty = [...this.#open.values()].filter((window) => window.dirty);
    if (dirty.length > 0) {
      const rollups = dirty.map(rollupOf);
      // What is counted while it is stored is stored the next time.
      for (const window of dirty) window.dirty = false;
      try {
        await this.#scope.series.putRollups(rollups);
      } catch (error) {
        for (const window of dirty) window.dirty = true;
        throw error;
      }
    }
    this.#closeOld();
  }

  /** Adds what came to the windows it lies in. */
  #takeFresh(): void {
    const fresh = this.#fresh;
    this.#fresh = new Map();
    for (const { deploymentId, counting, at, counter } of fresh.values()) {
      const counts = counter.counts();
      for (const windowMs of counting.levels ?? levels) {
        const from = Math.floor(at / windowMs) * windowMs;
        const window = this.#windowOf(deploymentId, counting, windowMs, from);
        window.counts =
          window.counts === undefined ? counts : counting.merge([window.counts, counts]);
        window.dirty = true;
        window.touchedAt = performance.now();
      }
    }
  }

  #windowOf(
    deploymentId: string,
    counting: Counting<unknown, unknown>,
    windowMs: number,
    at: number,
  ): OpenWindow {
    const key = `${windowMs}:${keyOf(deploymentId, counting.name, at)}`;
    const known = this.#open.get(key);
    if (known !== undefined) return known;
    this.#opened += 1;
    const opened: OpenWindow = {
      stream: predictionStream(this.#scope.workspace, deploymentId),
      ...{ counting, windowMs, at, counts: undefined, dirty: false, touchedAt: 0 },
      writer: `${this.#writer}.${this.#opened}`,
    };
    this.#open.set(key, opened);
    return opened;
  }

  /** Those in which nothing was counted for two minutes; where too many are open, those that have waited longest. */
  #closeOld(): void {
    const now = performance.now();
    const idle = [...this.#open]
      .filter(([, { dirty }]) => !dirty)
      .sort(([, a], [, b]) => a.touchedAt - b.touchedAt);
    for (const [key, { touchedAt }] of idle) {
      if (this.#open.size <= maxOpen && now - touchedAt <= 2 * minuteMs) return;
      this.#open.delete(key);
    }
  }

  #putSoon(): void {
    if (this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.put({ all: true }).catch((error: unknown) => {
        if (isKeelsonError(error, 'CLOSED')) return;
        const fields = { component: 'monitoring', error };
        this.#scope.logger.warn(fields, 'What was counted of predictions could not be stored yet.');
        this.#putSoon();
      });
    }, putEveryMs);
    this.#timer.unref();
  }
}

function rollupOf({ stream, counting, windowMs, at, writer, counts }: OpenWindow): Rollup {
  return { stream, name: counting.name, windowMs, at, writer, data: counting.encode(counts) };
}

function keyOf(deploymentId: string, name: string, at: number): string {
  return `${at}:${name}:${deploymentId}`;
}
