import { setTimeout as rest } from 'node:timers/promises';
import type { Claimed, ClaimKey } from '../../contracts/metadata-store.ts';
import type { Order, Predicate } from '../../contracts/query.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../../errors.ts';
import type { JsonObject } from '../../json.ts';
import { ownerFromText, ownerState, ownerText } from '../../process-owner.ts';
import { column, equals } from '../execution-records.ts';
import { type StepState, stepFromRecord } from '../step-execution.ts';

/** A step that this process has claimed. */
export interface LeasedStep {
  readonly state: StepState;
  /** In force now; its fence rises when a lease that ran out is taken anew. */
  claim: ClaimKey;
  /** The attempt that has begun under it. */
  attempt: number | undefined;
  /** A completed step's claim needs no giving back: nobody wants it. */
  completed: boolean;
  readonly controller: AbortController;
}

/** How leases are held. */
export interface LeaseOptions {
  /** Who holds them: `describeOwner()` with an id of its own, as `engine`. */
  readonly owner: JsonObject;
  /** Renewed each third of it. */
  readonly leaseMs: number;
  /** How long an owner that lets its lease run out, but certainly lives, is left in peace. */
  readonly patienceMs: number;
}

const kind = 'step_execution';

/** A step whose owner let its lease run out but lives: since when, and until when it is left in peace. */
interface Spared {
  readonly owner: JsonObject;
  readonly attempt: number;
  readonly since: number;
  readonly until: number;
}

/** What of the steps that are due comes first. */
export const dueOrder: readonly Order[] = [
  { by: column('priority'), direction: 'desc' },
  { by: column('readyAt'), direction: 'asc' },
  { by: column('mapKey'), direction: 'asc' },
];

/**
 * The leases of this process on steps. They are renewed by a timer; a step whose lease another process has
 * taken, or that was ended by somebody, is aborted. A lease that ran out untaken, because a function
 * computed without a pause, is taken anew and the step goes on.
 */
export class StepLeases {
  readonly #scope: Scope;
  readonly #options: LeaseOptions;
  readonly #owner: string;
  readonly #leased = new Map<string, LeasedStep>();
  /** Steps of owners that let their lease run out but live. */
  readonly #spared = new Map<string, Spared>();
  /** The lease asked for: longer than the one of the options where that runs out before it can be renewed. */
  #leaseMs: number;
  #deadOwners: readonly string[] = [];
  #timer: NodeJS.Timeout | undefined;
  #renewedAt = 0;
  #ticking = false;
  readonly #closing = new AbortController();

  constructor(scope: Scope, options: LeaseOptions) {
    this.#scope = scope;
    this.#options = options;
    this.#owner = ownerText(options.owner);
    this.#leaseMs = options.leaseMs;
  }

  get size(): number {
    return this.#leased.size;
  }

  [Symbol.iterator](): IterableIterator<LeasedStep> {
    return this.#leased.values();
  }

  /** Takes up to `limit` steps that match and are due; answers those that are to be run here. */
  async take(where: readonly Predicate[], limit: number): Promise<readonly LeasedStep[]> {
    const now = Date.now();
    for (const [id, { owner, until }] of this.#spared) {
      const over = now - until > this.#options.patienceMs || ownerState(owner) !== 'alive';
      if (over) this.#spared.delete(id);
    }
    const spared = [...this.#spared].filter(([, { until }]) => until > now).map(([id]) => id);
    const others: Predicate = { op: 'not', of: { op: 'in', left: column('id'), values: spared } };
    const of = spared.length === 0 ? where : [...where, others];
    const taken: LeasedStep[] = [];
    for (const claimed of await this.#claim({ op: 'and', of }, limit)) {
      const leased = await this.#welcome(claimed);
      if (leased !== undefined) taken.push(leased);
    }
    return taken;
  }

  /** Learns which owners of claims are certainly dead, so that nobody waits for their leases to end. */
  async lookForDead(): Promise<boolean> {
    const owners = await this.#scope.metadata.claimOwners(kind, this.#scope.workspace);
    const dead = owners.filter((owner) => ownerState(ownerFromText(owner)) === 'dead');
    const found = dead.some((owner) => !this.#deadOwners.includes(owner));
    this.#deadOwners = dead;
    return found;
  }

  /**
   * Commits under the claim; LOST when another process has it or has moved the step on. What has to be waited for is
   * not, once this closes: it is tried once more, and rejects as it does.
   */
  async held<T>(leased: LeasedStep, work: () => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries += 1) {
      const isLast = this.#closing.signal.aborted;
      try {
        return await work();
      } catch (error) {
        if (isLast || tries >= 8) throw error;
        if (isKeelsonError(error, 'LOST')) {
          if (!(await this.#retake(leased))) throw error;
        } else if (isKeelsonError(error, 'UNAVAILABLE', 'TIMEOUT')) {
          // The work reads before it writes, so that one whose outcome is unknown is not done twice.
          await this.#rest(50 * 2 ** tries);
        } else throw error;
      }
    }
  }

  /** The step is no longer run here. */
  async drop(leased: LeasedStep): Promise<void> {
    this.#leased.delete(leased.state.id);
    if (this.#leased.size === 0) this.stop();
    if (!leased.completed) await this.#scope.metadata.release([leased.claim]);
  }

  /** From now on nothing is waited for: neither a store that does not answer nor a lease that others have. */
  close(): void {
    this.#closing.abort();
  }

  /** Ends the timer. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #claim(where: Predicate, limit: number): Promise<readonly Claimed[]> {
    return this.#scope.metadata.claim(kind, {
      workspace: this.#scope.workspace,
      where,
      orderBy: dueOrder,
      limit,
      owner: this.#owner,
      leaseMs: this.#leaseMs,
      ...(this.#deadOwners.length === 0 ? {} : { takeFrom: this.#deadOwners }),
    });
  }

  async #welcome(claimed: Claimed): Promise<LeasedStep | undefined> {
    const state = stepFromRecord(claimed.record);
    const { workspace } = this.#scope;
    const claim = { workspace, kind, id: state.id, owner: claimed.owner, fence: claimed.fence };
    const own = this.#leased.get(state.id);
    if (own !== undefined) {
      // Our lease had run out and nobody else came: the step goes on under the new one.
      own.claim = claim;
      return undefined;
    }
    if (this.#isSpared(state)) {
      await this.#scope.metadata.release([claim]);
      return undefined;
    }
    const controller = new AbortController();
    const leased = { state, claim, attempt: undefined, completed: false, controller };
    this.#leased.set(state.id, leased);
    this.#start();
    return leased;
  }

  // A function that computes without a pause cannot renew its lease. Its process lives, so that starting
  // the step a second time would only make two of it. Each look takes its claim from it for a moment, and it may be
  // just then that it ends the step: looks are rare.
  #isSpared(state: StepState): boolean {
    const { owner } = state;
    if (state.status !== 'RUNNING' || owner === undefined) return false;
    const mine = owner['engine'] === this.#options.owner['engine'];
    if (mine || ownerState(owner) !== 'alive') return false;
    const { leaseMs, patienceMs } = this.#options;
    const now = Date.now();
    const before = this.#spared.get(state.id);
    const same = before?.attempt === state.attempt && before.owner['engine'] === owner['engine'];
    const since = same ? before.since : now;
    if (now - since > patienceMs) {
      this.#spared.delete(state.id);
      return false;
    }
    const until = now + Math.max(leaseMs, patienceMs / 10);
    this.#spared.set(state.id, { owner, attempt: state.attempt, since, until });
    this.#scope.logger.info(
      { component: 'pipelines', executionId: state.executionId, step: state.step },
      `The lease on step ${state.step} ran out, but the process that runs it lives: it is left to it.`,
    );
    return true;
  }

  /** Takes the lease on our own running step again, unless the step has moved on without us. */
  async #retake(leased: LeasedStep): Promise<boolean> {
    if (leased.attempt === undefined) return false;
    const where: Predicate = {
      op: 'and',
      of: [
        equals('id', leased.state.id),
        equals('status', 'RUNNING'),
        equals('attempt', leased.attempt),
      ],
    };
    const { metadata, workspace } = this.#scope;
    // Whoever holds it meanwhile may only be looking at it, and give it back; or may have died.
    for (const until = Date.now() + this.#leaseMs + 2000; ; ) {
      const [claimed] = await this.#claim(where, 1);
      if (claimed !== undefined) {
        leased.claim = { ...leased.claim, fence: claimed.fence };
        return true;
      }
      const record = await metadata.find(workspace, kind, leased.state.id);
      const state = record && stepFromRecord(record);
      const ours = state?.status === 'RUNNING' && state.attempt === leased.attempt;
      if (!ours || Date.now() > until || this.#closing.signal.aborted) return false;
      await this.#rest(20 + 60 * Math.random());
    }
  }

  /** Until the time is up or this closes. */
  async #rest(ms: number): Promise<void> {
    try {
      await rest(ms, undefined, { signal: this.#closing.signal });
    } catch (error) {
      if (!this.#closing.signal.aborted) throw error;
    }
  }

  #start(): void {
    if (this.#timer !== undefined) return;
    this.#renewedAt = Date.now();
    const everyMs = Math.min(1000, this.#options.leaseMs / 3);
    this.#timer = setInterval(() => void this.#tick(), everyMs);
    this.#timer.unref();
  }

  async #tick(): Promise<void> {
    if (this.#ticking) return;
    this.#ticking = true;
    try {
      await this.#abortEnded();
      if (Date.now() - this.#renewedAt >= this.#options.leaseMs / 3) await this.#renew();
    } catch (error) {
      const fields = { component: 'pipelines', error };
      this.#scope.logger.warn(fields, 'Leases of steps could not be renewed; trying again.');
    } finally {
      this.#ticking = false;
    }
  }

  /** What another process has ended, a cancel say, shows in the record of the step. */
  async #abortEnded(): Promise<void> {
    const { metadata, workspace } = this.#scope;
    // An attempt that begins while the records are read does not show in them.
    const begun = [...this].slice(0, 1000).map((each) => ({ each, attempt: each.attempt }));
    if (begun.length === 0) return;
    const ids = begun.map(({ each }) => each.state.id);
    const states = (await metadata.findMany(workspace, kind, ids)).map(stepFromRecord);
    const byId = new Map(states.map((state) => [state.id, state]));
    for (const { each, attempt } of begun) {
      const state = byId.get(each.state.id);
      const ours = attempt === undefined || state?.attempt === attempt;
      // Completed, or waiting for another attempt: that was ourselves, a moment ago.
      if (ours && state?.status !== 'CANCELLED' && state?.status !== 'SKIPPED') continue;
      if (!this.#isLeased(each)) continue;
      const message = `Step ${each.state.step} was ended or taken over by somebody else.`;
      each.controller.abort(new KeelsonError('ABORTED', message));
    }
  }

  async #renew(): Promise<void> {
    const all = [...this];
    const claims = all.map((each) => each.claim);
    this.#adapt(Date.now() - this.#renewedAt);
    const held = await this.#scope.metadata.renew(claims, this.#leaseMs);
    this.#renewedAt = Date.now();
    const renewed = new Set(held.map((claim) => `${claim.id}:${claim.fence}`));
    for (const each of all) {
      const gone = !renewed.has(`${each.claim.id}:${each.claim.fence}`);
      if (!gone || each.attempt === undefined || !this.#isLeased(each)) continue;
      if ((await this.#retake(each)) || !this.#isLeased(each) || each.completed) continue;
      const message = `The lease on step ${each.state.step} was lost to another process.`;
      each.controller.abort(new KeelsonError('LOST', message));
    }
  }

  /** Where renewals come late, as on a machine that has too much to do, leases are asked for longer, four times at most. */
  #adapt(lateMs: number): void {
    const { leaseMs } = this.#options;
    const wanted = Math.min(4 * leaseMs, Math.max(leaseMs, 2 * lateMs));
    this.#leaseMs = Math.max(wanted, this.#leaseMs - leaseMs / 10);
  }

  #isLeased(step: LeasedStep): boolean {
    return this.#leased.get(step.state.id) === step;
  }
}
