import type { Resources } from '../../contracts/executor.ts';
import type { Change } from '../../contracts/metadata-store.ts';
import type { StepDefinition } from '../definition.ts';
import type { StepState } from '../step-execution.ts';

/** A change that the commit of a step's start makes, and that the commit of its running's end undoes. */
export type Held =
  | {
      readonly op: 'adjust';
      readonly kind: string;
      readonly id: string;
      readonly column: string;
      /** Undone by the opposite. */
      readonly by: number;
    }
  /** Undone by the removal, at revision 1. */
  | { readonly op: 'create'; readonly kind: string; readonly id: string };

/** What a step was given to run with. */
export interface Allocated extends Resources {
  readonly pool?: string;
  readonly devices?: readonly string[];
}

/** Whether a step may start now. */
export type Admission =
  | {
      readonly verdict: 'admitted';
      /** In bounds, so that a commit which would exceed a capacity is CONFLICT. */
      readonly changes: readonly Change[];
      readonly held: readonly Held[];
      readonly allocated?: Allocated;
    }
  /** Tried again when something of the pool ends. */
  | { readonly verdict: 'queued'; readonly reason: string; readonly pool: string }
  /** It fails at once: nothing there is could ever hold it. */
  | {
      readonly verdict: 'never';
      readonly reason: string;
      /** Such as `memory`, `cpu`, `gpu`. */
      readonly resource: string;
      readonly requested: number;
      readonly available: number;
    };

/** A step that may start, as far as its place in the queue goes. */
export interface DueStep {
  readonly id: string;
  readonly state: StepState;
}

/** Decides which steps may start, with what. */
export interface Admissions {
  /** Whether the step may start now. */
  admit(
    step: StepDefinition,
    defaults: Resources | undefined,
    state: StepState,
  ): Promise<Admission>;
  /** Of steps that are due, those that this process should try to start now, the first first. */
  order(due: readonly DueStep[]): Promise<readonly DueStep[]>;
}
