import { parentPort, workerData } from 'node:worker_threads';
import type { Json, Tensor } from '@keelson/core';
import { loadJavaScriptModel, type TensorModel } from '../runtimes/javascript-model.ts';
import { ModelFault, messageOf } from '../runtimes/model-fault.ts';
import { FrameReader, FrameWriter } from './replica-frame.ts';
import {
  answerKinds,
  cancelledWord,
  isAfter,
  type ReplicaMessage,
  type ReplicaStart,
  startedWord,
} from './replica-messages.ts';

// The thread of one replica: loads a model, runs requests one after another, answers in frames.

/** Answers wait for each other at most this long, so that short inferences share a wake-up of the HTTP thread. */
const answersTogetherMs = 0.2;

const port = parentPort;
if (port === null) throw new Error('replica-thread runs as a worker thread only.');

const start = workerData as ReplicaStart;
const { signature } = start;
const shared = new Int32Array(start.shared);
const frames: ArrayBuffer[] = [];
const answers = new FrameWriter();
let model: TensorModel | undefined;
let running = false;
let postedAt = 0;

const say = (message: ReplicaMessage): void => port.postMessage(message);

announceAddOns();
try {
  model = await loadJavaScriptModel(start.directory, signature);
  say({ type: 'ready' });
} catch (error) {
  const code = error instanceof ModelFault ? error.code : 'FAILED';
  say({
    type: 'failed',
    code,
    message: error instanceof ModelFault ? error.message : messageOf(error),
  });
}

port.on('message', (message: ArrayBuffer | { readonly type: 'stop' }) => {
  if (!(message instanceof ArrayBuffer)) {
    void stop();
    return;
  }
  frames.push(message);
  if (!running) void drain();
});

async function stop(): Promise<void> {
  try {
    await model?.unload();
  } catch (error) {
    process.stderr.write(`A model failed to unload: ${messageOf(error)}\n`);
  }
  say({ type: 'stopped' });
  port?.close();
}

async function drain(): Promise<void> {
  running = true;
  for (let frame = frames.shift(); frame !== undefined; frame = frames.shift()) {
    const reader = new FrameReader(frame);
    while (!reader.done) {
      // Awaited only where the model itself is asynchronous: an await costs more than a small inference.
      const pending = runNext(reader);
      if (pending !== undefined) await pending;
      if (performance.now() - postedAt > answersTogetherMs) post();
    }
    post();
  }
  running = false;
}

function runNext(reader: FrameReader): Promise<void> | undefined {
  const sequence = reader.u32();
  const rowCount = reader.f64();
  const parametersText = reader.text();
  const inputs = signature.inputs.map((spec) => reader.tensor(spec));
  // First announced, then checked: the pool writes and reads in the opposite order, so one of the two always sees.
  Atomics.store(shared, startedWord, sequence);
  if (!isAfter(sequence, Atomics.load(shared, cancelledWord))) {
    answers.u32(sequence);
    answers.u32(answerKinds.skipped);
    return undefined;
  }
  const startedAt = performance.now();
  try {
    const parameters =
      parametersText === '' ? {} : (JSON.parse(parametersText) as Record<string, Json>);
    const outputs = (model as TensorModel).predict(inputs, rowCount, parameters);
    if (!(outputs instanceof Promise)) {
      answer(sequence, outputs, performance.now() - startedAt);
      return undefined;
    }
    return outputs.then(
      (settled) => answer(sequence, settled, performance.now() - startedAt),
      (error: unknown) => fail(sequence, error),
    );
  } catch (error) {
    fail(sequence, error);
    return undefined;
  }
}

function answer(sequence: number, outputs: readonly Tensor[], inferenceMs: number): void {
  const mark = answers.length;
  try {
    answers.u32(sequence);
    answers.u32(answerKinds.answered);
    answers.f64(inferenceMs);
    for (const output of outputs) answers.tensor(output);
  } catch (error) {
    answers.rewind(mark);
    fail(sequence, error);
  }
}

function fail(sequence: number, error: unknown): void {
  const refused = error instanceof ModelFault && error.code === 'INVALID';
  answers.u32(sequence);
  answers.u32(refused ? answerKinds.refused : answerKinds.failed);
  answers.text(error instanceof ModelFault ? error.message : `The model threw ${messageOf(error)}`);
}

function post(): void {
  if (answers.length > 0) {
    const frame = answers.take();
    port?.postMessage(frame, [frame]);
  }
  postedAt = performance.now();
}

/** A thread inside native code cannot be terminated without taking the process along, so the pool must know. */
function announceAddOns(): void {
  const { dlopen } = process;
  process.dlopen = (...given: Parameters<typeof dlopen>) => {
    say({ type: 'native', file: given[1] });
    return dlopen.apply(process, given);
  };
}
