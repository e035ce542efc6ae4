import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError } from '../../errors.ts';
import { decideAndCommit } from '../../operations/decide-and-commit.ts';
import { stepTags } from '../../registry/step-origins.ts';
import type { ActiveRun } from '../../tracking/active-run.ts';
import type { Runs } from '../../tracking/runs.ts';
import type {
  BeginningInCommit,
  EndInCommit,
  RunsInCommits,
} from '../../tracking/runs-in-commits.ts';
import { replaceExecution } from '../changes/execution-changes.ts';
import { derivedId, type ExecutionState } from '../execution.ts';
import { type ExecutionRecords, equals } from '../execution-records.ts';
import { hasEnded } from '../execution-state.ts';
import { attemptRunId, type StepState, stepExecutionId, stepLabel } from '../step-execution.ts';

/** What pipelines need of tracking; its service fits as it is. */
export interface RunTracker extends Pick<Runs, 'startRun' | 'resumeRun' | 'findRun'> {
  readonly runsInCommits?: RunsInCommits;
}

/**
 * Lets runs of tracking stand for executions and, nested in them, for attempts of steps. Their ids are
 * made of what they stand for, so that whoever goes on with an execution finds the runs that are there.
 */
export interface RunLink {
  /** Whether there is a tracker at all. */
  readonly tracked: boolean;
  /** The run of an attempt that begins. */
  attempt(
    execution: ExecutionState,
    step: Pick<StepState, 'step' | 'mapKey'>,
    attempt: number,
    adopted: boolean,
  ): Promise<ActiveRun | undefined>;
  /** The same in the commit of the attempt's start; undefined where the run has to come after it. */
  beginning(
    execution: ExecutionState,
    step: Pick<StepState, 'step' | 'mapKey'>,
    attempt: number,
  ): Promise<BeginningInCommit | undefined>;
  /** The end of an attempt's run in the commit of the step's completion; undefined where it comes before. */
  ending(run: ActiveRun | undefined): Promise<EndInCommit | undefined>;
  /** Ends the run of an execution that has ended; once is enough, again does no harm. */
  close(execution: ExecutionState): Promise<void>;
  /** Ends runs of executions that nobody has; answers whether there were any. */
  sweep(): Promise<boolean>;
}

/** A link to the tracker, if there is one. */
export function createRunLink(
  scope: Scope,
  records: ExecutionRecords,
  tracker: RunTracker | undefined,
): RunLink {
  const opened = new Map<string, Promise<ActiveRun>>();
  /** Of those, the ones that are open: what is nested in them need not ask for them. */
  const there = new Map<string, ActiveRun>();

  /** The execution's run, RUNNING: made, taken over, or (after a retry or a reaper) reopened. */
  async function openRun(of: RunTracker, execution: ExecutionState): Promise<ActiveRun> {
    const id = executionRunId(execution.id);
    const existing = await of.findRun(id);
    if (existing !== undefined && existing.status !== 'RUNNING') return of.resumeRun(id);
    return of.startRun({
      id,
      experiment: experimentOf(execution),
      name: `${execution.pipeline} ${execution.version}`,
      params: execution.parameters,
      sourceType: 'PIPELINE',
      tags: { [stepTags.execution]: execution.id, 'keelson.pipeline': execution.pipeline },
    });
  }

  function executionRun(of: RunTracker, execution: ExecutionState): Promise<ActiveRun> {
    const key = keyOf(execution);
    let run = opened.get(key);
    if (run === undefined) {
      run = openRun(of, execution);
      opened.set(key, run);
      run.then(
        (open) => there.set(key, open),
        () => opened.delete(key),
      );
    }
    return run;
  }

  async function close(execution: ExecutionState): Promise<void> {
    if (tracker === undefined || !execution.runOpen || !hasEnded(execution.status)) return;
    const status = runStatuses[execution.status as keyof typeof runStatuses];
    const existing = await tracker.findRun(executionRunId(execution.id));
    if (existing?.status !== status) {
      const run = await openRun(tracker, execution);
      await run.finish(status, execution.failure?.message ?? execution.cancelReason);
    }
    opened.delete(keyOf(execution));
    there.delete(keyOf(execution));
    await decideAndCommit(scope, async () => {
      const current = await records.get(execution.id);
      const over = current.runOpen && current.round === execution.round && hasEnded(current.status);
      return {
        changes: over ? [replaceExecution(current, { runOpen: false })] : [],
        result: undefined,
      };
    });
  }

  return {
    tracked: tracker !== undefined,
    close,

    async attempt(execution, step, attempt, adopted) {
      if (tracker === undefined) return undefined;
      const parent = await executionRun(tracker, execution);
      const options = attemptOptions(execution, step, attempt, parent);
      // Of an attempt that was adopted: it goes on.
      if (adopted && (await tracker.findRun(options.id)) !== undefined) {
        return tracker.resumeRun(options.id);
      }
      return tracker.startRun(options);
    },

    async beginning(execution, step, attempt) {
      const parent = there.get(keyOf(execution));
      if (parent === undefined) return undefined;
      try {
        const options = attemptOptions(execution, step, attempt, parent);
        return await tracker?.runsInCommits?.start(options);
      } catch (error) {
        // A run that cannot begin fails the attempt, which has to begin for that.
        if (isKeelsonError(error)) return undefined;
        throw error;
      }
    },

    ending: async (run) =>
      run === undefined ? undefined : tracker?.runsInCommits?.finish(run, 'COMPLETED'),

    async sweep() {
      if (tracker === undefined) return false;
      const ended = {
        op: 'in',
        left: { from: 'column', name: 'status' },
        values: endedStatuses,
      } as const;
      const { records: left } = await scope.metadata.query(scope.workspace, 'execution', {
        where: { op: 'and', of: [equals('runOpen', true), ended] },
        limit: 100,
      });
      for (const { id } of left) await close(await records.get(id));
      return left.length > 0;
    },
  };
}

/** How the run of an attempt begins. */
function attemptOptions(
  execution: ExecutionState,
  step: Pick<StepState, 'step' | 'mapKey'>,
  attempt: number,
  parent: ActiveRun,
) {
  return {
    id: attemptRunId(execution.id, step.step, attempt, step.mapKey),
    experiment: experimentOf(execution),
    name: attempt === 1 ? stepLabel(step) : `${stepLabel(step)} (attempt ${attempt})`,
    parentRunId: parent.id,
    sourceType: 'PIPELINE',
    environment: false,
    tags: {
      [stepTags.execution]: execution.id,
      'keelson.step': step.step,
      [stepTags.stepExecution]: stepExecutionId(execution.id, step.step, step.mapKey),
    },
  } as const;
}

/** A retry has a run that is opened anew. */
function keyOf({ id, round }: ExecutionState): string {
  return `${id}:${round}`;
}

const endedStatuses = ['COMPLETED', 'FAILED', 'CANCELLED'];
const runStatuses = { COMPLETED: 'COMPLETED', FAILED: 'FAILED', CANCELLED: 'KILLED' } as const;

/** The id of the run that stands for an execution. */
export function executionRunId(executionId: string): string {
  return derivedId(executionId, 'run');
}

function experimentOf(execution: ExecutionState): string {
  return `pipelines/${execution.pipeline}`;
}
