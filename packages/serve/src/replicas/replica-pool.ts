import { type Json, KeelsonError, type Logger, type Tensor } from '@keelson/core';
import type { Job, JobAnswer } from './job.ts';
import { JobQueue } from './job-queue.ts';
import type { Replica, ReplicaEvents, StartReplica } from './replica.ts';
import { timeoutError } from './timeout-error.ts';

/** How a pool runs its replicas. */
export interface ReplicaPoolOptions {
  /** Begins the replicas' ids, such as `weather/1.2.0`. */
  readonly name: string;
  readonly replicas: number;
  /** Jobs that may wait; one more is refused with EXHAUSTED. */
  readonly maxQueue: number;
  readonly start: StartReplica;
  readonly logger?: Logger;
}

/** One call of {@link ReplicaPool.predict}. */
export interface PredictOptions {
  readonly timeoutMs: number;
  readonly parameters?: Readonly<Record<string, Json>>;
  /** Whether the caller has gone; asked before the job is begun. */
  readonly isGone?: () => boolean;
}

/** A replica as others see it. */
export interface ReplicaStatus {
  readonly id: string;
  readonly state: Replica['state'];
  readonly outstanding: number;
}

const sweepMs = 20;
const firstBackOffMs = 100;
const maxBackOffMs = 10_000;
/** A replica that lived this long starts the back-off anew. */
const stableMs = 30_000;
/** Jobs that lost a replica before they began move on, but not for ever. */
const maxMoves = 10;
/** Threads that hang in native code cannot be ended; so many may be left behind at a time. */
const maxAbandoned = 4;

/**
 * The replicas of one model version. A job goes to the replica with the fewest outstanding, or waits in a
 * bounded queue. When a replica goes down, the job it was in is given to another once; what it had not begun just
 * moves on; a new replica is started, with back-off.
 */
export class ReplicaPool {
  readonly #options: ReplicaPoolOptions;
  readonly #replicas: Replica[] = [];
  readonly #queue = new JobQueue();
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #events: ReplicaEvents;
  #idleWaiters: (() => void)[] = [];
  #closing: Promise<void> | undefined;
  #startedCount = 0;
  #backOffMs = firstBackOffMs;
  #lastDownAt = Number.NEGATIVE_INFINITY;
  #startFailure: KeelsonError | undefined;
  #crashes = 0;
  #abandoned = 0;
  #unsettled = 0;
  #sweeping = false;
  #stopped = false;

  /** Starts the replicas; resolves when all are warm. Rejects with FAILED, naming file and fault, when one does not. */
  static async open(options: ReplicaPoolOptions): Promise<ReplicaPool> {
    const pool = new ReplicaPool(options);
    const started = await Promise.allSettled(
      Array.from({ length: options.replicas }, () => pool.#startOne()),
    );
    const failed = started.find((result) => result.status === 'rejected');
    if (failed === undefined) return pool;
    await pool.close({ timeoutMs: 0 });
    throw failed.reason;
  }

  private constructor(options: ReplicaPoolOptions) {
    this.#options = options;
    this.#events = {
      onIdle: () => this.#dispatch(),
      onReturned: (jobs) => this.#takeBack(jobs),
      onDown: (replica, reason, running, waiting) => this.#lost(replica, reason, running, waiting),
    };
  }

  /** Replicas that can take jobs. */
  get readyCount(): number {
    return this.#replicas.filter(({ state }) => state === 'ready').length;
  }

  /** Replicas that have not gone down. */
  get liveCount(): number {
    return this.#replicas.length;
  }

  /** Whether jobs will be answered: a replica is there, or one is on its way. */
  get isAlive(): boolean {
    if (this.#closing !== undefined) return false;
    return this.#replicas.length > 0 || this.#startFailure === undefined;
  }

  /** Jobs in the queue. */
  get queued(): number {
    return this.#queue.length;
  }

  /** Jobs taken and not settled. */
  get unsettled(): number {
    return this.#unsettled;
  }

  /** Replicas that went down so far. */
  get crashes(): number {
    return this.#crashes;
  }

  status(): readonly ReplicaStatus[] {
    return this.#replicas.map(({ id, state, outstanding }) => ({ id, state, outstanding }));
  }

  /**
   * Answers the outputs in the signature's order. Rejects with EXHAUSTED when the queue is full, TIMEOUT at the
   * deadline, FAILED when the model threw, answered wrongly, or crashed two replicas, INVALID (422) for
   * inputs that the model refuses, ABORTED when the caller has gone, UNAVAILABLE when no replica lives or is coming,
   * CLOSED after `close`.
   */
  predict(
    inputs: readonly Tensor[],
    rowCount: number,
    options: PredictOptions,
  ): Promise<JobAnswer> {
    const now = performance.now();
    const refused = this.#refusal();
    if (refused !== undefined) return Promise.reject(refused);
    return new Promise((resolve, reject) => {
      this.#unsettled += 1;
      const job: Job = {
        inputs,
        rowCount,
        parameters: options.parameters ?? {},
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
      this.#dispatch();
      this.#sweepSoon();
    });
  }

  /** Takes no more jobs, finishes those it has (within `timeoutMs`), then stops the replicas. Twice is fine. */
  close(options: { readonly timeoutMs: number }): Promise<void> {
    this.#closing ??= this.#close(options.timeoutMs);
    return this.#closing;
  }

  async #close(timeoutMs: number): Promise<void> {
    const deadlineAt = performance.now() + timeoutMs;
    if (this.#unsettled > 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#idleWaiters.push(resolve);
      this.#after(timeoutMs, resolve);
      await promise;
    }
    this.#stopped = true;
    for (const timer of this.#timers) clearTimeout(timer);
    for (let job = this.#queue.shift(); job !== undefined; job = this.#queue.shift()) {
      job.reject(this.#closedError());
    }
    const left = Math.max(1000, deadlineAt - performance.now());
    await Promise.all(this.#replicas.map((replica) => replica.stop(left)));
  }

  #refusal(): KeelsonError | undefined {
    if (this.#closing !== undefined) return this.#closedError();
    if (!this.isAlive) {
      return new KeelsonError('UNAVAILABLE', `${this.#options.name} has no live replica.`, {
        cause: this.#startFailure,
        details: { retryAfterMs: this.#backOffMs },
      });
    }
    if (this.#queue.length >= this.#options.maxQueue) {
      return new KeelsonError(
        'EXHAUSTED',
        `${this.#options.name} is overloaded: ${this.#queue.length} requests wait already. Try again later.`,
        { details: { retryAfterMs: 1000 } },
      );
    }
    return undefined;
  }

  #closedError(): KeelsonError {
    return new KeelsonError('CLOSED', `${this.#options.name} is being removed.`);
  }

  #settle(job: Job): boolean {
    if (job.settled) return false;
    job.settled = true;
    this.#unsettled -= 1;
    if (this.#unsettled === 0) {
      for (const resolve of this.#idleWaiters.splice(0)) resolve();
    }
    return true;
  }

  #dispatch(): void {
    while (this.#queue.length > 0) {
      const replica = this.#leastOutstanding();
      if (replica === undefined) return;
      const job = this.#queue.shift() as Job;
      if (job.settled) continue;
      if (job.isGone()) job.reject(new KeelsonError('ABORTED', 'The caller has gone.'));
      else if (performance.now() >= job.deadlineAt) job.reject(timeoutError(job, 'queue'));
      else replica.send(job);
    }
  }

  #leastOutstanding(): Replica | undefined {
    let best: Replica | undefined;
    for (const replica of this.#replicas) {
      if (replica.state !== 'ready' || replica.outstanding >= replica.window) continue;
      if (best === undefined || replica.outstanding < best.outstanding) best = replica;
    }
    return best;
  }

  #takeBack(jobs: readonly Job[]): void {
    for (const job of jobs.toReversed()) {
      job.moves += 1;
      if (job.moves <= maxMoves) this.#queue.unshift(job);
      else
        job.reject(
          new KeelsonError(
            'FAILED',
            `Replica after replica went down before this request could run.`,
          ),
        );
    }
    this.#dispatch();
  }

  #lost(replica: Replica, reason: string, running: readonly Job[], waiting: readonly Job[]): void {
    this.#replicas.splice(this.#replicas.indexOf(replica), 1);
    if (replica.state === 'stopping') return;
    this.#crashes += 1;
    this.#abandoned += 1;
    void replica.ended.then(() => {
      this.#abandoned -= 1;
    });
    this.#options.logger?.warn({ replica: replica.id, reason }, 'A replica went down.');
    this.#replaceLater();
    this.#takeBack(waiting);
    for (const job of running) {
      job.crashes += 1;
      if (job.crashes >= 2) {
        job.reject(
          new KeelsonError(
            'FAILED',
            `Two replicas went down with this request; the last one ${reason}.`,
          ),
        );
      } else {
        this.#queue.unshift(job);
      }
    }
    this.#dispatch();
  }

  #replaceLater(): void {
    if (this.#closing !== undefined && this.#unsettled === 0) return;
    const now = performance.now();
    const isStable = now - this.#lastDownAt > stableMs;
    this.#lastDownAt = now;
    this.#backOffMs = isStable ? firstBackOffMs : Math.min(maxBackOffMs, this.#backOffMs * 2);
    // The first one is replaced at once: what crashed after a long life will hardly crash at once again.
    this.#after(isStable ? 0 : this.#backOffMs, () => void this.#replace());
  }

  async #replace(): Promise<void> {
    try {
      await this.#startOne();
      this.#dispatch();
    } catch (error) {
      this.#options.logger?.error(
        { pool: this.#options.name, error },
        'A replica could not be started again.',
      );
      this.#replaceLater();
    }
  }

  async #startOne(): Promise<void> {
    this.#startedCount += 1;
    try {
      if (this.#abandoned > maxAbandoned) {
        throw new KeelsonError(
          'EXHAUSTED',
          `${this.#abandoned} replicas of ${this.#options.name} hang in native code and cannot be ended; no more are started.`,
        );
      }
      const id = `${this.#options.name}#${this.#startedCount}`;
      const replica = await this.#options.start(id, this.#events);
      if (this.#stopped) {
        await replica.stop(1000);
        return;
      }
      this.#startFailure = undefined;
      this.#replicas.push(replica);
    } catch (error) {
      this.#startFailure =
        error instanceof KeelsonError
          ? error
          : new KeelsonError('FAILED', 'A replica did not start.', { cause: error });
      if (this.#replicas.length === 0) this.#rejectQueued(this.#startFailure);
      throw this.#startFailure;
    }
  }

  #rejectQueued(cause: KeelsonError): void {
    for (let job = this.#queue.shift(); job !== undefined; job = this.#queue.shift()) {
      job.reject(
        new KeelsonError('UNAVAILABLE', `${this.#options.name} has no live replica.`, { cause }),
      );
    }
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
      for (const replica of [...this.#replicas]) replica.sweep(now);
      const isBusy =
        this.#queue.length > 0 || this.#replicas.some(({ outstanding }) => outstanding > 0);
      if (isBusy) this.#sweepSoon();
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
