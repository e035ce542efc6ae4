import type { StoredEvent } from '../contracts/event.ts';
import type { Change, Claimed } from '../contracts/metadata-store.ts';
import type { Predicate } from '../contracts/query.ts';
import type { Scope } from '../contracts/scope.ts';
import { rest } from '../rest.ts';
import { burying } from './dead-letters.ts';
import { columnIs } from './event-records.ts';
import { handOver, type Outcome } from './hand-over.ts';
import { type Hold, holdClaim } from './hold-claim.ts';
import { getEvent } from './read-events.ts';
import type { ReplayRequest } from './replays.ts';
import type { Slots } from './slots.ts';
import { type Owners, retryDelayMs, type Subscription, sliceMs } from './subscription.ts';

const pageSize = 100;

/**
 * What was asked to be handed over again: dead letters that hold nobody up, and replays. Each is claimed,
 * beside the partitions: replayed events keep their own order, and none with what comes live.
 */
export class RequestedReplays {
  readonly #scope: Scope;
  readonly #subscription: Subscription;
  readonly #owners: Owners;
  readonly #slots: Slots;

  constructor(scope: Scope, subscription: Subscription, owners: Owners, slots: Slots) {
    this.#scope = scope;
    this.#subscription = subscription;
    this.#owners = owners;
    this.#slots = slots;
  }

  /** One piece of what is asked for; answers whether there was any. */
  async runOnce(signal: AbortSignal, onFault: (error: unknown) => void): Promise<boolean> {
    const letter = await this.#claim('dead_letter', [
      columnIs('state', 'REPLAYING'),
      columnIs('held', false),
    ]);
    if (letter !== undefined) {
      await this.#under(letter, signal, onFault, (hold) => this.#replayLetter(letter, hold));
      return true;
    }
    const replay = await this.#claim('event_replay', [columnIs('state', 'RUNNING')]);
    if (replay === undefined) return false;
    await this.#under(replay, signal, onFault, (hold) => this.#replayEvents(replay, hold));
    return true;
  }

  async #claim(kind: string, conditions: readonly Predicate[]): Promise<Claimed | undefined> {
    const { metadata, workspace } = this.#scope;
    const mine = columnIs('subscription', this.#subscription.name);
    const where: Predicate = { op: 'and', of: [mine, ...conditions] };
    const waiting = await metadata.query(workspace, kind, { where, limit: 1 });
    if (waiting.records.length === 0) return undefined;
    const held = await metadata.claimOwners(kind, workspace);
    const [claimed] = await metadata.claim(kind, {
      workspace,
      where,
      limit: 1,
      owner: this.#owners.self,
      leaseMs: this.#subscription.timing.leaseMs,
      takeFrom: this.#owners.dead(held),
    });
    return claimed;
  }

  async #under(
    claimed: Claimed,
    signal: AbortSignal,
    onFault: (error: unknown) => void,
    work: (hold: Hold) => Promise<void>,
  ): Promise<void> {
    const { leaseMs } = this.#subscription.timing;
    const hold = holdClaim(this.#scope.metadata, claimed, { leaseMs, signal, onFault });
    try {
      await work(hold);
    } finally {
      await hold.release();
    }
  }

  async #replayLetter(claimed: Claimed, hold: Hold): Promise<void> {
    const { record } = claimed;
    const event = await getEvent(this.#scope, record.columns['eventId'] as string);
    const { outcome, attempts } = await this.#try(event, hold.signal);
    if (outcome.state === 'stopped') return;
    const { kind, id, revision } = record;
    if (outcome.state === 'handled') {
      await this.#commit(claimed, [{ op: 'remove', kind, id, expect: revision }]);
      return;
    }
    const end = { attempts, error: outcome.error, held: false };
    await this.#commit(claimed, await burying(this.#scope, this.#subscription.name, event, end));
  }

  async #replayEvents(claimed: Claimed, hold: Hold): Promise<void> {
    const { metadata, workspace } = this.#scope;
    const { record } = claimed;
    const { again, upTo, ...filter } = record.body as unknown as ReplayRequest;
    const replay = again ? { replay: record.id } : {};
    let { revision } = record;
    let cursor = record.columns['cursor'] as string | undefined;
    let handled = record.columns['handled'] as number;
    let failed = record.columns['failed'] as number;
    const endsAt = performance.now() + sliceMs;
    for (let isDone = false; !isDone && performance.now() < endsAt; ) {
      const after = cursor === undefined ? {} : { after: cursor };
      const page = await metadata.readEvents({ workspace, filter, limit: pageSize, ...after });
      const late = await this.#lateOf(page.events, upTo);
      const due = page.events.filter(({ id }) => !late.has(id));
      const bySubject = Map.groupBy(due, ({ subject }) => subject);
      const letters: Change[] = [];
      let isStopped = false;
      const one = async (events: readonly StoredEvent[]): Promise<void> => {
        for (const event of events) {
          const { outcome, attempts } = await this.#try(event, hold.signal, replay.replay);
          if (outcome.state === 'stopped') {
            isStopped = true;
            return;
          }
          if (outcome.state === 'handled') {
            handled += 1;
            continue;
          }
          failed += 1;
          const end = { attempts, error: outcome.error, held: false };
          letters.push(...(await burying(this.#scope, this.#subscription.name, event, end)));
        }
      };
      await Promise.all([...bySubject.values()].map(one));
      // What was handed over of this page is handed over again by whoever goes on.
      if (isStopped) return;
      isDone = page.events.length < pageSize || late.size > 0;
      cursor = page.cursor;
      const { kind, id } = record;
      const columns = { cursor, handled, failed, state: isDone ? 'DONE' : 'RUNNING' };
      const own: Change = { op: 'replace', kind, id, expect: revision, columns };
      [revision = revision] = await this.#commit(claimed, [own, ...letters]);
    }
  }

  /** Those of the events that came after the replay was asked for. */
  async #lateOf(events: readonly StoredEvent[], upTo: string): Promise<ReadonlySet<string>> {
    const { metadata, workspace } = this.#scope;
    const filter = { ids: events.map(({ id }) => id) };
    const page = await metadata.readEvents({ workspace, filter, after: upTo, limit: pageSize });
    return new Set(page.events.map(({ id }) => id));
  }

  /** As often as the subscription tries an event, with its rests. */
  async #try(
    event: StoredEvent,
    signal: AbortSignal,
    replay?: string,
  ): Promise<{ readonly outcome: Outcome; readonly attempts: number }> {
    for (let attempt = 1; ; attempt += 1) {
      const release = await this.#slots.take(Number.MAX_SAFE_INTEGER, signal);
      if (release === undefined) return { outcome: { state: 'stopped' }, attempts: attempt };
      const how = { signal, attempt, ...(replay === undefined ? {} : { replay }) };
      const outcome = await handOver(this.#scope, this.#subscription, event, how).finally(release);
      const isLast = attempt >= this.#subscription.maxAttempts;
      if (outcome.state !== 'failed' || isLast) return { outcome, attempts: attempt };
      await rest(retryDelayMs(attempt), signal);
    }
  }

  async #commit(claimed: Claimed, changes: readonly Change[]): Promise<readonly number[]> {
    const { record, owner, fence } = claimed;
    const { kind, id } = record;
    const { metadata, workspace, principal } = this.#scope;
    const { revisions } = await metadata.commit({
      workspace,
      principal: principal.id,
      changes: [{ op: 'hold', kind, id, owner, fence }, ...changes],
    });
    return revisions.slice(1);
  }
}
