import type { StoredEvent } from '../contracts/event.ts';
import type { Loop } from '../contracts/loop.ts';
import type { Change, Claimed } from '../contracts/metadata-store.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError } from '../errors.ts';
import {
  archiveFromRecord,
  archiveRecord,
  archiveRecords,
  archiveRemoved,
  putArchive,
  readArchive,
} from './event-archives.ts';
import { type Hold, holdClaim } from './hold-claim.ts';
import { passedByAll } from './passed-events.ts';
import type { RetentionTimes } from './retention.ts';
import type { Owners } from './subscription.ts';

const kind = 'event_retention';
const id = 'event-retention';
const leaseMs = 30_000;
const pageSize = 500;
/** Read in one round at most, so that others get their turn. */
const maxPages = 40;
/** What `removeEvents` takes. */
const batchSize = 1000;
const batchBytes = 8_000_000;
/** Events are kept so much longer than they must, where waiting makes one archive of many. */
const patienceMs = 86_400_000;

/** Names after which a test may have a process killed. */
export type RetentionPoint = 'content stored' | 'archive committed' | 'events removed';

/**
 * Moves events that are older than their type's time into archives: content first, then one commit with
 * the record that names it, then the removal from the log. Killed anywhere, the next round goes on; an
 * event is always in the log or in an archive that a record names. What a subscription has not passed
 * stays, and so does what a dead letter names.
 */
export function createRetentionLoop(
  scope: Scope,
  times: RetentionTimes,
  owners: Owners,
  reached: (point: RetentionPoint) => Promise<void> | void = () => undefined,
): Loop {
  const { metadata, workspace } = scope;
  /** For whom events stayed in the last round, so that it is told once. */
  let toldOf = '';

  async function runOnce(signal: AbortSignal): Promise<boolean> {
    if (signal.aborted || times.periods.length === 0) return false;
    await ensureRecord();
    const claimed = await claim();
    if (claimed === undefined) return false;
    const onFault = (error: unknown) =>
      scope.logger.warn({ component: 'events', error }, 'The claim on retention was not kept.');
    const hold = holdClaim(metadata, claimed, { leaseMs, signal, onFault });
    try {
      await removeArchived(claimed, hold);
      return await archiveNext(claimed, hold);
    } catch (error) {
      if (hold.signal.aborted || isKeelsonError(error, 'LOST', 'STALE')) return false;
      throw error;
    } finally {
      await hold.release();
    }
  }

  async function ensureRecord(): Promise<void> {
    if ((await metadata.find(workspace, kind, id)) !== undefined) return;
    const columns = { config: times.digest, archives: 0 };
    try {
      await commit([{ op: 'create', kind, id, columns, body: { cursors: {} } }]);
    } catch (error) {
      if (!isKeelsonError(error, 'CONFLICT')) throw error;
    }
  }

  async function claim(): Promise<Claimed | undefined> {
    const held = await metadata.claimOwners(kind, workspace);
    const [claimed] = await metadata.claim(kind, {
      workspace,
      limit: 1,
      owner: owners.self,
      leaseMs,
      takeFrom: owners.dead(held),
    });
    return claimed;
  }

  /** What a process left that was killed between the commit of an archive and the end of its removal. */
  async function removeArchived(claimed: Claimed, hold: Hold): Promise<void> {
    for await (const record of archiveRecords(scope, { onlyRemoving: true })) {
      hold.signal.throwIfAborted();
      const ids: string[] = [];
      for await (const event of readArchive(scope, archiveFromRecord(record))) ids.push(event.id);
      await remove(claimed, record, ids);
    }
  }

  async function remove(
    claimed: Claimed,
    record: StoredRecord,
    ids: readonly string[],
  ): Promise<void> {
    await metadata.removeEvents(workspace, ids);
    await reached('events removed');
    await commit([holding(claimed), archiveRemoved(record)]);
  }

  /** Answers whether anything was brought on. */
  async function archiveNext(claimed: Claimed, hold: Hold): Promise<boolean> {
    const places = placesOf(claimed.record, times);
    let moved = false;
    for (const period of times.periods) {
      hold.signal.throwIfAborted();
      const { events, cursor } = await collect(period, places[period], hold.signal);
      moved ||= cursor !== places[period];
      if (cursor !== undefined) places[period] = cursor;
      if (events.length === 0) continue;
      await archive(claimed, hold, places, events);
      return true;
    }
    if (moved) await commit([holding(claimed), saved(claimed.record, times, places, 0)]);
    return moved;
  }

  /** The next events of a period that may go, and the cursor before the first of the period that stays. */
  async function collect(
    period: number,
    from: string | undefined,
    signal: AbortSignal,
  ): Promise<{ readonly events: readonly StoredEvent[]; readonly cursor: string | undefined }> {
    const limit = scope.clock.now() - period;
    /** In the order of the log: those that are due, and the first that is not. */
    const mine: { readonly event: StoredEvent; readonly before: string | undefined }[] = [];
    let due = 0;
    let young = false;
    let place = from;
    let bytes = 0;
    const isFull = () => due === batchSize || bytes >= batchBytes;
    for (let page = 0; page < maxPages && !isFull(); page += 1) {
      signal.throwIfAborted();
      const after = place === undefined ? {} : { after: place };
      const read = await metadata.readEvents({ workspace, limit: pageSize, ...after });
      const already = due;
      for (const event of read.events) {
        if (isFull()) break;
        const before = place;
        place = event.cursor;
        if (times.keepMs(event.type) !== period) continue;
        const isYoung = event.at >= limit;
        if (!isYoung || !young) mine.push({ event, before });
        if (isYoung) young = true;
        else {
          due += 1;
          bytes += JSON.stringify(event.payload).length;
        }
      }
      // The log is in the order of its times, but for clocks: a page with young ones alone is the end.
      if ((young && due === already) || read.events.length < pageSize) break;
    }
    const old = mine.map(({ event }) => event).filter((event) => event.at < limit);
    const events = await worthwhile(old, period);
    const gone = new Set(events.map((event) => event.id));
    const stays = mine.find(({ event }) => !gone.has(event.id));
    return { events, cursor: stays === undefined ? place : stays.before };
  }

  /** Those that may go; none where it is better to wait for more. */
  async function worthwhile(
    due: readonly StoredEvent[],
    period: number,
  ): Promise<readonly StoredEvent[]> {
    const [oldest] = due;
    if (oldest === undefined) return [];
    const overdue = oldest.at + period + patienceMs < scope.clock.now();
    if (!overdue && due.length < batchSize) return [];
    const { passed, waitingFor } = await passedByAll(scope, due);
    const told = waitingFor.join(', ');
    if (told !== toldOf && told !== '') {
      const fields = { component: 'events', subscriptions: waitingFor };
      scope.logger.warn(fields, `Events that are due stay in the log until handled by: ${told}.`);
    }
    toldOf = told;
    return passed;
  }

  async function archive(
    claimed: Claimed,
    hold: Hold,
    places: Places,
    events: readonly StoredEvent[],
  ): Promise<void> {
    const content = await putArchive(scope, events, hold.signal);
    await reached('content stored');
    const archiveId = scope.ids.next();
    const number = (claimed.record.columns['archives'] as number) + 1;
    const record = archiveRecord(archiveId, number, content, events);
    await commit([holding(claimed), saved(claimed.record, times, places, 1), record]);
    await reached('archive committed');
    await removeArchived(claimed, hold);
    const fields = { component: 'events', events: events.length, sha256: content.sha256 };
    scope.logger.info(fields, 'Events were archived.');
  }

  function holding({ owner, fence }: Claimed): Change {
    return { op: 'hold', kind, id, owner, fence };
  }

  async function commit(changes: readonly Change[]): Promise<void> {
    await metadata.commit({ workspace, principal: scope.principal.id, changes });
  }

  return { name: 'event-retention', idleMs: 300_000, runOnce };
}

/** Cursors by period: before them, no event of the period is left that may go. */
type Places = Record<number, string>;

/** Under other times everything is looked through again. */
function placesOf(record: StoredRecord, times: RetentionTimes): Places {
  if (record.columns['config'] !== times.digest) return {};
  return { ...(record.body['cursors'] as Places) };
}

function saved(
  record: StoredRecord,
  times: RetentionTimes,
  cursors: Places,
  archived: 0 | 1,
): Change {
  const archives = (record.columns['archives'] as number) + archived;
  const columns = { config: times.digest, archives };
  return { op: 'replace', kind, id, expect: record.revision, columns, body: { cursors } };
}
