import type { StoredEvent } from '../../contracts/event.ts';
import type { Change } from '../../contracts/metadata-store.ts';
import type { StoredRecord } from '../../contracts/record.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError } from '../../errors.ts';
import { columnIs } from '../every-record.ts';
import { freshSalt, saltedDigest, textOfStoredEvent } from './attestation.ts';
import { entryFromRecord, entryKind, sha256 } from './audit-entry.ts';
import { isAuditedEvent } from './audited.ts';
import { inOrder } from './in-order.ts';
import {
  type AuditSeal,
  bodyOfSeal,
  type SealedHead,
  sealId,
  sealKind,
  textOfSeal,
} from './seal.ts';

const sealedKind = 'audit_sealed';
const sealedId = 'audit-sealed';
const pageSize = 500;

/** How far a workspace is sealed. */
export interface Sealed {
  /** Of the last seal; 0 when there is none. */
  readonly number: number;
  readonly digest: string;
  /** Behind the last event that is sealed; absent when none is. */
  readonly cursor?: string;
  /** Of the record that says so; absent when there is none. */
  readonly revision?: number;
}

type SealingScope = Pick<Scope, 'metadata' | 'workspace' | 'principal' | 'clock'>;

/** How far the workspace is sealed, by the record that sealing goes on from. */
export async function readSealed({
  metadata,
  workspace,
}: Pick<Scope, 'metadata' | 'workspace'>): Promise<Sealed> {
  const record = await metadata.find(workspace, sealedKind, sealedId);
  if (record === undefined) return { number: 0, digest: '' };
  const { number, digest, cursor } = record.columns;
  return {
    number: number as number,
    digest: digest as string,
    ...(cursor === undefined ? {} : { cursor: cursor as string }),
    revision: record.revision,
  };
}

/**
 * Seals what came into the log of the workspace since the last seal, up to what is there when it begins;
 * answers how many seals were made. Several processes may do it at once: of two that make the same seal one
 * wins, and the other goes on behind it.
 */
export async function sealWorkspace(scope: SealingScope, signal?: AbortSignal): Promise<number> {
  const { metadata, workspace } = scope;
  for (let made = 0; ; ) {
    signal?.throwIfAborted();
    const sealed = await readSealed(scope);
    const from = sealed.cursor === undefined ? {} : { after: sealed.cursor };
    const { events } = await metadata.readEvents({ workspace, limit: pageSize, ...from });
    const last = events.at(-1);
    if (last === undefined) return made;
    if (await commitSeal(scope, sealed, events)) made += 1;
    if (events.length < pageSize) return made;
  }
}

/** Whether it was this process that made the seal. */
async function commitSeal(
  scope: SealingScope,
  sealed: Sealed,
  events: readonly StoredEvent[],
): Promise<boolean> {
  const { metadata, workspace, principal } = scope;
  const salts = events.map(() => freshSalt());
  const times = events.map(({ at }) => at);
  const at = Math.floor(scope.clock.now());
  const seal: Omit<AuditSeal, 'digest'> = {
    number: sealed.number + 1,
    at,
    previous: sealed.digest,
    heads: await headsOf(scope, events),
    events: events.map((event, i) => ({
      id: event.id,
      digest: saltedDigest(salts[i] as string, textOfStoredEvent(event)),
    })),
    ...(sealed.cursor === undefined ? {} : { after: sealed.cursor }),
    cursor: (events.at(-1) as StoredEvent).cursor,
    firstAt: Math.min(...times),
    lastAt: Math.max(...times),
  };
  const digest = sha256(textOfSeal(workspace, seal));
  const changes = [sealChange({ ...seal, digest }, salts), goOn(sealed, { ...seal, digest })];
  try {
    await metadata.commit({ workspace, principal: principal.id, changes });
    return true;
  } catch (error) {
    if (isKeelsonError(error, 'STALE', 'CONFLICT')) return false;
    throw error;
  }
}

/** The change that keeps a seal; its times are its own, so that no byte of the record is free. */
function sealChange(seal: AuditSeal, salts: readonly string[]): Change {
  const { number, at, digest } = seal;
  return {
    op: 'restore',
    record: {
      kind: sealKind,
      id: sealId(number),
      revision: 1,
      createdAt: at,
      updatedAt: at,
      columns: { number, at, digest, salts: JSON.stringify(salts) },
      body: bodyOfSeal(seal),
      facets: {},
    },
  };
}

function goOn({ revision }: Sealed, { number, digest, cursor }: AuditSeal): Change {
  const at = { kind: sealedKind, id: sealedId, columns: { number, digest, cursor } };
  return revision === undefined
    ? { op: 'create', ...at }
    : { op: 'replace', ...at, expect: revision };
}

/** The last entries of the chains that the events tell of: at least those that were appended with them. */
async function headsOf(
  { metadata, workspace }: SealingScope,
  events: readonly StoredEvent[],
): Promise<readonly SealedHead[]> {
  const subjects = [...new Set(events.flatMap(subjectsOf))];
  const heads = await inOrder(subjects, async (subject): Promise<SealedHead | undefined> => {
    const { records } = await metadata.query(workspace, entryKind, {
      where: columnIs('subject', subject),
      orderBy: [{ by: { from: 'column', name: 'sequence' }, direction: 'desc' }],
      limit: 1,
    });
    const record: StoredRecord | undefined = records[0];
    if (record === undefined) return undefined;
    const { sequence, digest } = entryFromRecord(record);
    return { subject, sequence, digest };
  });
  return heads.filter((head) => head !== undefined);
}

/** The subjects whose chains an event tells of. */
export function subjectsOf({ type, subject, payload }: StoredEvent): readonly string[] {
  if (type === 'audit.recorded') return [String(payload['subject'])];
  return type === 'model.imported' || isAuditedEvent(type) ? [subject] : [];
}
