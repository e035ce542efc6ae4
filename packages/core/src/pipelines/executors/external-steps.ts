import type { Resources, TaskHandle } from '../../contracts/executor.ts';
import type { ActiveRun } from '../../tracking/active-run.ts';
import type { StepDefinition } from '../definition.ts';
import type { ExecutionState } from '../execution.ts';
import type { AttemptDetails, StepState } from '../step-execution.ts';
import type { OutputSink } from '../step-values.ts';

/** An attempt whose work an executor does. */
export interface ExternalWork {
  readonly execution: ExecutionState;
  readonly state: StepState;
  readonly step: StepDefinition;
  readonly attempt: number;
  /** JSON values and artifacts. */
  readonly inputs: Readonly<Record<string, unknown>>;
  readonly outputs: OutputSink;
  /** The attempt's run of tracking. */
  readonly run?: ActiveRun;
  /** Aborted by a cancel, a timeout, a close (CLOSED) or when another supervisor has the step (LOST). */
  readonly signal: AbortSignal;
  readonly resources: Resources;
  readonly devices?: readonly string[];
  /** Of an attempt that is adopted. */
  readonly handle?: TaskHandle;
  /** Commits the handle, so that whoever comes next finds the task. */
  readonly submitted: (handle: TaskHandle) => Promise<void>;
}

/** What an executor's attempt has come to. */
export interface ExternalResult {
  /** An object of the declared outputs, or what a module's function returned. */
  readonly value: unknown;
  readonly details: AttemptDetails;
}

/** The executor has no record of the attempt any more, or its machine is gone: another one must begin. */
export class AttemptLost extends Error {
  override readonly name = 'AttemptLost';
}

/** An attempt that failed, with what its executor tells of it. */
export class AttemptFailed extends Error {
  override readonly name = 'AttemptFailed';
  readonly details: AttemptDetails;

  /** `cause` says how it failed. */
  constructor(cause: Error, details: AttemptDetails) {
    super(cause.message, { cause });
    this.details = details;
  }
}

/** Runs attempts through executors. */
export interface ExternalSteps {
  /** The names of the executors that this process has. */
  readonly executors: readonly string[];
  /**
   * Runs or adopts the attempt. Rejects with a StepError by class (in an {@link AttemptFailed} where there is
   * more to tell), with {@link AttemptLost}, or with the signal's reason.
   */
  run(work: ExternalWork): Promise<ExternalResult>;
  /** After the commit of the end: the executor's record and the work directory go. */
  release(work: Pick<ExternalWork, 'execution' | 'state' | 'step' | 'attempt'>): Promise<void>;
}
