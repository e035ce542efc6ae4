import { Worker } from 'node:worker_threads';
import { KeelsonError, type ModelSignature, type Tensor } from '@keelson/core';
import { refusal } from '../protocol/refusal.ts';
import type { Job } from './job.ts';
import type { Replica, ReplicaEvents } from './replica.ts';
import { FrameReader, FrameWriter } from './replica-frame.ts';
import {
  answerKinds,
  cancelledWord,
  type ReplicaMessage,
  type ReplicaStart,
  startedWord,
} from './replica-messages.ts';
import { timeoutError } from './timeout-error.ts';

/** What a thread replica runs, and how long it may take. */
export interface ThreadReplicaOptions {
  readonly directory: string;
  readonly signature: ModelSignature;
  /** For loading and warm-up. */
  readonly loadTimeoutMs: number;
  /** How long a job may run past its deadline before the replica counts as hung and is replaced. */
  readonly hungAfterMs: number;
}

interface Sent {
  readonly sequence: number;
  readonly job: Job;
}

/** Work worth this much time may wait in a thread's port while another job runs. */
const pipelineMs = 1;
const maxWindow = 32;

/**
 * A model in a worker thread. Jobs run one after another; those of one turn of the event loop cross together.
 *
 * The thread is terminated only while no native add-on was loaded into it: `terminate()` inside a
 * native run aborts the whole process. A hung thread with an add-on is abandoned instead: it keeps its core
 * busy until it comes back to JavaScript, where it finds its stop message. Models with native code that may hang
 * belong into a child process.
 */
export class ThreadReplica implements Replica {
  readonly id: string;
  readonly #worker: Worker;
  readonly #events: ReplicaEvents;
  readonly #options: ThreadReplicaOptions;
  readonly #shared: Int32Array;
  readonly #sent = new Map<number, Sent>();
  readonly #frame = new FrameWriter();
  readonly #exited: Promise<void>;
  #state: Replica['state'] = 'ready';
  #native = false;
  #sequence = 0;
  #sweptStarted = 0;
  #flushing = false;
  #meanInferenceMs = pipelineMs;
  #error: Error | undefined;

  /** Starts a thread; resolves when its model is loaded and warm. */
  static async start(
    id: string,
    options: ThreadReplicaOptions,
    events: ReplicaEvents,
  ): Promise<ThreadReplica> {
    const replica = new ThreadReplica(id, options, events);
    await replica.#loaded();
    return replica;
  }

  private constructor(id: string, options: ThreadReplicaOptions, events: ReplicaEvents) {
    this.id = id;
    this.#options = options;
    this.#events = events;
    const shared = new SharedArrayBuffer(8);
    this.#shared = new Int32Array(shared);
    const file = import.meta.url.endsWith('.ts') ? './replica-thread.ts' : './replica-thread.js';
    const { directory, signature } = options;
    const workerData: ReplicaStart = { directory, signature, shared };
    this.#worker = new Worker(new URL(file, import.meta.url), {
      workerData,
      name: `keelson ${id}`,
    });
    this.#exited = new Promise((resolve) => this.#worker.once('exit', () => resolve()));
    this.#worker.on('error', (error) => {
      this.#error = error instanceof Error ? error : new Error(String(error));
    });
  }

  get state(): Replica['state'] {
    return this.#state;
  }

  get ended(): Promise<void> {
    return this.#exited;
  }

  get outstanding(): number {
    return this.#sent.size;
  }

  get window(): number {
    return (
      1 + Math.min(maxWindow - 1, Math.floor(pipelineMs / Math.max(this.#meanInferenceMs, 1e-3)))
    );
  }

  send(job: Job): void {
    this.#sequence = (this.#sequence + 1) | 0;
    // Idle threads keep no process alive, waiting callers do.
    if (this.#sent.size === 0) this.#worker.ref();
    this.#sent.set(this.#sequence, { sequence: this.#sequence, job });
    this.#frame.u32(this.#sequence >>> 0);
    this.#frame.f64(job.rowCount);
    this.#frame.text(hasKeys(job.parameters) ? JSON.stringify(job.parameters) : '');
    for (const input of job.inputs) this.#frame.tensor(input);
    if (this.#flushing) return;
    this.#flushing = true;
    // At the end of this turn of the event loop: requests that came in together cross together.
    setImmediate(() => this.#flush());
  }

  flush(): void {
    this.#flush();
  }

  sweep(now: number): void {
    const started = Atomics.load(this.#shared, startedWord);
    const stuck = this.#sent.get(started);
    for (const { sequence, job } of this.#sent.values()) {
      if (now < job.deadlineAt || job.settled) continue;
      job.reject(timeoutError(job, sequence === started ? 'model' : 'queue'));
    }
    const since = this.#sweptStarted;
    this.#sweptStarted = started;
    if (stuck === undefined) return;
    // In the same job since the sweep before: what waits behind it may go elsewhere.
    const isLong = since === started;
    if (this.#state === 'ready' && (isLong || now >= stuck.job.deadlineAt)) this.#takeBack(started);
    if (now >= stuck.job.deadlineAt + this.#options.hungAfterMs) this.#giveUp();
  }

  async stop(timeoutMs: number): Promise<void> {
    if (this.#state === 'down') return this.#exited;
    this.#state = 'stopping';
    this.#worker.postMessage({ type: 'stop' });
    if (await settlesWithin(this.#exited, timeoutMs)) return;
    this.#end();
  }

  #loaded(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    let isLoaded = false;
    const fail = (message: string, cause?: Error): void => {
      if (isLoaded) return;
      this.#state = 'down';
      this.#end();
      reject(new KeelsonError('FAILED', message, cause === undefined ? {} : { cause }));
    };
    const { loadTimeoutMs, directory } = this.#options;
    const timer = setTimeout(
      () => fail(`The model in ${directory} did not load within ${loadTimeoutMs} ms.`),
      loadTimeoutMs,
    );
    timer.unref();
    this.#worker.on('message', (message: ArrayBuffer | ReplicaMessage) => {
      if (message instanceof ArrayBuffer) this.#read(message);
      else if (message.type === 'native') this.#native = true;
      else if (message.type === 'ready') {
        isLoaded = true;
        resolve();
      } else if (message.type === 'failed') fail(message.message);
      else if (message.type === 'stopped') this.#endWhenIdle();
    });
    this.#worker.once('exit', (code) => {
      const why =
        this.#error === undefined
          ? `ended with exit code ${code}`
          : `crashed: ${this.#error.message}`;
      fail(`The thread that was loading the model in ${directory} ${why}.`, this.#error);
      this.#down(`thread ${why}`);
    });
    return promise.finally(() => {
      clearTimeout(timer);
      // A replica must not keep a process alive which has closed, or never opened, a server.
      this.#worker.unref();
    });
  }

  #flush(): void {
    this.#flushing = false;
    if (this.#frame.length === 0) return;
    const frame = this.#frame.take();
    this.#worker.postMessage(frame, [frame]);
  }

  #read(frame: ArrayBuffer): void {
    const reader = new FrameReader(frame);
    const returned: Job[] = [];
    while (!reader.done) {
      const sequence = reader.u32() | 0;
      const sent = this.#sent.get(sequence);
      this.#sent.delete(sequence);
      const job = this.#readAnswer(reader, sent?.job);
      if (job !== undefined) returned.push(job);
    }
    if (this.#sent.size === 0) this.#worker.unref();
    if (this.#state === 'overdue') this.#state = 'ready';
    if (returned.length > 0) this.#events.onReturned(returned);
    this.#events.onIdle(this);
  }

  /** Settles the job, or gives it back if it was skipped and somebody still waits for it. */
  #readAnswer(reader: FrameReader, job: Job | undefined): Job | undefined {
    const kind = reader.u32();
    if (kind === answerKinds.skipped) return job === undefined || job.settled ? undefined : job;
    if (kind === answerKinds.answered) {
      const inferenceMs = reader.f64();
      const outputs: Tensor[] = this.#options.signature.outputs.map((spec) => reader.tensor(spec));
      this.#meanInferenceMs += (inferenceMs - this.#meanInferenceMs) / 16;
      if (job === undefined || job.settled) return undefined;
      const queueMs = Math.max(0, performance.now() - job.enqueuedAt - inferenceMs);
      job.resolve({
        outputs,
        replica: this.id,
        queueMs,
        inferenceMs,
        attempts: job.crashes + 1,
        batchRows: job.rowCount,
      });
      return undefined;
    }
    const message = reader.text();
    if (job === undefined || job.settled) return undefined;
    const refused = kind === answerKinds.refused;
    job.reject(refused ? refusal(422, 'INVALID', message) : new KeelsonError('FAILED', message));
    return undefined;
  }

  /** Takes back all but the job that runs, for other replicas; late answers to them are dropped. */
  #takeBack(runs: number): void {
    this.#state = 'overdue';
    this.#flush();
    Atomics.store(this.#shared, cancelledWord, this.#sequence);
    // Read again: what began before the word was written goes on, what did not will be skipped.
    const started = Atomics.load(this.#shared, startedWord);
    const jobs: Job[] = [];
    for (const { sequence, job } of [...this.#sent.values()]) {
      if (sequence === runs || sequence === started) continue;
      this.#sent.delete(sequence);
      if (!job.settled) jobs.push(job);
    }
    if (jobs.length > 0) this.#events.onReturned(jobs);
  }

  #giveUp(): void {
    if (this.#state === 'down') return;
    this.#end();
    this.#down(
      this.#native
        ? 'hung in a model with native code; its thread is abandoned'
        : 'hung, and was terminated',
    );
  }

  #down(reason: string): void {
    if (this.#state === 'down') return;
    this.#state = 'down';
    const started = Atomics.load(this.#shared, startedWord);
    const open = [...this.#sent.values()].filter(({ job }) => !job.settled);
    this.#sent.clear();
    this.#events.onDown(
      this,
      reason,
      open.filter(({ sequence }) => sequence === started).map(({ job }) => job),
      open.filter(({ sequence }) => sequence !== started).map(({ job }) => job),
    );
  }

  #endWhenIdle(): void {
    // Back in the event loop with its port closed: nothing native runs, so ending a thread whose model left timers or
    // sockets open is safe.
    const timer = setTimeout(() => void this.#worker.terminate(), 200);
    timer.unref();
    void this.#exited.then(() => clearTimeout(timer));
  }

  #end(): void {
    if (this.#native) {
      this.#worker.unref();
      this.#worker.postMessage({ type: 'stop' });
    } else {
      void this.#worker.terminate();
    }
  }
}

function hasKeys(parameters: object): boolean {
  for (const _ in parameters) return true;
  return false;
}

async function settlesWithin(promise: Promise<void>, timeoutMs: number): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => resolve(false), timeoutMs);
  try {
    return await Promise.race([promise.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
