import { parentPort, workerData } from 'node:worker_threads';
import type { ReplicaMessage, StopMessage } from './replica-messages.ts';
import { SharedWords } from './replica-words.ts';
import { ReplicaWorker } from './replica-worker.ts';
import type { ThreadStart } from './thread-host.ts';

// The thread of one replica.

const port = parentPort;
if (port === null) throw new Error('replica-thread runs as a worker thread only.');

const { model, shared } = workerData as ThreadStart;
const say = (message: ReplicaMessage): void => port.postMessage(message);
let isClosed = false;

const worker = new ReplicaWorker(
  {
    post: (frame) => port.postMessage(frame, [frame]),
    say,
    end() {
      // Without its port the thread ends by itself; asked again, something of the model keeps it.
      if (isClosed) process.exit(0);
      isClosed = true;
      port.close();
    },
  },
  new SharedWords(shared),
);

announceAddOns();
port.on('message', (message: ArrayBuffer | StopMessage) => worker.receive(message));
await worker.load(model);

/** A thread inside native code cannot be terminated without taking the process along, so the pool must know. */
function announceAddOns(): void {
  const { dlopen } = process;
  process.dlopen = (...given: Parameters<typeof dlopen>) => {
    say({ type: 'native', file: given[1] });
    return dlopen.apply(process, given);
  };
}
