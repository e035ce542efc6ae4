import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { availableParallelism, hostname, totalmem } from 'node:os';
import type {
  AttemptKey,
  Executor,
  ExecutorCapabilities,
  ExecutorCapacity,
  LogChunk,
  TaskHandle,
  TaskObservation,
  TaskSpec,
  TaskUsage,
} from '../../contracts/executor.ts';
import {
  addUsage,
  isBad,
  isFinal,
  rankVariables,
  taskId,
  togetherOf,
} from '../../contracts/executor-law.ts';
import { KeelsonError } from '../../errors.ts';
import { encodeJson } from '../../json.ts';
import { describeOwner, ownerState } from '../../process-owner.ts';
import { uuidV7 } from '../../uuid.ts';
import { moduleCommand, readModuleResult } from './module-process.ts';
import { readOutput } from './output-files.ts';
import { ProcessUnit } from './process-unit.ts';
import { TaskDirectories, type TaskFile } from './task-directories.ts';

/** How processes are run. */
export interface ProcessExecutorOptions {
  /** Where it keeps what it knows of its tasks; shared by all processes of this machine that use it. */
  readonly stateDir: string;
  /** `process` when left out. */
  readonly name?: string;
  /** What every process gets of this process's environment; PATH, HOME, LANG and the like when left out. */
  readonly inherit?: readonly string[];
  /** What may be reserved on this machine; what it has when left out. */
  readonly capacity?: { readonly cpuCores?: number; readonly memoryBytes?: number };
}

const capabilities: ExecutorCapabilities = {
  entries: ['command', 'module'],
  isolation: 'process',
  survivesOrchestrator: true,
  gang: 'native',
  limits: { cpu: 'none', memory: 'enforced', gpu: 'advisory' },
  logs: { follow: true, afterExit: true },
  usage: 'live',
  lostAfterMs: 1000,
};

const inherited = [
  ...['PATH', 'HOME', 'USER', 'LOGNAME', 'SHELL', 'LANG', 'LC_ALL', 'LC_CTYPE', 'TZ', 'TMPDIR'],
  ...['LD_LIBRARY_PATH', 'PYTHONPATH', 'VIRTUAL_ENV', 'NODE_EXTRA_CA_CERTS'],
];

/**
 * Runs commands and modules as processes of this machine, each the leader of a process group. They live on
 * when the process that submitted them dies; any other process of the machine with the same state directory
 * finds, watches and ends them. Memory is looked at four times a second: a group that uses more than it was
 * given is killed. Deadlines are kept while somebody watches. What leaves its group (setsid) is found by the
 * variable KEELSON_TASK_DIR that all of a task's processes have, and is ended with the task. Linux.
 */
export class ProcessExecutor implements Executor {
  readonly name: string;
  readonly #dir: string;
  readonly #directories: TaskDirectories;
  readonly #inherit: readonly string[];
  readonly #options: ProcessExecutorOptions;
  readonly #units = new Map<string, readonly ProcessUnit[]>();
  readonly #closed = new AbortController();

  constructor(options: ProcessExecutorOptions) {
    this.name = options.name ?? 'process';
    this.#dir = options.stateDir;
    this.#directories = new TaskDirectories(options.stateDir);
    this.#inherit = options.inherit ?? inherited;
    this.#options = options;
  }

  capabilities(): Promise<ExecutorCapabilities> {
    return Promise.resolve(capabilities);
  }

  capacity(): Promise<ExecutorCapacity> {
    const { cpuCores = availableParallelism(), memoryBytes = machineMemory() } =
      this.#options.capacity ?? {};
    const name = hostname();
    const machine = { name, labels: {}, cpuCores, memoryBytes, devices: [] };
    return Promise.resolve({ pool: `host:${name}`, machines: [machine] });
  }

  async health(): Promise<{ readonly ok: boolean; readonly message?: string }> {
    if (this.#closed.signal.aborted) return { ok: false, message: this.#closedText() };
    try {
      await mkdir(this.#dir, { recursive: true });
      return { ok: true };
    } catch (error) {
      return { ok: false, message: `${this.#dir} cannot be used: ${(error as Error).message}` };
    }
  }

  /** UNSUPPORTED for what is no command or module, INVALID for a key that is none, NOT_FOUND for a `cwd` that is not there. */
  async submit(spec: TaskSpec): Promise<TaskHandle> {
    this.#assertOpen();
    const { entry, gang, files, resources } = spec;
    if (entry.type !== 'command' && entry.type !== 'module') {
      throw new KeelsonError(
        'UNSUPPORTED',
        `The executor ${this.name} runs commands and modules as processes, not a ${entry.type}.`,
      );
    }
    const id = taskId(spec.key);
    const count = gang === undefined ? 1 : gang.nodes * gang.processesPerNode;
    const limitMs = Math.min(spec.deadlineMs ?? Infinity, resources.maxDurationMs ?? Infinity);
    const file: TaskFile = {
      key: spec.key,
      nonce: uuidV7(),
      units: count,
      ...(resources.memoryBytes === undefined ? {} : { memoryBytes: resources.memoryBytes }),
      ...(limitMs === Infinity ? {} : { deadlineAt: Date.now() + limitMs }),
      graceMs: spec.graceMs,
      creator: describeOwner(),
      module: entry.type === 'module',
    };
    const claimed = await this.#directories.claim(id, file, {
      ...(file.module ? { input: encodeJson(spec.input) } : {}),
      neverBegins: (there) => this.#neverBegins(id, there),
    });
    if (!claimed) return this.#handle(id);
    // Those of a task of the same id that was there before.
    this.#units.delete(id);
    const units = this.#unitsOf(id, file);
    const masterPort = gang === undefined ? 0 : (gang.masterPort ?? (await freePort()));
    const env = { ...this.#environment(), ...spec.env, ...spec.pathEnv };
    const devices = spec.devices === undefined ? {} : deviceVariables(spec.devices);
    for (const [rank, unit] of units.entries()) {
      const made =
        entry.type === 'command'
          ? entry.command
          : moduleCommand(entry.module, entry.export, unit.dir);
      const cwd = (entry.type === 'command' ? entry.cwd : undefined) ?? files?.workDir;
      await unit.start({
        command: made,
        ...(cwd === undefined ? {} : { cwd }),
        env: {
          ...env,
          ...devices,
          ...rankVariables(gang, rank, { address: '127.0.0.1', port: masterPort }),
        },
      });
    }
    return this.#handle(id);
  }

  /** Whether a task will never begin, since who made it died before it did. */
  async #neverBegins(id: string, there: TaskFile): Promise<boolean> {
    if (ownerState(there.creator) !== 'dead') return false;
    for (const unit of this.#unitsOf(id, there)) {
      // What has begun, goes on.
      if (!(await unit.neverBegins())) return false;
    }
    return true;
  }

  async *list(query: {
    readonly workspace: string;
    readonly executionId?: string;
  }): AsyncGenerator<TaskHandle & { readonly key: AttemptKey }, void, undefined> {
    this.#assertOpen();
    for await (const [id, file] of this.#directories.all()) {
      if (file.key.workspace !== query.workspace) continue;
      if (query.executionId !== undefined && file.key.executionId !== query.executionId) continue;
      yield { ...this.#handle(id), key: file.key };
    }
  }

  async attach(handle: TaskHandle): Promise<TaskObservation | undefined> {
    this.#assertOpen();
    if (isElsewhere(handle)) {
      const message = `It ran on ${String(handle.native['host'])}, before this machine or its last start.`;
      return { state: 'lost', reason: 'node_lost', message };
    }
    const file = await this.#directories.read(handle.id);
    if (file === undefined) return undefined;
    return this.#observe(handle.id, file);
  }

  async wait(
    handle: TaskHandle,
    options: { readonly signal: AbortSignal },
  ): Promise<TaskObservation> {
    const signal = AbortSignal.any([options.signal, this.#closed.signal]);
    for (;;) {
      const observed = await this.attach(handle);
      if (observed === undefined) throw this.#unknown(handle);
      if (isFinal(observed)) {
        await this.#endLeftovers(handle.id);
        return observed;
      }
      if (this.#closed.signal.aborted) throw new KeelsonError('CLOSED', this.#closedText());
      if (signal.aborted) {
        throw new KeelsonError('ABORTED', 'The waiting was aborted; the task goes on.', {
          cause: options.signal.reason,
        });
      }
      await this.#turn(handle.id, signal);
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
    const file = await this.#get(handle);
    const { signal, after, follow = false } = options;
    const units = this.#unitsOf(handle.id, file);
    yield* readOutput(
      units.map(({ dir }) => dir),
      {
        ...(after === undefined ? {} : { after }),
        // Read once more after it has ended: nothing is missed.
        ended: async () => {
          if (!follow) return true;
          if (!isFinal(await this.#observe(handle.id, file))) return false;
          await this.#endLeftovers(handle.id);
          return true;
        },
        rest: () => this.#turn(handle.id, signal ?? this.#closed.signal, 100),
        signal: signal ?? this.#closed.signal,
      },
    );
  }

  async usage(handle: TaskHandle): Promise<TaskUsage | undefined> {
    this.#assertOpen();
    const file = await this.#directories.read(handle.id);
    if (file === undefined) return undefined;
    const all = await Promise.all(this.#unitsOf(handle.id, file).map((unit) => unit.usage()));
    return all
      .filter((usage) => usage !== undefined)
      .reduce<TaskUsage | undefined>(
        (sum, each) => (sum === undefined ? each : addUsage(sum, each)),
        undefined,
      );
  }

  async cancel(
    handle: TaskHandle,
    options: { readonly graceMs: number },
  ): Promise<'gone' | 'already-final' | 'unconfirmed'> {
    const file = await this.#get(handle);
    const observed = await this.#observe(handle.id, file);
    if (isFinal(observed)) return 'already-final';
    return this.#end(handle.id, file, { state: 'cancelled' }, options.graceMs);
  }

  /** CONFLICT for a task that runs. */
  async release(handle: TaskHandle): Promise<void> {
    this.#assertOpen();
    const file = await this.#directories.read(handle.id);
    if (file !== undefined && !isFinal(await this.#observe(handle.id, file))) {
      throw new KeelsonError('CONFLICT', `Task ${handle.id} is running; cancel it first.`, {
        details: { id: handle.id },
      });
    }
    this.#units.delete(handle.id);
    await this.#directories.discard(handle.id);
  }

  /** Tasks go on: another executor on the same directory finds them. */
  close(): Promise<void> {
    this.#closed.abort(new KeelsonError('CLOSED', this.#closedText()));
    return Promise.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Until something may have changed; whoever watches keeps the deadline, and ends a gang that has lost one. */
  async #turn(id: string, signal: AbortSignal, ms?: number): Promise<void> {
    const file = await this.#directories.read(id);
    if (file === undefined) return;
    const units = this.#unitsOf(id, file);
    if (file.deadlineAt !== undefined && Date.now() >= file.deadlineAt) {
      const message = 'It took longer than the time it was given.';
      await this.#end(id, file, { state: 'failed', reason: 'deadline', message }, file.graceMs);
      return;
    }
    const members = await Promise.all(units.map((unit) => unit.observe()));
    const failed = members.findIndex((member) => member !== undefined && isBad(member));
    if (failed >= 0 && members.some((member) => member === undefined || !isFinal(member))) {
      const message = `Rank ${failed} has failed: ${members[failed]?.message ?? ''}`;
      await this.#end(id, file, { state: 'failed', reason: 'exit', message }, file.graceMs);
      return;
    }
    const open = units.filter((_, i) => members[i] === undefined || !isFinal(members[i]));
    // They have ended since the caller looked.
    if (open.length === 0) return;
    const left = (file.deadlineAt ?? Infinity) - Date.now();
    const timers = new AbortController();
    const bound = Math.min(ms ?? 60_000, Math.max(1, left), 2 ** 31 - 1);
    const timer = setTimeout(() => timers.abort(), bound);
    const changed = AbortSignal.any([signal, timers.signal]);
    try {
      await Promise.race(open.map((unit) => unit.wait(changed)));
    } finally {
      clearTimeout(timer);
      timers.abort();
    }
  }

  async #endLeftovers(id: string): Promise<void> {
    const file = await this.#directories.read(id);
    if (file === undefined) return;
    await Promise.all(this.#unitsOf(id, file).map((unit) => unit.endLeftovers()));
  }

  async #end(
    id: string,
    file: TaskFile,
    verdict: Parameters<ProcessUnit['end']>[0],
    graceMs: number,
  ): Promise<'gone' | 'unconfirmed'> {
    const units = this.#unitsOf(id, file);
    for (const unit of units) await unit.neverBegins();
    const ends = await Promise.all(units.map((unit) => unit.end(verdict, graceMs)));
    return ends.every((end) => end === 'gone') ? 'gone' : 'unconfirmed';
  }

  async #observe(id: string, file: TaskFile): Promise<TaskObservation> {
    const units = this.#unitsOf(id, file);
    const members = await Promise.all(units.map((unit) => this.#observeUnit(unit, file)));
    const [only] = members;
    if (only !== undefined && members.length === 1) {
      const module = file.module && isFinal(only);
      return module ? { ...only, ...(await readModuleResult(units[0]?.dir ?? '', only)) } : only;
    }
    return togetherOf(members);
  }

  async #observeUnit(unit: ProcessUnit, file: TaskFile): Promise<TaskObservation> {
    const observed = await unit.observe().catch(ignoreMissing);
    if (observed !== undefined) return observed;
    if (ownerState(file.creator) !== 'dead') return { state: 'starting' };
    // It may have been started by a process that has died since: who is first with its pid's file decides.
    if (await unit.neverBegins()) {
      const message = 'The process that was to start it has died before.';
      return { state: 'lost', reason: 'engine', message };
    }
    return (await unit.observe()) ?? { state: 'lost', reason: 'engine' };
  }

  #unitsOf(id: string, file: TaskFile): readonly ProcessUnit[] {
    let units = this.#units.get(id);
    if (units === undefined) {
      units = Array.from({ length: file.units }, (_, i) => {
        return new ProcessUnit(this.#directories.unit(id, file, i), file.memoryBytes);
      });
      this.#units.set(id, units);
    }
    return units;
  }

  #environment(): Record<string, string> {
    return Object.fromEntries(
      this.#inherit.flatMap((name) => {
        const value = process.env[name];
        return value === undefined ? [] : [[name, value]];
      }),
    );
  }

  #handle(id: string): TaskHandle {
    const { host, bootId } = describeOwner();
    return { executor: this.name, id, native: { host: host ?? '', bootId: bootId ?? '' } };
  }

  async #get(handle: TaskHandle): Promise<TaskFile> {
    this.#assertOpen();
    const file = isElsewhere(handle) ? undefined : await this.#directories.read(handle.id);
    if (file !== undefined) return file;
    throw this.#unknown(handle);
  }

  #unknown({ id }: TaskHandle): KeelsonError {
    return new KeelsonError(
      'NOT_FOUND',
      `The executor ${this.name} has no record of the task ${id}: it was released, or ran on another machine.`,
      { details: { id } },
    );
  }

  #assertOpen(): void {
    if (this.#closed.signal.aborted) throw new KeelsonError('CLOSED', this.#closedText());
  }

  #closedText(): string {
    return `The executor ${this.name} has been closed.`;
  }
}

function isElsewhere({ native }: TaskHandle): boolean {
  const { host, bootId } = describeOwner();
  return native['host'] !== host || native['bootId'] !== bootId;
}

function machineMemory(): number {
  const constrained = process.constrainedMemory();
  return constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
}

function deviceVariables(devices: readonly string[]): Record<string, string> {
  return { CUDA_VISIBLE_DEVICES: devices.join(','), NVIDIA_VISIBLE_DEVICES: devices.join(',') };
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}

function ignoreMissing(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  return undefined;
}
