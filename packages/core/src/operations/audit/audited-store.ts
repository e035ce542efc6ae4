import { setTimeout as wait } from 'node:timers/promises';
import type { EventDraft } from '../../contracts/event.ts';
import type {
  Change,
  Commit,
  CommitResult,
  MetadataStore,
} from '../../contracts/metadata-store.ts';
import type { Clock, Ids } from '../../contracts/ports.ts';
import { isKeelsonError, KeelsonError } from '../../errors.ts';
import { type Addition, additionsOf } from './attested-changes.ts';
import {
  type AuditEntry,
  entryChange,
  entryFromRecord,
  entryKind,
  sha256,
  textOfEntry,
} from './audit-entry.ts';
import { auditedKinds, isAuditedEvent } from './audited.ts';
import { findOrigin } from './chain-origin.ts';

const attempts = 30;
const keptHeads = 10_000;

/** The last link of a chain: what the next one names. */
interface Head {
  readonly sequence: number;
  readonly digest: string;
}

/**
 * A store whose commits append to the audit chains of the subjects that they concern: in the same commit,
 * so that there is neither a change without its entry nor an entry without its change. Who appends to one
 * chain at the same time as another begins again; chains of different subjects do not meet.
 */
export function auditedStore(
  store: MetadataStore,
  ports: { readonly clock: Clock; readonly ids: Ids },
): MetadataStore {
  /** What this process has read or appended; a chain that another process went on with is read again. */
  const heads = new Map<string, Head>();

  async function headOf(workspace: string, subject: string): Promise<Head> {
    const key = `${workspace}\n${subject}`;
    const kept = heads.get(key);
    if (kept !== undefined) return kept;
    const head = await readHead(store, workspace, subject);
    keep(key, head);
    return head;
  }

  function keep(key: string, head: Head): void {
    heads.delete(key);
    heads.set(key, head);
    if (heads.size <= keptHeads) return;
    const [oldest] = heads.keys();
    heads.delete(oldest as string);
  }

  function forget(workspace: string, additions: readonly Addition[]): void {
    for (const { subject } of additions) heads.delete(`${workspace}\n${subject}`);
  }

  async function append(commit: Commit, additions: readonly Addition[]): Promise<CommitResult> {
    const { workspace, changes, principal, reason, correlationId } = commit;
    const entries: AuditEntry[] = [];
    const more: Change[] = [];
    for (const addition of additions) {
      const { subject, attests, action, salts } = addition;
      const head = await headOf(workspace, subject);
      const at = Math.floor(ports.clock.now());
      const entry = {
        ...{ subject, sequence: head.sequence + 1, at, principal, action, attests },
        ...(reason === undefined ? {} : { reason }),
        ...(correlationId === undefined ? {} : { correlationId }),
        previous: head.digest,
      };
      const digest = sha256(textOfEntry(workspace, entry));
      entries.push({ ...entry, digest });
      more.push(entryChange({ ...entry, digest }, salts));
      if (!addition.announced) more.push({ op: 'emit', event: recorded(commit, entry) });
    }
    const result = await store.commit({ ...commit, changes: [...changes, ...more] });
    for (const { subject, sequence, digest } of entries) {
      keep(`${workspace}\n${subject}`, { sequence, digest });
    }
    return { ...result, revisions: result.revisions.slice(0, changes.length) };
  }

  /** Tells of an entry whose commit has no event of its subject: what is to be sealed is found by events. */
  function recorded(
    { principal, correlationId }: Commit,
    { subject, sequence, action, at }: Omit<AuditEntry, 'digest'>,
  ): EventDraft {
    const id = ports.ids.next();
    return {
      id,
      type: 'audit.recorded',
      subject: `audit:${subject}`,
      source: 'operations',
      at,
      payload: { subject, sequence, action },
      schemaVersion: 1,
      correlationId: correlationId ?? id,
      principal,
    };
  }

  async function commit(request: Commit): Promise<CommitResult> {
    if (!concerns(request)) return store.commit(request);
    const additions = await additionsOf(store, request);
    if (additions.length === 0) return store.commit(request);
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await append(request, additions);
      } catch (error) {
        // Also where nobody knows whether it is there: the next reads.
        forget(request.workspace, additions);
        if (!isLostRace(error) || attempt === attempts) throw error;
        await wait(Math.random() * Math.min(50, 2 * attempt));
      }
    }
  }

  return {
    now: () => store.now(),
    find: (...args) => store.find(...args),
    findMany: (...args) => store.findMany(...args),
    query: (...args) => store.query(...args),
    count: (...args) => store.count(...args),
    history: (...args) => store.history(...args),
    reach: (...args) => store.reach(...args),
    commit,
    readEvents: (...args) => store.readEvents(...args),
    removeEvents: (...args) => store.removeEvents(...args),
    latestEventCursor: () => store.latestEventCursor(),
    waitForEvents: (...args) => store.waitForEvents(...args),
    claim: (...args) => store.claim(...args),
    claimOwners: (...args) => store.claimOwners(...args),
    renew: (...args) => store.renew(...args),
    release: (...args) => store.release(...args),
    ping: (...args) => store.ping(...args),
    close: () => store.close(),
    [Symbol.asyncDispose]: () => store.close(),
  };
}

/** Whether a commit may have anything to be audited. */
function concerns({ changes }: Commit): boolean {
  return changes.some((change) => {
    if (change.op === 'emit') return isAuditedEvent(change.event.type);
    if (change.op === 'restore') return Object.hasOwn(auditedKinds, change.record.kind);
    return Object.hasOwn(auditedKinds, change.kind);
  });
}

/** Whether another has taken the place in a chain. */
function isLostRace(error: unknown): boolean {
  return isKeelsonError(error, 'CONFLICT') && error.details['kind'] === entryKind;
}

async function readHead(store: MetadataStore, workspace: string, subject: string): Promise<Head> {
  const origin = await findOrigin({ metadata: store, workspace }, subject);
  if (origin?.state === 'coming') {
    throw new KeelsonError(
      'CONFLICT',
      `${subject} is being imported; wait until it is here. An import that was killed is completed by importing the same archive again.`,
      { details: { subject, importing: true } },
    );
  }
  try {
    const { records } = await store.query(workspace, entryKind, {
      where: { op: 'compare', left: { from: 'column', name: 'subject' }, cmp: '=', value: subject },
      orderBy: [{ by: { from: 'column', name: 'sequence' }, direction: 'desc' }],
      limit: 1,
    });
    const [record] = records;
    return record === undefined ? { sequence: 0, digest: '' } : entryFromRecord(record);
  } catch (cause) {
    if (!isKeelsonError(cause, 'CORRUPT')) throw cause;
    throw new KeelsonError(
      'CORRUPT',
      `The audit chain of ${subject} cannot be continued: its last entry cannot be read. operations.audit.verify() says which it is; put it back from a backup.`,
      { cause, details: { subject } },
    );
  }
}
