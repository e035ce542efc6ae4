import { AsyncResource } from 'node:async_hooks';
import { Console } from 'node:console';
import { Writable } from 'node:stream';
import type {
  AttemptKey,
  LogChunk,
  TaskObservation,
  TaskSpec,
  TaskUsage,
} from '../contracts/executor.ts';
import type { Clock } from '../contracts/ports.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { asJson, type JsonObject } from '../json.ts';
import { thrownError } from './processes/thrown-error.ts';
import { TaskLog } from './task-log.ts';

/** What a function that runs as a task is given. */
export interface TaskContext {
  readonly key: AttemptKey;
  /** A copy of its own. */
  readonly input: JsonObject;
  readonly env: Readonly<Record<string, string>>;
  /** Aborted when the task is cancelled, its time is over or the executor closes. */
  readonly signal: AbortSignal;
  /** Writes into the log of the task; that of the process is not captured. */
  readonly console: Console;
  /** The same, of a piece that needs no line of its own. */
  readonly write: (stream: LogChunk['stream'], text: string) => void;
}

/** A function that can run as a task; what it answers is the task's output. */
// biome-ignore lint/suspicious/noConfusingVoidType: a function without an answer has no output
export type TaskFunction = (task: TaskContext) => JsonObject | void | Promise<JsonObject | void>;

type End = Pick<TaskObservation, 'state' | 'reason' | 'message' | 'exitCode' | 'output' | 'error'>;

/** How a task ends that was asked to stop. */
type Stop = End & { readonly state: 'cancelled' | 'failed' };

/** One function on its way from queued to its end. */
export class FunctionTask {
  readonly key: AttemptKey;
  readonly #spec: TaskSpec;
  readonly #work: TaskFunction;
  readonly #clock: Clock;
  readonly #log: TaskLog;
  readonly #controller = new AbortController();
  readonly #final: PromiseWithResolvers<TaskObservation> = Promise.withResolvers();
  #observation: TaskObservation = { state: 'queued' };
  #stop: Stop | undefined;
  #startedMs: number | undefined;
  #wallMs: number | undefined;

  constructor(spec: TaskSpec, work: TaskFunction, clock: Clock, maxLogLength: number) {
    this.key = spec.key;
    this.#spec = spec;
    // Under whatever context (a correlation, a run) it was submitted, not that of the task before it.
    this.#work = AsyncResource.bind(work);
    this.#clock = clock;
    this.#log = new TaskLog(maxLogLength);
  }

  /** How long it may take to stop. */
  get graceMs(): number {
    return this.#spec.graceMs;
  }

  /** What is known of it now. */
  get observation(): TaskObservation {
    return this.#observation;
  }

  get isFinal(): boolean {
    return this.#wallMs !== undefined;
  }

  /** Whether somebody has asked it to stop. */
  get isStopping(): boolean {
    return this.#stop !== undefined;
  }

  /** Its last observation. */
  get final(): Promise<TaskObservation> {
    return this.#final.promise;
  }

  /** How long the function has run; what else it used a process cannot tell of one function. */
  get usage(): TaskUsage {
    const running = this.#startedMs === undefined ? 0 : performance.now() - this.#startedMs;
    return { wallMs: this.#wallMs ?? running };
  }

  /** What it has written behind a cursor. */
  readLog(
    after: number,
    follow: boolean,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<LogChunk, void, undefined> {
    return this.#log.read(after, follow, signal);
  }

  /** Runs the function to its end; never rejects. Nothing happens when it was stopped before. */
  async run(): Promise<void> {
    if (this.isFinal) return;
    this.#startedMs = performance.now();
    this.#observation = { state: 'running', startedAt: this.#clock.now() };
    const timer = this.#startDeadline();
    try {
      const output = await this.#work({
        key: this.key,
        input: asJson(this.#spec.input) as JsonObject,
        env: this.#spec.env,
        signal: this.#controller.signal,
        console: new Console({ stdout: this.#sink('stdout'), stderr: this.#sink('stderr') }),
        write: (stream, text) => this.#write(stream, text),
      });
      this.#end(this.#stop ?? { state: 'succeeded', exitCode: 0, output: asOutput(output) });
    } catch (error) {
      if (error instanceof Error) this.#write('stderr', `${error.stack ?? error.message}\n`);
      this.#end(
        this.#stop ?? {
          state: 'failed',
          reason: isOutOfMemory(error) ? 'oom' : 'exit',
          exitCode: 1,
          message: say(error),
          ...(isOutOfMemory(error) ? {} : { error: thrownError(error) }),
        },
      );
    } finally {
      clearTimeout(timer);
    }
  }

  /** Asks it to stop; one that has not begun is over at once. */
  cancel(reason: KeelsonError): void {
    if (this.isFinal) return;
    this.#stop ??= { state: 'cancelled' };
    this.#controller.abort(reason);
    if (this.#startedMs === undefined) this.#end(this.#stop);
  }

  #startDeadline(): ReturnType<typeof setTimeout> | undefined {
    const { deadlineMs, resources, graceMs } = this.#spec;
    const limitMs = Math.min(deadlineMs ?? Infinity, resources.maxDurationMs ?? Infinity);
    if (limitMs === Infinity) return undefined;
    return setTimeout(() => this.#expire(limitMs, graceMs), Math.min(limitMs, 2 ** 31 - 1)).unref();
  }

  #expire(limitMs: number, graceMs: number): void {
    if (this.isFinal || this.#stop !== undefined) return;
    const message = `The task took longer than its ${limitMs} ms.`;
    const stop = { state: 'failed', reason: 'deadline', message } as const;
    this.#stop = stop;
    this.#controller.abort(new KeelsonError('TIMEOUT', message));
    // It keeps its place in the queue, for it still takes time; but nobody waits for it any longer.
    setTimeout(
      () => this.#end({ ...stop, message: `${message} It did not heed its signal.` }),
      graceMs,
    ).unref();
  }

  #end(end: End): void {
    if (this.isFinal) return;
    this.#wallMs = this.#startedMs === undefined ? 0 : performance.now() - this.#startedMs;
    const { startedAt } = this.#observation;
    this.#observation = {
      ...end,
      ...(startedAt === undefined ? {} : { startedAt }),
      finishedAt: this.#clock.now(),
    };
    this.#log.end();
    this.#final.resolve(this.#observation);
  }

  #write(stream: LogChunk['stream'], text: string): void {
    this.#log.append(stream, text, this.#clock.now());
  }

  #sink(stream: LogChunk['stream']): Writable {
    return new Writable({
      decodeStrings: false,
      write: (chunk, _encoding, done) => {
        this.#write(stream, String(chunk));
        done();
      },
    });
  }
}

// biome-ignore lint/suspicious/noConfusingVoidType: see TaskFunction
function asOutput(output: JsonObject | void): JsonObject {
  const json = asJson(output ?? {}, 'The output of the function');
  if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json as JsonObject;
  throw new KeelsonError('INVALID', 'The output of the function must be a JSON object.');
}

function isOutOfMemory(error: unknown): boolean {
  return (error as NodeJS.ErrnoException | undefined)?.code === 'ERR_WORKER_OUT_OF_MEMORY';
}

function say(error: unknown): string {
  if (isKeelsonError(error)) return `${error.code}: ${error.message}`;
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
