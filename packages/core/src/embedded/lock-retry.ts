import { KeelsonError } from '../errors.ts';
import { fromSqliteError, isBusy } from './sqlite-error.ts';

/** How to wait for a lock that another connection holds. */
export interface LockOptions {
  readonly signal?: AbortSignal;
  /** How long to try for the lock; 30,000 when left out. UNAVAILABLE afterwards. */
  readonly timeoutMs?: number;
}

/** How to write. */
export interface WriteOptions extends LockOptions {
  /**
   * False for what may be lost when the machine loses its power, though not when the process dies: claims, say, whose
   * holders are dead by then. Whatever is committed after it and synced makes it safe too. True when left out.
   */
  readonly synced?: boolean;
}

/** How long to try for a lock when nothing else is said. */
export const defaultLockTimeoutMs = 30_000;

/** Tries again after a random pause for as long as another connection is in the way. */
export async function retryWhileBusy<T>(
  path: string,
  purpose: string,
  attempt: () => T,
  options: LockOptions,
): Promise<T> {
  const timeoutMs = options.timeoutMs ?? defaultLockTimeoutMs;
  const startedAt = performance.now();
  for (let tries = 0; ; tries += 1) {
    if (options.signal?.aborted) throw lockAborted(path, options.signal);
    try {
      return attempt();
    } catch (error) {
      if (!isBusy(error)) throw fromSqliteError(error, path);
      if (performance.now() - startedAt >= timeoutMs) {
        throw lockTimeout(path, purpose, timeoutMs, error);
      }
    }
    await pause(lockPauseMs(tries), options.signal);
  }
}

const sleeper = new Int32Array(new SharedArrayBuffer(4));

/** {@link retryWhileBusy} that blocks the thread. */
export function retryBlocking<T>(
  path: string,
  purpose: string,
  attempt: () => T,
  options: { readonly timeoutMs?: number },
): T {
  const timeoutMs = options.timeoutMs ?? defaultLockTimeoutMs;
  const startedAt = performance.now();
  for (let tries = 0; ; tries += 1) {
    try {
      return attempt();
    } catch (error) {
      if (!isBusy(error)) throw fromSqliteError(error, path);
      if (performance.now() - startedAt >= timeoutMs) {
        throw lockTimeout(path, purpose, timeoutMs, error);
      }
    }
    Atomics.wait(sleeper, 0, 0, lockPauseMs(tries));
  }
}

/** 0.5 to 8 ms at first, up to twice that later: all processes keep getting their turn. */
export function lockPauseMs(tries: number): number {
  return (0.5 + Math.random() * 7.5) * (1 + Math.min(tries, 50) / 50);
}

/** Never rejects; an abort ends it early. Its timer keeps the process: somebody awaits the lock. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const finish = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', finish);
      resolve();
    };
    const timer = setTimeout(finish, ms);
    signal?.addEventListener('abort', finish, { once: true });
  });
}

/** ABORTED, with the signal's reason. */
export function lockAborted(path: string, signal: AbortSignal): KeelsonError {
  return new KeelsonError('ABORTED', `Waiting for the lock of ${path} was aborted.`, {
    cause: signal.reason,
  });
}

/** UNAVAILABLE: who waited, for what, how long. */
export function lockTimeout(
  path: string,
  purpose: string,
  ms: number,
  cause: unknown,
): KeelsonError {
  return new KeelsonError(
    'UNAVAILABLE',
    `Process ${process.pid} could not ${purpose} within ${ms} ms: another connection holds the lock of ${path}. See which process keeps a transaction open (a copy tool or a shell, say), and try again.`,
    { cause, details: { path, waitedMs: ms } },
  );
}
