import { type JsonObject, KeelsonError, type ModelSignature, type Tensor } from '@keelson/core';
import { refusal } from '../protocol/refusal.ts';
import type { Job } from './job.ts';
import type { Replica, ReplicaEvents } from './replica.ts';
import { FrameReader, FrameWriter } from './replica-frame.ts';
import type { HostListener, ReplicaHost, StartHost } from './replica-host.ts';
import { answerKinds, type ReplicaMessage } from './replica-messages.ts';
import { cancelledWord, memoryWord, startedWord } from './replica-words.ts';
import { timeoutError } from './timeout-error.ts';

/** What a replica in a thread or process runs, and how long it may take. */
export interface HostedReplicaOptions {
  readonly directory: string;
  readonly signature: ModelSignature;
  /** For loading and warm-up. */
  readonly loadTimeoutMs: number;
  /** How long a job may run past its deadline before the replica counts as hung and is replaced. */
  readonly hungAfterMs: number;
  /**
   * The memory of a process above which another takes its place; above twice as much it is killed. No limit when left
   * out.
   */
  readonly memoryBytes?: number | undefined;
}

interface Sent {
  readonly sequence: number;
  readonly job: Job;
}

/** Work worth this much time may wait in a thread's port while another job runs. */
const pipelineMs = 1;
const maxWindow = 32;
const memoryMs = 500;

/**
 * A model in a thread or process of its own. Jobs run one after another; those of one turn of the event loop cross
 * together.
 */
export class HostedReplica implements Replica, HostListener {
  readonly id: string;
  readonly #host: ReplicaHost;
  readonly #events: ReplicaEvents;
  readonly #options: HostedReplicaOptions;
  readonly #sent = new Map<number, Sent>();
  readonly #frame = new FrameWriter();
  readonly #exited = Promise.withResolvers<void>();
  readonly #loaded = Promise.withResolvers<void>();
  #memoryTimer: NodeJS.Timeout | undefined;
  #facts: JsonObject = {};
  #state: Replica['state'] = 'starting';
  #sequence = 0;
  #sweptStarted = 0;
  #flushing = false;
  #meanInferenceMs = pipelineMs;
  #answered = 0;

  /** Starts a thread or process; resolves when its model is loaded and warm. */
  static async start(
    id: string,
    options: HostedReplicaOptions,
    startHost: StartHost,
    events: ReplicaEvents,
  ): Promise<HostedReplica> {
    const replica = new HostedReplica(id, options, startHost, events);
    await replica.#untilLoaded();
    return replica;
  }

  private constructor(
    id: string,
    options: HostedReplicaOptions,
    startHost: StartHost,
    events: ReplicaEvents,
  ) {
    this.id = id;
    this.#options = options;
    this.#events = events;
    this.#host = startHost(this);
  }

  get facts(): JsonObject {
    return this.#facts;
  }

  get state(): Replica['state'] {
    return this.#state;
  }

  get ended(): Promise<void> {
    return this.#exited.promise;
  }

  get answered(): number {
    return this.#answered;
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
    if (this.#sent.size === 0) this.#host.ref();
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
    const started = this.#host.words.load(startedWord);
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
    if (this.#state === 'down') return this.ended;
    if (this.#state !== 'stopping') {
      this.#state = 'stopping';
      this.#flush();
      this.#host.stop();
    }
    if (await settlesWithin(this.ended, timeoutMs)) return;
    this.#host.end();
  }

  onMessage(message: ReplicaMessage): void {
    if (message.type === 'ready') {
      this.#facts = message.facts;
      this.#loaded.resolve();
    } else if (message.type === 'failed') {
      this.#refuse(new KeelsonError(message.code, message.message));
    }
  }

  onFrame(frame: ArrayBuffer): void {
    this.#read(frame);
  }

  onExit(how: string, cause?: Error): void {
    const { kind } = this.#host;
    const { directory } = this.#options;
    const message = `The ${kind} that was loading the model in ${directory} ${how}.`;
    this.#loaded.reject(new KeelsonError('FAILED', message, cause === undefined ? {} : { cause }));
    this.#down(`${kind} ${how}`);
    this.#exited.resolve();
  }

  async #untilLoaded(): Promise<void> {
    const { loadTimeoutMs, directory, memoryBytes } = this.#options;
    const timer = setTimeout(() => {
      const message = `The model in ${directory} did not load within ${loadTimeoutMs} ms.`;
      this.#refuse(new KeelsonError('FAILED', message));
    }, loadTimeoutMs).unref();
    try {
      await this.#loaded.promise;
      const used = this.#memoryBytes();
      if (memoryBytes !== undefined && used > memoryBytes) {
        const message = `The model in ${directory} takes ${megabytes(used)} when it is loaded; its limit is ${megabytes(memoryBytes)}.`;
        const error = new KeelsonError('FAILED', message);
        this.#refuse(error);
        throw error;
      }
      this.#state = 'ready';
      if (memoryBytes !== undefined) {
        this.#memoryTimer = setInterval(() => this.#watchMemory(memoryBytes), memoryMs).unref();
      }
    } finally {
      clearTimeout(timer);
      // A replica must not keep a process alive which has closed, or never opened, a server.
      this.#host.unref();
    }
  }

  #refuse(error: KeelsonError): void {
    if (this.#state !== 'starting') return;
    this.#state = 'down';
    this.#loaded.reject(error);
    this.#host.end();
  }

  #memoryBytes(): number {
    return (this.#host.words.load(memoryWord) >>> 0) * 1024;
  }

  /** A leak must not be waited out: another replica takes over, and this one ends when it has answered what it has. */
  #watchMemory(limitBytes: number): void {
    if (this.#state === 'down') return;
    const used = this.#memoryBytes();
    if (used <= limitBytes) return;
    const reason = `took ${megabytes(used)}; its limit is ${megabytes(limitBytes)}`;
    if (used <= limitBytes * 2) {
      if (this.#state !== 'stopping') this.#events.onWorn(this, reason);
      return;
    }
    this.#host.end();
    this.#down(`${reason}, and was killed`);
  }

  #flush(): void {
    this.#flushing = false;
    if (this.#frame.length === 0) return;
    const frame = this.#frame.take();
    this.#host.post(frame);
  }

  #read(frame: ArrayBuffer): void {
    const reader = new FrameReader(frame);
    const returned: Job[] = [];
    while (!reader.done) {
      const sequence = reader.u32() | 0;
      const sent = this.#sent.get(sequence);
      this.#answered += 1;
      this.#sent.delete(sequence);
      const job = this.#readAnswer(reader, sent?.job);
      if (job !== undefined) returned.push(job);
    }
    if (this.#sent.size === 0) this.#host.unref();
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
    const details = { replica: this.id };
    job.reject(
      refused ? refusal(422, 'INVALID', message) : new KeelsonError('FAILED', message, { details }),
    );
    return undefined;
  }

  /** Takes back all but the job that runs, for other replicas; late answers to them are dropped. */
  #takeBack(runs: number): void {
    this.#state = 'overdue';
    this.#flush();
    this.#host.words.store(cancelledWord, this.#sequence);
    // Read again: what began before the word was written goes on, what did not will be skipped.
    const started = this.#host.words.load(startedWord);
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
    this.#down(
      this.#host.end() === 'ended'
        ? `hung; its ${this.#host.kind} was ended`
        : 'hung in a model with native code; its thread is abandoned',
    );
  }

  #down(reason: string): void {
    if (this.#state === 'down') return;
    const isStopped = this.#state === 'stopping' && this.#sent.size === 0;
    const isLoading = this.#state === 'starting';
    this.#state = 'down';
    clearInterval(this.#memoryTimer);
    if (isStopped || isLoading) return;
    const started = this.#host.words.load(startedWord);
    const open = [...this.#sent.values()].filter(({ job }) => !job.settled);
    this.#sent.clear();
    this.#events.onDown(
      this,
      reason,
      open.filter(({ sequence }) => sequence === started).map(({ job }) => job),
      open.filter(({ sequence }) => sequence !== started).map(({ job }) => job),
    );
  }
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MiB`;
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
