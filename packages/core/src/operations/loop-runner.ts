import type { Loop } from '../contracts/loop.ts';
import type { Logger } from '../contracts/ports.ts';
import { rest } from '../rest.ts';

const longestRestMs = 30_000;

/** How a loop of this process has done so far. */
export interface LoopReport {
  readonly name: string;
  readonly rounds: number;
  /** Of those, how many threw. */
  readonly failed: number;
  /** Epoch ms; undefined before the first round that came through. */
  readonly lastSuccessAt: number | undefined;
  /** How long past its time the loop is, in ms: 0 while it rests, or within a second of work. */
  lateMs(now: number): number;
}

/** What is noted of a loop while it runs: plain numbers, read when somebody asks. */
interface LoopNote {
  readonly name: string;
  readonly idleMs: number;
  rounds: number;
  failed: number;
  lastSuccessAt: number | undefined;
  /** When the last round ended, or the loop began. */
  endedAt: number;
}

/** A round may take so long before the loop counts as late. */
const roundMs = 1000;

/** Runs loops side by side until it is stopped; a loop that fails rests and goes on. */
export class LoopRunner {
  readonly #controller = new AbortController();
  readonly #logger: Logger;
  readonly #running = new Set<Promise<void>>();
  readonly #notes = new Set<LoopNote>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /**
   * Starts a loop; its timers do not keep the process alive. What is answered stops this loop alone,
   * and resolves when its round is over.
   */
  add(loop: Loop): () => Promise<void> {
    const own = new AbortController();
    const signal = AbortSignal.any([this.#controller.signal, own.signal]);
    const { name, idleMs } = loop;
    const endedAt = Date.now();
    const note = { name, idleMs, rounds: 0, failed: 0, lastSuccessAt: undefined, endedAt };
    this.#notes.add(note);
    const done = this.#driveAndDrain(loop, note, signal).finally(() => {
      this.#running.delete(done);
      this.#notes.delete(note);
    });
    this.#running.add(done);
    return async () => {
      own.abort();
      await done;
    };
  }

  /** Asks all loops to stop and waits until they have, `timeoutMs` at most. */
  async stop(timeoutMs: number): Promise<void> {
    this.#controller.abort();
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, timeoutMs);
    });
    await Promise.race([Promise.all(this.#running), timeout]);
    clearTimeout(timer);
  }

  /** The loops that run, as they are now. */
  report(): readonly LoopReport[] {
    return [...this.#notes].map((note) => {
      const { name, rounds, failed, lastSuccessAt, endedAt, idleMs } = note;
      const lateMs = (now: number): number => Math.max(0, now - endedAt - idleMs - roundMs);
      return { name, rounds, failed, lastSuccessAt, lateMs };
    });
  }

  async #driveAndDrain(loop: Loop, note: LoopNote, signal: AbortSignal): Promise<void> {
    await this.#drive(loop, note, signal);
    await loop.drain?.();
  }

  async #drive(loop: Loop, note: LoopNote, signal: AbortSignal): Promise<void> {
    let failures = 0;
    while (!signal.aborted) {
      try {
        const busy = await loop.runOnce(signal);
        failures = 0;
        note.rounds += 1;
        note.endedAt = Date.now();
        note.lastSuccessAt = note.endedAt;
        if (busy) continue;
        await (loop.wait?.(signal) ?? rest(loop.idleMs, signal, { background: true }));
      } catch (error) {
        if (signal.aborted) return;
        failures += 1;
        note.rounds += 1;
        note.failed += 1;
        note.endedAt = Date.now();
        this.#logger.error(
          { component: 'operations', loop: loop.name, failures, error },
          'A loop failed.',
        );
        const ms = Math.min(longestRestMs, loop.idleMs * 2 ** Math.min(failures, 10));
        await rest(ms, signal, { background: true });
      }
    }
  }
}
