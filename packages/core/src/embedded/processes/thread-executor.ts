import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type {
  AttemptKey,
  Executor,
  ExecutorCapabilities,
  LogChunk,
  TaskHandle,
  TaskObservation,
  TaskSpec,
  TaskUsage,
} from '../../contracts/executor.ts';
import { KeelsonError } from '../../errors.ts';
import type { JsonObject } from '../../json.ts';
import { FunctionExecutor } from '../function-executor.ts';
import type { TaskContext } from '../function-task.ts';
import type { ModuleThreadAnswer, ModuleThreadData } from './module-thread.ts';

/** How threads are run. */
export interface ThreadExecutorOptions {
  /** `thread` when left out. */
  readonly name?: string;
  /** How many run at a time; one for each processor when left out. */
  readonly concurrency?: number;
}

const capabilities: ExecutorCapabilities = {
  entries: ['module'],
  isolation: 'thread',
  survivesOrchestrator: false,
  gang: 'none',
  limits: { cpu: 'none', memory: 'enforced', gpu: 'none' },
  logs: { follow: true, afterExit: true },
  usage: 'live',
  lostAfterMs: 0,
};

const stopMs = 1000;

/**
 * Runs exports of modules in threads of this process, for functions that compute without a pause. Memory that is
 * asked for bounds the thread's heap. A thread that does not heed its signal is terminated. Tasks end with the
 * process.
 */
export class ThreadExecutor implements Executor {
  readonly name: string;
  readonly #functions: FunctionExecutor;

  constructor(options: ThreadExecutorOptions = {}) {
    this.name = options.name ?? 'thread';
    this.#functions = new FunctionExecutor({
      name: this.name,
      concurrency: options.concurrency ?? availableParallelism(),
      functions: { module: runThread },
    });
  }

  capabilities(): Promise<ExecutorCapabilities> {
    return Promise.resolve(capabilities);
  }

  /** Threads share their process's machine; what they take is bounded by how many there are. */
  capacity(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  health(): Promise<{ readonly ok: boolean; readonly message?: string }> {
    return this.#functions.health();
  }

  /** UNSUPPORTED for what is no module. */
  async submit(spec: TaskSpec): Promise<TaskHandle> {
    const { entry, gang, resources } = spec;
    if (entry.type !== 'module' || gang !== undefined) {
      const what = entry.type === 'module' ? 'a gang' : `a ${entry.type}`;
      throw new KeelsonError(
        'UNSUPPORTED',
        `The executor ${this.name} runs exports of modules in threads, not ${what}.`,
      );
    }
    const { memoryBytes } = resources;
    const input: ThreadInput = {
      data: { module: entry.module, export: entry.export, task: spec.input as never },
      ...(memoryBytes === undefined ? {} : { memoryBytes }),
    };
    return this.#functions.submit({
      ...spec,
      entry: { type: 'function', name: 'module' },
      input: input as unknown as JsonObject,
    });
  }

  list(query: {
    readonly workspace: string;
    readonly executionId?: string;
  }): AsyncIterable<TaskHandle & { readonly key: AttemptKey }> {
    return this.#functions.list(query);
  }

  attach(handle: TaskHandle): Promise<TaskObservation | undefined> {
    return this.#functions.attach(handle);
  }

  wait(handle: TaskHandle, options: { readonly signal: AbortSignal }): Promise<TaskObservation> {
    return this.#functions.wait(handle, options);
  }

  logs(
    handle: TaskHandle,
    options?: { readonly after?: string; readonly follow?: boolean; readonly signal?: AbortSignal },
  ): AsyncIterable<LogChunk> {
    return this.#functions.logs(handle, options);
  }

  usage(handle: TaskHandle): Promise<TaskUsage | undefined> {
    return this.#functions.usage(handle);
  }

  cancel(
    handle: TaskHandle,
    options: { readonly graceMs: number },
  ): Promise<'gone' | 'already-final' | 'unconfirmed'> {
    return this.#functions.cancel(handle, { graceMs: options.graceMs + 2 * stopMs });
  }

  release(handle: TaskHandle): Promise<void> {
    return this.#functions.release(handle);
  }

  close(): Promise<void> {
    return this.#functions.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

interface ThreadInput {
  readonly data: ModuleThreadData;
  readonly memoryBytes?: number;
}

/** Runs one thread to its end. */
async function runThread({ input, env, signal, write }: TaskContext): Promise<JsonObject> {
  const { data, memoryBytes } = input as unknown as ThreadInput;
  const file = import.meta.url.endsWith('.ts') ? './module-thread.ts' : './module-thread.js';
  const worker = new Worker(new URL(file, import.meta.url), {
    workerData: data,
    env: { ...process.env, ...env },
    stdout: true,
    stderr: true,
    ...(memoryBytes === undefined
      ? {}
      : { resourceLimits: { maxOldGenerationSizeMb: Math.max(8, memoryBytes / 2 ** 20) } }),
  });
  worker.stdout.setEncoding('utf8').on('data', (text: string) => write('stdout', text));
  worker.stderr.setEncoding('utf8').on('data', (text: string) => write('stderr', text));
  let answer: ModuleThreadAnswer | undefined;
  worker.once('message', (said: ModuleThreadAnswer) => {
    answer = said;
  });
  let timer: ReturnType<typeof setTimeout> | undefined;
  const stop = (): void => {
    worker.postMessage('stop');
    timer = setTimeout(() => void worker.terminate(), stopMs);
  };
  if (signal.aborted) stop();
  else signal.addEventListener('abort', stop, { once: true });
  try {
    await new Promise<void>((resolve, reject) => {
      worker.once('exit', () => resolve());
      worker.once('error', (error) => reject(outOfMemory(error, memoryBytes)));
    });
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
  }
  if (answer !== undefined && 'output' in answer) return answer.output;
  if (answer === undefined) throw new Error('The thread has ended without an answer.');
  throw revived(answer.error);
}

function outOfMemory(error: Error, memoryBytes: number | undefined): Error {
  if ((error as NodeJS.ErrnoException).code !== 'ERR_WORKER_OUT_OF_MEMORY') return error;
  const given =
    memoryBytes === undefined ? '' : ` and was given ${Math.round(memoryBytes / 2 ** 20)} MiB`;
  return Object.assign(new Error(`It used more memory than there was for it${given}.`), {
    code: 'ERR_WORKER_OUT_OF_MEMORY',
  });
}

function revived({ name, message, stack, code, failure, artifacts }: JsonObject): Error {
  const error = new Error(String(message));
  error.name = String(name);
  if (typeof stack === 'string') error.stack = stack;
  return Object.assign(error, {
    // As they are: whoever supervises the task takes them.
    ...(artifacts === undefined ? {} : { packedArtifacts: artifacts }),
    ...(code === undefined ? {} : { code }),
    ...(failure === undefined ? {} : { failure }),
  });
}
