import {
  isKeelsonError,
  type JsonObject,
  KeelsonError,
  type Logger,
  type ModelSignature,
  type RuntimeConfig,
} from '@keelson/core';
import type { Job } from '../replicas/job.ts';
import type { Replica, ReplicaEvents, StartReplica } from '../replicas/replica.ts';
import { timeoutError } from '../replicas/timeout-error.ts';
import { type BreakerStatus, CircuitBreaker } from './circuit-breaker.ts';
import { RemoteServer } from './remote-server.ts';

/** What a remote replica is a client of. */
export interface RemoteReplicaOptions {
  readonly runtime: RuntimeConfig;
  readonly model: { readonly name: string; readonly version: string };
  readonly signature: ModelSignature;
  readonly loadTimeoutMs: number;
  readonly logger?: Logger | undefined;
}

/** Starts clients of an inference server. INVALID, at once, for a configuration that is none. */
export function remoteStarter(options: RemoteReplicaOptions): StartReplica {
  // Made here to be refused here.
  void new RemoteServer(options.runtime, options.model, options.signature).close(0);
  return (id, events) => RemoteReplica.start(id, options, events);
}

/**
 * A client of an inference server, behind a circuit breaker. It has no process of ours to lose: while the breaker is
 * open the replica is `down`, sends nothing but probes, and is ready again when one of them is answered well.
 */
class RemoteReplica implements Replica {
  readonly id: string;
  readonly window: number;
  readonly lanes: number;
  readonly ended: Promise<void> = Promise.resolve();
  readonly facts: JsonObject;
  readonly #server: RemoteServer;
  readonly #events: ReplicaEvents;
  readonly #logger: Logger | undefined;
  readonly #breaker: CircuitBreaker;
  readonly #open = new Map<Job, AbortController>();
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  /** Resolves when the server has answered for the model. Rejects as {@link RemoteServer.open}. */
  static async start(
    id: string,
    options: RemoteReplicaOptions,
    events: ReplicaEvents,
  ): Promise<RemoteReplica> {
    const server = new RemoteServer(options.runtime, options.model, options.signature);
    try {
      await server.open(options.loadTimeoutMs);
    } catch (error) {
      await server.close(1000).catch(() => undefined);
      throw error;
    }
    return new RemoteReplica(id, server, events, options.logger);
  }

  private constructor(
    id: string,
    server: RemoteServer,
    events: ReplicaEvents,
    logger: Logger | undefined,
  ) {
    const { options } = server;
    this.id = id;
    this.window = options.concurrency;
    this.lanes = options.concurrency;
    this.facts = { endpoint: server.endpoint };
    this.#server = server;
    this.#events = events;
    this.#logger = logger;
    this.#breaker = new CircuitBreaker({
      failures: options.breakerFailures,
      window: options.breakerWindow,
      openMs: options.breakerOpenMs,
      maxOpenMs: options.breakerMaxOpenMs,
      now: () => performance.now(),
    });
  }

  get state(): Replica['state'] {
    return this.#stopped || !this.#breaker.isClosed ? 'down' : 'ready';
  }

  get outstanding(): number {
    return this.#open.size;
  }

  get breaker(): BreakerStatus {
    return this.#breaker.status;
  }

  send(job: Job): void {
    const controller = new AbortController();
    this.#open.set(job, controller);
    void this.#run(job, controller.signal).finally(() => {
      this.#open.delete(job);
      this.#events.onIdle(this);
    });
  }

  /** Ends calls whose deadline has passed, and those that nobody waits for any more. */
  sweep(now: number): void {
    for (const [job, controller] of this.#open) {
      if (now >= job.deadlineAt && !job.settled) job.reject(timeoutError(job, 'model'));
      if (job.settled || job.isGone()) controller.abort();
    }
  }

  async stop(timeoutMs: number): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    clearTimeout(this.#timer);
    for (const controller of this.#open.values()) controller.abort();
    await this.#server.close(timeoutMs).catch((error: unknown) => {
      this.#logger?.warn({ replica: this.id, error }, 'A model could not be unloaded.');
    });
  }

  async #run(job: Job, signal: AbortSignal): Promise<void> {
    const { inputs, rowCount, parameters } = job;
    const startedAt = performance.now();
    const { timeoutMs: ownMs = Number.POSITIVE_INFINITY } = this.#server.options;
    const timeoutMs = Math.max(1, Math.min(ownMs, job.deadlineAt - startedAt));
    try {
      const outputs = await this.#server.infer({ inputs, rowCount, parameters, timeoutMs }, signal);
      this.#breaker.succeed();
      job.resolve({
        outputs,
        replica: this.id,
        queueMs: Math.max(0, startedAt - job.enqueuedAt),
        inferenceMs: performance.now() - startedAt,
        attempts: job.crashes + 1,
        batchRows: job.rowCount,
      });
    } catch (cause) {
      // At its deadline a call is ended by the sweep, if that comes first.
      const isLate = performance.now() >= job.deadlineAt;
      const error = isLate ? timeoutError(job, 'model') : asKeelsonError(cause);
      if (isFailure(error)) this.#note(error);
      job.reject(error);
    }
  }

  #note(error: KeelsonError): void {
    if (!this.#breaker.fail(error.message) || this.#stopped) return;
    const { retryAfterMs } = this.#breaker.status;
    this.#logger?.warn(
      { replica: this.id, reason: error.message, retryAfterMs },
      'The breaker of an inference server has opened.',
    );
    this.#events.onOutage?.(this, this.outage as KeelsonError);
    this.#probeIn(retryAfterMs);
  }

  /** Why nothing is sent now; undefined while the breaker is closed. */
  get outage(): KeelsonError | undefined {
    const { state, reason, retryAfterMs } = this.#breaker.status;
    if (state === 'closed') return undefined;
    return new KeelsonError('UNAVAILABLE', `${this.id} is out of service: ${reason}`, {
      details: { retryAfterMs: Math.max(100, retryAfterMs) },
    });
  }

  #probeIn(delayMs: number): void {
    this.#timer = setTimeout(() => void this.#probe(), Math.ceil(delayMs)).unref();
  }

  async #probe(): Promise<void> {
    if (this.#stopped) return;
    if (!this.#breaker.tryHalfOpen()) {
      this.#probeIn(Math.max(1, this.#breaker.status.retryAfterMs));
      return;
    }
    let failure: string | undefined;
    try {
      await this.#server.probe(this.#server.options.probeTimeoutMs);
    } catch (error) {
      // A server that refuses zeros is there.
      if (!isKeelsonError(error, 'INVALID')) failure = asKeelsonError(error).message;
    }
    this.#breaker.endTrial(failure);
    if (this.#stopped) return;
    if (failure !== undefined) {
      this.#probeIn(this.#breaker.status.retryAfterMs);
      return;
    }
    this.#logger?.info({ replica: this.id }, 'An inference server answers again.');
    this.#events.onIdle(this);
  }
}

/** Whether an error says something about the server: not what it refuses, nor what its callers gave up. */
function isFailure(error: KeelsonError): boolean {
  return isKeelsonError(error, 'FAILED', 'TIMEOUT', 'UNAVAILABLE', 'INTERNAL');
}

function asKeelsonError(error: unknown): KeelsonError {
  if (isKeelsonError(error)) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new KeelsonError('INTERNAL', message, { cause: error });
}
