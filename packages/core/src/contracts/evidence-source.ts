import type { JsonObject } from '../json.ts';

/** A question of fact that a gate or condition asks. */
export interface EvidenceQuery {
  /** The figure, such as `error_rate`, `accuracy`, `paired_accuracy`, `drift`. */
  readonly figure: string;
  readonly deploymentId: string;
  readonly candidateVersionId?: string;
  readonly baselineVersionId?: string;
  readonly feature?: string;
  readonly from?: number;
  readonly to?: number;
  /** Counts come in windows of this length from `from` on; whole days when left out. */
  readonly windowMs?: number;
  /** Times at which a window ends as well: those of other weights. */
  readonly splitAt?: readonly number[];
  /** Bounds that values are held against, such as latencies in ms. */
  readonly limits?: readonly number[];
  /** Such as 0.95. */
  readonly quantile?: number;
  /** `shadow`: the candidate's answers that no caller saw. `primary` when left out. */
  readonly candidateRole?: 'primary' | 'shadow';
  /** The versions that are compared, where they are more than two. */
  readonly versionIds?: readonly string[];
  /** What an outcome is taken from, such as `{ source: 'accuracy' }`. */
  readonly outcome?: JsonObject;
}

/** A figure with its uncertainty, and all that is needed to compute it again. */
export interface Evidence {
  readonly figure: string;
  /** Undefined where there is not enough data: that is inconclusive, never success. */
  readonly estimate?: number;
  readonly low?: number;
  readonly high?: number;
  /** For anytime-valid tests. */
  readonly eValue?: number;
  readonly samples: number;
  /** Counts and states from which the figure follows. */
  readonly inputs: JsonObject;
  readonly at: number;
}

/** Answers questions of fact for gates and conditions; monitoring implements it. */
export interface EvidenceSource {
  ask(query: EvidenceQuery): Promise<Evidence>;
}
