import type { Json, KeelsonError, Tensor } from '@keelson/core';

/** What a replica answered to one job. */
export interface JobAnswer {
  readonly outputs: readonly Tensor[];
  readonly replica: string;
  /** From the hand-over to the pool until the answer, less the model's own time. */
  readonly queueMs: number;
  /** The model's own time. */
  readonly inferenceMs: number;
  /** How often the job was given to a replica: 2 after a crash. */
  readonly attempts: number;
  /** Rows of the call that it shared with others, or had for itself. */
  readonly batchRows: number;
}

/** One request on its way through a pool. Times are of `performance.now()`. */
export interface Job {
  readonly inputs: readonly Tensor[];
  readonly rowCount: number;
  readonly parameters: Readonly<Record<string, Json>>;
  /** Jobs with one key may share a call. */
  readonly key: string;
  /** Whether it shares no call any more, after one that failed. */
  alone: boolean;
  readonly enqueuedAt: number;
  readonly deadlineAt: number;
  /** Whether the caller has gone: such a job is not begun. */
  readonly isGone: () => boolean;
  /** Replicas that went down while they ran it. */
  crashes: number;
  /** Replicas that went down, or hung in another job, before they began it. */
  moves: number;
  readonly settled: boolean;
  readonly resolve: (answer: JobAnswer) => void;
  readonly reject: (error: KeelsonError) => void;
}
