import { statSync } from 'node:fs';
import { KeelsonError } from '../errors.ts';

/**
 * Whether a path still names the file that it named at first. A database that somebody removes, or puts
 * another in the place of, goes on taking commits under no name: they would be gone with the process.
 */
export class FileIdentity {
  readonly #path: string;
  readonly #identity: string | undefined;

  constructor(path: string) {
    this.#path = path;
    this.#identity = identityOf(path);
  }

  /** UNAVAILABLE, to be thrown, once the path names another file or none. */
  fault(): KeelsonError | undefined {
    let now: string | undefined;
    try {
      now = identityOf(this.#path);
    } catch (cause) {
      return this.#notFound(cause);
    }
    if (now === this.#identity) return undefined;
    const what = now === undefined ? 'was removed' : 'was replaced by another file';
    return new KeelsonError(
      'UNAVAILABLE',
      `The database ${this.#path} ${what} while it was open, so what is written here is kept nowhere. Put the directory back from a backup, if need be, and open it again.`,
      { details: { path: this.#path, outcome: 'lost' } },
    );
  }

  #notFound(cause: unknown): KeelsonError {
    const why = String((cause as NodeJS.ErrnoException).code ?? cause);
    return new KeelsonError(
      'UNAVAILABLE',
      `The database ${this.#path} cannot be found any more (${why}); what was written is kept only if the path leads to it again. Check the disk and the directories above it.`,
      { cause, details: { path: this.#path, outcome: 'unknown' } },
    );
  }
}

function identityOf(path: string): string | undefined {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats === undefined ? undefined : `${stats.dev}:${stats.ino}`;
}
