import { createHash, randomBytes } from 'node:crypto';
import type { EventDraft, StoredEvent } from '../../contracts/event.ts';
import type { Columns } from '../../contracts/record.ts';
import { canonicalJson, type JsonObject } from '../../json.ts';

/** One thing that an entry stands for: an event, or a revision of a record. */
export type Attested =
  | { readonly event: string; readonly digest: string }
  | {
      readonly kind: string;
      readonly id: string;
      readonly revision: number;
      readonly digest: string;
    };

/** A revision of a record, as its history keeps it. */
export interface AttestedRevision {
  readonly kind: string;
  readonly id: string;
  readonly revision: number;
  readonly columns: Columns;
  readonly body: JsonObject;
  readonly by: string;
  readonly reason?: string | undefined;
  readonly correlationId?: string | undefined;
  readonly removed: boolean;
}

/** 128 random bits: without them nobody can try out what a digest may be of. */
export function freshSalt(): string {
  return randomBytes(16).toString('base64url');
}

/** SHA-256 (hex) of the salt, a line feed, and the text. */
export function saltedDigest(salt: string, text: string): string {
  return createHash('sha256').update(`${salt}\n${text}`).digest('hex');
}

/** The text that an entry attests of an event: what its emitter said, without the store's numbers. */
export function textOfEvent(workspace: string, event: EventDraft | StoredEvent): string {
  const { id, type, subject, source, at, payload, schemaVersion } = event;
  const { correlationId, causationId, principal } = event;
  const said = { id, type, subject, source, at, payload, schemaVersion };
  const by = { correlationId, causationId, principal };
  return canonicalJson({ workspace, ...said, ...by }, `event ${id}`);
}

/** The text that a seal attests of an event: all that a reader gets. */
export function textOfStoredEvent(event: StoredEvent): string {
  return canonicalJson(event, `event ${event.id}`);
}

/** The text that an entry attests of a record's revision. */
export function textOfRevision(workspace: string, revision: AttestedRevision): string {
  const { kind, id, columns, body, by, reason, correlationId, removed } = revision;
  const of = { workspace, kind, id, revision: revision.revision, removed };
  return canonicalJson({ ...of, columns, body, by, reason, correlationId }, `${kind} ${id}`);
}
