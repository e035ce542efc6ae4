import { assertObject } from '../../check-options.ts';
import type { HealthCheck, HealthResult } from '../../contracts/caretaker.ts';
import type { Clock } from '../../contracts/ports.ts';
import { KeelsonError } from '../../errors.ts';
import { asJson, type JsonObject, storableText } from '../../json.ts';
import type { CheckOutcome } from './check-state.ts';

/** One check, run once at a time. */
export class RunningCheck {
  readonly check: HealthCheck;
  readonly #clock: Clock;
  readonly #closing: AbortSignal;
  /** The check itself, as long as it has not settled, its timeout having ended or not. */
  #hanging: Promise<void> | undefined;
  #hangsSince = 0;
  #outcome: Promise<CheckOutcome> | undefined;

  constructor(check: HealthCheck, clock: Clock, closing: AbortSignal) {
    this.check = check;
    this.#clock = clock;
    this.#closing = closing;
  }

  /**
   * Runs the check, or joins the run that is going on; never rejects. A check that does not answer within
   * its timeout has failed, its signal is aborted, and until it has settled each further run fails at once.
   */
  run(): Promise<CheckOutcome> {
    this.#outcome ??= this.#once().finally(() => {
      this.#outcome = undefined;
    });
    return this.#outcome;
  }

  /** Resolves when a run that was given up, by its time or by the close, does nothing any more. */
  async settled(): Promise<void> {
    await this.#hanging;
  }

  async #once(): Promise<CheckOutcome> {
    const startedAt = performance.now();
    const result = await this.#result();
    const durationMs = Math.round((performance.now() - startedAt) * 10) / 10;
    return { ...result, at: this.#clock.now(), durationMs };
  }

  async #result(): Promise<HealthResult> {
    if (this.#hanging !== undefined) {
      const seconds = Math.round((performance.now() - this.#hangsSince) / 1000);
      return failed(`It still hangs, ${seconds} s after it was started; it is not started again.`);
    }
    const { timeoutMs } = this.check;
    const ending = new AbortController();
    const signal = AbortSignal.any([ending.signal, this.#closing]);
    const work = answer(this.check, signal);
    this.#hangsSince = performance.now();
    this.#hanging = work.then(() => {
      this.#hanging = undefined;
    });
    const { promise: late, resolve } = Promise.withResolvers<HealthResult>();
    const end = (message: string) => () => resolve(failed(message));
    const timer = setTimeout(end(`It did not answer within ${timeoutMs} ms.`), timeoutMs);
    timer.unref();
    const onClose = end('The platform was closed meanwhile.');
    this.#closing.addEventListener('abort', onClose, { once: true });
    try {
      return await Promise.race([work, late]);
    } finally {
      clearTimeout(timer);
      this.#closing.removeEventListener('abort', onClose);
      ending.abort();
    }
  }
}

async function answer(check: HealthCheck, signal: AbortSignal): Promise<HealthResult> {
  try {
    return kept(await check.run(signal));
  } catch (error) {
    return failed(error instanceof Error ? error.message : String(error));
  }
}

const statuses: readonly unknown[] = ['HEALTHY', 'DEGRADED', 'UNHEALTHY', 'UNKNOWN'];
const maxMessage = 2000;

/** An answer as it can be stored and shown. INVALID for one that says nothing. */
function kept(result: HealthResult): HealthResult {
  assertObject(result, 'A health check');
  const { status, message, details } = result;
  if (!statuses.includes(status)) {
    throw new KeelsonError('INVALID', `A health check answered the status ${String(status)}.`);
  }
  const told = { status, message: storableText(String(message), maxMessage) };
  if (details === undefined) return told;
  return { ...told, details: asJson(details, 'the details of a check') as JsonObject };
}

function failed(message: string): HealthResult {
  return { status: 'UNHEALTHY', message: storableText(message, maxMessage) };
}
