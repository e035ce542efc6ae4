import {
  type InferenceBatch,
  type Isolation,
  type Json,
  type JsonObject,
  KeelsonError,
  type LoadedModel,
  type ModelRuntime,
  type ModelSignature,
  type ModelSource,
  type Tensor,
} from '@keelson/core';
import { compileSignature, type SignatureCheck } from '../protocol/signature-check.ts';
import { ReplicaPool } from '../replicas/replica-pool.ts';
import { replicaStarter } from '../replicas/start-replica.ts';
import type { RuntimeName } from './runtime-registry.ts';

/** The integers of a runtime's `config`, and what they are when left out. */
const integers: Readonly<Record<string, number | undefined>> = {
  replicas: 1,
  maxQueue: 256,
  loadTimeoutMs: 60_000,
  hungAfterMs: 5_000,
  warmUpRows: 64,
  memoryBytes: undefined,
};
const defaultTimeoutMs = 30_000;

/**
 * Runs model directories in replicas of their own: worker threads, child processes, or on the caller's thread.
 * `config` takes `replicas` (1), `maxQueue` (256), `loadTimeoutMs` (60,000), `hungAfterMs` (5,000), `warmUpRows` (64: each size
 * class of batches up to it is warmed), `memoryBytes` (of a process; no limit) and `options`, which are the runtime's own.
 */
class ReplicaRuntime implements ModelRuntime {
  readonly name: RuntimeName;
  readonly isolation: Isolation;

  constructor(name: RuntimeName, isolation: Isolation) {
    this.name = name;
    this.isolation = isolation;
  }

  async load(
    source: ModelSource,
    signature: ModelSignature,
    config: Readonly<Record<string, Json>> = {},
  ): Promise<LoadedModel> {
    if (!('directory' in source)) {
      throw new KeelsonError(
        'UNSUPPORTED',
        `The ${this.name} runtime loads a directory, not an endpoint.`,
      );
    }
    const { directory } = source;
    const { name: runtime, isolation } = this;
    const { replicas, maxQueue, ...plan } = resolveConfig(runtime, config);
    const pool = await ReplicaPool.open({
      name: directory,
      replicas: isolation === 'none' ? 1 : replicas,
      maxQueue,
      start: replicaStarter({ directory, signature, runtime, isolation, ...plan }),
    });
    return new PooledModel(pool, compileSignature(signature));
  }
}

/** Runs models in JavaScript (see `JavaScriptModelModule`): `config` as {@link OnnxRuntime} has it, without options. */
export class JavaScriptRuntime extends ReplicaRuntime {
  /** In worker threads when left out. */
  constructor(isolation: Isolation = 'thread') {
    super('javascript', isolation);
  }
}

/**
 * Runs ONNX models by `onnxruntime-node`, which the user installs. `config` takes `replicas` (1), `maxQueue` (256),
 * `loadTimeoutMs` (60,000), `hungAfterMs` (5,000), `warmUpRows` (64), `memoryBytes` and `options`: `executionProviders`
 * (`["cpu"]`; the first that works), `intraOpNumThreads` and `interOpNumThreads` (1), `executionMode`,
 * `graphOptimizationLevel`, `enableCpuMemArena`, `enableMemPattern`, `warmUp`.
 */
export class OnnxRuntime extends ReplicaRuntime {
  /** In worker threads when left out. */
  constructor(isolation: Isolation = 'thread') {
    super('onnx', isolation);
  }
}

/**
 * Runs layers and graph models of TensorFlow.js by `@tensorflow/tfjs`, which the user installs: `config` as
 * {@link OnnxRuntime} has it, with no option but `warmUp`.
 */
export class TfjsRuntime extends ReplicaRuntime {
  /** In worker threads when left out. */
  constructor(isolation: Isolation = 'thread') {
    super('tfjs', isolation);
  }
}

class PooledModel implements LoadedModel {
  readonly #pool: ReplicaPool;
  readonly #check: SignatureCheck;

  constructor(pool: ReplicaPool, check: SignatureCheck) {
    this.#pool = pool;
    this.#check = check;
  }

  async predict(
    batch: InferenceBatch,
    options: { readonly signal?: AbortSignal; readonly deadlineAt?: number },
  ): Promise<readonly Tensor[]> {
    const { signal, deadlineAt } = options;
    if (signal?.aborted) throw abortedError(signal);
    const { inputs, rowCount } = this.#check.check(batch.inputs);
    const answer = this.#pool.predict(inputs, rowCount, {
      timeoutMs: deadlineAt === undefined ? defaultTimeoutMs : deadlineAt - Date.now(),
      ...(batch.parameters === undefined ? {} : { parameters: batch.parameters }),
      ...(signal === undefined ? {} : { isGone: () => signal.aborted }),
    });
    return (await (signal === undefined ? answer : untilAborted(answer, signal))).outputs;
  }

  async health(): Promise<{ readonly ok: boolean; readonly message?: string }> {
    const live = this.#pool.liveCount;
    return live > 0 ? { ok: true } : { ok: false, message: 'No replica is alive.' };
  }

  async unload(): Promise<void> {
    await this.#pool.close({ timeoutMs: defaultTimeoutMs });
  }
}

interface ResolvedConfig {
  readonly replicas: number;
  readonly maxQueue: number;
  readonly loadTimeoutMs: number;
  readonly hungAfterMs: number;
  readonly warmUpRows: number;
  readonly memoryBytes: number | undefined;
  readonly options: JsonObject;
}

function resolveConfig(runtime: string, config: Readonly<Record<string, Json>>): ResolvedConfig {
  const { options = {}, ...given } = config;
  for (const [key, value] of Object.entries(given)) {
    if (!Object.hasOwn(integers, key) || !Number.isInteger(value) || (value as number) < 0) {
      throw new KeelsonError(
        'INVALID',
        `Config "${key}" is unknown or no integer from 0; the ${runtime} runtime takes ${Object.keys(integers).join(', ')} and options.`,
      );
    }
  }
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new KeelsonError('INVALID', `Config "options" of the ${runtime} runtime is no object.`);
  }
  return { ...integers, ...given, options } as unknown as ResolvedConfig;
}

/** Leaves a call that cannot be stopped: a synchronous model runs on, and its answer is dropped. */
async function untilAborted<T>(answer: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(abortedError(signal));
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([answer, promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

function abortedError(signal: AbortSignal): KeelsonError {
  return new KeelsonError('ABORTED', 'The prediction was aborted by its caller.', {
    cause: signal.reason,
  });
}
