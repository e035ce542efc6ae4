import { type MessagePort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import type { PointTargetDescription } from '../contracts/point-target.ts';
import { type DrainMessage, type DrainOptions, PointDrain } from './point-drain.ts';
import { PointRing } from './point-ring.ts';
import { openPointTarget } from './point-target.ts';

/** What `PointWriter` starts this thread with. */
export interface PointThreadData {
  readonly buffer: SharedArrayBuffer;
  readonly port: MessagePort;
  readonly target: PointTargetDescription;
  readonly options: DrainOptions;
}

const { buffer, port, target, options } = workerData as PointThreadData;

await new PointDrain(new PointRing(buffer), options, {
  // Without an event loop: the main thread's messages are there as soon as it has sent them.
  receive: () => receiveMessageOnPort(port)?.message as DrainMessage | undefined,
  report: (report) => port.postMessage(report),
  open: () => openPointTarget(target),
}).run();
port.close();
