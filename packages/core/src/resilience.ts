import {
  BrokenCircuitError,
  BulkheadRejectedError,
  bulkhead,
  CircuitState,
  ConsecutiveBreaker,
  circuitBreaker,
  DelegateBackoff,
  ExponentialBackoff,
  halfJitterGenerator,
  handleAll,
  handleWhen,
  type IBackoff,
  IterableBackoff,
  retry,
  TimeoutStrategy,
  timeout,
} from 'cockatiel';
import { z } from 'zod';
import { checkOptions, signalOption } from './check-options.ts';
import { isKeelsonError, KeelsonError } from './errors.ts';
import { assertText } from './json.ts';

/** How calls to something outside are bounded; what is left out does not apply. */
export interface PolicyOptions {
  /** Whom the calls go to, such as `webhook ops`; named in errors and logs. */
  readonly name: string;
  /** Bound of each attempt. */
  readonly timeoutMs?: number;
  /** How often a transient failure is tried again. */
  readonly retries?: {
    readonly attempts: number;
    /** The pause before the first; it doubles, with jitter. 200 when left out. */
    readonly firstMs?: number;
    /** 30,000 when left out. */
    readonly mostMs?: number;
  };
  /** Opens after so many transient failures in a row: then calls fail at once, until one is let through. */
  readonly breaker?: {
    /** 5 when left out. */
    readonly failures?: number;
    /** How long it stays open the first time; it doubles while the trial calls fail. 5,000 when left out. */
    readonly restMs?: number;
    /** 60,000 when left out. */
    readonly mostMs?: number;
  };
  /** So many calls at once; of those that come beyond, `waiting` wait (0 when left out). */
  readonly bulkhead?: { readonly calls: number; readonly waiting?: number };
  /** Which failures count and are tried again; {@link isTransient} when left out. */
  readonly isTransient?: (error: unknown) => boolean;
  /** Told when the breaker changes. */
  readonly onChange?: (state: BreakerState, name: string) => void;
}

/** A breaker that is open lets nothing through; half open, one call that decides. */
export type BreakerState = 'closed' | 'open' | 'half-open';

/** How a policy stands. */
export interface PolicyReport {
  readonly name: string;
  /** Undefined where there is no breaker. */
  readonly breaker: BreakerState | undefined;
  /** Calls that run, pauses between their attempts included. */
  readonly running: number;
  /** Calls that were refused without an attempt, by breaker or bulkhead. */
  readonly refused: number;
  /** Attempts that failed in a transient way. */
  readonly failures: number;
}

/** Timeout, retries, breaker and bulkhead around calls to one thing outside. */
export interface Policy {
  readonly name: string;
  /**
   * Runs `work` under the policy. TIMEOUT when an attempt took too long (its signal is aborted then);
   * UNAVAILABLE with `details.breaker: 'open'` while the breaker lets nothing through; EXHAUSTED when too
   * many calls run or wait; ABORTED by the signal, at once; else what `work` rejects with.
   */
  run<T>(
    work: (signal: AbortSignal) => Promise<T>,
    options?: { readonly signal?: AbortSignal },
  ): Promise<T>;
  report(): PolicyReport;
}

const duration = z.number().int().min(1).max(86_400_000);
const shape = z.strictObject({
  name: z.string().min(1).max(200),
  timeoutMs: duration.optional(),
  retries: z
    .strictObject({
      attempts: z.number().int().min(0).max(100),
      firstMs: duration.optional(),
      mostMs: duration.optional(),
    })
    .optional(),
  breaker: z
    .strictObject({
      failures: z.number().int().min(1).optional(),
      restMs: duration.optional(),
      mostMs: duration.optional(),
    })
    .optional(),
  bulkhead: z
    .strictObject({
      calls: z.number().int().min(1),
      waiting: z.number().int().min(0).optional(),
    })
    .optional(),
  isTransient: z.custom((value) => typeof value === 'function', 'must be a function').optional(),
  onChange: z.custom((value) => typeof value === 'function', 'must be a function').optional(),
} satisfies Record<keyof PolicyOptions, z.ZodType>);
const runShape = z.strictObject({ signal: signalOption.optional() });

const networkFaults: ReadonlySet<unknown> = new Set([
  ...['ECONNREFUSED', 'ECONNRESET', 'ECONNABORTED', 'EPIPE', 'ETIMEDOUT', 'EAI_AGAIN'],
  ...['EHOSTUNREACH', 'ENETUNREACH', 'UND_ERR_CONNECT_TIMEOUT', 'UND_ERR_SOCKET'],
]);

/**
 * Whether the same call may succeed later: errors of the class `transient`, and faults of the network. Not
 * where it is unknown whether the call had its effect (`details.outcome: 'unknown'`): only who made it
 * knows whether it may be made twice.
 */
export function isTransient(error: unknown): boolean {
  if (isKeelsonError(error)) {
    return error.class === 'transient' && error.details['outcome'] !== 'unknown';
  }
  if (typeof error !== 'object' || error === null) return false;
  const { code, cause } = error as { readonly code?: unknown; readonly cause?: unknown };
  return networkFaults.has(code) || (cause !== error && cause !== undefined && isNetwork(cause));
}

function isNetwork(cause: unknown): boolean {
  if (typeof cause !== 'object' || cause === null || !('code' in cause)) return false;
  return networkFaults.has(cause.code);
}

const states: Readonly<Record<CircuitState, BreakerState>> = {
  [CircuitState.Closed]: 'closed',
  [CircuitState.Open]: 'open',
  [CircuitState.HalfOpen]: 'half-open',
  [CircuitState.Isolated]: 'open',
};

/** A policy; outermost the bulkhead, then retries, breaker, timeout. INVALID for options that it cannot use. */
export function createPolicy(options: PolicyOptions): Policy {
  checkOptions(shape, options, 'createPolicy');
  assertText(options.name, 'The name of a policy');
  return new LayeredPolicy(options);
}

type Settled<T> = { readonly value: T } | { readonly error: unknown };
type Layer = <T>(work: (signal: AbortSignal) => Promise<T>, signal: AbortSignal) => Promise<T>;

class LayeredPolicy implements Policy {
  readonly name: string;
  readonly #options: PolicyOptions;
  readonly #layers: Layer;
  readonly #isTransient: (error: unknown) => boolean;
  #breaker: ReturnType<typeof circuitBreaker> | undefined;
  #running = 0;
  #refused = 0;
  #failures = 0;

  constructor(options: PolicyOptions) {
    this.name = options.name;
    this.#options = options;
    this.#isTransient = options.isTransient ?? isTransient;
    const layers = [
      this.#bulkhead(),
      this.#retries(),
      this.#breaking(),
      this.#counting(),
      this.#timeout(),
    ].filter((layer) => layer !== undefined);
    this.#layers = layers.reduceRight<Layer>(
      (inner, outer) => (work, signal) => outer((own) => inner(work, own), signal),
      (work, signal) => work(signal),
    );
  }

  async run<T>(
    work: (signal: AbortSignal) => Promise<T>,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<T> {
    checkOptions(runShape, options, 'run');
    if (typeof work !== 'function') {
      throw new KeelsonError('INVALID', `A policy runs a function, not a ${typeof work}.`);
    }
    const signal = options.signal ?? new AbortController().signal;
    const { promise: aborted, reject } = Promise.withResolvers<never>();
    const onAbort = (): void => {
      reject(this.#ended(signal));
    };
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    this.#running += 1;
    try {
      return await Promise.race([aborted, this.#layers(async (own) => work(own), signal)]);
    } finally {
      this.#running -= 1;
      signal.removeEventListener('abort', onAbort);
    }
  }

  report(): PolicyReport {
    const breaker = this.#breaker === undefined ? undefined : states[this.#breaker.state];
    const { name } = this;
    return {
      ...{ name, breaker, running: this.#running },
      ...{ refused: this.#refused, failures: this.#failures },
    };
  }

  #bulkhead(): Layer | undefined {
    const { bulkhead: bounds } = this.#options;
    if (bounds === undefined) return undefined;
    const { calls, waiting = 0 } = bounds;
    const policy = bulkhead(calls, waiting);
    return async (work, signal) => {
      try {
        return await policy.execute(({ signal: own }) => work(own), signal);
      } catch (error) {
        if (!(error instanceof BulkheadRejectedError)) throw error;
        this.#refused += 1;
        const message = `${calls} calls to ${this.name} run and ${waiting} wait: call again when some have ended.`;
        throw new KeelsonError('EXHAUSTED', message, { cause: error });
      }
    };
  }

  #retries(): Layer | undefined {
    const { retries } = this.#options;
    if (retries === undefined) return undefined;
    const { attempts, firstMs = 200, mostMs = 30_000 } = retries;
    const policy = retry(
      handleWhen((error) => this.#isTransient(error) && !isRefusal(error)),
      { maxAttempts: attempts, backoff: jittered(firstMs, mostMs) },
    );
    return (work, signal) =>
      policy.execute(({ signal: own }) => {
        // A pause ends by its time alone.
        if (own.aborted) throw this.#ended(own);
        return work(own);
      }, signal);
  }

  #breaking(): Layer | undefined {
    const { breaker } = this.#options;
    if (breaker === undefined) return undefined;
    const { failures = 5, restMs = 5_000, mostMs = 60_000 } = breaker;
    const rests = Array.from({ length: 32 }, (_, i) => Math.min(mostMs, restMs * 2 ** i));
    const policy = circuitBreaker(handleAll, {
      halfOpenAfter: new IterableBackoff(rests),
      breaker: new ConsecutiveBreaker(failures),
    });
    policy.onStateChange((state) => this.#options.onChange?.(states[state], this.name));
    this.#breaker = policy;
    return async (work, signal) => {
      // One call decides; those beside it do not wait for it.
      if (policy.state === CircuitState.HalfOpen) throw this.#refuse();
      // What is refused was answered: that is no failure of the other side.
      const settle = async (
        own: AbortSignal,
      ): Promise<Settled<Awaited<ReturnType<typeof work>>>> => {
        try {
          return { value: await work(own) };
        } catch (error) {
          if (this.#isTransient(error) || isUnknownOutcome(error)) throw error;
          return { error };
        }
      };
      let settled: Settled<Awaited<ReturnType<typeof work>>>;
      try {
        settled = await policy.execute(({ signal: own }) => settle(own), signal);
      } catch (error) {
        throw error instanceof BrokenCircuitError ? this.#refuse(error) : error;
      }
      if ('error' in settled) throw settled.error;
      return settled.value;
    };
  }

  #refuse(cause?: Error): KeelsonError {
    this.#refused += 1;
    const message = `${this.name} has failed ${this.#options.breaker?.failures ?? 5} times in a row or more; it is left alone for a while.`;
    return new KeelsonError('UNAVAILABLE', message, { cause, details: { breaker: 'open' } });
  }

  #ended(signal: AbortSignal): KeelsonError {
    const message = `The call to ${this.name} was ended.`;
    return new KeelsonError('ABORTED', message, { cause: signal.reason });
  }

  #counting(): Layer {
    return async (work, signal) => {
      try {
        return await work(signal);
      } catch (error) {
        if (this.#isTransient(error)) this.#failures += 1;
        throw error;
      }
    };
  }

  #timeout(): Layer | undefined {
    const { timeoutMs } = this.#options;
    if (timeoutMs === undefined) return undefined;
    const policy = timeout(timeoutMs, TimeoutStrategy.Aggressive);
    return async (work, signal) => {
      let late = false;
      try {
        return await policy.execute(async ({ signal: own }) => {
          own.addEventListener('abort', () => {
            late = true;
          });
          return await work(own);
        }, signal);
      } catch (error) {
        if (!late || signal.aborted || isKeelsonError(error)) throw error;
        const message = `${this.name} did not answer within ${timeoutMs} ms.`;
        throw new KeelsonError('TIMEOUT', message, { cause: error });
      }
    };
  }
}

/** Doubling pauses with jitter; where the other side says how long to wait, that long at least. */
function jittered(
  firstMs: number,
  mostMs: number,
): DelegateBackoff<{ readonly result: unknown }, IBackoff<unknown>> {
  const doubling = new ExponentialBackoff({
    ...{ initialDelay: firstMs, maxDelay: mostMs, generator: halfJitterGenerator },
  });
  return new DelegateBackoff((context, before: IBackoff<unknown> | undefined) => {
    const state = before === undefined ? doubling.next() : before.next(context);
    const asked = askedMs(context.result);
    const delay = Math.min(mostMs, Math.max(Math.ceil(state.duration), asked));
    return { delay, state };
  });
}

function askedMs(result: unknown): number {
  const error = (result as { readonly error?: unknown }).error;
  const asked = isKeelsonError(error) ? error.details['retryAfterMs'] : undefined;
  return typeof asked === 'number' && asked > 0 ? asked : 0;
}

function isRefusal(error: unknown): boolean {
  return isKeelsonError(error) && error.details['breaker'] === 'open';
}

function isUnknownOutcome(error: unknown): boolean {
  return isKeelsonError(error) && error.details['outcome'] === 'unknown';
}
