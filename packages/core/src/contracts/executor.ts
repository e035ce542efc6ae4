import type { JsonObject } from '../json.ts';

/** Names one execution of one step, for ever: the engine's name for it is made of these. */
export interface AttemptKey {
  readonly workspace: string;
  readonly executionId: string;
  readonly stepId: string;
  /** 1, 2, 3 …; rises only when the step must run anew, never because its supervisor died. */
  readonly attempt: number;
}

/** What a task asks of the machine. */
export interface Resources {
  /** Fractions are fine. */
  readonly cpuCores?: number;
  readonly memoryBytes?: number;
  readonly gpuCount?: number;
  readonly gpuType?: string;
  readonly storageBytes?: number;
  readonly maxDurationMs?: number;
  readonly preemptible?: boolean;
  readonly nodeSelector?: Readonly<Record<string, string>>;
}

/** What to run: a registered function, a module's export, a command, or an image with a command. */
export type TaskEntry =
  | { readonly type: 'function'; readonly name: string }
  /** `module` is an absolute path or a `file:` URL on the machine that runs it. */
  | { readonly type: 'module'; readonly module: string; readonly export: string }
  | { readonly type: 'command'; readonly command: readonly string[]; readonly cwd?: string }
  | {
      readonly type: 'image';
      readonly image: string;
      /** The image's own when left out. */
      readonly command?: readonly string[];
      /** `none` when left out. */
      readonly network?: 'none' | 'bridge';
    };

/** What a task reads and writes, as paths of the machine that submits it. All exist before `submit`. */
export interface TaskFiles {
  /** The attempt's own directory, written by the task. */
  readonly workDir: string;
  /** Files and directories that the task reads and does not change. */
  readonly inputs: Readonly<Record<string, string>>;
  /** Kept from attempt to attempt, written by the task. */
  readonly checkpointDir?: string;
}

/** Several processes that start together or not at all, and end together. */
export interface TaskGang {
  readonly nodes: number;
  readonly processesPerNode: number;
  /** Where rank 0 listens; one that is free when left out. */
  readonly masterPort?: number;
}

/** One piece of work for an executor. */
export interface TaskSpec {
  readonly key: AttemptKey;
  readonly entry: TaskEntry;
  readonly env: Readonly<Record<string, string>>;
  /** Variables whose values are paths at or below those of `files`: the task gets them as it sees them. */
  readonly pathEnv?: Readonly<Record<string, string>>;
  readonly files?: TaskFiles;
  /** Small JSON input; large data passes through the artifact store. */
  readonly input: JsonObject;
  /** Of each process of a gang. */
  readonly resources: Resources;
  /** The devices that were reserved for it, by the ids of {@link ExecutorCapacity}. */
  readonly devices?: readonly string[];
  /**
   * A gang gets RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, NODE_RANK, MASTER_ADDR and MASTER_PORT, as
   * PyTorch's launcher names them. One process when left out.
   */
  readonly gang?: TaskGang;
  readonly deadlineMs?: number;
  /** Between the polite and the final end of a cancelled task. */
  readonly graceMs: number;
  readonly labels?: Readonly<Record<string, string>>;
}

/** How far something has come. */
export interface TaskProgress {
  /** From 0 to 1. */
  readonly share: number;
  readonly message: string;
}

/** What making a task ready may take long for, such as its image, is told, and can be given up. */
export interface SubmitOptions {
  /** Once aborted, what has not begun need not begin; then the call rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (at: TaskProgress) => void;
}

/** Enough to find a task again from another process; plain JSON. */
export interface TaskHandle {
  readonly executor: string;
  readonly id: string;
  readonly native: JsonObject;
}

/** What an executor knows of a task. */
export interface TaskObservation {
  readonly state: 'queued' | 'starting' | 'running' | 'succeeded' | 'failed' | 'cancelled' | 'lost';
  readonly exitCode?: number;
  readonly reason?:
    | 'exit'
    | 'oom'
    | 'deadline'
    | 'evicted'
    | 'node_lost'
    | 'image'
    | 'unschedulable'
    | 'engine';
  readonly message?: string;
  /** The JSON output of a function or module. */
  readonly output?: JsonObject;
  /** What a function or module threw: `name`, `message`, `stack`, and `code`, `failure` or `artifacts` where it had any. */
  readonly error?: JsonObject;
  readonly node?: string;
  /** The digest of the image that ran. */
  readonly image?: string;
  readonly startedAt?: number;
  readonly finishedAt?: number;
  readonly members?: readonly TaskObservation[];
}

/** One piece of a task's output. */
export interface LogChunk {
  readonly stream: 'stdout' | 'stderr';
  readonly at: number;
  readonly text: string;
  /** Passed as `after`, reading goes on behind this chunk. */
  readonly cursor: string;
}

/** What a task has used, as far as the engine can tell. */
export interface TaskUsage {
  readonly wallMs: number;
  readonly cpuMs?: number;
  /** Cores in use, at most and on average. */
  readonly maxCpuCores?: number;
  readonly avgCpuCores?: number;
  readonly maxMemoryBytes?: number;
  readonly avgMemoryBytes?: number;
  readonly gpuMs?: number;
  readonly readBytes?: number;
  readonly writtenBytes?: number;
}

/** What there is on one machine. */
export interface MachineCapacity {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly cpuCores: number;
  readonly memoryBytes: number;
  /** Missing where it cannot be told. */
  readonly storageBytes?: number;
  readonly devices: readonly { readonly id: string; readonly type: string }[];
}

/** What an executor's tasks may take together, and each of them at most. */
export interface ExecutorCapacity {
  /**
   * What is drawn on: executors that name one pool share it, in whatever process, such as `host:anna` or
   * `swarm:<cluster>`.
   */
  readonly pool: string;
  readonly machines: readonly MachineCapacity[];
}

/** What an executor can and cannot do; the conformance suite skips cases by these alone. */
export interface ExecutorCapabilities {
  /** What it can run. */
  readonly entries: readonly TaskEntry['type'][];
  readonly isolation: 'none' | 'thread' | 'process' | 'container';
  readonly survivesOrchestrator: boolean;
  readonly gang: 'native' | 'admission-only' | 'none';
  readonly limits: Readonly<
    Record<'cpu' | 'memory' | 'gpu', 'enforced' | 'reserved' | 'advisory' | 'none'>
  >;
  readonly logs: { readonly follow: boolean; readonly afterExit: boolean };
  readonly usage: 'live' | 'final' | 'none';
  /** How long after a node's death a task of it is reported lost. */
  readonly lostAfterMs: number;
}

/**
 * Runs a step somewhere. `submit` is idempotent on the attempt's key: twice gives the same handle and
 * never two executions, also from two processes where the engine outlives them. A result manifest
 * written by the step outranks the engine's status.
 */
export interface Executor extends AsyncDisposable {
  readonly name: string;
  /**
   * Where work directories must lie for its tasks to see them, such as a directory that all nodes share;
   * anywhere when left out.
   */
  readonly workRoot?: string;
  /**
   * Whether platforms that know nothing of each other may use the engine at once: then a sweep leaves alone
   * what belongs to executions that it has no record of.
   */
  readonly shared?: boolean;
  capabilities(): Promise<ExecutorCapabilities>;
  /** Undefined where there is nothing to reserve. */
  capacity(): Promise<ExecutorCapacity | undefined>;
  /** What `image` is now, as a digest; undefined where images are none of its business. NOT_FOUND for none. */
  imageDigest?(image: string, options?: SubmitOptions): Promise<string | undefined>;
  health(signal?: AbortSignal): Promise<{ readonly ok: boolean; readonly message?: string }>;
  submit(spec: TaskSpec, options?: SubmitOptions): Promise<TaskHandle>;
  /** Tasks that the engine has a record of, for recovery and the sweep of orphans. */
  list(query: {
    readonly workspace: string;
    readonly executionId?: string;
  }): AsyncIterable<TaskHandle & { readonly key: AttemptKey }>;
  /** Undefined: the engine has no record of it. */
  attach(handle: TaskHandle): Promise<TaskObservation | undefined>;
  /** Resolves with a final observation. Aborting stops the waiting, not the task. */
  wait(handle: TaskHandle, options: { readonly signal: AbortSignal }): Promise<TaskObservation>;
  logs(
    handle: TaskHandle,
    options?: { readonly after?: string; readonly follow?: boolean; readonly signal?: AbortSignal },
  ): AsyncIterable<LogChunk>;
  usage(handle: TaskHandle): Promise<TaskUsage | undefined>;
  /** `gone`: confirmed ended by this; `unconfirmed`: asked, but still there after the grace time. */
  cancel(
    handle: TaskHandle,
    options: { readonly graceMs: number },
  ): Promise<'gone' | 'already-final' | 'unconfirmed'>;
  /** Lets the engine forget the task; twice is fine. */
  release(handle: TaskHandle): Promise<void>;
  close(): Promise<void>;
}
