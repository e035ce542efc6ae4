import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { rest } from '../rest.ts';
import { replayRequested } from './dead-letters.ts';
import { allRecords, columnIs, partitionsOf } from './event-records.ts';
import { isDueAt, type Subscription, subscriptionId } from './subscription.ts';

/** A partition that has something to do. */
export interface DuePartition {
  readonly number: number;
  readonly wasDirty: boolean;
}

/** Without an event, everything is looked at again after so long: a process may have died with work begun. */
const lookMs = 5_000;
const shortMs = 100;

/**
 * Finds the partitions of a subscription that have something to do. While nothing happens it reads one
 * number, and where only other types happen one page.
 */
export class DuePartitions {
  readonly #scope: Scope;
  readonly #subscription: Subscription;
  readonly #id: string;
  /** Up to `cursor`, and until the time, there is nothing to do. */
  #idle: { readonly cursor: string; readonly until: number } | undefined;
  /** By number: between these two places nothing concerns the partition. */
  readonly #nothing = new Map<number, { readonly from: string | undefined; readonly to: string }>();
  /** Requests up to it were seen. */
  #requestsTo: string | undefined;
  #requestsUntil = 0;

  constructor(scope: Scope, subscription: Subscription) {
    this.#scope = scope;
    this.#subscription = subscription;
    this.#id = subscriptionId(subscription.name);
  }

  /** What is due, but for the partitions that are busy; LOST when the subscription was removed. */
  async find(busy: ReadonlySet<number>): Promise<{
    readonly partitions: readonly DuePartition[];
    /** Whether somebody may have asked for a replay. */
    readonly requested: boolean;
  }> {
    const { metadata, clock } = this.#scope;
    const now = clock.now();
    const latest = await metadata.latestEventCursor();
    if (await this.#isIdle(latest, now)) return { partitions: [], requested: false };
    const requested = await this.#isRequested(now);
    const records = await partitionsOf(this.#scope, this.#subscription.name);
    if (records.length === 0) throw removed(this.#subscription.name);
    const opened = requested ? await this.#withOpenLetters() : new Set<number>();
    const partitions: DuePartition[] = [];
    let until = now + lookMs;
    for (const record of records) {
      const number = record.columns['number'] as number;
      if (busy.has(number)) continue;
      const wakeAt = (record.columns['wakeAt'] as number | undefined) ?? Number.POSITIVE_INFINITY;
      const isDue =
        (wakeAt !== Number.POSITIVE_INFINITY && isDueAt(wakeAt, now)) ||
        opened.has(number) ||
        (await this.#hasEvents(record, records));
      if (isDue) partitions.push({ number, wasDirty: record.columns['dirty'] as boolean });
      else until = Math.min(until, wakeAt);
    }
    const isQuiet = partitions.length === 0 && busy.size === 0 && !requested;
    this.#idle = isQuiet ? { cursor: latest, until } : undefined;
    return { partitions, requested };
  }

  /** Resolves when there may be something again: after a moment where others have it, `ms` at the most. */
  async wait(ms: number, signal: AbortSignal): Promise<void> {
    const { metadata, clock } = this.#scope;
    const idle = this.#idle;
    const leftMs = Math.min(ms, (idle?.until ?? 0) - clock.now());
    if (idle === undefined || leftMs <= 0) return rest(shortMs, signal, { background: true });
    try {
      await metadata.waitForEvents(idle.cursor, { timeoutMs: leftMs, signal });
    } catch {
      // The next round finds out, and says so.
      await rest(shortMs, signal, { background: true });
    }
  }

  async #isIdle(latest: string, now: number): Promise<boolean> {
    if (this.#idle === undefined || isDueAt(this.#idle.until, now)) return false;
    if (latest === this.#idle.cursor) return true;
    const types = [...this.#subscription.types, replayRequested];
    const page = await this.#read({ types }, this.#idle.cursor);
    if (page.events.length > 0) return false;
    this.#idle = { ...this.#idle, cursor: page.cursor };
    return true;
  }

  async #isRequested(now: number): Promise<boolean> {
    const filter = { types: [replayRequested], subjects: [this.#id] };
    const page = await this.#read(filter, this.#requestsTo);
    this.#requestsTo = page.cursor;
    if (page.events.length === 0 && now < this.#requestsUntil) return false;
    this.#requestsUntil = now + lookMs;
    return true;
  }

  /** The partitions of subjects that wait for a person: who asked may have asked for them. */
  async #withOpenLetters(): Promise<ReadonlySet<number>> {
    const mine = columnIs('subscription', this.#subscription.name);
    const where = { op: 'and', of: [mine, columnIs('waitsFor', 'PERSON')] } as const;
    const parked = await allRecords(this.#scope, 'parked_subject', { where });
    return new Set(parked.map(({ columns }) => columns['partition'] as number));
  }

  async #hasEvents(record: StoredRecord, all: readonly StoredRecord[]): Promise<boolean> {
    const index = record.columns['number'] as number;
    const from = record.columns['cursor'] as string | undefined;
    const known = this.#nothing.get(index);
    const after = known !== undefined && known.from === from ? known.to : from;
    const partition = { of: all.length, index };
    const page = await this.#read({ types: this.#subscription.types, partition }, after);
    if (page.events.length > 0) return true;
    this.#nothing.set(index, { from, to: page.cursor });
    return false;
  }

  #read(
    filter: Parameters<Scope['metadata']['readEvents']>[0]['filter'] & object,
    after: string | undefined,
  ): ReturnType<Scope['metadata']['readEvents']> {
    const { metadata, workspace } = this.#scope;
    const from = after === undefined ? {} : { after };
    return metadata.readEvents({ workspace, filter, limit: 1, ...from });
  }
}

function removed(name: string): KeelsonError {
  return new KeelsonError('LOST', `The subscription ${name} was removed; subscribe anew.`, {
    details: { subscription: name },
  });
}
