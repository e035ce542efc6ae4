import type { EventDraft, StoredEvent } from '../../contracts/event.ts';
import type { Predicate } from '../../contracts/query.ts';
import type { RevisionEntry } from '../../contracts/record.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError } from '../../errors.ts';
import { archiveFromRecord, type EventArchive, readArchive } from '../../events/event-archives.ts';
import { everyRecord } from '../every-record.ts';
import type { AttestedRevision } from './attestation.ts';
import { attestedParts } from './attested-changes.ts';
import { type AuditedKind, auditedKinds } from './audited.ts';
import { evidenceId, evidenceKind } from './chain-origin.ts';

export const erasedKind = 'audit_erased';
const keptArchives = 4;

/** What became of an event that something attests. */
export type FoundEvent =
  | { readonly state: 'log' | 'archive'; readonly event: StoredEvent }
  | { readonly state: 'unreadable'; readonly why: string }
  | { readonly state: 'missing' };

type ReadScope = Pick<Scope, 'metadata' | 'workspace' | 'artifacts'>;

/** Finds what was attested: events in the log or in archives, revisions in histories. */
export class AttestedThings {
  readonly #scope: ReadScope;
  /** The events of archives that were read last, by archive. */
  readonly #archives = new Map<string, ReadonlyMap<string, StoredEvent>>();

  constructor(scope: ReadScope) {
    this.#scope = scope;
  }

  /** Of at most 500 ids, whose events are of between the times where they are archived. */
  async events(
    ids: readonly string[],
    times: { readonly firstAt: number; readonly lastAt: number },
  ): Promise<ReadonlyMap<string, FoundEvent>> {
    const found = new Map<string, FoundEvent>();
    await this.#fromLog(ids, found);
    const missing = ids.filter((id) => !found.has(id));
    if (missing.length > 0) await this.#fromArchives(new Set(missing), times, found);
    for (const id of ids) if (!found.has(id)) found.set(id, { state: 'missing' });
    return found;
  }

  /** Of at most 500 ids, the events that came with imported chains. */
  async imported(ids: readonly string[]): Promise<ReadonlyMap<string, EventDraft>> {
    if (ids.length === 0) return new Map();
    const { metadata, workspace } = this.#scope;
    const found = await metadata.findMany(workspace, evidenceKind, ids);
    return new Map(found.map(({ id, body }) => [id, body as unknown as EventDraft]));
  }

  /** A revision that came with an imported chain, because its record was removed. */
  async importedRevision(
    kind: string,
    id: string,
    revision: number,
  ): Promise<AttestedRevision | undefined> {
    const { metadata, workspace } = this.#scope;
    const at = evidenceId({ kind, id, revision });
    const found = await metadata.find(workspace, evidenceKind, at);
    return found?.body as unknown as AttestedRevision | undefined;
  }

  async #fromLog(ids: readonly string[], found: Map<string, FoundEvent>): Promise<void> {
    if (ids.length === 0) return;
    const { metadata, workspace } = this.#scope;
    try {
      const { events } = await metadata.readEvents({
        workspace,
        filter: { ids },
        limit: ids.length,
      });
      for (const event of events) found.set(event.id, { state: 'log', event });
    } catch (error) {
      if (!isKeelsonError(error, 'CORRUPT')) throw error;
      const [only] = ids;
      if (ids.length === 1 && only !== undefined) {
        found.set(only, { state: 'unreadable', why: error.message });
        return;
      }
      const middle = Math.ceil(ids.length / 2);
      await this.#fromLog(ids.slice(0, middle), found);
      await this.#fromLog(ids.slice(middle), found);
    }
  }

  async #fromArchives(
    missing: Set<string>,
    { firstAt, lastAt }: { readonly firstAt: number; readonly lastAt: number },
    found: Map<string, FoundEvent>,
  ): Promise<void> {
    const compare = (name: string, cmp: '<=' | '>=', value: number): Predicate => ({
      op: 'compare',
      left: { from: 'column', name },
      cmp,
      value,
    });
    const where: Predicate = {
      op: 'and',
      of: [compare('firstAt', '<=', lastAt), compare('lastAt', '>=', firstAt)],
    };
    for await (const record of everyRecord(this.#scope, 'event_archive', { where })) {
      if (missing.size === 0) return;
      const events = await this.#open(archiveFromRecord(record));
      for (const id of missing) {
        const event = events.get(id);
        if (event === undefined) continue;
        found.set(id, { state: 'archive', event });
        missing.delete(id);
      }
    }
  }

  /** An archive that cannot be read holds nothing: what is missing is named by whoever misses it. */
  async #open(archive: EventArchive): Promise<ReadonlyMap<string, StoredEvent>> {
    const kept = this.#archives.get(archive.id);
    if (kept !== undefined) return kept;
    const events = new Map<string, StoredEvent>();
    try {
      for await (const event of readArchive(this.#scope, archive)) events.set(event.id, event);
    } catch (error) {
      if (!isBroken(error)) throw error;
    }
    this.#archives.set(archive.id, events);
    const [oldest] = this.#archives.keys();
    if (this.#archives.size > keptArchives) this.#archives.delete(oldest as string);
    return events;
  }

  /** A revision out of the kept history, of a record that may be removed. */
  async keptRevision(
    kind: string,
    id: string,
    revision: number,
  ): Promise<AttestedRevision | undefined> {
    const { metadata, workspace } = this.#scope;
    const [entry] = await metadata.history(workspace, kind, id, { after: revision - 1, limit: 1 });
    if (entry?.revision !== revision) return undefined;
    return attestedOf(auditedKinds[kind] ?? {}, kind, id, entry);
  }

  /** Whether a revision of a record is as it was attested. */
  async revision(
    kind: string,
    id: string,
    revision: number,
    isSame: (found: AttestedRevision) => boolean,
  ): Promise<'same' | 'differs' | 'missing'> {
    const rule = auditedKinds[kind] ?? {};
    if (rule.creationOnly === true) return this.#creation(rule, kind, id, revision, isSame);
    const { metadata, workspace } = this.#scope;
    const after = revision - 1;
    // Nearly always the next; a record that was removed and made again has the number twice.
    for (const limit of [1, 10_000]) {
      const entries = await metadata.history(workspace, kind, id, { after, limit });
      const same = entries.filter((entry) => entry.revision === revision);
      if (same.some((entry) => isSame(attestedOf(rule, kind, id, entry)))) return 'same';
      if (limit > 1) return same.length === 0 ? 'missing' : 'differs';
    }
    return 'missing';
  }

  async #creation(
    rule: AuditedKind,
    kind: string,
    id: string,
    revision: number,
    isSame: (found: AttestedRevision) => boolean,
  ): Promise<'same' | 'differs' | 'missing'> {
    const record = await this.#scope.metadata.find(this.#scope.workspace, kind, id);
    if (record === undefined) return 'missing';
    const parts = attestedParts(rule, record.columns, record.body);
    const found = { kind, id, revision, ...parts, by: '', removed: false };
    return isSame(found) ? 'same' : 'differs';
  }

  /** Which of the things were erased; events by their ids, records by {@link recordKey}. */
  async erased(keys: readonly string[]): Promise<ReadonlySet<string>> {
    const { metadata, workspace } = this.#scope;
    const found = await metadata.findMany(workspace, erasedKind, keys);
    return new Set(found.map(({ id }) => id));
  }
}

function attestedOf(
  rule: AuditedKind,
  kind: string,
  id: string,
  entry: RevisionEntry,
): AttestedRevision {
  const { revision, by, reason, correlationId, removed, columns, body } = entry;
  const parts = attestedParts(rule, columns, body);
  return { kind, id, revision, ...parts, by, reason, correlationId, removed };
}

/** How what was erased of a record is named. */
export function recordKey(kind: string, id: string): string {
  return `${kind}:${id}`;
}

/** Whether an error says that what is stored is not what was stored. */
export function isBroken(error: unknown): boolean {
  if (isKeelsonError(error, 'CORRUPT', 'NOT_FOUND', 'INCOMPATIBLE')) return true;
  // What zlib says of bytes that are no gzip.
  return error instanceof Error && 'code' in error && String(error.code).startsWith('Z_');
}
