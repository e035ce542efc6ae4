import type { EventDraft } from '../../contracts/event.ts';
import type { Change, Commit, MetadataStore } from '../../contracts/metadata-store.ts';
import type { StoredRecord } from '../../contracts/record.ts';
import type { Scope } from '../../contracts/scope.ts';
import { asJson, type JsonObject } from '../../json.ts';
import { columnIs, everyRecord } from '../every-record.ts';
import type { AttestedRevision } from './attestation.ts';

/** A part of a chain, made in one workspace: from behind the stretch before it to `last`. */
export interface ChainStretch {
  readonly workspace: string;
  /** The sequence of its last entry. */
  readonly last: number;
}

/** Where a chain that came with an import was made. */
export interface ChainOrigin {
  readonly subject: string;
  /** The id of the record that the subject names. */
  readonly ownerId: string;
  /** Oldest first; their workspaces are part of what the digests are of. */
  readonly stretches: readonly ChainStretch[];
  /** The last entry that came, and its digest. */
  readonly last: number;
  readonly digest: string;
  /** `coming` until all is here that the entries attest. */
  readonly state: 'coming' | 'here';
}

export const originKind = 'audit_origin';
export const evidenceKind = 'imported_evidence';

/** Where an imported event lies as evidence, or a revision of a record that was removed. */
export function evidenceId(
  one: { readonly event: string } | Pick<AttestedRevision, 'kind' | 'id' | 'revision'>,
): string {
  return 'event' in one ? one.event : `revision:${one.revision}:${one.kind}:${one.id}`;
}

/** The change that keeps an event or a revision as evidence. */
export function evidenceChange(subject: string, one: EventDraft | AttestedRevision): Change {
  const isEvent = 'payload' in one;
  return {
    op: 'create',
    kind: evidenceKind,
    id: evidenceId(isEvent ? { event: one.id } : one),
    columns: { subject, what: isEvent ? 'event' : 'revision' },
    body: asJson(one) as JsonObject,
  };
}

/** Where the origin of a subject's chain lies. */
export function originId(subject: string): string {
  return `origin:${subject}`;
}

/** The change that makes it known. */
export function originChange(origin: ChainOrigin): Change {
  const { subject, ownerId, last, digest, state, stretches } = origin;
  return {
    op: 'create',
    kind: originKind,
    id: originId(subject),
    columns: { subject, ownerId, lastSequence: last, digest, state },
    body: { stretches: stretches.map(({ workspace, last: end }) => ({ workspace, last: end })) },
  };
}

/** An origin out of its record. */
export function originFromRecord({
  columns,
  body,
}: Pick<StoredRecord, 'columns' | 'body'>): ChainOrigin {
  const stretches = body['stretches'];
  return {
    subject: columns['subject'] as string,
    ownerId: columns['ownerId'] as string,
    last: columns['lastSequence'] as number,
    digest: columns['digest'] as string,
    state: columns['state'] as ChainOrigin['state'],
    stretches: Array.isArray(stretches) ? (stretches as unknown as readonly ChainStretch[]) : [],
  };
}

/** The workspace in which an entry was made. */
export function workspaceOf(
  origin: Pick<ChainOrigin, 'stretches'> | undefined,
  sequence: number,
  here: string,
): string {
  return origin?.stretches.find(({ last }) => sequence <= last)?.workspace ?? here;
}

/** The origin of a subject's chain; undefined for one that was made here. */
export async function findOrigin(
  { metadata, workspace }: Pick<Scope, 'metadata' | 'workspace'>,
  subject: string,
): Promise<ChainOrigin | undefined> {
  const record = await metadata.find(workspace, originKind, originId(subject));
  return record && originFromRecord(record);
}

/** The ids of the records of which an import has not brought yet what is their own. */
export async function comingOwners(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
): Promise<readonly string[]> {
  const where = columnIs('state', 'coming');
  const coming = await Array.fromAsync(everyRecord(scope, originKind, { where }));
  return coming.map(({ columns }) => String(columns['ownerId']));
}

/** All origins, by subject. */
export async function readOrigins(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  signal?: AbortSignal,
): Promise<ReadonlyMap<string, ChainOrigin>> {
  const origins = new Map<string, ChainOrigin>();
  const abort = signal === undefined ? {} : { signal };
  for await (const record of everyRecord(scope, originKind, abort)) {
    const origin = originFromRecord(record);
    origins.set(origin.subject, origin);
  }
  return origins;
}

/** The origins that a commit makes, moves on or asserts, and which are still coming before it. */
export async function originsOf(
  store: Pick<MetadataStore, 'find'>,
  { workspace, changes }: Commit,
): Promise<readonly ChainOrigin[]> {
  const origins: ChainOrigin[] = [];
  for (const change of changes) {
    if (change.op === 'restore' || change.op === 'emit' || change.kind !== originKind) continue;
    if (change.op === 'create') {
      const { columns, body = {} } = change;
      origins.push(originFromRecord({ columns, body }));
      continue;
    }
    const record = await store.find(workspace, originKind, change.id);
    const origin = record && originFromRecord(record);
    if (origin?.state === 'coming') origins.push(origin);
  }
  return origins;
}
