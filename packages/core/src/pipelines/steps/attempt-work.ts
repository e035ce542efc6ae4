import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../../errors.ts';
import { enterRun } from '../../tracking/active-run.ts';
import { openCheckpoint } from '../checkpoints/checkpoint.ts';
import type { KeptCheckpoint, NewCheckpoint } from '../checkpoints/step-checkpoints.ts';
import { given } from '../execution.ts';
import { AttemptFailed } from '../executors/external-work.ts';
import { keepLog } from '../executors/log-store.ts';
import { type AttemptDetails, stepLabel } from '../step-execution.ts';
import type { StepContext, StepFunction } from '../step-types.ts';
import type { AttemptParts, AttemptRun, Outcome, Siblings } from './attempt-parts.ts';
import { attemptKey, FunctionLog } from './function-logs.ts';
import { invokeStep } from './invoke-step.ts';
import type { OutputSink } from './output-sink.ts';
import type { LeasedStep } from './step-leases.ts';
import { progressOf } from './step-progress.ts';
import { type Begun, isExternal } from './turn.ts';

/** The work of attempts: a function that is called here, or a task of an executor that is watched. */
export interface AttemptWork {
  run(
    leased: LeasedStep,
    begun: Begun,
    outputs: OutputSink,
    tracked: AttemptRun,
    siblings: Siblings,
  ): Promise<Outcome>;
  /** Whether the attempt has saved checkpoints. */
  hasSaved(begun: Begun): boolean;
}

/** The work of attempts, for the scope's workspace. */
export function createAttemptWork(scope: Scope, parts: AttemptParts): AttemptWork {
  const { commits, leases } = parts;
  const checkpointed = new WeakSet<Begun>();

  return { run: work, hasSaved: (begun) => checkpointed.has(begun) };

  async function work(
    leased: LeasedStep,
    begun: Begun,
    outputs: OutputSink,
    tracked: AttemptRun,
    siblings: Siblings,
  ): Promise<Outcome> {
    const { state, controller } = leased;
    if (!isExternal(state)) {
      const log = new FunctionLog();
      parts.logs.set(attemptKey(state, begun.attempt), log);
      const keep = () => keepLog(scope, log.gathered, state, begun.attempt);
      let value: unknown;
      try {
        value = await invoke(leased, begun, { outputs, tracked, siblings, log });
      } catch (error) {
        if (log.gathered === undefined || isKeelsonError(controller.signal.reason, 'LOST'))
          throw error;
        throw new AttemptFailed(error, await keep());
      }
      return { value, details: await keep() };
    }
    const { external } = parts;
    if (external === undefined) {
      throw new KeelsonError('UNSUPPORTED', 'This process has no executors.');
    }
    const { devices } = begun.allocated;
    let stopped: AttemptDetails | undefined;
    const bounded = invokeStep(
      (signal) =>
        external.run({
          ...{ execution: begun.execution, state, step: begun.step, attempt: begun.attempt },
          ...{ inputs: begun.inputs, outputs, signal, resources: begun.allocated },
          ...given('run', tracked),
          ...given('devices', devices),
          adopted: begun.adopted,
          ...given('handle', begun.adopted ? state.task : undefined),
          saveCheckpoint: (made) => save(leased, begun, made),
          stopped: (details) => {
            stopped = details;
          },
          submitted: (handle) =>
            leases.held(leased, () => commits.submitted(() => leased.claim, begun.attempt, handle)),
        }),
      {
        step: stepLabel(state),
        signal: controller.signal,
        graceMs: 60_000,
        ...given('timeoutMs', timeLeft(begun)),
      },
    );
    const { stopSiblings, ...outcome } = await bounded.catch((error: unknown) => {
      throw stopped === undefined ? error : new AttemptFailed(error, stopped);
    });
    if (stopSiblings !== undefined) siblings.stop(stopSiblings);
    return outcome;
  }

  function save(leased: LeasedStep, begun: Begun, made: NewCheckpoint): Promise<KeptCheckpoint> {
    checkpointed.add(begun);
    return leases.held(leased, () =>
      parts.checkpoints.save(() => leased.claim, begun.attempt, made),
    );
  }

  function timeLeft({ step, state, adopted }: Begun): number | undefined {
    if (step.timeoutMs === undefined || !adopted) return step.timeoutMs;
    return Math.max(1, (state.startedAt ?? 0) + step.timeoutMs - scope.clock.now());
  }

  async function functionOf({ step, state }: Begun): Promise<StepFunction<never, never, unknown>> {
    if (step.run.type === 'module') return parts.loadModule(step.run.module, step.run.export);
    const found = parts.functions.get(state.definition)?.functions.get(state.step);
    if (found !== undefined) return found as unknown as StepFunction<never, never, unknown>;
    const where = `${state.pipeline}, step ${state.step}`;
    throw new KeelsonError('NOT_FOUND', `This process has no function for ${where}.`);
  }

  async function invoke(
    leased: LeasedStep,
    begun: Begun,
    use: {
      readonly outputs: OutputSink;
      readonly tracked: AttemptRun;
      readonly siblings: Siblings;
      readonly log: FunctionLog;
    },
  ): Promise<unknown> {
    const { outputs, tracked, siblings } = use;
    const { state, controller } = leased;
    const { execution, step, attempt } = begun;
    const call = await functionOf(begun);
    const checkpoint = openCheckpoint({
      ...{ space: scope.artifacts, checkpoints: parts.checkpoints, stepExecution: state.id },
      signal: controller.signal,
      save: (made) => save(leased, begun, made),
    });
    const inputs = await begun.inputs();
    const work = (signal: AbortSignal): unknown => {
      const context: StepContext<never, never> = {
        inputs: inputs.values as never,
        outputs,
        parameters: execution.parameters as never,
        signal,
        attempt,
        executionId: state.executionId,
        step: state.step,
        correlationId: state.correlationId,
        logger: use.log.logger(scope.logger),
        ...given('run', tracked),
        ...given('item', state.mapKey === '' ? undefined : Number(state.mapKey)),
        ...given('iteration', step.repeat === undefined ? undefined : (state.iteration ?? 1)),
        checkpoint,
        stopSiblings: (reason) => siblings.stop(reason),
        progress: (share, message) => {
          if (!signal.aborted) parts.progress.set(state.id, progressOf(share, message));
        },
      };
      return tracked === undefined ? call(context) : enterRun(tracked, () => call(context));
    };
    try {
      return await invokeStep(work, {
        step: stepLabel(state),
        signal: controller.signal,
        ...given('timeoutMs', step.timeoutMs),
      });
    } finally {
      parts.progress.delete(state.id);
    }
  }
}
