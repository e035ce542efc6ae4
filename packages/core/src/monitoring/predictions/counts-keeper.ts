import { join } from 'node:path';
import type { Scope } from '../../contracts/scope.ts';
import { type LostPredictions, takeLostPredictions, WriterCounts } from './writer-counts.ts';

/** The counts of accepted and stored predictions of a workspace: this process's own, and what others left behind. */
export class CountsKeeper {
  readonly #scope: Pick<Scope, 'workspace' | 'logger'>;
  readonly #directory: string;
  readonly #lost: LostPredictions[] = [];

  /** They lie in `directory`, which is made with the first row. */
  constructor(scope: Pick<Scope, 'workspace' | 'logger'>, directory: string) {
    this.#scope = scope;
    this.#directory = directory;
  }

  /** What processes that were killed have lost, as far as it was told here. */
  get lost(): readonly LostPredictions[] {
    return this.#lost;
  }

  /** Says, once, what processes that are gone have lost. Never throws. */
  tellLost(): void {
    const { logger, workspace } = this.#scope;
    try {
      for (const lost of takeLostPredictions(this.#directory, workspace)) {
        this.#lost.push(lost);
        const { owner, accepted, atLeast, atMost } = lost;
        const many = atLeast === atMost ? `${atMost}` : `${atLeast} to ${atMost}`;
        logger.warn(
          { component: 'monitoring', ...lost },
          `A process (${owner}) ended before it had stored all predictions: ${many} of ${accepted} were lost.`,
        );
      }
    } catch (error) {
      const message =
        'What other processes have left of their counts of predictions cannot be read.';
      logger.warn({ component: 'monitoring', error }, message);
    }
  }

  /** Counts of a new writer; undefined where none can be kept. */
  open(): WriterCounts | undefined {
    this.tellLost();
    const { counts, fault } = WriterCounts.open(this.#directory, this.#scope.workspace);
    if (fault !== undefined) {
      const message = `Counts of predictions cannot be kept in ${this.#directory}: nobody could say what a killed process lost.`;
      this.#scope.logger.warn({ component: 'monitoring', error: fault }, message);
    }
    return counts;
  }
}

/** Where counts lie in a platform's directory. */
export function countsDirectory(dir: string): string {
  return join(dir, 'predictions');
}
