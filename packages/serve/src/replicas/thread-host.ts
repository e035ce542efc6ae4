import { Worker } from 'node:worker_threads';
import type { ModelToLoad } from '../runtimes/load-model.ts';
import type { HostListener, ReplicaHost } from './replica-host.ts';
import type { ReplicaMessage, StopMessage } from './replica-messages.ts';
import { SharedWords, wordsBytes } from './replica-words.ts';

/** What a replica's thread is started with. */
export interface ThreadStart {
  readonly model: ModelToLoad;
  readonly shared: SharedArrayBuffer;
}

/**
 * A worker thread with a model. It is terminated only while no native add-on was loaded into it: `terminate()` inside
 * a native run aborts the whole process. One with an add-on is left alone: it keeps its core busy until it comes
 * back to JavaScript, where it finds its word to stop.
 */
export class ThreadHost implements ReplicaHost {
  readonly kind = 'thread';
  readonly words: SharedWords;
  readonly #worker: Worker;
  #native = false;

  constructor(name: string, model: ModelToLoad, listener: HostListener) {
    const shared = new SharedArrayBuffer(wordsBytes);
    this.words = new SharedWords(shared);
    const file = import.meta.url.endsWith('.ts') ? './replica-thread.ts' : './replica-thread.js';
    const workerData: ThreadStart = { model, shared };
    this.#worker = new Worker(new URL(file, import.meta.url), { workerData, name });
    let cause: Error | undefined;
    this.#worker.on('error', (error) => {
      cause = error instanceof Error ? error : new Error(String(error));
    });
    this.#worker.once('exit', (code) => {
      const how =
        cause === undefined ? `ended with exit code ${code}` : `crashed: ${cause.message}`;
      listener.onExit(how, cause);
    });
    this.#worker.on('message', (message: ArrayBuffer | ReplicaMessage) => {
      if (message instanceof ArrayBuffer) listener.onFrame(message);
      else if (message.type === 'native') this.#native = true;
      else listener.onMessage(message);
    });
  }

  post(frame: ArrayBuffer): void {
    this.#worker.postMessage(frame, [frame]);
  }

  stop(): void {
    this.#tellToStop(false);
  }

  end(): 'ended' | 'abandoned' {
    if (!this.#native) {
      void this.#worker.terminate();
      return 'ended';
    }
    this.#worker.unref();
    this.#tellToStop(true);
    return 'abandoned';
  }

  ref(): void {
    this.#worker.ref();
  }

  unref(): void {
    this.#worker.unref();
  }

  #tellToStop(hung: boolean): void {
    const message: StopMessage = { type: 'stop', hung };
    this.#worker.postMessage(message);
  }
}
