import type { MovedRecord, RecordLine } from '../../archive/record-lines.ts';
import type { EventDraft } from '../../contracts/event.ts';
import type { StoredRecord } from '../../contracts/record.ts';
import { KeelsonError } from '../../errors.ts';
import { isPlainObject } from '../../json.ts';
import { type AttestedRevision, saltedDigest, textOfEvent, textOfRevision } from './attestation.ts';
import { attestedParts } from './attested-changes.ts';
import { recordKey } from './attested-things.ts';
import { bodyOfEntry, entryFromRecord, entryId, sha256, textOfEntry } from './audit-entry.ts';
import { auditedKinds } from './audited.ts';
import { workspaceOf } from './chain-origin.ts';
import type { MovingChain } from './moving-chain.ts';
import { inspectLink } from './stored-links.ts';

/** A revision of a record that an entry attests. */
interface Wanted {
  readonly salt: string;
  readonly digest: string;
  readonly workspace: string;
  readonly sequence: number;
  /** Came with the entry, as its record was removed. */
  readonly isEvidenced: boolean;
}

/**
 * Holds a chain that comes with an archive to what it says: first each of its entries in order, then each
 * record that it attests, then `end`. INVALID, naming the first that differs, for a chain that does not
 * stand: it was altered before it was exported, or the archive was put together by something else.
 */
export class ArrivingChain {
  readonly #chain: MovingChain;
  readonly #wanted = new Map<string, Wanted>();
  readonly #erasedKeys = new Set<string>();
  readonly #erasures = new Set<string>();
  #sequence = 0;
  #digest = '';

  constructor(chain: MovingChain) {
    this.#chain = chain;
    let before = 0;
    for (const { last } of chain.stretches) {
      if (!Number.isSafeInteger(last) || last <= before)
        this.#refuse('its stretches do not ascend');
      before = last;
    }
  }

  /** The next entry, with the events that it attests. */
  entry({ record, more }: RecordLine): void {
    const entry = entryFromRecord(asStored(record));
    const { sequence, subject } = entry;
    if (subject !== this.#chain.subject) this.#refuse(`entry ${sequence} is of ${subject}`);
    if (sequence !== this.#sequence + 1) {
      this.#refuse(`entry ${sequence} follows entry ${this.#sequence}`);
    }
    const workspace = workspaceOf(this.#chain, sequence, '');
    const { problem, salts } = inspectLink({
      record: asStored(record),
      id: entryId(subject, sequence),
      at: entry.at,
      body: bodyOfEntry(entry),
      count: entry.attests.length,
      digest: entry.digest,
      computed: sha256(textOfEntry(workspace, entry)),
      previous: entry.previous,
      expected: this.#digest,
    });
    if (problem !== undefined)
      this.#refuse(`entry ${sequence} is not as it was written: ${problem}`);
    const events = new Map(eventsIn(more).map((event) => [event.id, event]));
    const removed = new Map(revisionsIn(more).map((one) => [keyOf(one), one]));
    for (const [i, one] of entry.attests.entries()) {
      const salt = salts[i];
      if (typeof salt !== 'string') {
        this.#erasedKeys.add('event' in one ? one.event : recordKey(one.kind, one.id));
      } else if ('event' in one) {
        const event = events.get(one.event);
        events.delete(one.event);
        if (event === undefined) this.#refuse(`event ${one.event} is missing`);
        else if (saltedDigest(salt, textOfEvent(workspace, event)) !== one.digest) {
          this.#refuse(`event ${one.event} is not what entry ${sequence} attests`);
        }
      } else {
        const { kind, id, revision, digest } = one;
        const key = keyOf({ kind, id, revision });
        const came = removed.get(key);
        removed.delete(key);
        if (came && saltedDigest(salt, textOfRevision(workspace, came)) !== digest) {
          this.#refuse(`${key} is not what entry ${sequence} attests`);
        }
        const isEvidenced = came !== undefined;
        this.#wanted.set(key, { salt, digest, workspace, sequence, isEvidenced });
      }
    }
    const [strange] = [...events.keys(), ...removed.keys()];
    if (strange !== undefined) this.#refuse(`entry ${sequence} does not attest ${strange}`);
    this.#sequence = sequence;
    this.#digest = entry.digest;
  }

  /** What was erased, of which the entry before this attests something. */
  erasure({ record }: RecordLine): void {
    if (!this.#erasedKeys.has(record.id)) this.#refuse(`nothing of ${record.id} was erased`);
    this.#erasures.add(record.id);
  }

  /** A record with its kept history, after the entries. */
  record({ record, history }: RecordLine): void {
    const { kind, id } = record;
    const rule = auditedKinds[kind];
    if (rule === undefined) return;
    const isAttested = this.#wanted.has(keyOf(record)) || this.#erasedKeys.has(recordKey(kind, id));
    if (!isAttested) this.#refuse(`${kind} ${id} is attested by none of its entries`);
    for (const { revision, columns, body, by, reason, correlationId, removed } of history ?? []) {
      const key = keyOf({ kind, id, revision });
      const wanted = this.#wanted.get(key);
      if (wanted === undefined) continue;
      const parts = attestedParts(rule, columns, body);
      const said = { kind, id, revision, ...parts, by, reason, correlationId, removed };
      const digest = saltedDigest(wanted.salt, textOfRevision(wanted.workspace, said));
      if (digest !== wanted.digest) {
        this.#refuse(
          `revision ${revision} of ${kind} ${id} is not what entry ${wanted.sequence} attests`,
        );
      }
      this.#wanted.delete(key);
    }
  }

  end(): void {
    for (const [key, { sequence, isEvidenced }] of this.#wanted) {
      if (!isEvidenced) this.#refuse(`${key}, which entry ${sequence} attests, is missing`);
    }
    for (const key of this.#erasedKeys) {
      if (!this.#erasures.has(key)) this.#refuse(`${key} has no salt, and nobody erased it`);
    }
    const last = this.#chain.stretches.at(-1)?.last ?? 0;
    if (this.#sequence !== last || this.#digest !== this.#chain.digest) {
      this.#refuse(`it ends at entry ${this.#sequence}, not at ${last} as its record says`);
    }
  }

  #refuse(why: string): never {
    const { subject } = this.#chain;
    throw new KeelsonError(
      'INVALID',
      `The audit chain of ${subject} does not stand: ${why}. operations.audit.verify() where the archive was made says more.`,
      { details: { subject } },
    );
  }
}

/** The events that come with an entry; INVALID for what is no list of them. */
export function eventsIn(more: RecordLine['more']): readonly EventDraft[] {
  const events = more?.['events'];
  if (Array.isArray(events) && events.every(isDraft)) return events as unknown as EventDraft[];
  throw new KeelsonError('INVALID', 'An entry of the audit does not say which events it attests.');
}

/** The revisions of removed records that come with an entry; INVALID for what is no list of them. */
export function revisionsIn(more: RecordLine['more']): readonly AttestedRevision[] {
  const revisions = more?.['revisions'] ?? [];
  if (Array.isArray(revisions) && revisions.every(isRevision)) {
    return revisions as unknown as AttestedRevision[];
  }
  throw new KeelsonError('INVALID', 'An entry of the audit has revisions that are none.');
}

const revisionKeys = new Set([
  ...['kind', 'id', 'revision', 'columns', 'body', 'by', 'reason', 'correlationId', 'removed'],
]);

function isRevision(value: unknown): boolean {
  if (!isPlainObject(value)) return false;
  return (
    typeof value['kind'] === 'string' &&
    typeof value['id'] === 'string' &&
    Number.isSafeInteger(value['revision']) &&
    isPlainObject(value['columns']) &&
    isPlainObject(value['body']) &&
    Object.keys(value).every((key) => revisionKeys.has(key))
  );
}

const draftTexts = ['id', 'type', 'subject', 'source', 'correlationId', 'principal'];
const draftKeys = new Set([...draftTexts, 'at', 'payload', 'schemaVersion', 'causationId']);

function isDraft(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const event = value as Readonly<Record<string, unknown>>;
  return (
    draftTexts.every((key) => typeof event[key] === 'string') &&
    Object.keys(event).every((key) => draftKeys.has(key)) &&
    Number.isSafeInteger(event['at'])
  );
}

function keyOf({
  kind,
  id,
  revision,
}: {
  readonly kind: string;
  readonly id: string;
  readonly revision: number;
}): string {
  return `revision ${revision} of ${kind} ${id}`;
}

function asStored(record: MovedRecord): StoredRecord {
  return { ...record, workspace: '' };
}
