import type { Loop } from '../contracts/loop.ts';
import type { Change, Claimed } from '../contracts/metadata-store.ts';
import type { Predicate } from '../contracts/query.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { withCorrelation } from '../events/correlation.ts';
import { draftEvent } from '../events/draft-event.ts';
import type { EventPayloads } from '../events/event-catalogue.ts';
import { type Hold, holdClaim } from '../events/hold-claim.ts';
import type { Owners } from '../events/subscription.ts';
import type { PayloadOf } from '../events/typed-event.ts';
import { asJson } from '../json.ts';
import type { AnySaga, SagaContext, SagaStep, SagaStepDone } from './saga.ts';
import {
  begun,
  diesTooOften,
  hasEnded,
  type Saga,
  type SagaTransition,
  sagaFromRecord,
  stepDone,
  stepFailed,
  stepUndone,
  stuck,
  turnedBack,
} from './saga-state.ts';

/** What a saga loop needs of its scope. */
export type SagaScope = Pick<
  Scope,
  'workspace' | 'principal' | 'metadata' | 'clock' | 'ids' | 'logger'
>;

/**
 * Takes one saga that is due and drives it, forward or back, as far as it goes now: each step is noted
 * before it runs, and its completion is committed while the claim is held. Killed anywhere, whoever claims
 * the saga next goes on at the step that was not completed.
 */
export function createSagaLoop(
  scope: SagaScope,
  parts: {
    readonly name: string;
    /** What this process can run now. */
    definitions(): ReadonlyMap<string, AnySaga>;
    readonly owners: Owners;
    readonly leaseMs: number;
  },
): Loop {
  const { metadata, workspace } = scope;
  const { owners, leaseMs } = parts;

  async function runOnce(signal: AbortSignal): Promise<boolean> {
    const definitions = parts.definitions();
    if (signal.aborted || definitions.size === 0) return false;
    const where = isDue(await metadata.now(), [...definitions.keys()]);
    // Claiming writes; while nothing is due it is only looked.
    const due = await metadata.query(workspace, 'saga', { where, limit: 1 });
    if (due.records.length === 0) return false;
    const held = await metadata.claimOwners('saga', workspace);
    const [claimed] = await metadata.claim('saga', {
      ...{ workspace, where, limit: 1, owner: owners.self, leaseMs },
      orderBy: [{ by: { from: 'column', name: 'dueAt' }, direction: 'asc' }],
      takeFrom: owners.dead(held),
    });
    if (claimed === undefined) return false;
    const saga = sagaFromRecord(claimed.record);
    const hold = holdClaim(metadata, claimed, {
      leaseMs,
      signal,
      onFault: (error) => {
        const fields = { component: 'operations', saga: saga.id, error };
        scope.logger.warn(fields, 'The claim of a saga could not be renewed.');
      },
    });
    try {
      await withCorrelation({ correlationId: saga.correlationId }, () =>
        new Drive(scope, claimed, hold, definitions.get(saga.name)).run(),
      );
    } finally {
      await hold.release();
    }
    return true;
  }

  return { name: parts.name, idleMs: 250, runOnce };
}

function isDue(now: number, names: readonly string[]): Predicate {
  const column = (name: string) => ({ from: 'column', name }) as const;
  return {
    op: 'and',
    of: [
      { op: 'in', left: column('status'), values: ['RUNNING', 'COMPENSATING'] },
      { op: 'in', left: column('name'), values: [...names] },
      { op: 'compare', left: column('dueAt'), cmp: '<=', value: now },
    ],
  };
}

/** One saga under one claim. */
class Drive {
  readonly #scope: SagaScope;
  readonly #claimed: Claimed;
  readonly #hold: Hold;
  readonly #definition: AnySaga | undefined;
  #saga: Saga;
  #revision: number;

  constructor(scope: SagaScope, claimed: Claimed, hold: Hold, definition: AnySaga | undefined) {
    this.#scope = scope;
    this.#claimed = claimed;
    this.#hold = hold;
    this.#definition = definition;
    this.#saga = sagaFromRecord(claimed.record);
    this.#revision = claimed.record.revision;
  }

  async run(): Promise<void> {
    try {
      while (!hasEnded(this.#saga) && !this.#hold.signal.aborted) {
        if (this.#saga.dueAt > (await this.#scope.metadata.now())) return;
        await this.#advance();
      }
    } catch (error) {
      // Another process has it; what this one did since is not committed.
      if (!this.#isTakenOver(error)) throw error;
    }
  }

  async #advance(): Promise<void> {
    const saga = this.#saga;
    const step = this.#step();
    if (step === undefined) {
      const known = `the steps of the saga ${saga.name} are no longer ${saga.steps.join(', ')}`;
      return await this.#move(
        stuck(saga, `${known}: start a version that has them, then retry it.`),
      );
    }
    const forward = saga.status === 'RUNNING';
    if (forward && saga.deadlineAt !== undefined) {
      const now = await this.#scope.metadata.now();
      if (now >= saga.deadlineAt) return await this.#move(turnedBack(saga, 'Its time was up.'));
    }
    if (diesTooOften(saga, step)) {
      const said = `${step.name} was begun ${saga.begun} times without an end.`;
      return await this.#move(forward ? turnedBack(saga, said) : stuck(saga, said));
    }
    if (!forward && step.compensate === undefined) return await this.#move(stepUndone(saga));
    await this.#move(begun(saga));
    await this.#attempt(step, forward);
  }

  async #attempt(step: SagaStep<never>, forward: boolean): Promise<void> {
    let error: unknown;
    try {
      const done = await this.#call(step, forward);
      const result = done?.result === undefined ? undefined : asJson(done.result, 'A result');
      const after = forward ? stepDone(this.#saga, result) : stepUndone(this.#saga);
      return await this.#move(after, done?.changes);
    } catch (cause) {
      // A store that is away says nothing about the step; what a stopping process throws neither.
      const stopped = this.#hold.signal.aborted;
      if (stopped || this.#isTakenOver(cause) || isKeelsonError(cause, 'UNAVAILABLE')) throw cause;
      error = cause;
    }
    const { logger, metadata } = this.#scope;
    const { id, name } = this.#saga;
    const fields = { component: 'operations', saga: id, name, step: step.name, error };
    logger.warn(fields, forward ? 'A step of a saga failed.' : 'A compensation failed.');
    await this.#move(stepFailed(this.#saga, error, step, await metadata.now()));
  }

  async #call(step: SagaStep<never>, forward: boolean): Promise<SagaStepDone | undefined> {
    const { id, input, results, begun: attempt, error } = this.#saga;
    const limit = new AbortController();
    const signal = AbortSignal.any([this.#hold.signal, limit.signal]);
    const context: SagaContext<never> = {
      ...{ sagaId: id, input: input as never, results, attempt, signal },
      ...(forward || error === undefined ? {} : { error }),
      hold: this.#held(),
      idempotencyKey: `${id}:${step.name}${forward ? '' : ':undo'}`,
    };
    const timeoutMs = step.timeoutMs ?? 60_000;
    const late = new KeelsonError('TIMEOUT', `${step.name} was not over after ${timeoutMs} ms.`);
    const timer = setTimeout(() => limit.abort(late), timeoutMs);
    try {
      const act = forward ? step.run : step.compensate;
      return await Promise.race([act?.call(step, context), rejectionOf(signal)]);
    } finally {
      clearTimeout(timer);
    }
  }

  #step(): SagaStep<never> | undefined {
    const { steps, step } = this.#saga;
    const known = this.#definition?.steps;
    if (known === undefined || known.length !== steps.length) return undefined;
    if (known.some(({ name }, i) => name !== steps[i])) return undefined;
    return known[step];
  }

  async #move(transition: SagaTransition, changes: readonly Change[] = []): Promise<void> {
    const { metadata, workspace, principal } = this.#scope;
    const { record } = this.#claimed;
    const { id } = record;
    const { columns, body } = transition;
    const { at, revisions } = await metadata.commit({
      workspace,
      principal: principal.id,
      correlationId: this.#saga.correlationId,
      changes: [
        this.#held(),
        { op: 'replace', kind: 'saga', id, expect: this.#revision, columns, body },
        ...changes,
        ...this.#told(transition),
      ],
    });
    this.#revision = revisions[1] ?? this.#revision;
    const revision = this.#revision;
    this.#saga = sagaFromRecord({
      ...record,
      ...{ revision, updatedAt: at, body, columns: { ...this.#columns(), ...columns } },
    });
  }

  #held(): Change {
    const { owner, fence, record } = this.#claimed;
    return { op: 'hold', kind: 'saga', id: record.id, owner, fence };
  }

  #columns(): Claimed['record']['columns'] {
    const { status, step, begun: times, failures, dueAt } = this.#saga;
    const { columns } = this.#claimed.record;
    return { ...columns, status, step, begun: times, failures, dueAt };
  }

  /** The event of a saga's end. */
  #told({ columns, body }: SagaTransition): readonly Change[] {
    const { id, name, startedAt, steps, step } = this.#saga;
    const facts = { sagaId: id, name };
    switch (columns['status']) {
      case 'COMPLETED': {
        const durationMs = Math.max(0, Math.round(this.#scope.clock.now() - startedAt));
        return [this.#emit('saga.completed', { ...facts, durationMs })];
      }
      case 'COMPENSATED':
        return [this.#emit('saga.compensated', { ...facts, error: String(body['error']) })];
      case 'MANUAL_REQUIRED': {
        const error = String(body['compensationError']);
        return [this.#emit('saga.stuck', { ...facts, step: String(steps[step]), error })];
      }
      default:
        return [];
    }
  }

  #emit<T extends keyof EventPayloads>(type: T, payload: PayloadOf<T>): Change {
    const subject = `saga:${this.#saga.id}`;
    const event = draftEvent<T>(this.#scope, { type, subject, source: 'operations', payload });
    return { op: 'emit', event };
  }

  #isTakenOver(error: unknown): boolean {
    if (!isKeelsonError(error, 'LOST', 'STALE')) return false;
    const { kind, id } = error.details;
    return kind === 'saga' && id === this.#saga.id;
  }
}

/** Never resolves; rejects with the reason of the abort. */
function rejectionOf(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}
