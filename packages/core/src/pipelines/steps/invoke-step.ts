import { KeelsonError } from '../../errors.ts';

/** How long a step that was told to stop may take to do so before it is left behind, when it says nothing. */
const usualGraceMs = 2000;

/**
 * Runs `work` until it settles, `timeoutMs` is over (TIMEOUT) or `signal` is aborted (its reason). The
 * signal that `work` gets is aborted first; work that does not heed it is left behind after a grace time,
 * and what it still does goes nowhere.
 */
export async function invokeStep<T>(
  work: (signal: AbortSignal) => T | Promise<T>,
  options: {
    readonly step: string;
    readonly timeoutMs?: number;
    readonly signal: AbortSignal;
    readonly graceMs?: number;
  },
): Promise<T> {
  const { step, timeoutMs, signal, graceMs = usualGraceMs } = options;
  const inner = new AbortController();
  const stop = (): void => inner.abort(signal.reason);
  if (signal.aborted) stop();
  else signal.addEventListener('abort', stop, { once: true });
  const timer =
    timeoutMs === undefined
      ? undefined
      : setTimeout(
          () => {
            const message = `Step ${step} took longer than its ${timeoutMs} ms.`;
            inner.abort(new KeelsonError('TIMEOUT', message, { details: { step, timeoutMs } }));
          },
          Math.min(timeoutMs, 2 ** 31 - 1),
        );
  const running = (async () => work(inner.signal))();
  try {
    const result = await Promise.race([running, leftBehind(inner.signal, graceMs)]);
    // What came too late is not taken: the next attempt, or nobody, will do it.
    if (inner.signal.aborted) throw inner.signal.reason;
    return result;
  } catch (error) {
    throw inner.signal.aborted ? inner.signal.reason : error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
    // A step that was left behind may still fail, and nobody else is there to hear it.
    running.catch(() => undefined);
  }
}

function leftBehind(signal: AbortSignal, graceMs: number): Promise<never> {
  return new Promise((_, reject) => {
    const later = (): void => {
      setTimeout(() => reject(signal.reason), graceMs).unref();
    };
    if (signal.aborted) later();
    else signal.addEventListener('abort', later, { once: true });
  });
}
