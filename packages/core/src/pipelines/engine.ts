import PQueue from 'p-queue';
import type { Predicate } from '../contracts/query.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { withCorrelation } from '../events/correlation.ts';
import { inSpan } from '../events/tracing.ts';
import { enterRun } from '../tracking/active-run.ts';
import type { LoadedDefinition } from './definitions.ts';
import { column, equals } from './execution-records.ts';
import { invokeStep } from './invoke-step.ts';
import type { RunLink } from './run-link.ts';
import type { Begun, StepCommits } from './step-commits.ts';
import type { StepState } from './step-execution.ts';
import type { StepFunctions } from './step-functions.ts';
import type { LeasedStep, StepLeases } from './step-leases.ts';
import { classifyFailure, describeFailure } from './step-policy.ts';
import type { StepContext } from './step-types.ts';
import type { OutputSink, StepValues } from './step-values.ts';

/** What the engine works with. */
export interface EngineParts {
  readonly functions: StepFunctions;
  readonly definition: (digest: string) => Promise<LoadedDefinition>;
  readonly leases: StepLeases;
  readonly commits: StepCommits;
  readonly values: StepValues;
  readonly link: RunLink;
  /** Steps that run at once. */
  readonly concurrency: number;
}

/** What a step that runs here has done. */
export type StepNews = 'began' | 'ended';

type Result = Awaited<ReturnType<OutputSink['finish']>>;

/** Runs steps that may start and whose functions this process has. */
export class StepEngine {
  readonly #scope: Scope;
  readonly #parts: EngineParts;
  readonly #leases: StepLeases;
  readonly #queue: PQueue;
  readonly #listeners = new Set<(what: StepNews) => void>();
  #reserved = 0;
  #closed = false;

  constructor(scope: Scope, parts: EngineParts) {
    this.#scope = scope;
    this.#parts = parts;
    this.#leases = parts.leases;
    this.#queue = new PQueue({ concurrency: parts.concurrency });
  }

  /** Whether steps (of one execution) are being run here. */
  isBusy(executionId?: string): boolean {
    if (executionId === undefined) return this.#leases.size > 0;
    return [...this.#leases].some((each) => each.state.executionId === executionId);
  }

  /** Claims as many steps (of one execution) as there is room for, and starts them; answers how many. */
  async pump(executionId?: string): Promise<number> {
    const { digests } = this.#parts.functions;
    const room = this.#parts.concurrency - this.#leases.size - this.#reserved;
    if (this.#closed || room <= 0 || digests.length === 0) return 0;
    const limit = Math.min(room, 100);
    this.#reserved += limit;
    try {
      const taken = await this.#leases.take(this.#due(digests, executionId), limit);
      for (const each of taken) {
        // Taken while this was closing: it is given back by the run that sees it aborted.
        if (this.#closed) each.controller.abort(closing());
        void this.#queue.add(() => this.#run(each));
      }
      return taken.length;
    } finally {
      this.#reserved -= limit;
    }
  }

  /** Calls `listener` whenever a step that runs here has begun or ended; answers how to stop that. */
  onNews(listener: (what: StepNews) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Aborts what runs of one execution. */
  abort(executionId: string, reason: Error): void {
    for (const each of this.#leases) {
      if (each.state.executionId === executionId) each.controller.abort(reason);
    }
  }

  /** Aborts what runs and gives its steps back; another process may go on at once. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const each of this.#leases) each.controller.abort(closing());
    await this.#queue.onIdle();
    this.#leases.stop();
    this.#notify('ended');
  }

  #due(digests: readonly string[], executionId: string | undefined): readonly Predicate[] {
    return [
      ...(executionId === undefined ? [] : [equals('executionId', executionId)]),
      { op: 'in', left: column('definition'), values: digests },
      { op: 'in', left: column('status'), values: ['PENDING', 'RUNNING'] },
      equals('pendingDeps', 0),
      { op: 'compare', left: column('readyAt'), cmp: '<=', value: this.#scope.clock.now() },
    ];
  }

  async #run(leased: LeasedStep): Promise<void> {
    const { state } = leased;
    // Inline stores answer within the turn: without a pause a chain of short steps would keep timers,
    // requests and renewals from their turn until its end.
    await nextTurn();
    let failed = false;
    try {
      await withCorrelation({ correlationId: state.correlationId }, () =>
        inSpan(`step ${state.step}`, { attributes: { 'keelson.step.id': state.id } }, () =>
          this.#attempt(leased),
        ),
      );
    } catch (error) {
      failed = true;
      this.#log('error', state, 'It could not be brought on; it will be tried again.', error);
      await this.#giveBack(leased, 'the engine failed');
    }
    try {
      await this.#leases.drop(leased);
    } catch (error) {
      this.#log('debug', state, 'Its lease could not be given back and will run out.', error);
    }
    this.#notify('ended');
    // What cannot be brought on now cannot be a moment later either.
    if (failed && !this.#closed) await pause(500);
  }

  async #attempt(leased: LeasedStep): Promise<void> {
    const { state, controller } = leased;
    const { commits, values } = this.#parts;
    const loaded = await this.#parts.definition(state.definition);
    let inputs: Readonly<Record<string, unknown>>;
    try {
      inputs = await values.inputs(state, loaded);
    } catch (error) {
      if (classifyFailure(error) === 'transient') throw error;
      const how = { failure: describeFailure(error), final: true };
      await this.#leases.held(leased, () => commits.fail(() => leased.claim, state.attempt, how));
      return;
    }
    const begun = await commits.begin(() => leased.claim, state);
    if (begun === undefined) return;
    leased.attempt = begun.attempt;
    this.#notify('began');
    let run: StepContext['run'];
    let result: Result;
    const beganAt = performance.now();
    try {
      run = await this.#parts.link.attempt(begun.execution, state.step, begun.attempt);
      const outputs = values.sink(state, controller.signal);
      result = await outputs.finish(
        await this.#invoke(leased, begun, loaded, { inputs, outputs, run }),
      );
    } catch (error) {
      await this.#count(beganAt);
      await this.#failed(leased, begun, error, run);
      return;
    }
    await this.#count(beganAt);
    await this.#complete(leased, begun, result, run);
  }

  /** What was computed is used up, whatever becomes of it. */
  async #count(beganAt: number): Promise<void> {
    const ms = Math.ceil(performance.now() - beganAt);
    await this.#scope.quotas?.count('compute', ms);
  }

  async #complete(
    leased: LeasedStep,
    begun: Begun,
    result: Result,
    run: StepContext['run'],
  ): Promise<void> {
    // First the run, so that what the step has logged is durable once the step counts as completed.
    await run?.finish('COMPLETED');
    try {
      const { commits } = this.#parts;
      await this.#leases.held(leased, () =>
        commits.complete(() => leased.claim, begun.attempt, result),
      );
      leased.completed = true;
    } catch (error) {
      if (isKeelsonError(error, 'LOST')) {
        this.#log('info', leased.state, 'Its result is discarded: it was ended elsewhere.', error);
        return;
      }
      if (classifyFailure(error) === 'transient') throw error;
      await this.#failed(leased, begun, error, undefined);
    }
  }

  #invoke(
    leased: LeasedStep,
    begun: Begun,
    loaded: LoadedDefinition,
    given: Pick<StepContext, 'inputs' | 'outputs'> & { readonly run: StepContext['run'] },
  ): Promise<unknown> {
    const { state, controller } = leased;
    const work = this.#parts.functions.get(loaded.digest)?.functions.get(state.step);
    if (work === undefined) {
      const where = `${loaded.definition.name}@${loaded.definition.version}, step ${state.step}`;
      throw new KeelsonError('NOT_FOUND', `This process has no function for ${where}.`);
    }
    const timeoutMs = loaded.steps.get(state.step)?.timeoutMs;
    const { run, ...rest } = given;
    return invokeStep(
      (signal) => {
        const context = {
          ...rest,
          parameters: begun.execution.parameters,
          signal,
          attempt: begun.attempt,
          executionId: state.executionId,
          step: state.step,
          correlationId: state.correlationId,
          logger: this.#scope.logger,
          ...(run === undefined ? {} : { run }),
        };
        return run === undefined
          ? work(context as never)
          : enterRun(run, () => work(context as never));
      },
      {
        step: state.step,
        signal: controller.signal,
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
      },
    );
  }

  async #failed(
    leased: LeasedStep,
    begun: Begun,
    error: unknown,
    run: StepContext['run'],
  ): Promise<void> {
    const { state, controller } = leased;
    if (controller.signal.aborted) {
      await run?.finish('KILLED', String(controller.signal.reason?.message ?? ''));
      if (this.#closed) await this.#giveBack(leased, 'its process stopped');
      return;
    }
    const failure = describeFailure(error);
    await run?.finish('FAILED', failure.message);
    try {
      const again = await this.#leases.held(leased, () =>
        this.#parts.commits.fail(() => leased.claim, begun.attempt, { failure }),
      );
      const next =
        again === undefined ? 'It will not be tried again.' : `Again in ${again.delayMs} ms.`;
      this.#log('warn', state, `It failed (${failure.class}): ${failure.message} ${next}`);
    } catch (late) {
      if (!isKeelsonError(late, 'LOST')) throw late;
      this.#log(
        'info',
        state,
        'Its failure is discarded: another process has gone on with it.',
        late,
      );
    }
  }

  async #giveBack(leased: LeasedStep, reason: string): Promise<void> {
    const { attempt } = leased;
    if (attempt === undefined) return;
    try {
      await this.#parts.commits.giveBack(() => leased.claim, attempt, reason);
    } catch (error) {
      this.#log('debug', leased.state, 'It could not be given back.', error);
    }
  }

  #notify(what: StepNews): void {
    for (const listener of [...this.#listeners]) listener(what);
  }

  #log(
    level: 'debug' | 'info' | 'warn' | 'error',
    state: StepState,
    message: string,
    error?: unknown,
  ) {
    const { executionId, step, pipeline } = state;
    const fields = {
      component: 'pipelines',
      pipeline,
      executionId,
      step,
      ...(error === undefined ? {} : { error }),
    };
    this.#scope.logger[level](fields, `Pipeline ${pipeline}, step ${step}: ${message}`);
  }
}

function closing(): KeelsonError {
  return new KeelsonError('CLOSED', 'The platform is closing; the step will run elsewhere.');
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
