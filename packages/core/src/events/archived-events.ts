import type { EventFilter, StoredEvent } from '../contracts/event.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import {
  archiveFromRecord,
  archiveRecords,
  type EventArchive,
  matchesFilter,
  mayMatch,
  readArchive,
} from './event-archives.ts';
import { eachEvent } from './read-events.ts';
import type { RetentionTimes } from './retention.ts';

/** Clocks of processes may differ so much. */
const skewMs = 86_400_000;

/** What was archived and matches, in the order in which it was archived. */
export async function* archivedEvents(
  scope: Scope,
  filter: EventFilter,
): AsyncGenerator<StoredEvent, void, undefined> {
  assertReadable(filter);
  for await (const record of archiveRecords(scope)) {
    yield* matching(scope, archiveFromRecord(record), filter);
  }
}

/**
 * Archives, then the log: each event once, also where retention moves some while this reads. What was moved
 * meanwhile comes last.
 */
export async function* everyEvent(
  scope: Scope,
  filter: EventFilter,
  times: RetentionTimes,
): AsyncGenerator<StoredEvent, void, undefined> {
  assertReadable(filter);
  let last = 0;
  /** In an archive and perhaps in the log still. */
  const twice = new Set<string>();
  for await (const record of archiveRecords(scope)) {
    const archive = archiveFromRecord(record);
    last = archive.number;
    for await (const event of matching(scope, archive, filter)) {
      if (archive.isRemoving) twice.add(event.id);
      yield event;
    }
  }
  /** Those that may have been moved after they were read: what is due, and not what stays for years. */
  const due = new Set<string>();
  for await (const event of eachEvent(scope, filter)) {
    if (twice.has(event.id)) continue;
    if (event.at + times.keepMs(event.type) - skewMs <= scope.clock.now()) due.add(event.id);
    yield event;
  }
  for (let more = true; more; ) {
    more = false;
    for await (const record of archiveRecords(scope, { after: last })) {
      const archive = archiveFromRecord(record);
      last = archive.number;
      more = true;
      for await (const event of matching(scope, archive, filter)) {
        if (!due.has(event.id)) yield event;
      }
    }
  }
}

async function* matching(
  scope: Scope,
  archive: EventArchive,
  filter: EventFilter,
): AsyncGenerator<StoredEvent, void, undefined> {
  if (!mayMatch(archive, filter)) return;
  for await (const event of readArchive(scope, archive)) {
    if (matchesFilter(event, filter)) yield event;
  }
}

function assertReadable({ partition }: EventFilter): void {
  if (partition === undefined) return;
  throw new KeelsonError('INVALID', 'Archived events have no partitions; leave `partition` out.');
}
