import { type JsonObject, KeelsonError, type Tensor } from '@keelson/core';
import { refusal } from '../protocol/refusal.ts';
import { loadModel, type ModelToLoad } from '../runtimes/load-model.ts';
import { ModelFault, messageOf } from '../runtimes/model-fault.ts';
import type { TensorModel } from '../runtimes/tensor-model.ts';
import type { Job } from './job.ts';
import type { Replica, ReplicaEvents } from './replica.ts';
import { timeoutError } from './timeout-error.ts';

/** Asynchronous models may have this many jobs open. */
const inlineWindow = 32;

/**
 * A model in the caller's own thread: no hand-over, no protection. A synchronous model blocks the event loop for as
 * long as it runs, and one that crashes takes the process along; for models of well under a millisecond.
 */
export class InlineReplica implements Replica {
  readonly id: string;
  readonly window: number = inlineWindow;
  readonly ended: Promise<void> = Promise.resolve();
  readonly #model: TensorModel;
  readonly #events: ReplicaEvents;
  readonly #open = new Set<Job>();
  #state: Replica['state'] = 'ready';

  /** Loads and warms up the model. Rejects as a replica elsewhere does, naming file and fault. */
  static async start(
    id: string,
    model: ModelToLoad,
    events: ReplicaEvents,
  ): Promise<InlineReplica> {
    try {
      return new InlineReplica(id, await loadModel(model), events);
    } catch (cause) {
      const isFault = cause instanceof ModelFault;
      throw new KeelsonError(
        isFault ? cause.code : 'FAILED',
        isFault ? cause.message : messageOf(cause),
        { cause },
      );
    }
  }

  private constructor(id: string, model: TensorModel, events: ReplicaEvents) {
    this.id = id;
    this.#model = model;
    this.#events = events;
  }

  get state(): Replica['state'] {
    return this.#state;
  }

  get facts(): JsonObject {
    return this.#model.facts ?? {};
  }

  get outstanding(): number {
    return this.#open.size;
  }

  send(job: Job): void {
    const startedAt = performance.now();
    try {
      const outputs = this.#model.predict(job.inputs, job.rowCount, job.parameters);
      if (!(outputs instanceof Promise)) {
        answer(this.id, job, outputs, startedAt);
        return;
      }
      this.#open.add(job);
      outputs
        .then(
          (settled) => answer(this.id, job, settled, startedAt),
          (error: unknown) => fail(this.id, job, error),
        )
        .finally(() => {
          this.#open.delete(job);
          this.#events.onIdle(this);
        });
    } catch (error) {
      fail(this.id, job, error);
    }
  }

  sweep(now: number): void {
    for (const job of this.#open) {
      if (now >= job.deadlineAt && !job.settled) job.reject(timeoutError(job, 'model'));
    }
  }

  async stop(): Promise<void> {
    if (this.#state === 'down') return;
    this.#state = 'down';
    await this.#model.unload();
  }
}

function answer(replica: string, job: Job, outputs: readonly Tensor[], startedAt: number): void {
  const inferenceMs = performance.now() - startedAt;
  const queueMs = Math.max(0, startedAt - job.enqueuedAt);
  job.resolve({
    outputs,
    replica,
    queueMs,
    inferenceMs,
    attempts: job.crashes + 1,
    batchRows: job.rowCount,
  });
}

function fail(replica: string, job: Job, error: unknown): void {
  if (error instanceof ModelFault && error.code === 'INVALID') {
    job.reject(refusal(422, 'INVALID', error.message));
    return;
  }
  const message =
    error instanceof ModelFault ? error.message : `The model threw ${messageOf(error)}`;
  job.reject(new KeelsonError('FAILED', message, { cause: error, details: { replica } }));
}
