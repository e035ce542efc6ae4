import type { EventDraft, StoredEvent } from '../../contracts/event.ts';
import type { Change } from '../../contracts/metadata-store.ts';
import type { Predicate } from '../../contracts/query.ts';
import type { StoredRecord } from '../../contracts/record.ts';
import type { Scope } from '../../contracts/scope.ts';
import {
  archiveFromRecord,
  archiveRecord,
  putArchive,
  readArchive,
} from '../../events/event-archives.ts';
import { type Decision, decideAndCommit } from '../decide-and-commit.ts';
import { columnIs, everyRecord } from '../every-record.ts';
import { AttestedThings, erasedKind, recordKey } from './attested-things.ts';
import { entryFromRecord, entryKind, saltsOf } from './audit-entry.ts';
import { evidenceKind } from './chain-origin.ts';
import { sealFromRecord, sealKind } from './seal.ts';

/** What is to be erased. */
export interface ErasedContent {
  /** Ids of events, in the log or in archives: they go, with what was to be delivered of them. */
  readonly events?: readonly string[];
  /** Tags of runs. */
  readonly tags?: readonly { readonly runId: string; readonly keys: readonly string[] }[];
  /** Predictions of deployments, and their labels, by the ids of their requests. */
  readonly predictions?: readonly {
    readonly deploymentId: string;
    readonly requestIds: readonly string[];
  }[];
}

/** What was erased. */
export interface Erasure {
  readonly id: string;
  readonly events: number;
  readonly tags: number;
  readonly predictions: number;
  /**
   * Whether the bytes are gone from the files of the embedded store too, which were written anew. False on
   * servers, whose own cleaning (autovacuum, backups, logs) lets go of them.
   */
  readonly compacted: boolean;
}

/** With what was to be delivered of them, and their entries, in one commit. */
const batch = 20;

/** How much there is of it. */
export function sizeOf(content: ErasedContent): {
  readonly events: number;
  readonly tags: number;
  readonly predictions: number;
} {
  const { events = [], tags = [], predictions = [] } = content;
  return {
    events: events.length,
    tags: tags.reduce((sum, { keys }) => sum + keys.length, 0),
    predictions: predictions.reduce((sum, { requestIds }) => sum + requestIds.length, 0),
  };
}

/** Erases tags of runs; answers how many keys were named. */
export async function eraseTags(
  scope: Scope,
  tags: NonNullable<ErasedContent['tags']>,
  reason: string,
): Promise<void> {
  for (const { runId, keys } of tags) {
    await decideAndCommit(scope, async () => ({
      changes: [{ op: 'merge', kind: 'run', id: runId, unset: { tags: keys } }],
      result: undefined,
      reason,
    }));
  }
}

/** Erases predictions and labels; answers how many rows were of them. */
export async function erasePredictions(
  { series, workspace }: Scope,
  predictions: NonNullable<ErasedContent['predictions']>,
): Promise<number> {
  let rows = 0;
  for (const { deploymentId, requestIds } of predictions) {
    for (const stream of ['predictions', 'labels']) {
      const key = { workspace, stream, owner: deploymentId };
      rows += await series.eraseRows(key, 'requestId', requestIds);
    }
  }
  return rows;
}

/**
 * Erases the content of events: notes who did it and destroys the salts in entries and seals, in one commit; then
 * takes the events out of the log and of archives. Killed in between, the same call goes on. Answers those that
 * were there.
 */
export async function eraseEvents(
  scope: Scope,
  ids: readonly string[],
  by: { readonly erasureId: string; readonly reason: string },
): Promise<number> {
  const things = new AttestedThings(scope);
  let count = 0;
  for (let i = 0; i < ids.length; i += batch) {
    const part = ids.slice(i, i + batch);
    const always = { firstAt: Number.MIN_SAFE_INTEGER, lastAt: Number.MAX_SAFE_INTEGER };
    const found = await things.events(part, always);
    const events: EventDraft[] = [...(await things.imported(part)).values()];
    for (const one of found.values()) if ('event' in one) events.push(one.event);
    if (events.length === 0) continue;
    await decideAndCommit(scope, () => decideErasure(scope, events, by));
    const gone = events.map(({ id }) => id);
    await scope.metadata.removeEvents(scope.workspace, gone);
    await rewriteArchives(scope, new Set(gone), by.erasureId);
    // What was sealed between the commit and the removal.
    await decideAndCommit(scope, async () => ({
      changes: await sealsWithout(scope, events),
      result: undefined,
    }));
    count += events.length;
  }
  return count;
}

async function decideErasure(
  scope: Scope,
  events: readonly EventDraft[],
  by: { readonly erasureId: string; readonly reason: string },
): Promise<Decision<undefined>> {
  const { metadata, workspace } = scope;
  const ids = events.map(({ id }) => id);
  const known = new Set((await metadata.findMany(workspace, erasedKind, ids)).map(({ id }) => id));
  const fresh = ids.filter((id) => !known.has(id));
  const changes: Change[] = fresh.map((id) => noted(scope, id, by.erasureId));
  changes.push(...(await entriesWithout(scope, events)));
  changes.push(...(await sealsWithout(scope, events)));
  for (const kind of ['delivery', 'dead_letter', 'receipt']) {
    const where: Predicate = { op: 'in', left: { from: 'column', name: 'eventId' }, values: ids };
    for await (const { id, revision } of everyRecord(scope, kind, { where })) {
      changes.push({ op: 'remove', kind, id, expect: revision });
    }
  }
  for (const { id, revision } of await metadata.findMany(workspace, evidenceKind, ids)) {
    changes.push({ op: 'remove', kind: evidenceKind, id, expect: revision });
  }
  return { changes, result: undefined, reason: by.reason };
}

function noted(scope: Scope, id: string, erasureId: string): Change {
  const columns = { erasureId, at: scope.clock.now(), by: scope.principal.id };
  return { op: 'create', kind: erasedKind, id, columns };
}

const dayMs = 86_400_000;

/** The entries that attest the events, without their salts for them. */
async function entriesWithout(
  scope: Scope,
  events: readonly EventDraft[],
): Promise<readonly Change[]> {
  const changes = new Map<string, readonly Change[]>();
  const ids = new Set(events.map(({ id }) => id));
  for (const { subject, at } of events) {
    for await (const record of everyRecord(scope, entryKind, { where: around(subject, at) })) {
      if (changes.has(record.id)) continue;
      const { attests } = entryFromRecord(record);
      const mine = attests.flatMap((one, i) => ('event' in one && ids.has(one.event) ? [i] : []));
      if (mine.length > 0) changes.set(record.id, withoutSalts(record, attests.length, mine));
    }
  }
  return [...changes.values()].flat();
}

function around(subject: string, at: number): Predicate {
  const compare = (cmp: '>=' | '<=', value: number): Predicate => ({
    op: 'compare',
    left: { from: 'column', name: 'at' },
    cmp,
    value,
  });
  return {
    op: 'and',
    of: [columnIs('subject', subject), compare('>=', at - dayMs), compare('<=', at + dayMs)],
  };
}

/** The seals in whose ranges the events are, without their salts. */
async function sealsWithout(
  scope: Scope,
  events: readonly EventDraft[],
): Promise<readonly Change[]> {
  const ids = new Set(events.map(({ id }) => id));
  const times = events.map(({ at }) => at);
  const compare = (name: string, cmp: '<=' | '>=', value: number): Predicate => ({
    op: 'compare',
    left: { from: 'body', path: [name] },
    cmp,
    value,
  });
  const of = [
    compare('firstAt', '<=', Math.max(...times)),
    compare('lastAt', '>=', Math.min(...times)),
  ];
  const changes: Change[] = [];
  for await (const record of everyRecord(scope, sealKind, {
    where: { op: 'and', of },
    limit: 20,
  })) {
    const sealed = sealFromRecord(record).events;
    const mine = sealed.flatMap(({ id }, i) => (ids.has(id) ? [i] : []));
    changes.push(...withoutSalts(record, sealed.length, mine));
  }
  return changes;
}

/** Nothing where they are destroyed already. */
function withoutSalts(
  record: StoredRecord,
  count: number,
  indexes: readonly number[],
): readonly Change[] {
  const salts = [...saltsOf(record, count)];
  if (indexes.every((i) => salts[i] === null)) return [];
  for (const i of indexes) salts[i] = null;
  const { kind, id, revision: expect } = record;
  return [{ op: 'replace', kind, id, expect, columns: { salts: JSON.stringify(salts) } }];
}

/** Puts archives without the events in place of those that have them. */
async function rewriteArchives(
  scope: Scope,
  gone: ReadonlySet<string>,
  erasureId: string,
): Promise<void> {
  for await (const record of everyRecord(scope, 'event_archive')) {
    const archive = archiveFromRecord(record);
    const events: StoredEvent[] = [];
    for await (const event of readArchive(scope, archive)) events.push(event);
    const kept = events.filter(({ id }) => !gone.has(id));
    if (kept.length === events.length) continue;
    const content =
      kept.length === 0 ? undefined : await putArchive(scope, kept, new AbortController().signal);
    await decideAndCommit(scope, async () => {
      const now = await scope.metadata.find(scope.workspace, 'event_archive', record.id);
      if (now === undefined) return { changes: [], result: undefined };
      const key = recordKey('event_archive', record.id);
      const changes: Change[] = [
        { op: 'remove', kind: 'event_archive', id: record.id, expect: now.revision },
        noted(scope, key, erasureId),
        ...(await creationWithout(scope, record.id)),
      ];
      if (content !== undefined) {
        changes.push(archiveRecord(scope.ids.next(), archive.number, content, kept));
      }
      return { changes, result: undefined };
    });
    if (!(await isNamed(scope, archive.sha256))) await scope.artifacts.remove(archive.sha256);
  }
}

/** The entry that attests an archive, without its salt for it. */
async function creationWithout(scope: Scope, id: string): Promise<readonly Change[]> {
  for await (const record of everyRecord(scope, entryKind, {
    where: columnIs('subject', 'archives'),
  })) {
    const { attests } = entryFromRecord(record);
    const index = attests.findIndex((one) => 'kind' in one && one.id === id);
    if (index >= 0) return withoutSalts(record, attests.length, [index]);
  }
  return [];
}

async function isNamed({ metadata, workspace }: Scope, sha256: string): Promise<boolean> {
  const where = columnIs('sha256', sha256);
  const { records } = await metadata.query(workspace, 'event_archive', { where, limit: 1 });
  return records.length > 0;
}
