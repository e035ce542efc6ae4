import type { FaultStore } from './stores.ts';

/** How much harm is done: `short` in seconds, to see that it works; `long` as the specification says. */
export type Extent = 'short' | 'long';

/** What a scenario is run with. */
export interface FaultContext {
  readonly store: FaultStore;
  readonly extent: Extent;
  readonly seed: number;
  /** Tells what it is doing now. */
  readonly tell: (message: string) => void;
}

/** What was done in a scenario, and how many invariants held afterwards. */
export interface FaultReport {
  /** What was done, and how often: `kill` 200, `stall` 10, `throw` 40. */
  readonly faults: Readonly<Record<string, number>>;
  readonly invariants: number;
}

/** A scenario: work that harm is done to. Rejects when an invariant does not hold. */
export interface FaultScenario {
  readonly name: string;
  /** What it shows, in a sentence. */
  readonly sentence: string;
  readonly run: (context: FaultContext) => Promise<FaultReport>;
}
