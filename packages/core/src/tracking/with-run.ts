import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { type ActiveRun, enterRun } from './active-run.ts';
import type { RunStarting } from './run-starting.ts';
import type { Runs } from './runs.ts';
import { checkStart } from './start-run-options.ts';

/** `tracking.withRun`, of whatever starts runs. */
export function createWithRun(
  scope: Pick<Scope, 'logger'>,
  starting: Pick<RunStarting, 'start' | 'surrounding'>,
): Runs['withRun'] {
  /** Ends a run whose work failed. What failed is what the caller is to see, not this. */
  async function endFailed(
    run: ActiveRun,
    error: unknown,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    if (run.finished) return;
    try {
      const killed = signal?.aborted === true || nameOf(error) === 'AbortError';
      await run.finish(killed ? 'KILLED' : 'FAILED', messageOf(error));
    } catch (fault) {
      const fields = { component: 'tracking', runId: run.id, error: fault };
      scope.logger.error(
        fields,
        `Run ${run.id} failed, and could not be ended; it will read as FAILED.`,
      );
    }
  }

  /** Ends a run whose work is done. What came of it is worth more than what is known about it. */
  async function endWell(run: ActiveRun, signal: AbortSignal | undefined): Promise<void> {
    try {
      if (signal?.aborted) await run.finish('KILLED', messageOf(signal.reason));
      else await run.finish('COMPLETED');
    } catch (error) {
      const fields = { component: 'tracking', runId: run.id, error };
      scope.logger.error(
        fields,
        `The work of run ${run.id} is done, and its end could not be written down; call finish() again, or it will read as FAILED.`,
      );
    }
  }

  return async (options, work) => {
    checkStart(options);
    assertNotAborted(options.signal);
    const parent = options.parentRunId ?? (await starting.surrounding());
    const run = await starting.start(
      parent === undefined ? options : { ...options, parentRunId: parent },
    );
    let result: Awaited<ReturnType<typeof work>>;
    try {
      result = await enterRun(run, async () => work(run));
    } catch (error) {
      await endFailed(run, error, options.signal);
      throw error;
    }
    if (!run.finished) await endWell(run, options.signal);
    return result;
  };
}

function assertNotAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return;
  throw new KeelsonError('ABORTED', 'The signal was aborted before the run began.', {
    cause: signal.reason,
  });
}

/** Of whatever was thrown: what cannot be read must not keep a run from ending. */
function messageOf(error: unknown): string {
  try {
    return String(error instanceof Error ? error.message : error);
  } catch {
    return 'something was thrown that cannot be described';
  }
}

function nameOf(error: unknown): unknown {
  try {
    return (error as Error | undefined)?.name;
  } catch {
    return undefined;
  }
}
