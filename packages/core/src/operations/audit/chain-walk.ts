import type { Predicate } from '../../contracts/query.ts';
import type { StoredRecord } from '../../contracts/record.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError } from '../../errors.ts';
import {
  type Attested,
  type AttestedRevision,
  saltedDigest,
  textOfEvent,
  textOfRevision,
} from './attestation.ts';
import { AttestedThings, isBroken, recordKey } from './attested-things.ts';
import {
  type AuditEntry,
  bodyOfEntry,
  entryFromRecord,
  entryId,
  entryKind,
  sha256,
  textOfEntry,
} from './audit-entry.ts';
import type { Findings } from './audit-report.ts';
import { type ChainOrigin, readOrigins, workspaceOf } from './chain-origin.ts';
import { inOrder } from './in-order.ts';
import type { LastSealed } from './seal-walk.ts';
import { inspectLink } from './stored-links.ts';

const pageSize = 200;

type WalkScope = Pick<Scope, 'metadata' | 'workspace' | 'artifacts'>;

/** Where the walk stands in the chain of a subject. */
interface Place {
  readonly subject: string;
  sequence: number;
  digest: string;
  /** Below it, links were missing or could not be read: what the next names as its former is believed. */
  lost: boolean;
}

/** Walks the chains of all subjects, with what their entries attest. */
export async function walkChains(
  scope: WalkScope,
  findings: Findings,
  heads: Map<string, LastSealed>,
  options: {
    /** Subjects that events behind the last seal tell of. */
    readonly unsealed: ReadonlySet<string>;
    readonly signal: AbortSignal | undefined;
  },
): Promise<void> {
  const subjects = new Set([...heads.keys(), ...options.unsealed]);
  const things = new AttestedThings(scope);
  const origins = await originsHere(scope, findings, options.signal);
  let place: Place | undefined;

  function end(): void {
    if (place === undefined) return;
    const { subject, sequence } = place;
    const sealed = heads.get(subject);
    heads.delete(subject);
    if (sealed !== undefined && sealed.sequence > sequence)
      nameMissing(subject, sequence + 1, sealed);
    place = undefined;
  }

  function nameMissing(subject: string, from: number, sealed: LastSealed): void {
    const which = from === sealed.sequence ? `${from} is` : `${from} to ${sealed.sequence} are`;
    const problem = `The chain of ${subject} is cut off: ${which} missing, though seal ${sealed.seal} has them.`;
    findings.add({ what: 'entry', subject, sequence: from, problem });
  }

  for await (const page of entryPages(scope, subjects, options.signal)) {
    if ('why' in page) {
      const { subject, sequence, why } = page;
      if (subject !== place?.subject) {
        end();
        place = { subject, sequence: 0, digest: '', lost: false };
        findings.subjects += 1;
      }
      const problem = `Entry ${sequence} of ${subject} cannot be read: ${why}`;
      findings.add({ what: 'entry', subject, sequence, problem });
      place = { subject, sequence, digest: '', lost: true };
      continue;
    }
    const inspected: Inspected[] = [];
    for (const record of page) {
      const entry = entryFromRecord(record);
      const { subject } = entry;
      if (place === undefined || place.subject !== subject) {
        end();
        place = { subject, sequence: 0, digest: '', lost: false };
        findings.subjects += 1;
      }
      const origin = origins.get(subject);
      const workspace = workspaceOf(origin, entry.sequence, scope.workspace);
      const salts = inspectEntry(workspace, findings, place, record, entry);
      const sealed = heads.get(subject);
      if (sealed?.sequence === entry.sequence && sealed.digest !== entry.digest) {
        const problem = `Entry ${entry.sequence} of ${subject} has the digest ${entry.digest}, and seal ${sealed.seal} says ${sealed.digest}: the chain was written anew.`;
        findings.add({ what: 'entry', subject, sequence: entry.sequence, problem });
      }
      if (sealed === undefined || entry.sequence > sealed.sequence) findings.unsealedEntries += 1;
      const imported = origin !== undefined && entry.sequence <= origin.last;
      if (imported) inspectOrigin(findings, origin, entry);
      if (salts !== undefined && origin?.state !== 'coming') {
        inspected.push({ entry, salts, workspace, imported });
      }
      Object.assign(place, { sequence: entry.sequence, digest: entry.digest, lost: false });
      findings.entries += 1;
    }
    await inspectAttested(things, findings, inspected);
    findings.tell();
  }
  end();
  for (const { subject, state } of origins.values()) {
    if (state === 'coming') findings.coming.push(subject);
  }
  for (const [subject, sealed] of heads) nameMissing(subject, 1, sealed);
}

async function originsHere(
  scope: WalkScope,
  findings: Findings,
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<string, ChainOrigin>> {
  try {
    return await readOrigins(scope, signal);
  } catch (error) {
    if (!isKeelsonError(error, 'CORRUPT')) throw error;
    const problem = `Where imported chains were made cannot be read: ${error.message}`;
    findings.add({ what: 'record', problem });
    return new Map();
  }
}

interface Inspected {
  readonly entry: AuditEntry;
  readonly salts: readonly (string | null)[];
  /** Where it was made. */
  readonly workspace: string;
  /** Whether it came with an import, as the events that it attests did. */
  readonly imported: boolean;
}

/** Looks at whether an imported chain ends as it came. */
function inspectOrigin(findings: Findings, origin: ChainOrigin, entry: AuditEntry): void {
  findings.imported += 1;
  const { subject, sequence, digest } = entry;
  if (sequence !== origin.last || digest === origin.digest) return;
  const problem = `Entry ${sequence} of ${subject} has the digest ${digest}, and came with ${origin.digest}: the chain was written anew.`;
  findings.add({ what: 'entry', subject, sequence, problem });
}

/** Looks at an entry itself; its salts where it can be believed. */
function inspectEntry(
  workspace: string,
  findings: Findings,
  place: Place,
  record: StoredRecord,
  entry: AuditEntry,
): readonly (string | null)[] | undefined {
  const { subject, sequence } = entry;
  const gap = sequence - place.sequence - 1;
  if (gap > 0) {
    const which =
      gap === 1 ? `Entry ${sequence - 1}` : `Entries ${place.sequence + 1} to ${sequence - 1}`;
    const problem = `${which} of ${subject} ${gap === 1 ? 'is' : 'are'} missing.`;
    findings.add({ what: 'entry', subject, sequence: place.sequence + 1, problem });
  }
  const expected = gap > 0 || place.lost ? entry.previous : place.digest;
  const { problem, salts } = inspectLink({
    ...{
      record,
      id: entryId(subject, sequence),
      at: entry.at,
      body: bodyOfEntry(entry),
      count: entry.attests.length,
    },
    ...{ digest: entry.digest, computed: sha256(textOfEntry(workspace, entry)) },
    ...{ previous: entry.previous, expected },
  });
  if (problem === undefined) return salts;
  const said = `Entry ${sequence} of ${subject} is not as it was written: ${problem}.`;
  findings.add({ what: 'entry', subject, sequence, problem: said });
  return undefined;
}

/** Looks at what the entries of a page attest: events together, revisions of records one by one. */
async function inspectAttested(
  things: AttestedThings,
  findings: Findings,
  page: readonly Inspected[],
): Promise<void> {
  const all = page.flatMap(({ salts, ...of }) =>
    of.entry.attests.map((attested, i) => ({ ...of, attested, salt: salts[i] as string | null })),
  );
  const keys = [
    ...new Set(all.filter(({ salt }) => salt === null).map((one) => keyOf(one.attested))),
  ];
  const erased = await things.erased(keys);
  for (let i = 0; i < all.length; i += 400) {
    const part = all.slice(i, i + 400);
    const idsOf = (came: boolean): readonly string[] =>
      part.flatMap(({ attested, imported }) =>
        'event' in attested && imported === came ? [attested.event] : [],
      );
    const times = part.map(({ entry }) => entry.at);
    // Emitters and entries have their time from the same clock, but not in the same moment.
    const span = { firstAt: Math.min(...times) - skewMs, lastAt: Math.max(...times) + skewMs };
    const events = await things.events(idsOf(false), span);
    const came = await things.imported(idsOf(true));
    const found = await inOrder(part, wrongWith);
    for (const [index, { entry, attested }] of part.entries()) {
      const { subject, sequence } = entry;
      const problem = found[index];
      if (problem === undefined) continue;
      if (problem === 'erased') findings.erased += 1;
      else {
        const said = `${problem}: entry ${sequence} of ${subject} attests it.`;
        const which = 'event' in attested ? { event: attested.event } : {};
        const what = 'event' in attested ? 'event' : 'record';
        findings.add({ what, subject, sequence, ...which, problem: said });
      }
    }

    async function wrongWith({ attested, salt, workspace, imported }: (typeof all)[number]) {
      if ('event' in attested) {
        const here = events.get(attested.event);
        if (here?.state === 'unreadable') return `Event ${attested.event} cannot be read`;
        const event = here && 'event' in here ? here.event : came.get(attested.event);
        if (event === undefined) {
          return erased.has(attested.event) ? 'erased' : `Event ${attested.event} is missing`;
        }
        const name = `Event ${attested.event} (${event.type})`;
        if (salt === null) return `${name} has no salt, and is still there`;
        const same = saltedDigest(salt, textOfEvent(workspace, event)) === attested.digest;
        return same ? undefined : `${name}, or its salt, is not what it was`;
      }
      const { kind, id, revision, digest } = attested;
      const name = `Revision ${revision} of ${kind} ${id}`;
      if (salt === null) {
        return erased.has(keyOf(attested)) ? 'erased' : `${name} has no salt, and nobody erased it`;
      }
      try {
        const isSame = (one: AttestedRevision): boolean =>
          saltedDigest(salt, textOfRevision(workspace, one)) === digest;
        const found = await things.revision(kind, id, revision, isSame);
        if (found === 'same') return undefined;
        const came = imported && (await things.importedRevision(kind, id, revision));
        if (came && isSame(came)) return undefined;
        return found === 'missing'
          ? `${name} is missing`
          : `${name}, or its salt, is not what it was`;
      } catch (error) {
        if (!isBroken(error)) throw error;
        return `${name} cannot be read`;
      }
    }
  }
}

const skewMs = 86_400_000;

function keyOf(attested: Attested): string {
  return 'event' in attested ? attested.event : recordKey(attested.kind, attested.id);
}

/** An entry that cannot be read; sequence 0 where nothing says which it is. */
interface Unreadable extends Position {
  readonly why: string;
}

/** All entries in the order of subjects and sequences; what cannot be read is named in its place. */
async function* entryPages(
  scope: WalkScope,
  subjects: ReadonlySet<string>,
  signal: AbortSignal | undefined,
): AsyncGenerator<readonly StoredRecord[] | Unreadable, void, undefined> {
  const { metadata, workspace } = scope;
  const orderBy = [ascending('subject'), ascending('sequence')];
  let where: Predicate | undefined;
  let cursor: string | undefined;
  let limit = pageSize;
  let behind: Position | undefined;
  for (;;) {
    signal?.throwIfAborted();
    try {
      const from = {
        ...(where === undefined ? {} : { where }),
        ...(cursor === undefined ? {} : { cursor }),
      };
      const page = await metadata.query(workspace, entryKind, { orderBy, limit, ...from });
      if (page.records.length > 0) yield page.records;
      const last = page.records.at(-1);
      if (last !== undefined) behind = entryFromRecord(last);
      if (page.cursor === undefined) return;
      cursor = page.cursor;
    } catch (error) {
      if (!isKeelsonError(error, 'CORRUPT')) throw error;
      if (limit > 1) {
        limit = 1;
        continue;
      }
      const broken = await findBroken(scope, subjects, behind);
      yield { ...broken, why: error.message };
      if (broken.sequence === 0) return;
      behind = broken;
      where = isBehind(broken);
      cursor = undefined;
      limit = pageSize;
    }
  }
}

interface Position {
  readonly subject: string;
  readonly sequence: number;
}

/** The next entry of the chain, or the first of the next chain that anything names; sequence 0 for none. */
async function findBroken(
  { metadata, workspace }: WalkScope,
  subjects: ReadonlySet<string>,
  behind: Position | undefined,
): Promise<Position> {
  const next = [...subjects].filter(
    (subject) => behind === undefined || isAfter(subject, behind.subject),
  );
  next.sort((a, b) => (isAfter(a, b) ? 1 : -1));
  const places = [
    ...(behind === undefined ? [] : [{ subject: behind.subject, sequence: behind.sequence + 1 }]),
    ...next.map((subject) => ({ subject, sequence: 1 })),
  ];
  for (const place of places) {
    try {
      await metadata.find(workspace, entryKind, entryId(place.subject, place.sequence));
    } catch (error) {
      if (isKeelsonError(error, 'CORRUPT')) return place;
      throw error;
    }
  }
  return { subject: 'a subject that nothing else names', sequence: 0 };
}

/** By code points, as stores order text. */
function isAfter(a: string, b: string): boolean {
  return Buffer.compare(Buffer.from(a), Buffer.from(b)) > 0;
}

function ascending(name: string) {
  return { by: { from: 'column', name }, direction: 'asc' } as const;
}

function isBehind({ subject, sequence }: Position): Predicate {
  const compare = (name: string, cmp: '=' | '>', value: string | number): Predicate => ({
    op: 'compare',
    left: { from: 'column', name },
    cmp,
    value,
  });
  const same: Predicate = {
    op: 'and',
    of: [compare('subject', '=', subject), compare('sequence', '>', sequence)],
  };
  return { op: 'or', of: [same, compare('subject', '>', subject)] };
}
