import PQueue from 'p-queue';
import type { Claimed, ClaimKey } from '../contracts/metadata-store.ts';
import type { Predicate } from '../contracts/query.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { withCorrelation } from '../events/correlation.ts';
import type { JsonObject } from '../json.ts';
import { ownerFromText, ownerState, ownerText } from '../process-owner.ts';
import { enterRun } from '../tracking/active-run.ts';
import type { LoadedDefinition } from './definitions.ts';
import { column, equals } from './execution-records.ts';
import { invokeStep } from './invoke-step.ts';
import type { RunLink } from './run-link.ts';
import type { Begun, StepCommits } from './step-commits.ts';
import { type StepState, stepFromRecord } from './step-execution.ts';
import type { StepFunctions } from './step-functions.ts';
import { classifyFailure, describeFailure } from './step-policy.ts';
import type { StepContext } from './step-types.ts';
import type { OutputSink, StepValues } from './step-values.ts';

/** What the engine works with. */
export interface EngineParts {
  readonly functions: StepFunctions;
  readonly definition: (digest: string) => Promise<LoadedDefinition>;
  readonly stepsById: (ids: readonly string[]) => Promise<readonly StepState[]>;
  readonly commits: StepCommits;
  readonly values: StepValues;
  readonly link: RunLink;
  /** Who this engine is: {@link describeOwner} with an id of its own. */
  readonly owner: JsonObject;
  /** Steps that run at once. */
  readonly concurrency: number;
  readonly leaseMs: number;
  /** How long an owner that lets its lease run out, but certainly lives, is left in peace. */
  readonly patienceMs: number;
}

interface ActiveStep {
  readonly state: StepState;
  claim: ClaimKey;
  /** The one that has begun. */
  attempt: number | undefined;
  completed: boolean;
  readonly controller: AbortController;
}

const kind = 'step_execution';

/**
 * Claims steps that may start and whose functions this process has, and runs them. Leases are renewed
 * while they run; a step whose lease another process took is aborted, and its result goes nowhere.
 */
export class StepEngine {
  readonly #scope: Scope;
  readonly #parts: EngineParts;
  readonly #owner: string;
  readonly #queue: PQueue;
  readonly #active = new Map<string, ActiveStep>();
  /** Steps of owners that let their lease run out but live: id → since when, and until when to wait. */
  readonly #patience = new Map<string, { readonly since: number; until: number }>();
  readonly #listeners = new Set<() => void>();
  #deadOwners: readonly string[] = [];
  #reserved = 0;
  #timer: NodeJS.Timeout | undefined;
  #renewedAt = 0;
  #ticking = false;
  #closed = false;

  constructor(scope: Scope, parts: EngineParts) {
    this.#scope = scope;
    this.#parts = parts;
    this.#owner = ownerText(parts.owner);
    this.#queue = new PQueue({ concurrency: parts.concurrency });
  }

  /** Whether steps (of one execution) are being run here. */
  isBusy(executionId?: string): boolean {
    if (executionId === undefined) return this.#active.size > 0;
    return [...this.#active.values()].some((each) => each.state.executionId === executionId);
  }

  /** Claims as many steps (of one execution) as there is room for, and starts them; answers how many. */
  async pump(executionId?: string): Promise<number> {
    const { digests } = this.#parts.functions;
    const room = this.#parts.concurrency - this.#active.size - this.#reserved;
    if (this.#closed || room <= 0 || digests.length === 0) return 0;
    const limit = Math.min(room, 100);
    this.#reserved += limit;
    let claimed: readonly Claimed[];
    try {
      claimed = await this.#claim(this.#due(digests, executionId), limit);
    } finally {
      this.#reserved -= limit;
    }
    let launched = 0;
    for (const each of claimed) if (await this.#launch(each)) launched += 1;
    return launched;
  }

  /** Learns which owners of claims are certainly dead: their steps need no waiting. */
  async lookForDead(): Promise<boolean> {
    const owners = await this.#scope.metadata.claimOwners(kind, this.#scope.workspace);
    const dead = owners.filter((owner) => ownerState(ownerFromText(owner)) === 'dead');
    const found = dead.some((owner) => !this.#deadOwners.includes(owner));
    this.#deadOwners = dead;
    return found;
  }

  /** Calls `listener` whenever a step that ran here has ended or begun; answers how to stop that. */
  onProgress(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Aborts what runs of one execution. */
  abort(executionId: string, reason: Error): void {
    for (const each of this.#active.values()) {
      if (each.state.executionId === executionId) each.controller.abort(reason);
    }
  }

  /** Aborts what runs and gives its steps back; another process may go on at once. */
  async close(): Promise<void> {
    this.#closed = true;
    const reason = new KeelsonError(
      'CLOSED',
      'The platform is closing; the step will run elsewhere.',
    );
    for (const each of this.#active.values()) each.controller.abort(reason);
    await this.#queue.onIdle();
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#notify();
  }

  #due(digests: readonly string[], executionId: string | undefined): Predicate {
    const of: Predicate[] = [
      { op: 'in', left: column('definition'), values: digests },
      { op: 'in', left: column('status'), values: ['PENDING', 'RUNNING'] },
      equals('pendingDeps', 0),
      { op: 'compare', left: column('readyAt'), cmp: '<=', value: this.#scope.clock.now() },
    ];
    if (executionId !== undefined) of.unshift(equals('executionId', executionId));
    const now = Date.now();
    const spared = [...this.#patience].filter(([, { until }]) => until > now).map(([id]) => id);
    if (spared.length > 0) {
      of.push({ op: 'not', of: { op: 'in', left: column('id'), values: spared } });
    }
    return { op: 'and', of };
  }

  #claim(where: Predicate, limit: number): Promise<readonly Claimed[]> {
    return this.#scope.metadata.claim(kind, {
      workspace: this.#scope.workspace,
      where,
      orderBy: [{ by: column('readyAt'), direction: 'asc' }],
      limit,
      owner: this.#owner,
      leaseMs: this.#parts.leaseMs,
      ...(this.#deadOwners.length === 0 ? {} : { takeFrom: this.#deadOwners }),
    });
  }

  async #launch(claimed: Claimed): Promise<boolean> {
    const state = stepFromRecord(claimed.record);
    const { workspace } = this.#scope;
    const claim = { workspace, kind, id: state.id, owner: claimed.owner, fence: claimed.fence };
    const own = this.#active.get(state.id);
    if (own !== undefined) {
      // Our lease had run out and nobody else came: the step goes on under the new one.
      own.claim = claim;
      return false;
    }
    if (this.#isSpared(state)) {
      await this.#scope.metadata.release([claim]);
      return false;
    }
    const controller = new AbortController();
    const entry = { state, claim, attempt: undefined, completed: false, controller };
    this.#active.set(state.id, entry);
    this.#startTimer();
    void this.#queue.add(() => this.#run(entry));
    return true;
  }

  // A function that computes without a pause cannot renew its lease. Its process lives, so that starting
  // the step a second time would only make two of it.
  #isSpared(state: StepState): boolean {
    if (state.status !== 'RUNNING') return false;
    const mine = state.owner?.['engine'] === this.#parts.owner['engine'];
    if (mine || ownerState(state.owner) !== 'alive') return false;
    const now = Date.now();
    const since = this.#patience.get(state.id)?.since ?? now;
    if (now - since > this.#parts.patienceMs) {
      this.#patience.delete(state.id);
      return false;
    }
    this.#patience.set(state.id, { since, until: now + this.#parts.leaseMs });
    this.#log(
      'info',
      state,
      'Its lease ran out, but the process that runs it lives: it is left to it.',
    );
    return true;
  }

  async #run(entry: ActiveStep): Promise<void> {
    const { state } = entry;
    // Inline stores answer within the turn: without a pause a chain of short steps would keep timers,
    // requests and renewals from their turn until its end.
    await nextTurn();
    try {
      await withCorrelation({ correlationId: state.correlationId }, () => this.#attempt(entry));
      // The claim on a completed step runs out by itself; nobody wants it.
      if (!entry.completed) await this.#scope.metadata.release([entry.claim]);
    } catch (error) {
      this.#log('error', state, 'The step could not be brought on; it will be tried again.', error);
      await this.#giveBack(entry, 'the engine failed');
      await pause(500);
    } finally {
      this.#active.delete(state.id);
      if (this.#active.size === 0) {
        clearInterval(this.#timer);
        this.#timer = undefined;
      }
      this.#notify();
    }
  }

  async #attempt(entry: ActiveStep): Promise<void> {
    const { state, controller } = entry;
    const { commits, values } = this.#parts;
    const loaded = await this.#parts.definition(state.definition);
    let inputs: Readonly<Record<string, unknown>>;
    try {
      inputs = await values.inputs(state, loaded);
    } catch (error) {
      if (classifyFailure(error) === 'transient') throw error;
      const how = { failure: describeFailure(error), final: true };
      await this.#held(entry, () => commits.fail(() => entry.claim, state.attempt, how));
      return;
    }
    const begun = await commits.begin(() => entry.claim, state);
    if (begun === undefined) return;
    entry.attempt = begun.attempt;
    this.#notify();
    let run: StepContext['run'];
    let result: Awaited<ReturnType<OutputSink['finish']>>;
    try {
      run = await this.#parts.link.attempt(begun.execution, state.step, begun.attempt);
      const outputs = values.sink(state, controller.signal);
      result = await outputs.finish(
        await this.#invoke(entry, begun, loaded, { inputs, outputs, run }),
      );
    } catch (error) {
      await this.#failed(entry, begun, error, run);
      return;
    }
    await this.#complete(entry, begun, result, run);
  }

  async #complete(
    entry: ActiveStep,
    begun: Begun,
    result: Awaited<ReturnType<OutputSink['finish']>>,
    run: StepContext['run'],
  ): Promise<void> {
    // First the run, so that what the step has logged is durable once the step counts as completed.
    await run?.finish('COMPLETED');
    try {
      const { commits } = this.#parts;
      await this.#held(entry, () => commits.complete(() => entry.claim, begun.attempt, result));
      entry.completed = true;
    } catch (error) {
      if (isKeelsonError(error, 'LOST')) {
        this.#log('info', entry.state, 'Its result is discarded: it was ended elsewhere.', error);
        return;
      }
      if (classifyFailure(error) === 'transient') throw error;
      await this.#failed(entry, begun, error, undefined);
    }
  }

  #invoke(
    entry: ActiveStep,
    begun: Begun,
    loaded: LoadedDefinition,
    given: Pick<StepContext, 'inputs' | 'outputs'> & { readonly run: StepContext['run'] },
  ): Promise<unknown> {
    const { state, controller } = entry;
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
    entry: ActiveStep,
    begun: Begun,
    error: unknown,
    run: StepContext['run'],
  ): Promise<void> {
    const { state, controller } = entry;
    if (controller.signal.aborted) {
      await run?.finish('KILLED', String(controller.signal.reason?.message ?? ''));
      if (this.#closed) await this.#giveBack(entry, 'its process stopped');
      return;
    }
    const failure = describeFailure(error);
    await run?.finish('FAILED', failure.message);
    try {
      const again = await this.#held(entry, () =>
        this.#parts.commits.fail(() => entry.claim, begun.attempt, { failure }),
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

  /** Commits under the claim; renews one that ran out untaken, and outlasts a store that is away. */
  async #held<T>(entry: ActiveStep, work: () => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await work();
      } catch (error) {
        if (tries >= 8) throw error;
        if (isKeelsonError(error, 'LOST')) {
          if (!(await this.#adopt(entry))) throw error;
        } else if (isKeelsonError(error, 'UNAVAILABLE', 'TIMEOUT')) {
          await pause(50 * 2 ** tries);
        } else throw error;
      }
    }
  }

  /** Takes the lease on our own running step again, unless the step has moved on without us. */
  async #adopt(entry: ActiveStep): Promise<boolean> {
    if (entry.attempt === undefined) return false;
    const where: Predicate = {
      op: 'and',
      of: [
        equals('id', entry.state.id),
        equals('status', 'RUNNING'),
        equals('attempt', entry.attempt),
      ],
    };
    for (let tries = 0; tries < 5; tries += 1) {
      const [claimed] = await this.#claim(where, 1);
      if (claimed !== undefined) {
        entry.claim = { ...entry.claim, fence: claimed.fence };
        return true;
      }
      // Somebody may only be looking at it, and give it back.
      await pause(20 + 60 * Math.random());
    }
    return false;
  }

  async #giveBack(entry: ActiveStep, reason: string): Promise<void> {
    const { attempt } = entry;
    try {
      if (attempt !== undefined) {
        await this.#parts.commits.giveBack(() => entry.claim, attempt, reason);
      }
      await this.#scope.metadata.release([entry.claim]);
    } catch (error) {
      // The lease will run out by itself.
      this.#log('debug', entry.state, 'It could not be given back.', error);
    }
  }

  #startTimer(): void {
    if (this.#timer !== undefined) return;
    this.#renewedAt = Date.now();
    const everyMs = Math.min(1000, this.#parts.leaseMs / 3);
    this.#timer = setInterval(() => void this.#tick(), everyMs);
    this.#timer.unref();
  }

  async #tick(): Promise<void> {
    if (this.#ticking) return;
    this.#ticking = true;
    try {
      await this.#abortEnded();
      if (Date.now() - this.#renewedAt >= this.#parts.leaseMs / 3) await this.#renew();
    } catch (error) {
      this.#scope.logger.warn(
        { component: 'pipelines', error },
        'Leases of steps could not be renewed.',
      );
    } finally {
      this.#ticking = false;
    }
  }

  /** A cancel by another process shows in the record of the step. */
  async #abortEnded(): Promise<void> {
    const begun = [...this.#active.values()].filter((each) => each.attempt !== undefined);
    const states = await this.#parts.stepsById(begun.map((each) => each.state.id));
    const byId = new Map(states.map((state) => [state.id, state]));
    for (const each of begun) {
      const state = byId.get(each.state.id);
      if (state?.status === 'RUNNING' && state.attempt === each.attempt) continue;
      // It may also just have been completed by ourselves.
      if (this.#active.get(each.state.id) !== each || state?.status === 'COMPLETED') continue;
      each.controller.abort(
        new KeelsonError('ABORTED', `Step ${each.state.step} was ended: it is ${state?.status}.`),
      );
    }
  }

  async #renew(): Promise<void> {
    const entries = [...this.#active.values()];
    const held = await this.#scope.metadata.renew(
      entries.map((each) => each.claim),
      this.#parts.leaseMs,
    );
    this.#renewedAt = Date.now();
    const renewed = new Set(held.map((claim) => `${claim.id}:${claim.fence}`));
    for (const each of entries) {
      if (renewed.has(`${each.claim.id}:${each.claim.fence}`)) continue;
      if (this.#active.get(each.state.id) !== each || each.attempt === undefined) continue;
      if (await this.#adopt(each)) continue;
      if (this.#active.get(each.state.id) !== each) continue;
      each.controller.abort(
        new KeelsonError(
          'LOST',
          `The lease on step ${each.state.step} was lost to another process.`,
        ),
      );
    }
  }

  #notify(): void {
    for (const listener of [...this.#listeners]) listener();
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
