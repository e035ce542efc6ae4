import type { StoredEvent } from '../../contracts/event.ts';
import type { StoredRecord } from '../../contracts/record.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError } from '../../errors.ts';
import { saltedDigest, textOfStoredEvent } from './attestation.ts';
import { AttestedThings } from './attested-things.ts';
import { sha256 } from './audit-entry.ts';
import type { Findings } from './audit-report.ts';
import type { EntriesOfEvents } from './entries-of-events.ts';
import {
  type AuditSeal,
  bodyOfSeal,
  sealFromRecord,
  sealId,
  sealKind,
  textOfSeal,
} from './seal.ts';
import { readSealed, type Sealed } from './sealing.ts';
import { inspectLink } from './stored-links.ts';

/** Where a subject's chain must at least come to. */
export interface LastSealed {
  readonly sequence: number;
  readonly digest: string;
  readonly seal: number;
}

/** What the workspace's chain says of the rest. */
export interface WalkedSeals {
  /** The last head of each subject that was sealed. */
  readonly heads: Map<string, LastSealed>;
  /** Where the log goes on unsealed. */
  readonly cursor: string | undefined;
  readonly last: { readonly number: number; readonly digest: string } | undefined;
}

const maxGap = 1000;

type WalkScope = Pick<Scope, 'metadata' | 'workspace' | 'artifacts'>;

/** Walks the workspace's chain from its first seal, with the events in its ranges. */
export async function walkSeals(
  scope: WalkScope,
  findings: Findings,
  options: {
    readonly entries: EntriesOfEvents;
    readonly anchor?: { readonly number: number; readonly digest: string } | undefined;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<WalkedSeals> {
  const { metadata, workspace } = scope;
  const { anchor, signal, entries } = options;
  const things = new AttestedThings(scope);
  const heads = new Map<string, LastSealed>();
  const sealed = await readSealedRecord(scope, findings);
  const { count } = await metadata.count(workspace, sealKind, undefined, { exact: true });
  let found = 0;
  let missing = 0;
  let expected = '';
  let cursor: string | undefined;
  let last: WalkedSeals['last'];
  // As many as there are, whatever they say of their numbers; a gap is not searched without end.
  for (let number = 1; found < count && missing < maxGap; number += 1) {
    signal?.throwIfAborted();
    const at = { what: 'seal', seal: number } as const;
    const record = await readOne(scope, number);
    if (record === undefined) {
      missing += 1;
      continue;
    }
    if (missing > 0) nameMissing(findings, number - missing, number - 1);
    // What stands behind a gap says itself what it follows.
    const isBehindGap = missing > 0;
    missing = 0;
    found += 1;
    if (typeof record === 'string') {
      findings.add({ ...at, problem: `Seal ${number} ${record}.` });
      expected = await previousOf(scope, number + 1);
      continue;
    }
    const seal = sealFromRecord(record);
    if (isBehindGap) expected = seal.previous;
    const computed = sha256(textOfSeal(workspace, seal));
    const { problem, salts } = inspectLink({
      ...{
        record,
        id: sealId(number),
        at: seal.at,
        body: bodyOfSeal(seal),
        count: seal.events.length,
      },
      ...{ digest: seal.digest, computed, previous: seal.previous, expected },
    });
    if (problem !== undefined || seal.number !== number) {
      const said = problem ?? `it says that it is seal ${seal.number}`;
      findings.add({ ...at, problem: `Seal ${number} is not as it was made: ${said}.` });
    }
    if (anchor?.number === number && anchor.digest !== seal.digest) {
      const said = `Seal ${number} has the digest ${seal.digest}, and the anchor says ${anchor.digest}: the chain was written anew.`;
      findings.add({ ...at, problem: said });
    }
    // A seal that is not as it was made says nothing about others.
    if (problem === undefined) {
      if (cursor !== undefined && seal.after !== cursor) {
        const said = `Seal ${number} begins behind ${seal.after ?? 'nothing'}, and the seal before it ends at ${cursor}: what lies between is not sealed.`;
        findings.add({ ...at, problem: said });
      }
      for (const { subject, sequence, digest } of seal.heads) {
        heads.set(subject, { sequence, digest, seal: number });
      }
      await inspectEvents({ metadata, workspace, things, findings, entries }, seal, salts);
    }
    expected = seal.digest;
    cursor = problem === undefined ? seal.cursor : undefined;
    last = { number, digest: seal.digest };
    findings.seals += 1;
    findings.tell();
  }
  // Of a last seal that says nothing, the record that sealing goes on from knows the end.
  cursor ??= sealed.cursor;
  const behind = (last?.number ?? 0) + 1;
  if (sealed.number >= behind) nameMissing(findings, behind, sealed.number);
  else if (sealed.number === last?.number) {
    const same = sealed.digest === last.digest && sealed.cursor === cursor;
    const problem = `Seal ${sealed.number} is not what sealing goes on from: that says ${sealed.digest} at ${sealed.cursor}, not ${last.digest} at ${cursor}.`;
    if (!same) findings.add({ what: 'seal', seal: sealed.number, problem });
  } else if (sealed.number < (last?.number ?? 0) && (await isAsBefore(scope, sealed))) {
    const problem = `Sealing goes on from seal ${sealed.number}, but there is a seal ${last?.number}.`;
    findings.add({ what: 'seal', seal: sealed.number + 1, problem });
  }
  if (anchor !== undefined && anchor.number >= behind) {
    const problem = `Seal ${anchor.number}, which the anchor names, is missing.`;
    findings.add({ what: 'seal', seal: anchor.number, problem });
  }
  return { heads, cursor, last };
}

async function readSealedRecord(scope: WalkScope, findings: Findings): Promise<Sealed> {
  try {
    return await readSealed(scope);
  } catch (error) {
    if (!isKeelsonError(error, 'CORRUPT')) throw error;
    findings.add({ what: 'seal', problem: 'How far the workspace is sealed cannot be read.' });
    return { number: 0, digest: '' };
  }
}

/** Whether no seal was made meanwhile. */
async function isAsBefore(
  scope: WalkScope,
  sealed: { readonly number: number; readonly digest: string },
): Promise<boolean> {
  const now = await readSealed(scope);
  return now.number === sealed.number && now.digest === sealed.digest;
}

function nameMissing(findings: Findings, from: number, to: number): void {
  const which = from === to ? `Seal ${from} is` : `Seals ${from} to ${to} are`;
  findings.add({ what: 'seal', seal: from, problem: `${which} missing.` });
}

async function readOne(
  { metadata, workspace }: WalkScope,
  number: number,
): Promise<StoredRecord | string | undefined> {
  try {
    return await metadata.find(workspace, sealKind, sealId(number));
  } catch (error) {
    if (!isKeelsonError(error, 'CORRUPT')) throw error;
    return `cannot be read: ${error.message}`;
  }
}

/** What the seal of the number says of the one before it. */
async function previousOf(scope: WalkScope, number: number): Promise<string> {
  const record = await readOne(scope, number);
  return record === undefined || typeof record === 'string' ? '' : sealFromRecord(record).previous;
}

interface EventWalk {
  readonly metadata: Scope['metadata'];
  readonly workspace: string;
  readonly things: AttestedThings;
  readonly findings: Findings;
  readonly entries: EntriesOfEvents;
}

async function inspectEvents(
  walk: EventWalk,
  seal: AuditSeal,
  salts: readonly (string | null)[],
): Promise<void> {
  const { things, findings, entries } = walk;
  const ids = seal.events.map(({ id }) => id);
  await findInserted(walk, seal, new Set(ids));
  const found = await things.events(ids, seal);
  const gone = ids.filter((id, i) => salts[i] === null || found.get(id)?.state === 'missing');
  const erased = await things.erased(gone);
  for (const [i, { id, digest }] of seal.events.entries()) {
    findings.events += 1;
    const salt = salts[i];
    const here = found.get(id);
    const add = (subject: string | undefined, problem: string): void =>
      findings.add({
        ...{ what: 'event', event: id, seal: seal.number, problem },
        ...(subject === undefined ? {} : { subject }),
      });
    if (here?.state === 'unreadable') {
      add(undefined, `Event ${id} cannot be read: ${here.why}`);
    } else if (here === undefined || here.state === 'missing') {
      if (erased.has(id)) findings.erased += 1;
      else add(undefined, `Event ${id} is missing: it is neither in the log nor in an archive.`);
    } else if (typeof salt !== 'string') {
      const known = erased.has(id)
        ? 'was erased, and is still there: erase it again'
        : 'has no salt, and nobody erased it';
      add(
        here.event.subject,
        `Event ${id} (${here.event.type} of ${here.event.subject}) ${known}.`,
      );
    } else {
      if (here.state === 'archive') findings.archivedEvents += 1;
      if (saltedDigest(salt, textOfStoredEvent(here.event)) === digest) continue;
      const { type, subject } = here.event;
      add(
        subject,
        `Event ${id} (${type} of ${subject}), or its salt in seal ${seal.number}, is not what it was when the seal was made.`,
      );
    }
  }
  const there = seal.events.flatMap(({ id }) => {
    const here = found.get(id);
    return here !== undefined && 'event' in here ? [here.event] : [];
  });
  await entries.mustAttest(there);
}

/** Names events in the range of a seal that it does not have. */
async function findInserted(
  { metadata, workspace, findings }: EventWalk,
  seal: AuditSeal,
  sealed: ReadonlySet<string>,
): Promise<void> {
  const limit = Math.min(1000, sealed.size + 50);
  const from = seal.after === undefined ? {} : { after: seal.after };
  let page: readonly StoredEvent[];
  try {
    page = (await metadata.readEvents({ workspace, limit, ...from })).events;
    const strange = page.filter(({ id }) => !sealed.has(id));
    if (strange.length === 0) return;
    const end = page.findIndex(({ cursor }) => cursor === seal.cursor);
    if (end >= 0) page = page.slice(0, end + 1);
    else {
      const next = await metadata.readEvents({ workspace, limit: 1, after: seal.cursor });
      const [first] = next.events;
      const cut = first === undefined ? -1 : page.findIndex(({ id }) => id === first.id);
      if (cut >= 0) page = page.slice(0, cut);
    }
  } catch (error) {
    // The one that cannot be read is named where the sealed ones are looked at.
    if (!isKeelsonError(error, 'CORRUPT')) throw error;
    return;
  }
  for (const { id, type, subject } of page) {
    if (sealed.has(id)) continue;
    const problem = `Event ${id} (${type} of ${subject}) lies in the range of seal ${seal.number}, which does not have it.`;
    findings.add({ what: 'event', event: id, subject, seal: seal.number, problem });
  }
}
