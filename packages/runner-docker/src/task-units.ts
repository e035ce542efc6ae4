import type {
  AttemptKey,
  ExecutorCapabilities,
  ExecutorCapacity,
  SubmitOptions,
  TaskObservation,
  TaskSpec,
  TaskUsage,
} from '@keelson/core';
import type { LogPiece, LogPlace } from './log-frames.ts';
import type { TaskFacts } from './task-labels.ts';

/** Why a task was ended by its executor; the first one stands. */
export type Verdict = Pick<TaskObservation, 'reason' | 'message'> & {
  readonly state: 'cancelled' | 'failed';
};

/** A process of a task, as it is asked for. */
export interface UnitSpec {
  readonly id: string;
  readonly rank: number;
  readonly facts: TaskFacts;
  readonly spec: TaskSpec;
  /** Of those who want it made. */
  readonly options?: SubmitOptions;
}

/** What is known of a unit now. */
export interface UnitState {
  readonly facts: TaskFacts;
  readonly seen: TaskObservation;
}

/** A task that an engine has a record of. */
export interface ListedTask {
  readonly id: string;
  readonly key: AttemptKey;
  readonly facts: TaskFacts;
}

/** How a log is read. */
export interface LogReading {
  readonly follow: boolean;
  /** Nothing more will come: a character that is not whole is one that was never whole. */
  readonly isOver: boolean;
  readonly signal: AbortSignal;
}

/** How an engine keeps the processes of tasks: containers of one machine, or services of a swarm. */
export interface TaskUnits {
  readonly capabilities: ExecutorCapabilities;
  capacity(): Promise<ExecutorCapacity>;
  /** What there must be before the units of a gang can meet; twice is fine. */
  prepare(first: UnitSpec): Promise<void>;
  /** Makes the unit, or finds that it has been made. */
  make(unit: UnitSpec): Promise<void>;
  /**
   * Begins it once, whoever else tries to; one whose maker died before it began is made anew. Answers whether
   * it has begun or ended; it has not when its verdict was there first.
   */
  begin(unit: UnitSpec): Promise<void>;
  /** Undefined where the engine has no record of it. */
  look(id: string, rank: number): Promise<UnitState | undefined>;
  /** Resolves when it may have ended; early when the signal is aborted. */
  changed(id: string, rank: number, seen: TaskObservation, signal: AbortSignal): Promise<void>;
  logs(id: string, rank: number, from: LogPlace, options: LogReading): AsyncIterable<LogPiece>;
  usage(id: string, rank: number, seen: TaskObservation): Promise<TaskUsage>;
  /** Politely, and by force after the grace time. */
  end(id: string, rank: number, graceMs: number): Promise<'gone' | 'unconfirmed'>;
  list(query: {
    readonly workspace: string;
    readonly executionId?: string;
  }): AsyncIterable<ListedTask>;
  /** Writes down why the task is ended, unless there is a reason already. */
  judge(id: string, facts: TaskFacts, verdict: Verdict): Promise<void>;
  verdict(
    id: string,
  ): Promise<
    { readonly verdict: Verdict; readonly facts: TaskFacts; readonly at: number } | undefined
  >;
  /** Removes all that there is of the task, which has that many units. */
  forget(id: string, units: number): Promise<void>;
}
