import {
  type Json,
  KeelsonError,
  type LoadedModel,
  type ModelRuntime,
  type ModelSignature,
  type ModelSource,
} from '@keelson/core';
import { compileSignature } from '../protocol/signature-check.ts';
import { ReplicaPool } from '../replicas/replica-pool.ts';
import { PooledModel, readRuntimeConfig } from '../runtimes/pooled-model.ts';
import { remoteStarter } from './remote-replica.ts';

/** The inference servers that there are clients of. */
export type RemoteRuntimeName = 'v2' | 'tensorflow-serving' | 'torchserve' | 'mlflow';

const integers = { maxQueue: 256, loadTimeoutMs: 60_000 };

/**
 * Runs models on an inference server elsewhere, behind a circuit breaker: `v2` (the Open Inference Protocol),
 * `tensorflow-serving`, `torchserve` or `mlflow`. `config` takes `model` (what it is called there; not needed by `mlflow`),
 * `maxQueue` (256), `loadTimeoutMs` (60,000) and `options`, which are those of a deployment's runtime of that name.
 */
export class RemoteRuntime implements ModelRuntime {
  readonly name: RemoteRuntimeName;
  readonly isolation = 'remote';

  constructor(name: RemoteRuntimeName) {
    this.name = name;
  }

  async load(
    source: ModelSource,
    signature: ModelSignature,
    config: Readonly<Record<string, Json>> = {},
  ): Promise<LoadedModel> {
    const { name } = this;
    if (!('endpoint' in source)) {
      const message = `The ${name} runtime asks a server; it takes an endpoint, not a directory.`;
      throw new KeelsonError('UNSUPPORTED', message);
    }
    const { maxQueue, loadTimeoutMs, options } = readRuntimeConfig(name, config, integers, [
      'model',
    ]);
    const { model } = config;
    if (model === undefined && name !== 'mlflow') {
      const message = `Config "model" says what the model is called by the ${name} server; it is missing.`;
      throw new KeelsonError('INVALID', message);
    }
    const called = String(model ?? name);
    const start = remoteStarter({
      runtime: { name, ...source, model: called, options },
      ...{ model: { name: called, version: '' }, signature, loadTimeoutMs },
    });
    const pool = await ReplicaPool.open({ name: called, replicas: 1, maxQueue, start });
    return new PooledModel(pool, compileSignature(signature));
  }
}
