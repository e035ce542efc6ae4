import type { RecordLine } from '../../archive/record-lines.ts';
import type { EventDraft, StoredEvent } from '../../contracts/event.ts';
import type { Predicate } from '../../contracts/query.ts';
import type { StoredRecord } from '../../contracts/record.ts';
import type { Scope } from '../../contracts/scope.ts';
import { KeelsonError } from '../../errors.ts';
import { asJson, type JsonObject } from '../../json.ts';
import { columnIs, everyRecord } from '../every-record.ts';
import { moved, withHistory } from '../moving-records.ts';
import type { AttestedRevision } from './attestation.ts';
import { AttestedThings, recordKey } from './attested-things.ts';
import { type AuditEntry, entryFromRecord, entryKind, saltsOf } from './audit-entry.ts';
import { type ChainStretch, findOrigin } from './chain-origin.ts';

type ReadScope = Pick<Scope, 'metadata' | 'workspace' | 'artifacts'>;

/** The chain of a subject up to its last entry: what an export says of it. */
export interface MovingChain {
  readonly subject: string;
  /** Where it was made, oldest first; the last of them ends with it. Empty for a chain without entries. */
  readonly stretches: readonly ChainStretch[];
  /** The digest of its last entry; empty when it has none. */
  readonly digest: string;
}

const pageSize = 200;
const skewMs = 86_400_000;

/** The last entry of a subject's chain: 0 and no digest when there is none. */
export async function lastLink(
  { metadata, workspace }: Pick<Scope, 'metadata' | 'workspace'>,
  subject: string,
): Promise<{ readonly sequence: number; readonly digest: string }> {
  const { records } = await metadata.query(workspace, entryKind, {
    where: columnIs('subject', subject),
    orderBy: [{ by: { from: 'column', name: 'sequence' }, direction: 'desc' }],
    limit: 1,
  });
  return records[0] === undefined ? { sequence: 0, digest: '' } : entryFromRecord(records[0]);
}

/**
 * The records that were changed behind the entry `after`, up to `last`: `kind id` (as {@link changedKey} has
 * it) → the first revision of those that the entries attest.
 */
export async function changedBehind(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  subject: string,
  after: number,
  last: number,
): Promise<ReadonlyMap<string, number>> {
  const found = new Map<string, number>();
  for await (const record of entriesOf(scope, subject, { after, last })) {
    for (const one of entryFromRecord(record).attests) {
      if (!('kind' in one)) continue;
      const key = changedKey(one);
      found.set(key, Math.min(one.revision, found.get(key) ?? one.revision));
    }
  }
  return found;
}

/** How {@link changedBehind} names a record. */
export function changedKey({ kind, id }: { readonly kind: string; readonly id: string }): string {
  return `${kind} ${id}`;
}

/** What an export says of a chain whose last entry is this. */
export async function movingChain(
  scope: ReadScope,
  subject: string,
  last: { readonly sequence: number; readonly digest: string },
): Promise<MovingChain> {
  const { sequence, digest } = last;
  const stretches = [...((await findOrigin(scope, subject))?.stretches ?? [])];
  if ((stretches.at(-1)?.last ?? 0) < sequence) {
    // One that goes on where it came from is one stretch.
    if (stretches.at(-1)?.workspace === scope.workspace) stretches.pop();
    stretches.push({ workspace: scope.workspace, last: sequence });
  }
  return { subject, stretches, digest };
}

/**
 * The entries of a chain up to `last`, each with the events that it attests under `more`; behind an entry
 * whose salts were destroyed, what was erased and by whom. CORRUPT where the store has lost an event.
 */
export async function* chainLines(
  scope: ReadScope,
  subject: string,
  last: number,
  signal: AbortSignal,
): AsyncGenerator<RecordLine, void, undefined> {
  const things = new AttestedThings(scope);
  const came = (await findOrigin(scope, subject))?.last ?? 0;
  const told = new Set<string>();
  let page: StoredRecord[] = [];
  for await (const record of entriesOf(scope, subject, { after: 0, last }, signal)) {
    page.push(record);
    if (page.length < pageSize) continue;
    yield* pageLines(scope, things, page, { came, told });
    page = [];
  }
  yield* pageLines(scope, things, page, { came, told });
}

async function* pageLines(
  scope: ReadScope,
  things: AttestedThings,
  page: readonly StoredRecord[],
  { came, told }: { readonly came: number; readonly told: Set<string> },
): AsyncGenerator<RecordLine, void, undefined> {
  const entries = page.map((record) => ({ record, entry: entryFromRecord(record) }));
  const events = await eventsOf(things, entries, came);
  const gone = await removedRevisions(scope, things, entries);
  for (const { record, entry } of entries) {
    const salts = saltsOf(record, entry.attests.length);
    const mine: EventDraft[] = [];
    const erased: string[] = [];
    for (const [i, one] of entry.attests.entries()) {
      const key = 'event' in one ? one.event : recordKey(one.kind, one.id);
      const event = 'event' in one ? events.get(one.event) : undefined;
      if (salts[i] === null) erased.push(key);
      else if (event !== undefined) mine.push(event);
      else if ('event' in one) throw lost(entry, one.event);
    }
    const revisions = gone.get(record.id) ?? [];
    const more = { events: mine, ...(revisions.length === 0 ? {} : { revisions }) };
    yield { record: moved(record), more: asJson(more) as JsonObject };
    const fresh = erased.filter((key) => !told.has(key));
    for (const key of fresh) told.add(key);
    for (const found of await scope.metadata.findMany(scope.workspace, 'audit_erased', fresh)) {
      const line = await withHistory(scope, found);
      if (line !== undefined) yield line;
    }
  }
}

/** By entry, the revisions that it attests of records that were removed: no export has those. */
async function removedRevisions(
  { metadata, workspace }: ReadScope,
  things: AttestedThings,
  entries: readonly { readonly record: StoredRecord; readonly entry: AuditEntry }[],
): Promise<ReadonlyMap<string, readonly AttestedRevision[]>> {
  const found = new Map<string, AttestedRevision[]>();
  const attested = entries.flatMap(({ record, entry }) =>
    entry.attests.flatMap((one) =>
      'kind' in one && removable.has(one.kind) ? [{ ...one, entryId: record.id }] : [],
    ),
  );
  for (const [kind, some] of Map.groupBy(attested, (one) => one.kind)) {
    const ids = [...new Set(some.map(({ id }) => id))];
    const there = new Set((await metadata.findMany(workspace, kind, ids)).map(({ id }) => id));
    for (const { id, revision, entryId: at } of some) {
      if (there.has(id)) continue;
      const one =
        (await things.keptRevision(kind, id, revision)) ??
        (await things.importedRevision(kind, id, revision));
      if (one !== undefined) found.set(at, [...(found.get(at) ?? []), one]);
    }
  }
  return found;
}

/** Kinds of what models own whose records may be removed. */
const removable: ReadonlySet<string> = new Set(['validation_suite']);

/** The events that entries attest, as they were said. */
async function eventsOf(
  things: AttestedThings,
  entries: readonly { readonly entry: AuditEntry }[],
  came: number,
): Promise<ReadonlyMap<string, EventDraft>> {
  const events = new Map<string, EventDraft>();
  const ids = (imported: boolean): readonly string[] =>
    entries.flatMap(({ entry }) =>
      entry.sequence <= came === imported
        ? entry.attests.flatMap((one) => ('event' in one ? [one.event] : []))
        : [],
    );
  const times = entries.map(({ entry }) => entry.at);
  const span = { firstAt: Math.min(...times) - skewMs, lastAt: Math.max(...times) + skewMs };
  const [here, imported] = [ids(false), ids(true)];
  for (let at = 0; at < here.length; at += 400) {
    for (const [id, found] of await things.events(here.slice(at, at + 400), span)) {
      if ('event' in found) events.set(id, asSaid(found.event));
    }
  }
  for (let at = 0; at < imported.length; at += 400) {
    for (const [id, event] of await things.imported(imported.slice(at, at + 400))) {
      events.set(id, event);
    }
  }
  return events;
}

/** An event without what the store's log adds. */
function asSaid({
  workspace: _,
  subjectSequence: __,
  cursor: ___,
  ...said
}: StoredEvent): EventDraft {
  return said;
}

function entriesOf(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  subject: string,
  { after, last }: { readonly after: number; readonly last: number },
  signal?: AbortSignal,
): AsyncIterable<StoredRecord> {
  const compare = (cmp: '>' | '<=', value: number): Predicate => ({
    op: 'compare',
    left: { from: 'column', name: 'sequence' },
    cmp,
    value,
  });
  return everyRecord(scope, entryKind, {
    where: {
      op: 'and',
      of: [columnIs('subject', subject), compare('>', after), compare('<=', last)],
    },
    orderBy: [{ by: { from: 'column', name: 'sequence' }, direction: 'asc' }],
    limit: pageSize,
    ...(signal === undefined ? {} : { signal }),
  });
}

function lost({ subject, sequence }: AuditEntry, event: string): KeelsonError {
  return new KeelsonError(
    'CORRUPT',
    `Event ${event}, which entry ${sequence} of ${subject} attests, is neither in the log nor in an archive; operations.audit.verify() says what else is missing.`,
    { details: { subject, sequence, event } },
  );
}
