import type { PointTarget, RunAddress } from '../contracts/point-target.ts';
import type { SeriesKey } from '../contracts/series-store.ts';
import { isKeelsonError } from '../errors.ts';
import type { PointBlock } from './point-block.ts';
import { StepNumbers } from './step-numbers.ts';
import { type SystemReading, systemMetrics } from './system-reading.ts';

/** What a sampling works with. */
export interface SystemSamplingParts {
  /** Random, new for each writer; no other writer of points may have it. */
  readonly writer: string;
  read(): Promise<SystemReading>;
  open(): Promise<PointTarget>;
  findLastSteps(
    target: PointTarget,
    series: readonly SeriesKey[],
  ): Promise<readonly (number | undefined)[]>;
  /** Told after samples were stored. */
  stored(): void;
}

interface Sampled {
  readonly run: RunAddress;
  readonly everyMs: number;
  /** On the clock of `performance.now()`. */
  nextAt: number;
  first: SystemReading | undefined;
  before: SystemReading | undefined;
}

/** The first sample comes so early, for runs that are short. */
const firstMs = 1_000;
/** So many samples wait for a store that is away; older ones are given up. */
const maxWaiting = 1_000;

/**
 * Samples machine and process into `system/*` metrics of the runs that asked for it. It lives in the writer
 * thread, so a loop that never yields is sampled too, and stores its points itself: they are in no
 * run's way, and none of a run's points waits for them.
 */
export class SystemSampling {
  readonly #parts: SystemSamplingParts;
  readonly #runs = new Map<string, Sampled>();
  readonly #steps: StepNumbers;
  #target: PointTarget | undefined;
  #waiting: PointBlock[] = [];
  #sequence = 0;
  /** How many samples each run has had, also one that was closed and opened again. */
  readonly #samples = new Map<string, number>();
  #working: Promise<void> | undefined;
  #failed = false;

  constructor(parts: SystemSamplingParts) {
    this.#parts = parts;
    this.#steps = new StepNumbers((series) =>
      this.#parts.findLastSteps(this.#target as PointTarget, series),
    );
  }

  /** The sample under way. It never rejects: what could not be stored waits for the next. */
  get working(): Promise<void> | undefined {
    return this.#working;
  }

  /** Whether samples wait that the store would take. */
  get hasWork(): boolean {
    return this.#working !== undefined || (this.#waiting.length > 0 && !this.#failed);
  }

  /** When the next sample is due, on the clock of `performance.now()`. */
  get nextAt(): number {
    let next = this.#waiting.length > 0 && !this.#failed ? 0 : Number.POSITIVE_INFINITY;
    for (const { nextAt } of this.#runs.values()) next = Math.min(next, nextAt);
    return next;
  }

  open(run: RunAddress, everyMs: number, now: number): void {
    const before = this.#runs.get(nameOf(run));
    if (before?.everyMs === everyMs) return;
    // Now: the reading that the first sample is compared with.
    this.#runs.set(nameOf(run), {
      run,
      everyMs,
      nextAt: now,
      first: undefined,
      before: undefined,
    });
  }

  close(run: RunAddress): void {
    this.#runs.delete(nameOf(run));
  }

  /** Begins a sample when one is due. */
  sample(now: number): void {
    if (this.#working !== undefined || now < this.nextAt) return;
    const due = [...this.#runs.values()].filter((run) => run.nextAt <= now);
    for (const run of due) {
      run.nextAt = now + (run.first === undefined ? Math.min(firstMs, run.everyMs) : run.everyMs);
    }
    this.#working = this.#sampleNow(due)
      .then(
        () => {
          this.#failed = false;
        },
        () => {
          // The writer's own points fail with the same store, and its health says why.
          this.#failed = true;
        },
      )
      .finally(() => {
        this.#working = undefined;
      });
  }

  async #sampleNow(due: readonly Sampled[]): Promise<void> {
    if (due.length > 0) {
      const reading = await this.#parts.read();
      for (const run of due) {
        if (run.before !== undefined && run.first !== undefined) {
          this.#waiting.push(
            this.#block(run.run, systemMetrics(run.first, run.before, reading), reading.at),
          );
        }
        run.first ??= reading;
        run.before = reading;
      }
      this.#waiting.splice(0, Math.max(0, this.#waiting.length - maxWaiting));
    }
    for (let block = this.#waiting[0]; block !== undefined; block = this.#waiting[0]) {
      this.#target = await this.#parts.open();
      try {
        await this.#target.store.appendPoints(await this.#steps.resolve(block));
        this.#parts.stored();
      } catch (error) {
        // What the store will never take is no use to wait with.
        if (!isKeelsonError(error, 'INVALID')) throw error;
      }
      this.#waiting.shift();
    }
  }

  #block(run: RunAddress, metrics: ReadonlyMap<string, number>, at: number): PointBlock {
    const count = metrics.size;
    const ordinal = this.#samples.get(nameOf(run)) ?? 0;
    this.#samples.set(nameOf(run), ordinal + 1);
    return {
      writer: this.#parts.writer,
      sequence: ++this.#sequence,
      series: [...metrics.keys()].map((key) => ({
        workspace: run.workspace,
        owner: run.runId,
        key,
      })),
      seriesIndex: Uint32Array.from({ length: count }, (_, i) => i),
      steps: new Float64Array(count).fill(ordinal),
      timestamps: new Float64Array(count).fill(at),
      values: Float64Array.from(metrics.values()),
      automatic: new Uint8Array(count).fill(1),
    };
  }
}

function nameOf(run: RunAddress): string {
  return `${run.workspace}\u0000${run.runId}`;
}
