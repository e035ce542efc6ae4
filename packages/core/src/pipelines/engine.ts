import { setTimeout as rest } from 'node:timers/promises';
import PQueue from 'p-queue';
import type { Predicate } from '../contracts/query.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError } from '../errors.ts';
import { withCorrelation } from '../events/correlation.ts';
import { inSpan } from '../events/tracing.ts';
import type { Admissions } from './admission/admission.ts';
import { DueSteps } from './due-steps.ts';
import { column, equals } from './execution-records.ts';
import { type StepProgress, type StepState, stepFromRecord, stepLabel } from './step-execution.ts';
import type { StepAttempts } from './steps/step-attempts.ts';
import type { StepFunctions } from './steps/step-functions.ts';
import type { LeasedStep, StepLeases } from './steps/step-leases.ts';
import { progressOf } from './steps/step-progress.ts';
import type { StepTurns } from './steps/step-turn.ts';

/** What the engine works with. */
export interface EngineParts {
  readonly functions: StepFunctions;
  readonly leases: StepLeases;
  readonly turns: StepTurns;
  readonly attempts: StepAttempts;
  readonly admissions?: Admissions;
  /** How far steps say that they have come, by their id. */
  readonly progress: Map<string, StepProgress>;
  /** The names of the executors that this process has. */
  readonly executors: () => readonly string[];
  /** Functions that run at once in this process. */
  readonly concurrency: number;
  /** Tasks of executors that are watched at once by this process. */
  readonly supervised: number;
}

/** What a step that runs here has done. */
export type StepNews = 'began' | 'ended';

/** How long a step that found no room is left alone, unless something ends before. */
const waitMs = 500;

/** Claims steps that may start and that this process can run, and runs them. */
export class StepEngine {
  readonly #scope: Scope;
  readonly #parts: EngineParts;
  readonly #leases: StepLeases;
  readonly #dueSteps: DueSteps;
  readonly #queue: PQueue;
  readonly #listeners = new Set<(what: StepNews) => void>();
  /** Steps that found no room: id → why, and until when they are left alone. */
  readonly #waiting = new Map<string, { readonly reason: string; readonly until: number }>();
  #reserved = 0;
  readonly #closing = new AbortController();

  constructor(scope: Scope, parts: EngineParts) {
    this.#scope = scope;
    this.#parts = parts;
    this.#leases = parts.leases;
    this.#dueSteps = new DueSteps(scope, parts.leases);
    this.#queue = new PQueue({ concurrency: parts.concurrency + parts.supervised });
  }

  /** Whether steps (of these executions) are being run here. */
  isBusy(executions?: readonly string[]): boolean {
    if (executions === undefined) return this.#leases.size > 0;
    return [...this.#leases].some((each) => executions.includes(each.state.executionId));
  }

  /** Why a step that is due does not start, as far as this process has tried. */
  reasonOf(stepId: string): string | undefined {
    return this.#waiting.get(stepId)?.reason;
  }

  /**
   * Claims as many steps (of these executions, whose steps all run on `places`) as there is room for, and starts
   * them; answers how many.
   */
  async pump(executions?: readonly string[], places?: ReadonlySet<string>): Promise<number> {
    const { functions, concurrency, supervised } = this.#parts;
    const asked = (place: string): boolean => places?.has(place) ?? true;
    const functionsHere = functions.digests.map((digest) => `function:${digest}`);
    const here = [...functionsHere, 'executor:inline'].filter(asked);
    const tasks = this.#parts
      .executors()
      .map((name) => `executor:${name}`)
      .filter(asked);
    const inProcess = await this.#fill(here, concurrency, executions, false);
    const supervising =
      tasks.length === 0 ? 0 : await this.#fill(tasks, supervised, executions, true);
    return inProcess + supervising;
  }

  /** Calls `listener` whenever a step that runs here has begun or ended; answers how to stop that. */
  onNews(listener: (what: StepNews) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Aborts what runs of one execution, or those of its steps that `which` names. */
  abort(executionId: string, reason: Error, which: (state: StepState) => boolean = all): void {
    for (const each of this.#leases) {
      const asked = each.state.executionId === executionId && which(each.state);
      if (asked) each.controller.abort(reason);
    }
  }

  /** Stops running steps here and gives them back; another process may go on at once. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#leases.close();
    for (const each of this.#leases) each.controller.abort(this.#parts.attempts.closing());
    await this.#queue.onIdle();
    this.#leases.stop();
    this.#notify('ended');
  }

  async #fill(
    runsOn: readonly string[],
    bound: number,
    executions: readonly string[] | undefined,
    ordered: boolean,
  ): Promise<number> {
    const own = new Set(runsOn);
    const busy = [...this.#leases].filter((each) => own.has(each.state.runsOn)).length;
    const room = bound - busy - this.#reserved;
    if (this.#closing.signal.aborted || room <= 0 || runsOn.length === 0) return 0;
    const limit = Math.min(room, 100);
    this.#reserved += limit;
    try {
      const due = this.#due(runsOn, executions);
      const taken = ordered
        ? await this.#takeFitting(due, limit)
        : await this.#dueSteps.take(due, limit, JSON.stringify([runsOn, executions]));
      for (const each of taken) {
        // Taken while this was closing: it is given back by the run that sees it aborted.
        if (this.#closing.signal.aborted) each.controller.abort(this.#parts.attempts.closing());
        void this.#queue.add(() => this.#run(each));
      }
      return taken.length;
    } finally {
      this.#reserved -= limit;
    }
  }

  /** Of steps that ask for room on a machine, those that come first and fit. */
  async #takeFitting(due: readonly Predicate[], limit: number): Promise<readonly LeasedStep[]> {
    const { admissions } = this.#parts;
    if (admissions === undefined) return this.#leases.take(due, limit);
    const { records } = await this.#scope.metadata.query(this.#scope.workspace, 'step_execution', {
      where: { op: 'and', of: due },
      orderBy: [
        { by: column('priority'), direction: 'desc' },
        { by: column('readyAt'), direction: 'asc' },
      ],
      limit: 200,
    });
    if (records.length === 0) return [];
    const states = records.map(stepFromRecord);
    const order = await admissions.order(states.map((state) => ({ id: state.id, state })));
    const ids = order.slice(0, limit).map(({ id }) => id);
    if (ids.length === 0) return [];
    return this.#leases.take([...due, { op: 'in', left: column('id'), values: ids }], limit);
  }

  #due(runsOn: readonly string[], executions: readonly string[] | undefined): readonly Predicate[] {
    const now = this.#scope.clock.now();
    for (const [id, { until }] of this.#waiting) if (until <= now) this.#waiting.delete(id);
    const waiting = [...this.#waiting.keys()].slice(0, 500);
    const others: Predicate = { op: 'not', of: { op: 'in', left: column('id'), values: waiting } };
    return [
      ...(executions === undefined ? [] : [of(executions)]),
      { op: 'in', left: column('runsOn'), values: runsOn },
      { op: 'in', left: column('status'), values: ['PENDING', 'RUNNING'] },
      equals('pendingDeps', 0),
      { op: 'compare', left: column('readyAt'), cmp: '<=', value: now },
      ...(waiting.length === 0 ? [] : [others]),
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
          this.#turn(leased),
        ),
      );
    } catch (error) {
      // One that somebody else has, or has ended, is not to be done again.
      failed = !leased.controller.signal.aborted && !isKeelsonError(error, 'LOST');
      const level = failed ? 'error' : 'debug';
      this.#log(level, state, 'It could not be brought on; it will be tried again.', error);
      await this.#parts.attempts.giveBack(leased, 'the engine failed');
    }
    try {
      await this.#leases.drop(leased);
    } catch (error) {
      this.#log('debug', state, 'Its lease could not be given back and will run out.', error);
    }
    this.#notify('ended');
    // What cannot be brought on now cannot be a moment later either.
    if (failed) await this.#rest(500);
  }

  async #turn(leased: LeasedStep): Promise<void> {
    const { signal } = leased.controller;
    const { progress } = this.#parts;
    const { id } = leased.state;
    const turn = await this.#leases
      .held(leased, () =>
        this.#parts.turns.take(() => leased.claim, leased.state, {
          signal,
          onProgress: ({ share, message }) => progress.set(id, progressOf(share, message)),
        }),
      )
      .finally(() => progress.delete(id));
    if (turn.do === 'wait') {
      const { reason } = turn;
      this.#waiting.set(leased.state.id, { reason, until: this.#scope.clock.now() + waitMs });
    }
    if (turn.do !== 'run') return;
    leased.attempt = turn.begun.attempt;
    this.#notify('began');
    await this.#parts.attempts.run(leased, turn.begun);
    // What has ended makes room.
    this.#waiting.clear();
  }

  /** Until the time is up or this closes. */
  async #rest(ms: number): Promise<void> {
    try {
      await rest(ms, undefined, { signal: this.#closing.signal });
    } catch (error) {
      if (!this.#closing.signal.aborted) throw error;
    }
  }

  #notify(what: StepNews): void {
    for (const listener of [...this.#listeners]) listener(what);
  }

  #log(level: 'debug' | 'error', state: StepState, message: string, error: unknown): void {
    const { executionId, step, pipeline } = state;
    this.#scope.logger[level](
      { component: 'pipelines', pipeline, executionId, step, error },
      `Pipeline ${pipeline}, step ${stepLabel(state)}: ${message}`,
    );
  }
}

function of(executions: readonly string[]): Predicate {
  const [only] = executions;
  return only !== undefined && executions.length === 1
    ? equals('executionId', only)
    : { op: 'in', left: column('executionId'), values: executions };
}

function all(): boolean {
  return true;
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
