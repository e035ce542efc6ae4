import type { Caretaker } from '../contracts/caretaker.ts';
import type { Scope } from '../contracts/scope.ts';
import { collectGarbage, type GarbageOptions, type GarbageReport } from './garbage.ts';

/** Care for what the platform keeps. */
export interface Operations {
  /**
   * Frees what nobody needs any more: experiments and runs deleted longer than the retention, with all that
   * is theirs; then content that no run, model version or pipeline refers to; then leftovers of broken
   * uploads. In this workspace, while others work.
   */
  gc(options?: GarbageOptions): Promise<GarbageReport>;
}

/** What operations need beside their scope. */
export interface OperationsParts {
  /** One for each room that keeps records. */
  readonly caretakers: readonly Caretaker[];
  collectLeftovers(olderThanMs: number): Promise<number>;
}

/** Operations, bound to a workspace and a principal. */
export function createOperations(scope: Scope, parts: OperationsParts): Operations {
  return {
    gc: (options) => collectGarbage(scope, parts, options),
  };
}
