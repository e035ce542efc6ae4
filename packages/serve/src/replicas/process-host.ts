import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { openSync, unlinkSync, writeSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ModelToLoad } from '../runtimes/load-model.ts';
import { FrameSocket } from './frame-socket.ts';
import type { HostListener, ReplicaHost } from './replica-host.ts';
import type { ReplicaMessage, StopMessage } from './replica-messages.ts';
import { FileWords, wordsBytes } from './replica-words.ts';

/** For what a process has written before its end to come. */
const lastWordsMs = 1000;

/**
 * A child process with a model, which may be killed whatever it does. It ends by itself when this process is gone.
 * What it writes goes to this process's own output.
 */
export class ProcessHost implements ReplicaHost {
  readonly kind = 'process';
  readonly words: FileWords;
  readonly #child: ChildProcess;
  readonly #socket: FrameSocket<ReplicaMessage>;
  readonly #watched: Socket;

  /** `heapBytes` bounds what JavaScript may allocate in it. */
  constructor(model: ModelToLoad, heapBytes: number | undefined, listener: HostListener) {
    const words = openWords();
    this.words = new FileWords(words);
    const file = import.meta.url.endsWith('.ts') ? './replica-child.ts' : './replica-child.js';
    const program = fileURLToPath(new URL(file, import.meta.url));
    this.#child = spawn(process.execPath, [...flags(heapBytes), program], {
      stdio: ['ignore', 'inherit', 'inherit', 'pipe', words, 'pipe'],
      windowsHide: true,
    });
    const { promise: closed, resolve: onEnd } = Promise.withResolvers<void>();
    const [, , , socket, , watched] = this.#child.stdio as unknown as readonly Socket[];
    this.#watched = watched as Socket;
    this.#watched.on('error', () => undefined);
    this.#socket = new FrameSocket<ReplicaMessage>(socket as Socket, {
      onFrame: (frame) => listener.onFrame(frame),
      onMessage: (message) => listener.onMessage(message),
      onEnd,
    });
    const ended = (how: string, cause?: Error): void => {
      const late = setTimeout(onEnd, lastWordsMs);
      void closed.then(() => {
        clearTimeout(late);
        this.#socket.destroy();
        this.#watched.destroy();
        listener.onExit(how, cause);
        this.words.close();
      });
    };
    this.#child.once('error', (error) => ended(`could not be started: ${error.message}`, error));
    this.#child.once('exit', (code, signal) =>
      ended(signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`),
    );
    this.#socket.say({ type: 'load', model });
  }

  post(frame: ArrayBuffer): void {
    this.#socket.post(frame);
  }

  stop(): void {
    const message: StopMessage = { type: 'stop', hung: false };
    this.#socket.say(message);
  }

  end(): 'ended' {
    this.#child.kill('SIGKILL');
    return 'ended';
  }

  ref(): void {
    this.#child.ref();
    this.#socket.ref();
  }

  unref(): void {
    this.#child.unref();
    this.#socket.unref();
    this.#watched.unref();
  }
}

/** A file without a name, which is gone when both processes are. */
function openWords(): number {
  const path = join(tmpdir(), `keelson-replica-${process.pid}-${randomUUID()}`);
  const file = openSync(path, 'wx+', 0o600);
  unlinkSync(path);
  writeSync(file, new Uint8Array(wordsBytes), 0, wordsBytes, 0);
  return file;
}

/** What this process was told of how modules are found holds for its children too. */
function flags(heapBytes: number | undefined): string[] {
  const found = process.execArgv.filter((flag) => /^--(conditions|import|loader)=/.test(flag));
  const heap =
    heapBytes === undefined
      ? []
      : [`--max-old-space-size=${Math.max(16, Math.floor(heapBytes / 2 ** 20))}`];
  return [...found, ...heap, '--disable-warning=ExperimentalWarning'];
}
