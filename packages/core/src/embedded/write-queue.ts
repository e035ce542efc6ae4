import { isKeelsonError, KeelsonError } from '../errors.ts';
import {
  defaultLockTimeoutMs,
  lockAborted,
  lockPauseMs,
  lockTimeout,
  pause,
  type WriteOptions,
} from './lock-retry.ts';
import { fromSqliteError, isBusy, isInputOutput } from './sqlite-error.ts';
import type { Attempt, SqliteTransactions } from './sqlite-transactions.ts';

/** Writes that wait are committed together, so many at most, and for so long at most. */
const groupSize = 64;
const groupMs = 3;

/** A write that waits for its turn. */
interface QueuedWrite {
  readonly work: () => unknown;
  readonly startedAt: number;
  readonly timeoutMs: number;
  readonly synced: boolean;
  resolve(result: unknown): void;
  reject(error: unknown): void;
}

/**
 * The writes of one connection, in the order in which they were asked for. Those that wait share a
 * transaction (one fsync for all), each in a savepoint, so that its failure undoes it alone.
 */
export class WriteQueue {
  readonly #path: string;
  readonly #transactions: SqliteTransactions;
  readonly #turn: () => Promise<void>;
  readonly #queue: QueuedWrite[] = [];
  #draining: Promise<void> | undefined;

  /** `turn` is awaited before the first of a row of groups: the event loop shall turn meanwhile. */
  constructor(path: string, transactions: SqliteTransactions, turn: () => Promise<void>) {
    this.#path = path;
    this.#transactions = transactions;
    this.#turn = turn;
  }

  /** Resolves with what `work` answers, once it is durable (or `synced` is false); rejects with what it throws. */
  add<T>(work: () => T, options: WriteOptions): Promise<T> {
    const { signal, timeoutMs = defaultLockTimeoutMs, synced = true } = options;
    if (signal?.aborted) return Promise.reject(lockAborted(this.#path, signal));
    return new Promise<T>((resolve, reject) => {
      const write: QueuedWrite = {
        work,
        startedAt: performance.now(),
        timeoutMs,
        synced,
        resolve(result) {
          signal?.removeEventListener('abort', abort);
          resolve(result as T);
        },
        reject(error) {
          signal?.removeEventListener('abort', abort);
          reject(error);
        },
      };
      const abort = (): void => {
        // What is not in the queue any more is being written: its outcome is reported as it is.
        if (signal !== undefined && this.#leave(write)) reject(lockAborted(this.#path, signal));
      };
      signal?.addEventListener('abort', abort, { once: true });
      this.#queue.push(write);
      this.#draining ??= this.#drain();
    });
  }

  /** Resolves when nothing waits any more. */
  async drained(): Promise<void> {
    await this.#draining;
  }

  #leave(write: QueuedWrite): boolean {
    const at = this.#queue.indexOf(write);
    if (at >= 0) this.#queue.splice(at, 1);
    return at >= 0;
  }

  async #drain(): Promise<void> {
    // Not in the turn of the first caller: those that follow it at once shall share its commit.
    await this.#turn();
    let tries = 0;
    let alone = false;
    while (this.#queue.length > 0) {
      const most = alone ? 1 : groupSize;
      try {
        // Nothing joins the queue between this and the end of the group.
        const synced = this.#queue.slice(0, most).some((write) => write.synced);
        this.#transactions.begin(true, synced);
      } catch (error) {
        tries += 1;
        await this.#refused(error, tries);
        continue;
      }
      tries = 0;
      alone = this.#writeGroup(most);
      // Without a rest between groups, other processes would hardly ever find the lock free.
      if (this.#queue.length > 0) await pause(1);
    }
    this.#draining = undefined;
  }

  async #refused(error: unknown, tries: number): Promise<void> {
    if (!isBusy(error)) {
      this.#queue.shift()?.reject(fromSqliteError(error, this.#path));
      return;
    }
    const now = performance.now();
    for (const write of [...this.#queue]) {
      if (now - write.startedAt < write.timeoutMs) continue;
      this.#leave(write);
      write.reject(lockTimeout(this.#path, 'write', write.timeoutMs, error));
    }
    await pause(lockPauseMs(tries));
  }

  /** Answers whether the next ones are to be run alone: after an error that undid others as well. */
  #writeGroup(most: number): boolean {
    const group: { readonly write: QueuedWrite; readonly attempt: Attempt }[] = [];
    const startedAt = performance.now();
    while (group.length < most && performance.now() - startedAt <= groupMs) {
      const write = this.#queue.shift();
      if (write === undefined) break;
      // By itself in the transaction, it needs no savepoint: all is undone with it.
      const single = group.length === 0 && (most === 1 || this.#queue.length === 0);
      const attempt = this.#transactions.attempt(write.work, !single);
      group.push({ write, attempt });
      if (single || undidAll(attempt)) break;
    }
    const undone = group.some(({ attempt }) => undidAll(attempt));
    const keep = !undone && group.some(({ attempt }) => attempt.done);
    const failure = this.#end(keep);
    const kept = isKeelsonError(failure) || isInputOutput(failure);
    const lost = undone || (failure !== undefined && !kept);
    if (lost && group.length > 1) {
      this.#tryAgain(group);
      return true;
    }
    for (const { write, attempt } of group) {
      if (!attempt.done) write.reject(fromSqliteError(attempt.error, this.#path));
      else if (failure === undefined) write.resolve(attempt.result);
      else write.reject(this.#transactions.commitError(failure));
    }
    return false;
  }

  /** Whatever goes wrong here is an answer: a queue that fell over would answer nobody any more. */
  #end(keep: boolean): unknown {
    try {
      return keep ? this.#transactions.commit() : this.#transactions.rollback();
    } catch (cause) {
      return new KeelsonError(
        'INTERNAL',
        `Ending a write on ${this.#path} failed; it may be kept or not. Read before trying again.`,
        { cause, details: { path: this.#path, outcome: 'unknown' } },
      );
    }
  }

  /** Nothing was kept, not even what others failed of: each is tried by itself, but for the culprit. */
  #tryAgain(group: readonly { readonly write: QueuedWrite; readonly attempt: Attempt }[]): void {
    for (const { write, attempt } of group.toReversed()) {
      if (!attempt.done && attempt.undoneAll) {
        write.reject(fromSqliteError(attempt.error, this.#path));
      } else {
        this.#queue.unshift(write);
      }
    }
  }
}

function undidAll(attempt: Attempt): boolean {
  return !attempt.done && attempt.undoneAll;
}
