import { type JsonObject, KeelsonError, type Logger, type Tensor } from '@keelson/core';
import type { BatchCounts } from '../batching/batch-counter.ts';
import type { Batching } from '../batching/batching.ts';
import type { BreakerStatus } from '../remote/circuit-breaker.ts';
import type { Job, JobAnswer } from './job.ts';
import { JobDispatcher, type PredictOptions } from './job-dispatcher.ts';
import type { Replica, ReplicaEvents, StartReplica } from './replica.ts';

/** How a pool runs its replicas. */
export interface ReplicaPoolOptions {
  /** Begins the replicas' ids, such as `weather/1.2.0`. */
  readonly name: string;
  readonly replicas: number;
  /** Jobs that may wait; one more is refused with EXHAUSTED. */
  readonly maxQueue: number;
  readonly start: StartReplica;
  /** Whether more than one replica makes sense; true when left out. */
  readonly isScalable?: boolean;
  /** How requests share calls; each is a call of its own when left out. */
  readonly batching?: Batching;
  readonly logger?: Logger;
}

/** A replica as others see it. */
export interface ReplicaStatus {
  readonly id: string;
  readonly state: Replica['state'];
  readonly outstanding: number;
  /** What its runtime found out while it loaded, such as the execution provider really used. */
  readonly facts: JsonObject;
  /** Of a client of an inference server. */
  readonly breaker?: BreakerStatus;
}

/** For a model that is idle to unload. */
const drainedMs = 10_000;
const firstBackOffMs = 100;
const maxBackOffMs = 10_000;
/** A replica that lived this long starts the back-off anew. */
const stableMs = 30_000;
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
  readonly #draining = new Set<Replica>();
  readonly #dispatcher: JobDispatcher;
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #events: ReplicaEvents;
  readonly #worn = new Set<Replica>();
  #closing: Promise<void> | undefined;
  #startedCount = 0;
  #backOffMs = firstBackOffMs;
  #lastDownAt = Number.NEGATIVE_INFINITY;
  #startFailure: KeelsonError | undefined;
  #crashes = 0;
  #relieved = 0;
  #abandoned = 0;
  #wanted: number;
  #starting = 0;
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
    this.#wanted = options.replicas;
    const { name, maxQueue, batching } = options;
    const [replicas, draining] = [() => this.#replicas, () => this.#draining];
    this.#dispatcher = new JobDispatcher({ name, maxQueue, batching, replicas, draining });
    this.#events = {
      onIdle: (replica) => {
        if (this.#draining.has(replica)) this.#stopWhenIdle(replica);
        else this.#dispatcher.dispatch();
      },
      onOutage: (_replica, error) => {
        if (this.liveCount === 0) this.#dispatcher.rejectQueued(() => error);
      },
      onReturned: (jobs) => this.#dispatcher.takeBack(jobs),
      onDown: (replica, reason, running, waiting) => this.#lost(replica, reason, running, waiting),
      onWorn: (replica, reason) => void this.#relieve(replica, reason),
    };
  }

  /** Replicas that can take jobs. */
  get readyCount(): number {
    return this.#replicas.filter(({ state }) => state === 'ready').length;
  }

  /** Replicas that have not gone down. */
  get liveCount(): number {
    return this.#replicas.filter(({ state }) => state !== 'down').length;
  }

  /** Whether jobs will be answered: a replica is there, or one is on its way. */
  get isAlive(): boolean {
    if (this.#closing !== undefined) return false;
    if (this.#replicas.length === 0) return this.#startFailure === undefined;
    return this.liveCount > 0;
  }

  /** Jobs in the queue. */
  get queued(): number {
    return this.#dispatcher.queued;
  }

  /** Jobs taken and not settled. */
  get unsettled(): number {
    return this.#dispatcher.unsettled;
  }

  /** Replicas that went down so far. */
  get crashes(): number {
    return this.#crashes;
  }

  /** Replicas that another took the place of while they worked, such as those that took too much memory. */
  get relieved(): number {
    return this.#relieved;
  }

  /** What came of sharing calls so far; undefined where each request is a call of its own. */
  get batches(): BatchCounts | undefined {
    return this.#dispatcher.batches;
  }

  /** Replicas that are meant to be there. */
  get wanted(): number {
    return this.#wanted;
  }

  /** Whether the number of replicas may change. */
  get isScalable(): boolean {
    return this.#options.isScalable ?? true;
  }

  /** Why no replica is there although one is meant to be; undefined while one is, or may come. */
  get failure(): KeelsonError | undefined {
    return this.#wanted > 0 && this.#replicas.length === 0 ? this.#startFailure : undefined;
  }

  /** No replica is meant to be there until somebody asks. */
  get isDormant(): boolean {
    return this.#wanted === 0 && this.#closing === undefined;
  }

  status(): readonly ReplicaStatus[] {
    return this.#all().map(({ id, state, outstanding, facts, breaker }) => ({
      id,
      state,
      outstanding,
      facts,
      ...(breaker === undefined ? {} : { breaker }),
    }));
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
    const refused = this.#refusal();
    if (refused !== undefined) return Promise.reject(refused);
    // The first request wakes it.
    this.wake();
    return this.#dispatcher.predict(inputs, rowCount, options);
  }

  /**
   * More replicas, or fewer: those that are not wanted any more get no further jobs, finish what they have, and stop.
   * Resolves when as many as wanted are warm; rejects with FAILED when one does not start (it is tried again, as after a
   * crash).
   */
  async resize(count: number): Promise<void> {
    if (this.#closing !== undefined) return;
    this.#wanted = count;
    const more = count - this.#replicas.length - this.#starting;
    if (more < 0) this.#drain(-more);
    else await Promise.all(Array.from({ length: more }, () => this.#startOrRetry()));
    this.#dispatcher.dispatch();
  }

  /** Starts a replica where none is meant to be until somebody asks, to see that it can be started. */
  wake(): void {
    if (!this.isDormant) return;
    // One that does not start is tried again, and is in the status meanwhile.
    this.resize(1).catch(() => undefined);
  }

  /** Takes no more jobs, finishes those it has (within `timeoutMs`), then stops the replicas. Twice is fine. */
  close(options: { readonly timeoutMs: number }): Promise<void> {
    this.#closing ??= this.#close(options.timeoutMs);
    return this.#closing;
  }

  async #close(timeoutMs: number): Promise<void> {
    const deadlineAt = performance.now() + timeoutMs;
    await this.#dispatcher.settled(timeoutMs);
    this.#stopped = true;
    this.#dispatcher.stop();
    for (const timer of this.#timers) clearTimeout(timer);
    this.#dispatcher.rejectQueued(() => this.#closedError());
    const left = Math.max(1000, deadlineAt - performance.now());
    await Promise.all(this.#all().map((replica) => replica.stop(left)));
  }

  /** Those that take jobs, and those that finish what they have. */
  #all(): Replica[] {
    return [...this.#replicas, ...this.#draining];
  }

  #refusal(): KeelsonError | undefined {
    if (this.#closing !== undefined) return this.#closedError();
    if (!this.isAlive) {
      const outage = this.#replicas.find((replica) => replica.outage !== undefined)?.outage;
      if (outage !== undefined) return outage;
      return new KeelsonError('UNAVAILABLE', `${this.#options.name} has no live replica.`, {
        cause: this.#startFailure,
        details: { retryAfterMs: this.#backOffMs },
      });
    }
    return undefined;
  }

  #closedError(): KeelsonError {
    return new KeelsonError('CLOSED', `${this.#options.name} is being removed.`);
  }

  /** Takes `count` replicas out of service, the idlest first. */
  #drain(count: number): void {
    const idlest = this.#replicas.toSorted((a, b) => a.outstanding - b.outstanding);
    for (const replica of idlest.slice(0, count)) this.#takeOut(replica);
  }

  #takeOut(replica: Replica): void {
    const place = this.#replicas.indexOf(replica);
    if (place < 0) return;
    this.#replicas.splice(place, 1);
    this.#draining.add(replica);
    this.#stopWhenIdle(replica);
  }

  /** Another replica takes the place of one that should be replaced, before that one stops. */
  async #relieve(replica: Replica, reason: string): Promise<void> {
    if (this.#closing !== undefined || this.#worn.has(replica) || !this.#replicas.includes(replica))
      return;
    this.#worn.add(replica);
    this.#options.logger?.warn({ replica: replica.id, reason }, 'A replica is being replaced.');
    try {
      await this.#startOne();
      this.#relieved += 1;
      this.#takeOut(replica);
      this.#dispatcher.dispatch();
    } catch (error) {
      this.#options.logger?.error(
        { replica: replica.id, error },
        'A replica cannot be replaced: no other one starts.',
      );
    } finally {
      this.#worn.delete(replica);
    }
  }

  #stopWhenIdle(replica: Replica): void {
    if (replica.outstanding > 0) return;
    void replica.stop(drainedMs).finally(() => this.#draining.delete(replica));
  }

  #lost(replica: Replica, reason: string, running: readonly Job[], waiting: readonly Job[]): void {
    const place = this.#replicas.indexOf(replica);
    if (place >= 0) this.#replicas.splice(place, 1);
    const wasDraining = this.#draining.delete(replica);
    // It ended as it was meant to.
    const isIdle = running.length + waiting.length === 0;
    if (this.#stopped || (wasDraining && isIdle)) return;
    this.#crashes += 1;
    this.#abandoned += 1;
    void replica.ended.then(() => {
      this.#abandoned -= 1;
    });
    this.#options.logger?.warn({ replica: replica.id, reason }, 'A replica went down.');
    if (!wasDraining) this.#replaceLater((replica.answered ?? 0) > 0);
    this.#dispatcher.takeBack(waiting);
    this.#dispatcher.retry(running, reason);
  }

  #replaceLater(answered: boolean): void {
    if (this.#closing !== undefined && this.#dispatcher.unsettled === 0) return;
    const now = performance.now();
    const isStable = now - this.#lastDownAt > stableMs;
    this.#lastDownAt = now;
    // What has answered can be started; a loop of crashes is one of replicas that go down before they do anything.
    const isLoop = !isStable && !answered;
    this.#backOffMs = isLoop ? Math.min(maxBackOffMs, this.#backOffMs * 2) : firstBackOffMs;
    // The first one is replaced at once: what crashed after a long life will hardly crash at once again.
    this.#after(isStable ? 0 : this.#backOffMs, () => void this.#replace());
  }

  async #startOrRetry(): Promise<void> {
    try {
      await this.#startOne();
    } catch (error) {
      this.#replaceLater(false);
      throw error;
    }
  }

  async #replace(): Promise<void> {
    if (this.#replicas.length + this.#starting >= this.#wanted) return;
    try {
      await this.#startOne();
      this.#dispatcher.dispatch();
    } catch (error) {
      this.#options.logger?.error(
        { pool: this.#options.name, error },
        'A replica could not be started again.',
      );
      this.#replaceLater(false);
    }
  }

  async #startOne(): Promise<void> {
    this.#startedCount += 1;
    this.#starting += 1;
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
      const cause = this.#startFailure;
      if (this.#replicas.length === 0) {
        const gone = `${this.#options.name} has no live replica.`;
        this.#dispatcher.rejectQueued(() => new KeelsonError('UNAVAILABLE', gone, { cause }));
      }
      throw cause;
    } finally {
      this.#starting -= 1;
    }
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
