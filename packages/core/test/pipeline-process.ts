import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { PipelinesOptions } from '../src/pipelines/pipelines-types.ts';

/** What a process that drives an execution is told. */
export interface PipelineTask {
  readonly dir: string;
  /** The idempotency key: processes of one key drive one execution. */
  readonly key: string;
  readonly depth: number;
  readonly width: number;
  readonly stepMs?: number;
  /** How long step `first` computes without a pause. */
  readonly blockMs?: number;
  readonly options?: Pick<PipelinesOptions, 'leaseMs' | 'patienceMs' | 'concurrency'>;
}

/** How an execution ended. */
export interface PipelineResult {
  readonly id: string;
  readonly status: string;
  readonly output: number;
  readonly failure?: unknown;
}

/** A process that drives one execution. */
export class PipelineProcess {
  readonly #child: ChildProcess;
  readonly #ready: Promise<void>;
  #result: PipelineResult | undefined;
  readonly exited: Promise<void>;
  readonly started: Promise<string>;
  readonly began: Promise<number>;
  /** Resolves with the first step that it worked on. */
  readonly worked: Promise<string>;

  constructor() {
    this.#child = fork(new URL('./pipeline-child.ts', import.meta.url), {
      execArgv: ['--conditions=keelson:source', '--disable-warning=ExperimentalWarning'],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    const ready = Promise.withResolvers<void>();
    const started = Promise.withResolvers<string>();
    const began = Promise.withResolvers<number>();
    const worked = Promise.withResolvers<string>();
    this.#ready = ready.promise;
    this.started = started.promise;
    this.began = began.promise;
    this.worked = worked.promise;
    this.exited = once(this.#child, 'exit').then(() => undefined);
    this.#child.on('message', (message: Record<string, never>) => {
      if ('ready' in message) ready.resolve();
      if ('started' in message) started.resolve(message['started'] as string);
      if ('worked' in message) worked.resolve(message['worked'] as string);
      if ('began' in message) began.resolve(message['began'] as number);
      if ('done' in message) this.#result = message['done'] as unknown as PipelineResult;
      if ('failed' in message) throw new Error(`A pipeline process failed: ${message['failed']}`);
      if ('done' in message) this.#child.disconnect();
    });
  }

  /** The process goes to work; resolves when it has been told. */
  async go(task: PipelineTask): Promise<void> {
    await this.#ready;
    this.#child.send(task);
  }

  /** What it came to, once it has exited; undefined when it was killed before. */
  async result(): Promise<PipelineResult | undefined> {
    await this.exited;
    return this.#result;
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.exited;
  }
}
