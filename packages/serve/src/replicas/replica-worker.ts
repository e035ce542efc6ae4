import type { Json, ModelSignature, Tensor } from '@keelson/core';
import { loadModel, type ModelToLoad } from '../runtimes/load-model.ts';
import { ModelFault, messageOf } from '../runtimes/model-fault.ts';
import type { TensorModel } from '../runtimes/tensor-model.ts';
import { FrameReader, FrameWriter } from './replica-frame.ts';
import { answerKinds, isAfter, type ReplicaMessage, type StopMessage } from './replica-messages.ts';
import { cancelledWord, type ReplicaWords, startedWord } from './replica-words.ts';

/** The way of a replica's thread or process to its pool. */
export interface ReplicaPort {
  post(frame: ArrayBuffer): void;
  say(message: ReplicaMessage): void;
  /** Ends the thread or process; called from JavaScript, so nothing native runs on this thread. */
  end(): void;
}

/** Answers wait for each other at most this long, so that short inferences share a wake-up of the HTTP thread. */
const answersTogetherMs = 0.2;
/** What the model left open, such as timers, keeps the replica no longer than this. */
const lingerMs = 200;

/** What runs in a replica's thread or process: loads a model, runs requests one after another, answers in frames. */
export class ReplicaWorker {
  readonly #port: ReplicaPort;
  readonly #words: ReplicaWords;
  readonly #frames: ArrayBuffer[] = [];
  readonly #answers = new FrameWriter();
  #signature: ModelSignature = { inputs: [], outputs: [] };
  #model: TensorModel | undefined;
  #running = false;
  #stopping = false;
  #ending = false;
  #postedAt = 0;

  constructor(port: ReplicaPort, words: ReplicaWords) {
    this.#port = port;
    this.#words = words;
  }

  /** Loads and warms up; says whether it is ready, or what failed. */
  async load(model: ModelToLoad): Promise<void> {
    this.#signature = model.signature;
    try {
      this.#model = await loadModel(model);
      this.#port.say({ type: 'ready', facts: this.#model.facts ?? {} });
    } catch (error) {
      const isFault = error instanceof ModelFault;
      this.#port.say({
        type: 'failed',
        code: isFault ? error.code : 'FAILED',
        message: isFault ? error.message : messageOf(error),
      });
    }
  }

  /** Takes a frame of requests, or word to stop. */
  receive(message: ArrayBuffer | StopMessage): void {
    if (message instanceof ArrayBuffer) {
      this.#frames.push(message);
      if (!this.#running) void this.#drain();
      return;
    }
    this.#stopping = true;
    if (!this.#running || message.hung) void this.#stop();
  }

  async #stop(): Promise<void> {
    if (this.#ending) return;
    this.#ending = true;
    try {
      await this.#model?.unload();
    } catch (error) {
      process.stderr.write(`A model failed to unload: ${messageOf(error)}\n`);
    }
    setTimeout(() => this.#port.end(), lingerMs).unref();
    this.#port.end();
  }

  async #drain(): Promise<void> {
    this.#running = true;
    for (let frame = this.#frames.shift(); frame !== undefined; frame = this.#frames.shift()) {
      const reader = new FrameReader(frame);
      while (!reader.done) {
        // Awaited only where the model itself is asynchronous: an await costs more than a small inference.
        const pending = this.#runNext(reader);
        if (pending !== undefined) await pending;
        if (performance.now() - this.#postedAt > answersTogetherMs) this.#post();
      }
      this.#post();
    }
    this.#running = false;
    if (this.#stopping) await this.#stop();
  }

  #runNext(reader: FrameReader): Promise<void> | undefined {
    const sequence = reader.u32();
    const rowCount = reader.f64();
    const parametersText = reader.text();
    const inputs = this.#signature.inputs.map((spec) => reader.tensor(spec));
    // First announced, then checked: the pool writes and reads in the opposite order, so one of the two always sees.
    this.#words.store(startedWord, sequence);
    if (!isAfter(sequence, this.#words.load(cancelledWord))) {
      this.#answers.u32(sequence);
      this.#answers.u32(answerKinds.skipped);
      return undefined;
    }
    const startedAt = performance.now();
    try {
      const parameters =
        parametersText === '' ? {} : (JSON.parse(parametersText) as Record<string, Json>);
      const outputs = (this.#model as TensorModel).predict(inputs, rowCount, parameters);
      if (!(outputs instanceof Promise)) {
        this.#answer(sequence, outputs, performance.now() - startedAt);
        return undefined;
      }
      return outputs.then(
        (settled) => this.#answer(sequence, settled, performance.now() - startedAt),
        (error: unknown) => this.#fail(sequence, error),
      );
    } catch (error) {
      this.#fail(sequence, error);
      return undefined;
    }
  }

  #answer(sequence: number, outputs: readonly Tensor[], inferenceMs: number): void {
    const answers = this.#answers;
    const mark = answers.length;
    try {
      answers.u32(sequence);
      answers.u32(answerKinds.answered);
      answers.f64(inferenceMs);
      for (const output of outputs) answers.tensor(output);
    } catch (error) {
      answers.rewind(mark);
      this.#fail(sequence, error);
    }
  }

  #fail(sequence: number, error: unknown): void {
    const isFault = error instanceof ModelFault;
    const refused = isFault && error.code === 'INVALID';
    this.#answers.u32(sequence);
    this.#answers.u32(refused ? answerKinds.refused : answerKinds.failed);
    this.#answers.text(isFault ? error.message : `The model threw ${messageOf(error)}`);
  }

  #post(): void {
    if (this.#answers.length > 0) this.#port.post(this.#answers.take());
    this.#postedAt = performance.now();
  }
}
