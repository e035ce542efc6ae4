import { type Json, KeelsonError, type Tensor } from '@keelson/core';
import { BatchCounter, type BatchCounts } from '../batching/batch-counter.ts';
import { BatchJob } from '../batching/batch-job.ts';
import type { Batching } from '../batching/batching.ts';
import { predictInParts } from '../batching/large-request.ts';
import type { Job, JobAnswer } from './job.ts';
import { JobQueue } from './job-queue.ts';
import type { Replica } from './replica.ts';
import { timeoutError } from './timeout-error.ts';

/** What is dispatched to whom. */
export interface JobDispatcherOptions {
  /** Begins messages, such as `weather/1.2.0`. */
  readonly name: string;
  /** Jobs that may wait; one more is refused with EXHAUSTED. */
  readonly maxQueue: number;
  /** How requests share calls; each is a call of its own when undefined. */
  readonly batching: Batching | undefined;
  /** Those that take jobs, as they are at the time of the call. */
  readonly replicas: () => readonly Replica[];
  /** Those that only finish what they have. */
  readonly draining: () => Iterable<Replica>;
}

/** One call of {@link JobDispatcher.predict}. */
export interface PredictOptions {
  readonly timeoutMs: number;
  readonly parameters?: Readonly<Record<string, Json>>;
  /** Whether the caller has gone; asked before the job is begun. */
  readonly isGone?: () => boolean;
}

interface OpenJob extends Job {
  settled: boolean;
}

const sweepMs = 20;
/** Calls that a replica is given at once where requests share calls. */
const defaultLanes = 2;
/** Jobs that lost a replica before they began move on, but not for ever. */
const maxMoves = 10;

/**
 * Hands jobs to replicas: to the one with the fewest outstanding, or into a bounded queue. Where requests share calls,
 * it is work-conserving: what has come in one turn of the event loop goes to a replica that is free at its end, what
 * comes while none is waits, and goes together. Deadlines hold wherever a job is.
 */
export class JobDispatcher {
  readonly #options: JobDispatcherOptions;
  readonly #queue = new JobQueue();
  readonly #batches = new Set<BatchJob>();
  readonly #counter = new BatchCounter();
  readonly #timers = new Set<NodeJS.Timeout>();
  #idleWaiters: (() => void)[] = [];
  #unsettled = 0;
  #sweeping = false;
  #dispatchIsDue = false;
  #ripens: NodeJS.Timeout | undefined;

  constructor(options: JobDispatcherOptions) {
    this.#options = options;
  }

  /** Jobs in the queue. */
  get queued(): number {
    return this.#queue.length;
  }

  /** Jobs taken and not settled. */
  get unsettled(): number {
    return this.#unsettled;
  }

  /** What came of sharing calls so far; undefined where each request is a call of its own. */
  get batches(): BatchCounts | undefined {
    return this.#options.batching && this.#counter.counts();
  }

  /** As {@link ReplicaPool.predict}, as far as queue and deadline are concerned. */
  predict(
    inputs: readonly Tensor[],
    rowCount: number,
    options: PredictOptions,
  ): Promise<JobAnswer> {
    const { batching } = this.#options;
    if (batching === undefined || rowCount <= batching.maxRows) {
      return this.#predict(inputs, rowCount, options);
    }
    const { isGone = stays } = options;
    return predictInParts(inputs, rowCount, batching.maxRows, isGone, (part, rows, isOver) =>
      this.#predict(part, rows, { ...options, isGone: isOver }),
    );
  }

  /** Gives what waits to whoever is free. */
  dispatch(): void {
    const { batching } = this.#options;
    this.#dispatchIsDue = false;
    if (batching === undefined) this.#dispatchSingly();
    else this.#dispatchTogether(batching);
  }

  /** Puts jobs back to the front which a replica will not begin. */
  takeBack(jobs: readonly Job[]): void {
    for (const job of this.#membersOf(jobs).toReversed()) {
      job.moves += 1;
      if (job.moves <= maxMoves) this.#queue.unshift(job);
      else {
        const why = 'Replica after replica went down before this request could run.';
        job.reject(new KeelsonError('FAILED', why));
      }
    }
    this.dispatch();
  }

  /** Jobs in which a replica went down, for `reason`: each is given to another once, and shares no call any more. */
  retry(jobs: readonly Job[], reason: string): void {
    for (const job of this.#membersOf(jobs).toReversed()) {
      job.crashes += 1;
      job.alone = true;
      if (job.crashes < 2) this.#queue.unshift(job);
      else {
        const why = `Two replicas went down with this request; the last one ${reason}.`;
        job.reject(new KeelsonError('FAILED', why));
      }
    }
    this.dispatch();
  }

  /** Rejects all that waits in the queue. */
  rejectQueued(error: () => KeelsonError): void {
    for (let job = this.#queue.shift(); job !== undefined; job = this.#queue.shift()) {
      job.reject(error());
    }
  }

  /** Resolves when no job is open, at the latest after `timeoutMs`. */
  async settled(timeoutMs: number): Promise<void> {
    if (this.#unsettled === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#idleWaiters.push(resolve);
    this.#after(timeoutMs, resolve);
    await promise;
  }

  /** Ends its timers. */
  stop(): void {
    for (const timer of this.#timers) clearTimeout(timer);
  }

  #predict(
    inputs: readonly Tensor[],
    rowCount: number,
    options: PredictOptions,
  ): Promise<JobAnswer> {
    const { batching, maxQueue } = this.#options;
    // What came in this turn of the event loop waits for nothing but its end.
    if (this.#dispatchIsDue && this.#queue.length >= maxQueue) this.dispatch();
    const refused = this.#refusal(rowCount, options.timeoutMs);
    if (refused !== undefined) return Promise.reject(refused);
    const now = performance.now();
    const parameters = options.parameters ?? {};
    return new Promise((resolve, reject) => {
      this.#unsettled += 1;
      const job: OpenJob = {
        inputs,
        rowCount,
        parameters,
        key: batching === undefined ? '' : batching.keyOf(inputs, parameters),
        alone: false,
        enqueuedAt: now,
        deadlineAt: now + options.timeoutMs,
        isGone: options.isGone ?? stays,
        crashes: 0,
        moves: 0,
        settled: false,
        resolve: (answer) => {
          if (this.#settle(job)) resolve(answer);
        },
        reject: (error) => {
          if (this.#settle(job)) reject(error);
        },
      };
      this.#queue.push(job);
      if (batching === undefined) this.dispatch();
      else this.#dispatchSoon();
      this.#sweepSoon();
    });
  }

  #refusal(rowCount: number, timeoutMs: number): KeelsonError | undefined {
    const { name, maxQueue } = this.#options;
    if (this.#queue.length >= maxQueue) {
      return new KeelsonError(
        'EXHAUSTED',
        `${name} is overloaded: ${this.#queue.length} requests wait already. Try again later.`,
        { details: { retryAfterMs: 1000 } },
      );
    }
    const waitMs = this.#expectedMs(rowCount);
    if (waitMs === undefined || waitMs <= timeoutMs) return undefined;
    const [expected, allowed] = [Math.round(waitMs), Math.round(timeoutMs)];
    return new KeelsonError(
      'EXHAUSTED',
      `${name} is overloaded: an answer would take about ${expected} ms, and the request allows ${allowed}. Try again later.`,
      { details: { retryAfterMs: expected - allowed } },
    );
  }

  /** Until a request that came now would be answered, by what calls took so far; undefined when nothing waits. */
  #expectedMs(rowCount: number): number | undefined {
    const { batching, replicas } = this.#options;
    if (batching === undefined || this.#queue.length === 0) return undefined;
    const { sizer, maxRows } = batching;
    const callMs = sizer.expectedMs(maxRows);
    const ownMs = sizer.expectedMs(rowCount);
    if (callMs === undefined || ownMs === undefined) return undefined;
    return ((this.#queue.rows / maxRows) * callMs) / Math.max(1, replicas().length) + ownMs;
  }

  #settle(job: OpenJob): boolean {
    if (job.settled) return false;
    job.settled = true;
    this.#unsettled -= 1;
    if (this.#unsettled === 0) {
      for (const resolve of this.#idleWaiters.splice(0)) resolve();
    }
    return true;
  }

  /** At the end of this turn of the event loop: requests that came in together go together. */
  #dispatchSoon(): void {
    if (this.#dispatchIsDue) return;
    this.#dispatchIsDue = true;
    setImmediate(() => {
      if (this.#dispatchIsDue) this.dispatch();
    });
  }

  #dispatchSingly(): void {
    while (this.#queue.length > 0) {
      const replica = this.#leastOutstanding(({ window }) => window);
      if (replica === undefined) return;
      const job = this.#queue.shift() as Job;
      if (isWanted(job, performance.now())) replica.send(job);
    }
  }

  #dispatchTogether({ sizer, maxDelayMs }: Batching): void {
    const used = new Set<Replica>();
    for (let first = this.#queue.peek(); first !== undefined; first = this.#queue.peek()) {
      const replica = this.#leastOutstanding(({ window, lanes = defaultLanes }) =>
        Math.min(window, lanes),
      );
      if (replica === undefined) break;
      const now = performance.now();
      const waitedMs = now - first.enqueuedAt;
      const limit = sizer.limit(waitedMs);
      if (waitedMs < maxDelayMs && this.#queue.rowsLikeFirst(limit) < limit) {
        this.#dispatchIn(maxDelayMs - waitedMs);
        break;
      }
      const jobs = this.#queue.shiftAlike(limit).filter((job) => isWanted(job, now));
      if (jobs.length === 0) continue;
      replica.send(this.#batchOf(jobs, now));
      used.add(replica);
    }
    for (const replica of used) replica.flush?.();
  }

  /** When the first of the queue has waited long enough for others. */
  #dispatchIn(delayMs: number): void {
    this.#ripens ??= this.#after(Math.max(1, Math.ceil(delayMs)), () => {
      this.#ripens = undefined;
      this.dispatch();
    });
  }

  #batchOf(jobs: readonly Job[], now: number): BatchJob {
    const batch = new BatchJob(jobs, now, {
      onAnswered: ({ rowCount, sentAt, enqueuedAt }, inferenceMs) =>
        this.#options.batching?.sizer.record(rowCount, inferenceMs, sentAt - enqueuedAt),
      onFailed: (members) => {
        for (const job of members.toReversed()) {
          job.alone = true;
          this.#queue.unshift(job);
        }
        this.#dispatchSoon();
      },
      onEnded: (ended) => this.#batches.delete(ended),
    });
    this.#batches.add(batch);
    this.#counter.count(batch);
    return batch;
  }

  /** The requests behind jobs that come back. */
  #membersOf(jobs: readonly Job[]): Job[] {
    return jobs.flatMap((job) => {
      if (!(job instanceof BatchJob)) return [job];
      this.#batches.delete(job);
      return job.members.filter(({ settled }) => !settled);
    });
  }

  #leastOutstanding(room: (replica: Replica) => number): Replica | undefined {
    let best: Replica | undefined;
    for (const replica of this.#options.replicas()) {
      if (replica.state !== 'ready' || replica.outstanding >= room(replica)) continue;
      if (best === undefined || replica.outstanding < best.outstanding) best = replica;
    }
    return best;
  }

  /**
   * While jobs are open, looks every 20 ms for those past their deadline: a timer per job would cost more. It keeps the
   * process alive, because somebody waits.
   */
  #sweepSoon(): void {
    if (this.#sweeping) return;
    this.#sweeping = true;
    this.#after(sweepMs, () => {
      this.#sweeping = false;
      const now = performance.now();
      for (const job of this.#queue.removeDue(now)) job.reject(timeoutError(job, 'queue'));
      const replicas = [...this.#options.replicas(), ...this.#options.draining()];
      for (const replica of replicas) replica.sweep(now);
      for (const batch of this.#batches) batch.sweep(now);
      if (this.#queue.length > 0 || replicas.some(({ outstanding }) => outstanding > 0)) {
        this.#sweepSoon();
      }
    }).ref();
  }

  #after(delayMs: number, run: () => void): NodeJS.Timeout {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      run();
    }, delayMs);
    this.#timers.add(timer);
    return timer.unref();
  }
}

const stays = (): boolean => false;

/** Whether somebody still waits for it; settles it otherwise. */
function isWanted(job: Job, now: number): boolean {
  if (job.settled) return false;
  if (job.isGone()) job.reject(new KeelsonError('ABORTED', 'The caller has gone.'));
  else if (now >= job.deadlineAt) job.reject(timeoutError(job, 'queue'));
  else return true;
  return false;
}
