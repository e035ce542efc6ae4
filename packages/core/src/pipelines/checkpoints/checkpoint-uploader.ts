import { basename } from 'node:path';
import { lastCheckpoint } from '../executors/checkpoint-directory.ts';

/** What following a directory of checkpoints needs. */
export interface UploaderParts {
  /** Where a task writes them. */
  readonly dir: string;
  /** The newest that the store has. */
  readonly newest: number;
  readonly upload: (path: string, sequence: number) => Promise<void>;
  readonly warn: (message: string, error: unknown) => void;
}

const lookMs = 500;
/** Uploads take at most a fifth of the time. */
const restsFor = 4;

/**
 * Uploads complete checkpoints of a task while it runs: the newest, one at a time, with rests between. What goes
 * wrong is told and tried again; the task hears nothing of it.
 */
export class CheckpointUploader {
  readonly #parts: UploaderParts;
  #newest: number;
  #uploading: Promise<void> | undefined;
  #restsUntil = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: UploaderParts) {
    this.#parts = parts;
    this.#newest = parts.newest;
  }

  start(): void {
    this.#timer = setInterval(() => {
      if (this.#uploading !== undefined || performance.now() < this.#restsUntil) return;
      this.#uploading = this.#look().finally(() => {
        this.#uploading = undefined;
      });
    }, lookMs);
    this.#timer.unref();
  }

  /** Stops; with `flush` the newest is uploaded before. */
  async end(flush: boolean): Promise<void> {
    clearInterval(this.#timer);
    await this.#uploading;
    if (flush) await this.#look();
  }

  async #look(): Promise<void> {
    const beganAt = performance.now();
    try {
      const path = await lastCheckpoint(this.#parts.dir);
      const sequence = path === undefined ? 0 : Number(basename(path).slice(1));
      if (path === undefined || sequence <= this.#newest) return;
      await this.#parts.upload(path, sequence);
      this.#newest = sequence;
    } catch (error) {
      // A task removes old ones as it likes, in the middle of an upload too.
      this.#parts.warn(
        'A checkpoint could not be kept in the artifact store; trying again.',
        error,
      );
    } finally {
      const tookMs = performance.now() - beganAt;
      this.#restsUntil = performance.now() + restsFor * tookMs;
    }
  }
}
