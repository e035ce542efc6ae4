import type { Row } from './row.ts';

/** How much is done: `smallest` in a second or two (its figures mean nothing), `full` as the specification says. */
export type Scale = 'smallest' | 'usual' | 'full';

/** What a benchmark is run with. */
export interface BenchContext {
  /** An empty directory on the disk that is measured; removed afterwards. */
  readonly dir: string;
  readonly scale: Scale;
  /** Tells what it is doing now. */
  readonly tell: (message: string) => void;
  /** How many seeds; each benchmark that takes seeds has its own default. */
  readonly seeds?: number | undefined;
  /** How many seeds of the whole lifecycle example, in the place of its rules alone. */
  readonly lifecycle?: number | undefined;
}

/** A named set of figures. */
export interface Benchmark {
  readonly name: string;
  /** What it measures, in a sentence. */
  readonly sentence: string;
  readonly run: (context: BenchContext) => Promise<readonly Row[]>;
}
