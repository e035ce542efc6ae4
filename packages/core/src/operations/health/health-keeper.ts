import { setTimeout as rest } from 'node:timers/promises';
import PQueue from 'p-queue';
import type { Fault, HealthCheck, HealthStatus, ServicePart } from '../../contracts/caretaker.ts';
import type { Loop } from '../../contracts/loop.ts';
import type { Scope } from '../../contracts/scope.ts';
import { KeelsonError } from '../../errors.ts';
import { withCorrelation } from '../../events/correlation.ts';
import {
  asOf,
  type CheckOutcome,
  type CheckState,
  judge,
  overall,
  untried,
} from './check-state.ts';
import { ComponentChanges } from './component-changes.ts';
import { RunningCheck } from './run-check.ts';
import { SharedChecks, type Turn } from './shared-checks.ts';
import { Troubles } from './troubles.ts';
import type { WaitingWrites } from './waiting-writes.ts';

/** How a check stands, and how old that is. */
export interface CheckReport extends CheckState {
  /** How long ago the last result came; undefined before the first. */
  readonly ageMs: number | undefined;
}

/** How well the platform is, as this process sees it. */
export interface HealthReport {
  /** UNHEALTHY: a critical check says so; UNKNOWN: one of those has not told; DEGRADED: any other fault. */
  readonly status: HealthStatus;
  /** Epoch ms. */
  readonly at: number;
  readonly checks: readonly CheckReport[];
}

/** Whoever wants to know what checks come to. */
export interface HealthListeners {
  /** A probe of a part was run here. */
  probed(part: ServicePart, good: boolean, at: number): void;
  /** A check stands at a fault, after each run. */
  faulty(fault: Fault, correlationId: string): void;
  /** A check's fault is over. */
  mended(check: string): void;
}

type KeeperScope = Pick<Scope, 'metadata' | 'workspace' | 'principal' | 'clock' | 'ids' | 'logger'>;

interface Kept {
  readonly running: RunningCheck;
  state: CheckState;
  dueAt: number;
}

const atOnce = 4;
/** How long a close waits for checks that were given up and still do something. */
const settleMs = 2000;

/** Runs the checks of a platform when they are due, keeps what came of them, and tells of changes. */
export class HealthKeeper {
  readonly #scope: KeeperScope;
  readonly #listeners: HealthListeners;
  readonly #checks = new Map<string, Kept>();
  readonly #shared: SharedChecks;
  readonly #changes: ComponentChanges;
  readonly #writes: WaitingWrites;
  readonly #troubles: Troubles;
  readonly #components = new Map<string, HealthStatus>();
  readonly #queue = new PQueue({ concurrency: atOnce });
  readonly #closing = new AbortController();
  readonly #ongoing = new Map<string, Promise<void>>();

  constructor(
    scope: KeeperScope,
    parts: {
      readonly checks: readonly HealthCheck[];
      readonly listeners: HealthListeners;
      readonly writes: WaitingWrites;
    },
  ) {
    const { checks, listeners, writes } = parts;
    this.#scope = scope;
    this.#listeners = listeners;
    this.#writes = writes;
    this.#shared = new SharedChecks(scope);
    this.#changes = new ComponentChanges(scope, writes);
    this.#troubles = new Troubles(scope.ids, scope.clock);
    for (const check of checks) {
      const running = new RunningCheck(check, scope.clock, this.#closing.signal);
      this.#checks.set(check.name, { running, state: untried(check), dueAt: 0 });
    }
  }

  /** Starts what is due, and waits for none of it: a check that takes its time keeps no other waiting. */
  get loop(): Loop {
    return {
      name: 'health',
      idleMs: 1000,
      runOnce: async (signal) => {
        if (signal.aborted) return false;
        void this.runDue();
        this.#changes.touch();
        void this.#writes.flush();
        return false;
      },
    };
  }

  /** Runs what is due; resolves when it has run. */
  async runDue(): Promise<void> {
    const now = this.#scope.clock.now();
    const due = [...this.#checks.values()].filter(
      // Also where the clock was set back.
      ({ dueAt, running }) => dueAt <= now || dueAt > now + 2 * running.check.intervalMs,
    );
    await Promise.all(due.map((kept) => this.#start(kept, false)));
  }

  /** Runs every check now, or those that are named. INVALID for a name of none. */
  async refresh(names: readonly string[] = [...this.#checks.keys()]): Promise<void> {
    const kept = names.map((name) => {
      const found = this.#checks.get(name);
      if (found !== undefined) return found;
      const all = [...this.#checks.keys()].join(', ');
      throw new KeelsonError(
        'INVALID',
        `There is no check ${JSON.stringify(name)}; there are ${all}.`,
      );
    });
    await Promise.all(kept.map((each) => this.#start(each, true)));
    await this.#writes.flush();
  }

  /** How everything stands. */
  report(): HealthReport {
    const now = this.#scope.clock.now();
    const checks = [...this.#checks.values()].map(({ state, running }): CheckReport => {
      const current = asOf(state, running.check.intervalMs, now);
      const ageMs = state.at === undefined ? undefined : Math.max(0, now - state.at);
      return { ...current, ageMs };
    });
    return { status: overall(checks), at: now, checks };
  }

  /** Ends what runs; nothing is told any more. A check that does not end is waited for a moment only. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#queue.clear();
    await this.#queue.onIdle();
    const settled = [...this.#checks.values()].map(({ running }) => running.settled());
    const enough = new AbortController();
    const pause = rest(settleMs, undefined, { signal: enough.signal }).catch(() => undefined);
    await Promise.race([Promise.all(settled), pause]);
    enough.abort();
    await this.#writes.flush();
  }

  /** One run of a check at a time, whoever asks for it. */
  #start(kept: Kept, forced: boolean): Promise<void> {
    const { check } = kept.running;
    const before = this.#ongoing.get(check.name);
    if (before !== undefined) return before;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#ongoing.set(check.name, promise);
    // What waits in the queue when the platform closes is never run, and nobody waits for it.
    this.#closing.signal.addEventListener('abort', () => resolve(), { once: true });
    const work = async (): Promise<void> => {
      try {
        await this.#run(kept, forced);
      } finally {
        this.#ongoing.delete(check.name);
        resolve();
      }
    };
    void this.#queue.add(work, { priority: check.critical ? 1 : 0 });
    return promise;
  }

  async #run(kept: Kept, forced: boolean): Promise<void> {
    const { check } = kept.running;
    const turn = check.shared === true ? await this.#turn(check, forced) : undefined;
    if (this.#closing.signal.aborted) return;
    if (turn?.mine === false) {
      kept.dueAt = turn.dueAt;
      this.#adopt(kept, turn.before);
      return;
    }
    const outcome = await kept.running.run();
    if (this.#closing.signal.aborted) return;
    const before = turn?.before ?? kept.state;
    const state = judge(check, before, outcome);
    kept.dueAt = outcome.at + check.intervalMs;
    this.#tell(kept, state, outcome);
    if (turn !== undefined) await this.#put(check, state);
  }

  /** Where the store cannot be asked whose turn it is, it is everybody's. */
  async #turn(check: HealthCheck, forced: boolean): Promise<Turn | undefined> {
    try {
      return await this.#shared.take(check, forced);
    } catch (error) {
      this.#told('The turn of a check could not be asked for.', check, error);
      return undefined;
    }
  }

  async #put(check: HealthCheck, state: CheckState): Promise<void> {
    try {
      await this.#shared.put(check, state);
    } catch (error) {
      this.#told('What a check came to could not be kept.', check, error);
    }
  }

  #told(message: string, check: HealthCheck, error: unknown): void {
    const fields = { component: 'operations', operation: 'health', check: check.name, error };
    this.#scope.logger.debug(fields, message);
  }

  /** Another process has run it: what it came to holds here too, and is told there. */
  #adopt(kept: Kept, state: CheckState): void {
    if (state.at === undefined || (kept.state.at ?? 0) >= state.at) return;
    if (state.status === 'HEALTHY') this.#troubles.end(state.name);
    kept.state = state;
    this.#components.set(state.component, this.#componentStatus(state.component));
  }

  #tell(kept: Kept, state: CheckState, outcome: CheckOutcome): void {
    const { check } = kept.running;
    const old = kept.state.status;
    kept.state = state;
    if (check.probes !== undefined) {
      this.#listeners.probed(check.probes, outcome.status === 'HEALTHY', outcome.at);
    }
    const isFault = state.status !== 'HEALTHY' && state.failures > 0 && state.status !== 'UNKNOWN';
    const correlationId = isFault
      ? this.#troubles.begin(check.name)
      : (this.#troubles.end(check.name) ?? this.#scope.ids.next());
    withCorrelation({ correlationId }, () => {
      if (old !== state.status) this.#log(state, old);
    });
    this.#noteComponent(state, correlationId);
    if (!isFault) {
      if (state.status === 'HEALTHY') this.#listeners.mended(check.name);
      return;
    }
    const { status, message, component, since = outcome.at } = state;
    const lastedMs = Math.max(0, outcome.at - since);
    const fault = { status, message, component, check: check.name, lastedMs };
    this.#listeners.faulty(
      state.details === undefined ? fault : { ...fault, details: state.details },
      correlationId,
    );
  }

  #log(state: CheckState, old: HealthStatus): void {
    const { name, status, message, component } = state;
    if (old === 'UNKNOWN' && status === 'HEALTHY') return;
    const fields = {
      ...{ component: 'operations', operation: 'health', check: name, of: component },
      ...{ oldStatus: old, newStatus: status },
    };
    const { logger } = this.#scope;
    if (status === 'HEALTHY') logger.info(fields, `${name} is HEALTHY again: ${message}`);
    else if (status === 'UNHEALTHY') logger.error(fields, `${name} is UNHEALTHY: ${message}`);
    else logger.warn(fields, `${name} is ${status}: ${message}`);
  }

  #noteComponent(state: CheckState, correlationId: string): void {
    const { component, message, name: check, at = this.#scope.clock.now() } = state;
    const status = this.#componentStatus(component);
    const old = this.#components.get(component);
    if (old === status || status === 'UNKNOWN') return;
    this.#components.set(component, status);
    this.#changes.note({ component, status, message, check, at, correlationId });
  }

  #componentStatus(component: string): HealthStatus {
    const of = [...this.#checks.values()].map(({ state }) => state);
    return overall(of.filter((state) => state.component === component));
  }
}
