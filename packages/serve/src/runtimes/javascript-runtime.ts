import {
  type InferenceBatch,
  type Json,
  KeelsonError,
  type LoadedModel,
  type ModelRuntime,
  type ModelSignature,
  type ModelSource,
  type Tensor,
} from '@keelson/core';
import { compileSignature, type SignatureCheck } from '../protocol/signature-check.ts';
import { ReplicaPool } from '../replicas/replica-pool.ts';
import { ThreadReplica } from '../replicas/thread-replica.ts';

const settings: Readonly<Record<string, number>> = {
  replicas: 1,
  maxQueue: 256,
  loadTimeoutMs: 60_000,
  hungAfterMs: 5_000,
};
const defaultTimeoutMs = 30_000;

/**
 * Runs model directories with an ES module (see `JavaScriptModelModule`) in worker threads. `config` takes
 * `replicas` (1), `maxQueue` (256), `loadTimeoutMs` (60,000) and `hungAfterMs` (5,000).
 */
export class JavaScriptRuntime implements ModelRuntime {
  readonly name = 'javascript';
  readonly isolation = 'thread';

  async load(
    source: ModelSource,
    signature: ModelSignature,
    config: Readonly<Record<string, Json>> = {},
  ): Promise<LoadedModel> {
    if (!('directory' in source)) {
      throw new KeelsonError(
        'UNSUPPORTED',
        'The javascript runtime loads a directory, not an endpoint.',
      );
    }
    const { directory } = source;
    const resolved = resolveConfig(config);
    const pool = await ReplicaPool.open({
      name: directory,
      replicas: resolved.replicas,
      maxQueue: resolved.maxQueue,
      start: (id, events) => ThreadReplica.start(id, { directory, signature, ...resolved }, events),
    });
    return new PooledModel(pool, compileSignature(signature));
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

function resolveConfig(config: Readonly<Record<string, Json>>): {
  replicas: number;
  maxQueue: number;
  loadTimeoutMs: number;
  hungAfterMs: number;
} {
  for (const [key, value] of Object.entries(config)) {
    if (!Object.hasOwn(settings, key) || !Number.isInteger(value) || (value as number) < 0) {
      throw new KeelsonError(
        'INVALID',
        `Config "${key}" is unknown or no integer from 0; the javascript runtime takes ${Object.keys(settings).join(', ')}.`,
      );
    }
  }
  return { ...settings, ...config } as ReturnType<typeof resolveConfig>;
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
