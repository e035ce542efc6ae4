import { availableParallelism } from 'node:os';
import PQueue from 'p-queue';
import type {
  AttemptKey,
  Executor,
  ExecutorCapabilities,
  LogChunk,
  TaskHandle,
  TaskObservation,
  TaskSpec,
  TaskUsage,
} from '../contracts/executor.ts';
import { taskId } from '../contracts/executor-law.ts';
import type { Clock } from '../contracts/ports.ts';
import { KeelsonError } from '../errors.ts';
import { uuidV7 } from '../uuid.ts';
import { FunctionTask, type TaskFunction } from './function-task.ts';

/** What an executor of functions needs. */
export interface FunctionExecutorOptions {
  /** The functions that tasks name. */
  readonly functions: Readonly<Record<string, TaskFunction>>;
  /** `function` when left out. */
  readonly name?: string;
  /** How many run at a time; one for each processor when left out. */
  readonly concurrency?: number;
  /** How many characters of a task's log are kept, counted from its end; 1,048,576 when left out. */
  readonly maxLogLength?: number;
  readonly clock?: Clock;
}

const capabilities: ExecutorCapabilities = {
  entries: ['function'],
  isolation: 'none',
  survivesOrchestrator: false,
  gang: 'none',
  limits: { cpu: 'none', memory: 'none', gpu: 'none' },
  logs: { follow: true, afterExit: true },
  usage: 'live',
  lostAfterMs: 0,
};

/**
 * Runs functions of this process as tasks, a bounded number at a time, in the order they were submitted.
 * Cancelling aborts the task's signal; a function that does not heed it goes on, and keeps its place.
 * Tasks end with the process: after a restart `attach` answers undefined. A task that was released is
 * forgotten, its key too.
 */
export class FunctionExecutor implements Executor {
  readonly name: string;
  readonly #functions: ReadonlyMap<string, TaskFunction>;
  readonly #queue: PQueue;
  readonly #clock: Clock;
  readonly #maxLogLength: number;
  /** Tells the tasks of this object from those of one before with the same keys. */
  readonly #instance = uuidV7();
  readonly #tasks = new Map<string, FunctionTask>();
  readonly #closed: PromiseWithResolvers<never> = Promise.withResolvers();
  #closing = false;

  constructor(options: FunctionExecutorOptions) {
    this.name = options.name ?? 'function';
    this.#functions = new Map(Object.entries(options.functions));
    this.#queue = new PQueue({ concurrency: options.concurrency ?? availableParallelism() });
    this.#clock = options.clock ?? Date;
    this.#maxLogLength = options.maxLogLength ?? 1024 * 1024;
    this.#closed.promise.catch(() => undefined);
  }

  capabilities(): Promise<ExecutorCapabilities> {
    return Promise.resolve(capabilities);
  }

  /** Functions share their process with everything else in it. */
  capacity(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  health(): Promise<{ readonly ok: boolean; readonly message?: string }> {
    return Promise.resolve(
      this.#closing ? { ok: false, message: this.#closedText() } : { ok: true },
    );
  }

  /**
   * UNSUPPORTED for what is no function or is a gang, NOT_FOUND for a function that this process
   * does not have, INVALID for a key that is none.
   */
  async submit(spec: TaskSpec): Promise<TaskHandle> {
    this.#assertOpen();
    const id = taskId(spec.key);
    if (!this.#tasks.has(id)) {
      const task = new FunctionTask(spec, this.#functionOf(spec), this.#clock, this.#maxLogLength);
      this.#tasks.set(id, task);
      // Never rejects: what becomes of it is the task's own affair.
      void this.#queue.add(() => task.run());
    }
    return await Promise.resolve(this.#handle(id));
  }

  async *list(query: {
    readonly workspace: string;
    readonly executionId?: string;
  }): AsyncGenerator<TaskHandle & { readonly key: AttemptKey }, void, undefined> {
    this.#assertOpen();
    for (const [id, { key }] of [...this.#tasks]) {
      if (key.workspace !== query.workspace) continue;
      if (query.executionId !== undefined && key.executionId !== query.executionId) continue;
      yield { ...this.#handle(id), key };
    }
  }

  async attach(handle: TaskHandle): Promise<TaskObservation | undefined> {
    this.#assertOpen();
    return await Promise.resolve(this.#find(handle)?.observation);
  }

  /** NOT_FOUND for a task that there is no record of; ABORTED by its signal; CLOSED by the close. */
  async wait(
    handle: TaskHandle,
    options: { readonly signal: AbortSignal },
  ): Promise<TaskObservation> {
    const task = this.#get(handle);
    const { signal } = options;
    const { promise, reject } = Promise.withResolvers<never>();
    const stop = (): void => reject(aborted(signal));
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    try {
      return await Promise.race([task.final, promise, this.#closed.promise]);
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  async *logs(
    handle: TaskHandle,
    options: {
      readonly after?: string;
      readonly follow?: boolean;
      readonly signal?: AbortSignal;
    } = {},
  ): AsyncGenerator<LogChunk, void, undefined> {
    const { after = '0', follow = false, signal } = options;
    const task = this.#get(handle);
    if (!/^\d{1,15}$/.test(after)) {
      throw new KeelsonError('INVALID', `after must be the cursor of a log chunk, not ${after}.`);
    }
    try {
      yield* task.readLog(Number(after), follow, signal);
    } catch (error) {
      throw signal?.aborted ? aborted(signal) : error;
    }
  }

  async usage(handle: TaskHandle): Promise<TaskUsage | undefined> {
    this.#assertOpen();
    return await Promise.resolve(this.#find(handle)?.usage);
  }

  /** NOT_FOUND for a task that there is no record of. */
  async cancel(
    handle: TaskHandle,
    options: { readonly graceMs: number },
  ): Promise<'gone' | 'already-final' | 'unconfirmed'> {
    const task = this.#get(handle);
    if (task.isFinal) return 'already-final';
    task.cancel(new KeelsonError('ABORTED', 'The task was cancelled.'));
    return (await endsWithin(task, options.graceMs)) ? 'gone' : 'unconfirmed';
  }

  /** CONFLICT for a task that runs and was not cancelled: it would go on unseen. */
  async release(handle: TaskHandle): Promise<void> {
    this.#assertOpen();
    const task = this.#find(handle);
    if (task === undefined) return;
    if (!task.isFinal && !task.isStopping) {
      throw new KeelsonError('CONFLICT', `Task ${handle.id} is running; cancel it first.`, {
        details: { id: handle.id },
      });
    }
    this.#tasks.delete(handle.id);
    await Promise.resolve();
  }

  /** Cancels all tasks and waits for each as long as its grace time says. Twice is fine. */
  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    const error = new KeelsonError('CLOSED', this.#closedText());
    const running = [...this.#tasks.values()].filter((task) => !task.isFinal);
    for (const task of running) task.cancel(error);
    await Promise.all(running.map((task) => endsWithin(task, task.graceMs)));
    this.#closed.reject(error);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #functionOf(spec: TaskSpec): TaskFunction {
    const { entry, gang } = spec;
    if (entry.type !== 'function' || gang !== undefined) {
      const what = entry.type === 'function' ? 'a gang' : `a ${entry.type}`;
      throw new KeelsonError(
        'UNSUPPORTED',
        `The executor ${this.name} runs single functions of its own process, not ${what}. Use an executor of processes or containers.`,
      );
    }
    const work = this.#functions.get(entry.name);
    if (work !== undefined) return work;
    const known = [...this.#functions.keys()].slice(0, 20).join(', ') || 'none';
    throw new KeelsonError(
      'NOT_FOUND',
      `The executor ${this.name} has no function ${JSON.stringify(entry.name)}; it has ${known}. Give it to the executor when it is made.`,
      { details: { function: entry.name } },
    );
  }

  #handle(id: string): TaskHandle {
    return { executor: this.name, id, native: { instance: this.#instance } };
  }

  #find(handle: TaskHandle): FunctionTask | undefined {
    return handle.native['instance'] === this.#instance ? this.#tasks.get(handle.id) : undefined;
  }

  #get(handle: TaskHandle): FunctionTask {
    this.#assertOpen();
    const task = this.#find(handle);
    if (task !== undefined) return task;
    throw new KeelsonError(
      'NOT_FOUND',
      `The executor ${this.name} has no record of the task ${handle.id}: it was released, or its process has ended since.`,
      { details: { id: handle.id } },
    );
  }

  #assertOpen(): void {
    if (this.#closing) throw new KeelsonError('CLOSED', this.#closedText());
  }

  #closedText(): string {
    return `The executor ${this.name} has been closed.`;
  }
}

function aborted(signal: AbortSignal): KeelsonError {
  return new KeelsonError('ABORTED', 'The waiting was aborted; the task goes on.', {
    cause: signal.reason,
  });
}

async function endsWithin(task: FunctionTask, graceMs: number): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, graceMs, false);
  });
  try {
    return await Promise.race([task.final.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
