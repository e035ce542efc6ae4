import type {
  InferenceBatch,
  LoadedModel,
  ModelRuntime,
  ModelSignature,
  Tensor,
} from '../../contracts/model-runtime.ts';
import { KeelsonError } from '../../errors.ts';
import type { Json, JsonObject } from '../../json.ts';
import { inputTensors } from './input-tensors.ts';
import { outputRows } from './output-rows.ts';
import type { SuiteSettings } from './suite.ts';
import { messageOf, TestFault } from './test-fault.ts';

/** What a model is loaded from and by. */
export interface TestedSource {
  readonly runtime: ModelRuntime;
  readonly directory: string;
  readonly signature: ModelSignature;
  readonly config: Readonly<Record<string, Json>>;
  readonly signal?: AbortSignal;
}

const unloadTimeoutMs = 10_000;

/**
 * A model under test: whatever it does (hangs, throws, answers too little) is a TestFault, never more. Nothing is
 * waited for beyond its time; a model that blocks the very thread it shares with its caller cannot be helped.
 */
export class TestedModel {
  readonly #model: LoadedModel;
  readonly #source: TestedSource;
  readonly #settings: SuiteSettings;

  private constructor(model: LoadedModel, source: TestedSource, settings: SuiteSettings) {
    this.#model = model;
    this.#source = source;
    this.#settings = settings;
  }

  static async load(source: TestedSource, settings: SuiteSettings): Promise<TestedModel> {
    const { runtime, directory, signature, config, signal } = source;
    const timeoutMs = settings.loadTimeoutMs;
    const work = asPromise(() => runtime.load({ directory }, signature, config));
    try {
      const what = `runtime ${runtime.name} did not load the model`;
      const model = await inTime(work, { what, timeoutMs, signal });
      return new TestedModel(model, source, settings);
    } catch (error) {
      // It may be loaded later, when nobody waits for it any more.
      void work.then((late) => asPromise(() => late.unload())).catch(() => undefined);
      throw asFault(error, 'the model could not be loaded');
    }
  }

  get signature(): ModelSignature {
    return this.#source.signature;
  }

  /** How many rows go into a request: what the signature fixes, else what is wanted. */
  rowsPerRequest(wanted: number): number {
    const fixed = this.signature.inputs.map(({ shape }) => shape[0] ?? -1).find((n) => n > 0);
    return fixed ?? wanted;
  }

  /** The outputs for all rows, asked in batches. TestFault, naming the rows. */
  async predictRows(
    rows: readonly JsonObject[],
    onRows?: (done: number) => void,
  ): Promise<readonly JsonObject[]> {
    const size = this.rowsPerRequest(this.#settings.batchRows);
    const all: JsonObject[] = [];
    for (let start = 0; start < rows.length; start += size) {
      const batch = rows.slice(start, start + size);
      const inputs = inputsFrom(this.signature, batch, start);
      const place =
        batch.length === 1 ? `row ${start + 1}` : `rows ${start + 1} to ${start + batch.length}`;
      const outputs = await this.predict({ inputs }, place);
      for (const row of this.#rowsOf(outputs, batch.length, place)) all.push(row);
      onRows?.(all.length);
    }
    return all;
  }

  /** One request as it is. `what` names it in the message of a TestFault. */
  async predict(batch: InferenceBatch, what: string): Promise<readonly Tensor[]> {
    const timeoutMs = this.#settings.predictTimeoutMs;
    const { signal } = this.#source;
    const ended = new AbortController();
    const both = signal === undefined ? ended.signal : AbortSignal.any([signal, ended.signal]);
    const deadlineAt = Date.now() + timeoutMs;
    const work = asPromise(() => this.#model.predict(batch, { signal: both, deadlineAt }));
    try {
      return await inTime(work, { what: `the model did not answer ${what}`, timeoutMs, signal });
    } catch (error) {
      throw asFault(error, `the model failed on ${what}`);
    } finally {
      ended.abort();
    }
  }

  /** Unloads it; one that does not end in time is left behind. */
  async close(): Promise<void> {
    const work = asPromise(() => this.#model.unload());
    const timeoutMs = Math.min(unloadTimeoutMs, this.#settings.loadTimeoutMs);
    const options = { what: 'the model did not unload', timeoutMs };
    await inTime(work, options).catch(() => undefined);
  }

  #rowsOf(outputs: readonly Tensor[], count: number, place: string): readonly JsonObject[] {
    try {
      return outputRows(this.signature.outputs, outputs, count);
    } catch (error) {
      throw asFault(error, place);
    }
  }
}

/** Rows are counted from the first of all, not of the batch. */
function inputsFrom(
  signature: ModelSignature,
  batch: readonly JsonObject[],
  start: number,
): readonly Tensor[] {
  try {
    return inputTensors(signature.inputs, batch);
  } catch (error) {
    throw start === 0 ? error : asFault(error, `behind row ${start}`);
  }
}

/** A call that throws at once rejects. */
async function asPromise<T>(call: () => Promise<T>): Promise<T> {
  return await call();
}

/** ABORTED by the caller's signal is the caller's; all else is the model's fault. */
function asFault(error: unknown, what: string): Error {
  if (error instanceof CallerGone) {
    return new KeelsonError('ABORTED', 'The validation was aborted by its caller.', {
      cause: error.cause,
    });
  }
  if (error instanceof Late) return new TestFault(error.message);
  return new TestFault(`${what}: ${messageOf(error)}`, { cause: error });
}

class CallerGone extends Error {
  override readonly name = 'CallerGone';
}

class Late extends Error {
  override readonly name = 'Late';
}

/** What the work answers, unless it takes too long or the caller is gone: then it is left to itself. */
async function inTime<T>(
  work: Promise<T>,
  options: {
    readonly what: string;
    readonly timeoutMs: number;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<T> {
  const { what, timeoutMs, signal } = options;
  work.catch(() => undefined);
  const { promise, reject } = Promise.withResolvers<never>();
  const gone = (): void => reject(new CallerGone('', { cause: signal?.reason }));
  const timer = setTimeout(() => reject(new Late(`${what} within ${timeoutMs} ms`)), timeoutMs);
  if (signal?.aborted) gone();
  signal?.addEventListener('abort', gone, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', gone);
  }
}
