import { Socket } from 'node:net';
import { Worker } from 'node:worker_threads';
import type { ModelToLoad } from '../runtimes/load-model.ts';
import { FrameSocket } from './frame-socket.ts';
import type { StopMessage } from './replica-messages.ts';
import { FileWords, noteMemory } from './replica-words.ts';
import { ReplicaWorker } from './replica-worker.ts';

// The process of one replica: file 3 is its way to the pool, 4 the words, 5 closes when the pool's process is gone.

/** The first thing that the process is told. */
interface LoadMessage {
  readonly type: 'load';
  readonly model: ModelToLoad;
}

const words = new FileWords(4);
const watchFile = import.meta.url.endsWith('.ts')
  ? './parent-watch-thread.ts'
  : './parent-watch-thread.js';
// On a thread of its own, since the model may never yield.
new Worker(new URL(watchFile, import.meta.url), { workerData: { parent: 5, words: 4 } }).unref();

const socket = new FrameSocket(new Socket({ fd: 3, readable: true, writable: true }), {
  onFrame: (frame) => worker.receive(frame),
  onMessage(message: LoadMessage | StopMessage) {
    if (message.type === 'load') void worker.load(message.model);
    else worker.receive(message);
  },
  // Nobody is there to answer to.
  onEnd: () => process.exit(0),
});

const worker = new ReplicaWorker(
  {
    post: (frame) => socket.post(frame),
    say(message) {
      noteMemory(words);
      socket.say(message);
    },
    end: () => socket.end(() => process.exit(0)),
  },
  words,
);
