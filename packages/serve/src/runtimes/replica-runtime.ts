import {
  type Isolation,
  type Json,
  KeelsonError,
  type LoadedModel,
  type ModelRuntime,
  type ModelSignature,
  type ModelSource,
} from '@keelson/core';
import { compileSignature } from '../protocol/signature-check.ts';
import { ReplicaPool } from '../replicas/replica-pool.ts';
import { replicaStarter } from '../replicas/start-replica.ts';
import { PooledModel, readRuntimeConfig } from './pooled-model.ts';
import type { RuntimeName } from './runtime-registry.ts';

/** The integers of a runtime's `config`, and what they are when left out. */
const integers: {
  readonly replicas: number;
  readonly maxQueue: number;
  readonly loadTimeoutMs: number;
  readonly hungAfterMs: number;
  readonly warmUpRows: number;
  readonly memoryBytes: number | undefined;
} = {
  replicas: 1,
  maxQueue: 256,
  loadTimeoutMs: 60_000,
  hungAfterMs: 5_000,
  warmUpRows: 64,
  memoryBytes: undefined,
};

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
    const { replicas, maxQueue, ...plan } = readRuntimeConfig(runtime, config, integers);
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
