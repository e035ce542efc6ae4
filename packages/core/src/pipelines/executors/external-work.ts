import type { DownloadCache } from '../../contracts/download-cache.ts';
import type { Resources, TaskHandle } from '../../contracts/executor.ts';
import type { ActiveRun } from '../../tracking/active-run.ts';
import type { NewCheckpoint, StepCheckpoints } from '../checkpoints/step-checkpoints.ts';
import type { StepDefinition } from '../definition.ts';
import type { ExecutionState } from '../execution.ts';
import type { ExecutionRecords } from '../execution-records.ts';
import type { AttemptDetails, StepProgress, StepState } from '../step-execution.ts';
import type { OutputSink } from '../steps/output-sink.ts';
import type { InputsGiven } from '../steps/step-values.ts';
import type { ExecutorsHere } from './executors-here.ts';
import type { StepLogChunk } from './log-store.ts';

/** An attempt whose work an executor does. */
export interface ExternalWork {
  readonly execution: ExecutionState;
  readonly state: StepState;
  readonly step: StepDefinition;
  readonly attempt: number;
  /** JSON values and artifacts; asked for when a task is to be made. */
  readonly inputs: () => Promise<Pick<InputsGiven, 'values'>>;
  readonly outputs: OutputSink;
  /** The attempt's run of tracking. */
  readonly run?: ActiveRun;
  /** Aborted by a cancel, a timeout, a close (CLOSED) or when another supervisor has the step (LOST). */
  readonly signal: AbortSignal;
  readonly resources: Resources;
  readonly devices?: readonly string[];
  /** Whether its task may be there already, though no handle is known. */
  readonly adopted: boolean;
  /** Of an attempt that is adopted. */
  readonly handle?: TaskHandle;
  /** Commits the handle, so that whoever comes next finds the task. */
  readonly submitted: (handle: TaskHandle) => Promise<void>;
  /** Told what is known of an attempt that was ended from outside, before `run` rejects with the signal's reason. */
  readonly stopped: (details: AttemptDetails) => void;
  /** Commits a checkpoint, under the claim. */
  readonly saveCheckpoint: (made: NewCheckpoint) => Promise<unknown>;
}

/** What an executor's attempt has come to. */
export interface ExternalResult {
  /** An object of the declared outputs, or what a module's function returned. */
  readonly value: unknown;
  readonly details: AttemptDetails;
  /** Why a module's function wants the other items of its fan-out to end. */
  readonly stopSiblings?: string;
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
  constructor(cause: unknown, details: AttemptDetails) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
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
  /**
   * After the commit of the end: the executor's record and the work directory go; with `whole` the step's
   * checkpoints too.
   */
  release(state: StepState, attempt: number, whole: boolean): Promise<void>;
  /** What is written by an attempt that runs, by any process that has its executor. */
  logs(
    state: StepState,
    options: { readonly follow: boolean; readonly signal?: AbortSignal },
  ): AsyncIterable<StepLogChunk> | undefined;
  /**
   * Ends and forgets tasks whose attempt is over; answers how many. Of one execution, where it is named, only those
   * that nobody alive supervises: others end theirs themselves.
   */
  collectLeftovers(of: {
    readonly executionId?: string;
    readonly signal?: AbortSignal;
  }): Promise<number>;
}

/** What running through executors needs. */
export interface ExternalParts {
  readonly executors: ExecutorsHere;
  readonly records: Pick<ExecutionRecords, 'step'>;
  /** What inputs are staged through; they come out of the store each time when left out. */
  readonly downloads?: DownloadCache;
  readonly checkpoints: StepCheckpoints;
  /** Where work directories and staged inputs lie, unless an executor says otherwise. */
  readonly workRoot: string;
  /** Where relative paths of modules begin. */
  readonly modulesRoot?: string;
  /** How far the attempts that this process watches say that they have come, by the step's id. */
  readonly progress: Map<string, StepProgress>;
  /** Where a server answers, for tasks that want to call it. */
  readonly url?: string;
}
