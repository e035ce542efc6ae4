import type { Change } from '../contracts/metadata-store.ts';
import type { ActiveRun } from './active-run.ts';
import type { StartRunOptions } from './start-run-options.ts';

/** Runs that begin and end in commits of those whose work they stand for. */
export interface RunsInCommits {
  /**
   * The beginning of a run whose id and parent nobody need look up: the id is new, and the parent is there.
   * Undefined where it takes more than a commit, as where runs are counted: `startRun` does it then. The
   * commit is STALE when the experiment has changed since this process read it.
   */
  start(options: StartRunOptions & { readonly id: string }): Promise<BeginningInCommit | undefined>;
  /** The end of a run, its points durable; it takes nothing more. Then one of `done` and `undo` is called. */
  finish(run: ActiveRun, status: 'COMPLETED' | 'FAILED' | 'KILLED'): Promise<EndInCommit>;
}

/** A run that begins once the changes are committed. */
export interface BeginningInCommit {
  readonly changes: readonly Change[];
  /** The run, once they are. */
  opened(): ActiveRun;
}

/** A run that ends once the changes are committed. */
export interface EndInCommit {
  /** By what this process knows of the run, the first time; by what it reads, after a STALE commit. */
  changes(): Promise<readonly Change[]>;
  done(): void;
  /** It was not committed: the run goes on. */
  undo(): void;
}
