import { createHash } from 'node:crypto';
import type { Change } from '../../contracts/metadata-store.ts';
import type { StoredRecord } from '../../contracts/record.ts';
import { KeelsonError } from '../../errors.ts';
import { canonicalJson, decodeJson, type JsonObject } from '../../json.ts';
import type { Attested } from './attestation.ts';

/** One link of a subject's audit chain. */
export interface AuditEntry {
  /** Such as `model:fraud`. */
  readonly subject: string;
  /** 1, 2, 3 … within the subject. */
  readonly sequence: number;
  /** Epoch ms. */
  readonly at: number;
  /** Who did it. */
  readonly principal: string;
  /** The type of the event that tells of it, or what was done to which kind of record. */
  readonly action: string;
  readonly reason?: string;
  readonly correlationId?: string;
  /** Events and revisions of records that came with the commit, each with its salted digest. */
  readonly attests: readonly Attested[];
  /** The digest of the entry before; empty for the first. */
  readonly previous: string;
  /** SHA-256 (hex) of the canonical JSON of all of the above and the workspace. */
  readonly digest: string;
}

export const entryKind = 'audit_entry';

/** Where an entry lies: everybody who appends this link to this chain wants the same place. */
export function entryId(subject: string, sequence: number): string {
  return `${sequence}:${subject}`;
}

/** The text whose SHA-256 an entry's digest is. */
export function textOfEntry(workspace: string, entry: Omit<AuditEntry, 'digest'>): string {
  const { subject, sequence, at, principal, action, reason, correlationId } = entry;
  const { attests, previous } = entry;
  const of = { workspace, subject, sequence, at, principal, action };
  return canonicalJson({ ...of, reason, correlationId, attests, previous }, 'entry');
}

/** SHA-256 (hex) of a text. */
export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** What the body of an entry's record has. */
export function bodyOfEntry({ attests, previous, reason, correlationId }: AuditEntry): JsonObject {
  return {
    attests: attests as unknown as readonly JsonObject[],
    previous,
    ...(reason === undefined ? {} : { reason }),
    ...(correlationId === undefined ? {} : { correlationId }),
  };
}

/** The change that appends an entry; its times are its own, so that no byte of the record is free. */
export function entryChange(entry: AuditEntry, salts: readonly string[]): Change {
  const { subject, sequence, at, principal, action, digest } = entry;
  return {
    op: 'restore',
    record: {
      kind: entryKind,
      id: entryId(subject, sequence),
      revision: 1,
      createdAt: at,
      updatedAt: at,
      columns: { subject, sequence, at, principal, action, digest, salts: JSON.stringify(salts) },
      body: bodyOfEntry(entry),
      facets: {},
    },
  };
}

/** An entry as its record has it, whether or not it is as it was. */
export function entryFromRecord({ columns, body }: StoredRecord): AuditEntry {
  return {
    subject: columns['subject'] as string,
    sequence: columns['sequence'] as number,
    at: columns['at'] as number,
    principal: columns['principal'] as string,
    action: columns['action'] as string,
    ...(body['reason'] === undefined ? {} : { reason: body['reason'] as string }),
    ...(body['correlationId'] === undefined
      ? {}
      : { correlationId: body['correlationId'] as string }),
    attests: Array.isArray(body['attests']) ? (body['attests'] as unknown as Attested[]) : [],
    previous: String(body['previous']),
    digest: columns['digest'] as string,
  };
}

/** The salts of an entry or a seal, as many as it attests things; CORRUPT for what is no such list. */
export function saltsOf(record: StoredRecord, count: number): readonly (string | null)[] {
  const salts = decodeJson(record.columns['salts'] as string);
  const fits = Array.isArray(salts) && salts.length === count;
  if (fits && salts.every((salt) => salt === null || typeof salt === 'string')) {
    return salts as readonly (string | null)[];
  }
  throw new KeelsonError('CORRUPT', `The salts of ${record.kind} ${record.id} are no list.`);
}
