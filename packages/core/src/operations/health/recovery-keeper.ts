import type { Fault, Recovery, RecoveryResult } from '../../contracts/caretaker.ts';
import type { EventDraft } from '../../contracts/event.ts';
import type { Scope } from '../../contracts/scope.ts';
import { withCorrelation } from '../../events/correlation.ts';
import { draftEvent } from '../../events/draft-event.ts';
import { decideAndCommit } from '../decide-and-commit.ts';
import { type RecoveryAttempt, saveAttempt } from './recovery-history.ts';
import { ruleOf } from './recovery-rules.ts';
import type { WaitingWrites } from './waiting-writes.ts';

type KeeperScope = Pick<Scope, 'metadata' | 'workspace' | 'principal' | 'clock' | 'ids' | 'logger'>;

/** How often, and how long at most, a recovery is tried for one fault. */
const recoveryLimits = { attempts: 3, timeoutMs: 300_000, firstRestMs: 30_000 };

/** What was done about a fault so far. */
interface Mending {
  readonly attempts: Map<string, number>;
  nextAt: number;
  running: Promise<void> | undefined;
  isEscalated: boolean;
}

/**
 * Tries to mend faults: each recovery that can handle one at most three times, the highest priority first,
 * one at a time for each check, longer apart each time; tells people when that does not help.
 */
export class RecoveryKeeper {
  readonly #scope: KeeperScope;
  readonly #recoveries: readonly Recovery[];
  readonly #writes: WaitingWrites;
  readonly #timeoutMs: number;
  readonly #mendings = new Map<string, Mending>();
  readonly #closing = new AbortController();

  constructor(
    scope: KeeperScope,
    parts: {
      readonly recoveries: readonly Recovery[];
      readonly writes: WaitingWrites;
      readonly timeoutMs?: number;
    },
  ) {
    this.#scope = scope;
    this.#recoveries = parts.recoveries.toSorted((a, b) => b.priority - a.priority);
    this.#writes = parts.writes;
    this.#timeoutMs = parts.timeoutMs ?? recoveryLimits.timeoutMs;
  }

  /** A check stands at a fault: what can be done about it is begun, and not waited for. */
  faulty(fault: Fault, correlationId: string): void {
    if (this.#closing.signal.aborted) return;
    const mending = this.#mendingOf(fault.check);
    const { afterMs, escalateAfterMs } = ruleOf(fault.check);
    withCorrelation({ correlationId }, () => {
      if (mending.running === undefined && fault.lastedMs >= afterMs) this.#begin(fault, mending);
      if (fault.lastedMs >= escalateAfterMs) this.#escalate(fault, mending, fault.message);
    });
  }

  /** The fault is over: the next one begins anew. */
  mended(check: string): void {
    const mending = this.#mendings.get(check);
    if (mending === undefined) return;
    if (mending.running === undefined) this.#mendings.delete(check);
    else {
      mending.attempts.clear();
      mending.isEscalated = false;
      mending.nextAt = 0;
    }
  }

  /** Resolves when no recovery runs. */
  async settled(): Promise<void> {
    await Promise.all([...this.#mendings.values()].map(({ running }) => running));
  }

  /** Aborts what runs, and waits for it `timeoutMs` at most. */
  async close(timeoutMs = 5_000): Promise<void> {
    this.#closing.abort();
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, timeoutMs);
    await Promise.race([this.settled(), promise]);
    clearTimeout(timer);
  }

  #mendingOf(check: string): Mending {
    let mending = this.#mendings.get(check);
    if (mending === undefined) {
      mending = { attempts: new Map(), nextAt: 0, running: undefined, isEscalated: false };
      this.#mendings.set(check, mending);
    }
    return mending;
  }

  #begin(fault: Fault, mending: Mending): void {
    const able = this.#recoveries.filter((recovery) => recovery.canHandle(fault));
    if (able.length === 0) return;
    const tried = (recovery: Recovery): number => mending.attempts.get(recovery.name) ?? 0;
    const [next] = able
      .filter((recovery) => tried(recovery) < recoveryLimits.attempts)
      .toSorted((a, b) => tried(a) - tried(b));
    if (next === undefined) {
      this.#escalate(fault, mending, `All recoveries were tried in vain: ${fault.message}`);
      return;
    }
    const now = this.#scope.clock.now();
    if (now < mending.nextAt) return;
    const attempt = tried(next) + 1;
    mending.attempts.set(next.name, attempt);
    mending.nextAt = now + recoveryLimits.firstRestMs * 2 ** (attempt - 1);
    const { promise: settled, resolve } = Promise.withResolvers<void>();
    mending.running = settled.then(() => {
      mending.running = undefined;
    });
    void this.#attempt(next, { fault, mending, attempt, onSettled: resolve });
  }

  async #attempt(
    recovery: Recovery,
    of: {
      readonly fault: Fault;
      readonly mending: Mending;
      readonly attempt: number;
      /** Told when the recovery itself has ended, its time having run out or not: then another may begin. */
      readonly onSettled: () => void;
    },
  ): Promise<void> {
    const { fault, mending, attempt, onSettled } = of;
    const { clock, ids, logger } = this.#scope;
    const begun: RecoveryAttempt = {
      ...{ id: ids.next(), check: fault.check, recovery: recovery.name, attempt },
      ...{ outcome: 'RUNNING', message: fault.message, startedAt: clock.now() },
    };
    const fields = {
      ...{ component: 'operations', operation: 'recovery' },
      ...{ recovery: recovery.name, check: fault.check, attempt },
    };
    logger.warn(fields, `Recovery begins for ${fault.check}: ${recovery.name}.`);
    this.#save(begun);
    const result = await this.#run(recovery, fault, onSettled);
    const { outcome, message } = result;
    const ended = { ...begun, outcome, message, endedAt: clock.now() };
    const said = `Recovery ${recovery.name} ended as ${outcome}: ${message}`;
    if (outcome === 'SUCCESS') logger.info({ ...fields, outcome }, said);
    else logger.warn({ ...fields, outcome }, said);
    this.#save(ended);
    if (outcome === 'MANUAL_REQUIRED') this.#escalate(fault, mending, message, result.steps);
    await this.#writes.flush();
  }

  async #run(recovery: Recovery, fault: Fault, onSettled: () => void): Promise<RecoveryResult> {
    const timeout = new AbortController();
    const signal = AbortSignal.any([timeout.signal, this.#closing.signal]);
    const { promise: late, resolve } = Promise.withResolvers<RecoveryResult>();
    const timer = setTimeout(() => {
      const message = `It did not end within ${Math.round(this.#timeoutMs / 1000)} s.`;
      timeout.abort();
      resolve({ outcome: 'FAILED', message });
    }, this.#timeoutMs);
    timer.unref();
    const work = answer(recovery, signal, fault).finally(onSettled);
    try {
      return await Promise.race([work, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  #save(attempt: RecoveryAttempt): void {
    const scope = this.#scope;
    const event = attempt.outcome === 'RUNNING' ? undefined : completed(scope, attempt);
    this.#writes.add(() => saveAttempt(scope, attempt, event));
    void this.#writes.flush();
  }

  /** Once for each fault. */
  #escalate(fault: Fault, mending: Mending, message: string, given?: readonly string[]): void {
    if (mending.isEscalated) return;
    mending.isEscalated = true;
    const { check, component } = fault;
    const steps = given === undefined || given.length === 0 ? ruleOf(check).steps : given;
    const scope = this.#scope;
    const fields = { component: 'operations', operation: 'recovery', check, steps };
    scope.logger.error(fields, `A person must look after ${check}: ${message}`);
    const event = draftEvent(scope, {
      type: 'recovery.manual_required',
      subject: `component:${component}`,
      source: 'operations',
      payload: { component, check, message, steps: [...steps] },
    });
    // The id makes it one event, however often the write is made.
    this.#writes.add(() =>
      decideAndCommit(scope, async () => {
        const { events } = await scope.metadata.readEvents({
          workspace: scope.workspace,
          filter: { ids: [event.id] },
          limit: 1,
        });
        const changes = events.length > 0 ? [] : [{ op: 'emit' as const, event }];
        return { changes, result: undefined };
      }),
    );
    void this.#writes.flush();
  }
}

async function answer(
  recovery: Recovery,
  signal: AbortSignal,
  fault: Fault,
): Promise<RecoveryResult> {
  try {
    return await recovery.run(signal, fault);
  } catch (error) {
    return { outcome: 'FAILED', message: error instanceof Error ? error.message : String(error) };
  }
}

function completed(scope: KeeperScope, ended: RecoveryAttempt): EventDraft {
  const { id: recoveryId, recovery, check, attempt, outcome, message, startedAt } = ended;
  const durationMs = Math.max(0, (ended.endedAt ?? startedAt) - startedAt);
  return draftEvent(scope, {
    type: 'recovery.completed',
    subject: `recovery:${recoveryId}`,
    source: 'operations',
    payload: {
      ...{ recoveryId, recovery, check, attempt, message, durationMs },
      outcome: outcome as RecoveryResult['outcome'],
    },
  });
}
