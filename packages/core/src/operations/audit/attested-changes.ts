import type { Change, Commit, MetadataStore } from '../../contracts/metadata-store.ts';
import type { Columns } from '../../contracts/record.ts';
import type { JsonObject } from '../../json.ts';
import { missingRecord, staleRecord } from '../../sql/index.ts';
import {
  type Attested,
  type AttestedRevision,
  freshSalt,
  saltedDigest,
  textOfEvent,
  textOfRevision,
} from './attestation.ts';
import { type AuditedKind, auditedKinds, isAuditedEvent } from './audited.ts';
import { type ChainOrigin, originsOf } from './chain-origin.ts';

/** What a commit adds to the chain of one subject. */
export interface Addition {
  readonly subject: string;
  readonly attests: Attested[];
  readonly salts: string[];
  /** What was done, in the words of its first event, or of its first change. */
  action: string;
  /** Whether an event in the commit names the subject, so that sealing learns of it. */
  announced: boolean;
}

/** What audited parts of records a revision is attested by. */
export function attestedParts(
  { counted = [], looseBody }: AuditedKind,
  columns: Columns,
  body: JsonObject,
): { readonly columns: Columns; readonly body: JsonObject } {
  const kept = Object.entries(columns).filter(([name]) => !counted.includes(name));
  return { columns: Object.fromEntries(kept), body: looseBody === true ? {} : body };
}

type Written = Extract<Change, { op: 'create' | 'restore' | 'replace' | 'remove' }>;

type Replaced = Extract<Change, { op: 'replace' | 'remove' }>;

/** A record as it is after the changes so far. */
interface Known {
  readonly revision: number;
  readonly columns: Columns;
  readonly body: JsonObject;
}

/**
 * By subject, what of a commit is audited. Reads what replaced and removed records were. Records that are
 * restored with a chain which attests them already are attested by nothing else.
 */
export async function additionsOf(
  store: Pick<MetadataStore, 'find'>,
  commit: Commit,
): Promise<readonly Addition[]> {
  const additions = new Map<string, Addition>();
  const known = new Map<string, Known>();
  const { workspace } = commit;
  const origins = await originsOf(store, commit);

  function add(subject: string, action: string, attested: Attested, salt: string): void {
    let addition = additions.get(subject);
    if (addition === undefined) {
      addition = { subject, attests: [], salts: [], action, announced: false };
      additions.set(subject, addition);
    }
    addition.attests.push(attested);
    addition.salts.push(salt);
  }

  /** What a change is made to; refused as the store would refuse it. */
  async function before({ op, kind, id, expect }: Replaced): Promise<Known> {
    const mine = known.get(`${kind}\n${id}`);
    const record = mine ?? (await store.find(workspace, kind, id));
    if (record?.revision === expect) return record;
    if (record === undefined && op === 'replace') throw missingRecord({ kind, id });
    throw staleRecord({ kind, id }, expect, record?.revision);
  }

  async function after(change: Written): Promise<Known & { readonly id: string }> {
    switch (change.op) {
      case 'create': {
        const { id, columns, body = {} } = change;
        return { id, revision: 1, columns, body };
      }
      case 'restore':
        return change.record;
      case 'replace': {
        const { id, expect, columns } = change;
        const old = await before(change);
        const merged = { ...old.columns, ...columns };
        return { id, revision: expect + 1, columns: merged, body: change.body ?? old.body };
      }
      case 'remove': {
        const { id, expect } = change;
        const { columns, body } = await before(change);
        return { id, revision: expect + 1, columns, body };
      }
    }
  }

  async function subjectOf(rule: AuditedKind, record: Known & { id: string }): Promise<string> {
    if (rule.subject !== undefined) return rule.subject(record);
    const { owner } = rule;
    const id = owner && record.columns[owner.column];
    if (owner === undefined || typeof id !== 'string') return `record:${record.id}`;
    const found =
      known.get(`${owner.kind}\n${id}`) ?? (await store.find(workspace, owner.kind, id));
    return found === undefined
      ? `${owner.kind}:${id}`
      : (auditedKinds[owner.kind]?.subject?.({ id, columns: found.columns }) ??
          `${owner.kind}:${id}`);
  }

  async function attestRecord(rule: AuditedKind, kind: string, change: Written): Promise<void> {
    const record = await after(change);
    known.set(`${kind}\n${record.id}`, record);
    if (isUpkeep(rule, change)) return;
    if (change.op === 'restore' && origins.some((one) => comesWith(one, rule, record))) return;
    const removed = change.op === 'remove';
    const last = change.op === 'restore' ? change.history?.at(-1) : undefined;
    const { by, reason, correlationId } = last ?? { ...commit, by: commit.principal };
    const revision: AttestedRevision = {
      kind,
      id: record.id,
      revision: record.revision,
      ...attestedParts(rule, record.columns, record.body),
      ...(rule.creationOnly === true ? { by: '' } : { by, reason, correlationId }),
      removed,
    };
    const salt = freshSalt();
    const digest = saltedDigest(salt, textOfRevision(workspace, revision));
    const attested = { kind, id: record.id, revision: record.revision, digest };
    add(await subjectOf(rule, record), `${kind} ${doneBy[change.op]}`, attested, salt);
  }

  for (const change of commit.changes) {
    if (change.op === 'emit') continue;
    const kind = change.op === 'restore' ? change.record.kind : change.kind;
    const rule = Object.hasOwn(auditedKinds, kind) ? auditedKinds[kind] : undefined;
    if (rule !== undefined && isWritten(change)) await attestRecord(rule, kind, change);
  }
  for (const change of commit.changes) {
    if (change.op !== 'emit' || !isAuditedEvent(change.event.type)) continue;
    const { event } = change;
    const salt = freshSalt();
    const digest = saltedDigest(salt, textOfEvent(workspace, event));
    const first = additions.get(event.subject)?.announced !== true;
    add(event.subject, event.type, { event: event.id, digest }, salt);
    const addition = additions.get(event.subject) as Addition;
    if (first) addition.action = event.type;
    addition.announced = true;
  }
  return [...additions.values()];
}

const doneBy = {
  create: 'created',
  restore: 'restored',
  replace: 'changed',
  remove: 'removed',
} as const;

function comesWith(
  { subject, ownerId }: ChainOrigin,
  rule: AuditedKind,
  record: Known & { readonly id: string },
): boolean {
  if (rule.subject !== undefined) return rule.subject(record) === subject;
  return rule.owner !== undefined && record.columns[rule.owner.column] === ownerId;
}

function isWritten(change: Change): change is Written {
  return Object.hasOwn(doneBy, change.op);
}

function isUpkeep({ onlyOf, creationOnly }: AuditedKind, change: Written): boolean {
  if (creationOnly === true) return change.op !== 'create' && change.op !== 'restore';
  if (onlyOf === undefined || change.op !== 'replace') return false;
  return !onlyOf.some((name) => change.columns !== undefined && name in change.columns);
}
