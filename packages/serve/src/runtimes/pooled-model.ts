import {
  type InferenceBatch,
  type Json,
  type JsonObject,
  KeelsonError,
  type LoadedModel,
  type Tensor,
} from '@keelson/core';
import type { SignatureCheck } from '../protocol/signature-check.ts';
import type { ReplicaPool } from '../replicas/replica-pool.ts';

const defaultTimeoutMs = 30_000;

/** A pool of replicas behind the contract `LoadedModel`; inputs are held against the signature. */
export class PooledModel implements LoadedModel {
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

/**
 * The configuration of a runtime: `integers` from 0 with what they are when left out, `texts`, and `options`, which are the
 * runtime's own. INVALID names a key that is unknown or has a value that it cannot have.
 */
export function readRuntimeConfig<T extends Readonly<Record<string, number | undefined>>>(
  runtime: string,
  config: Readonly<Record<string, Json>>,
  integers: T,
  texts: readonly string[] = [],
): T & { readonly options: JsonObject } {
  const { options = {}, ...given } = config;
  for (const [key, value] of Object.entries(given)) {
    const isText = texts.includes(key) && typeof value === 'string' && value !== '';
    const isInteger =
      Object.hasOwn(integers, key) && Number.isInteger(value) && (value as number) >= 0;
    if (isText || isInteger) continue;
    const known = [...texts, ...Object.keys(integers)].join(', ');
    throw new KeelsonError(
      'INVALID',
      `Config "${key}" is unknown or no ${texts.includes(key) ? 'text' : 'integer from 0'}; the ${runtime} runtime takes ${known} and options.`,
    );
  }
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new KeelsonError('INVALID', `Config "options" of the ${runtime} runtime is no object.`);
  }
  return { ...integers, ...given, options: options as JsonObject };
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
