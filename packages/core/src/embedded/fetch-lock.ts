import { rm, stat } from 'node:fs/promises';
import { setTimeout as rest } from 'node:timers/promises';
import { isKeelsonError } from '../errors.ts';
import { DirectoryLock } from './directory-lock.ts';
import { assertGoingOn } from './fetched-file.ts';

/** How one is waited for. */
export interface FetchLockOptions {
  readonly lockPath: string;
  /** What whoever holds the lock writes to. */
  readonly partPath: string;
  /** Whether there is nothing to wait for any more. */
  arrived(): Promise<boolean>;
  readonly signal?: AbortSignal | undefined;
  /** For how long whoever holds it may write nothing, until we go without it. */
  readonly stallMs: number;
}

const pollMs = 25;

/**
 * Waits until nobody else fetches a content, or it has arrived: then `arrived`. `alone`, with what gives the
 * lock up, which the system does when the process dies; `besides` when it cannot be had: whoever holds it has
 * stopped, or nothing can be locked there.
 */
export async function lockFetch(
  options: FetchLockOptions,
): Promise<'arrived' | 'besides' | { readonly release: () => Promise<void> }> {
  let lock: DirectoryLock;
  try {
    lock = DirectoryLock.open(options.lockPath);
  } catch (error) {
    if (isKeelsonError(error)) return 'besides';
    throw error;
  }
  try {
    const got = await waitFor(lock, options);
    if (got === 'alone') {
      return {
        async release() {
          // While it is held: who opened it before still waits for this very file, and finds the content there.
          await rm(options.lockPath, { force: true }).catch(() => undefined);
          lock.close();
        },
      };
    }
    lock.close();
    return got;
  } catch (error) {
    lock.close();
    throw error;
  }
}

async function waitFor(
  lock: DirectoryLock,
  options: FetchLockOptions,
): Promise<'alone' | 'arrived' | 'besides'> {
  let size = -1;
  let movedAt = performance.now();
  for (;;) {
    if (await options.arrived()) return 'arrived';
    if (tryAlone(lock)) return (await options.arrived()) ? 'arrived' : 'alone';
    assertGoingOn(options.signal);
    const now = await sizeOf(options.partPath);
    if (now !== size) [size, movedAt] = [now, performance.now()];
    if (performance.now() - movedAt > options.stallMs) return 'besides';
    await rest(pollMs * (0.5 + Math.random()));
  }
}

/** A lock that cannot be had for another reason than that somebody has it is not there. */
function tryAlone(lock: DirectoryLock): boolean {
  try {
    return lock.tryAlone();
  } catch (error) {
    if (isKeelsonError(error)) return false;
    throw error;
  }
}

async function sizeOf(path: string): Promise<number> {
  const found = await stat(path).catch(() => undefined);
  return found?.size ?? 0;
}
