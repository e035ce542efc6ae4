import type { EventDraft } from '../../contracts/event.ts';
import type { Predicate } from '../../contracts/query.ts';
import type { Scope } from '../../contracts/scope.ts';
import { columnIs, everyRecord } from '../every-record.ts';
import { textOfEvent } from './attestation.ts';
import { AttestedThings } from './attested-things.ts';
import { entryFromRecord, entryKind, saltsOf, textOfEntry } from './audit-entry.ts';
import { readOrigins, workspaceOf } from './chain-origin.ts';
import { sealFromRecord, sealKind, textOfSeal } from './seal.ts';

/** What of the trail is written. */
export interface AuditExportOptions {
  /** Only this subject's chain; all when left out. */
  readonly subject?: string;
  /** Also the events that entries attest, with their salts: whoever has the file can read them. */
  readonly events?: boolean;
  readonly signal?: AbortSignal;
}

const recipe =
  'Each line with `text` is a link: SHA-256 (hex) of the UTF-8 bytes of `text` is its `digest`. In `text`, `previous` is the digest of the link before: of the entry with the same `subject` and the `sequence` before, or of the seal with the `number` before (empty for the first). `heads` of a seal name the digests of entries. Each of `events` of an entry: SHA-256 of its `salt`, a line feed and its `text` is the digest that the entry attests under its id.';

const dayMs = 86_400_000;

/** The lines of an export, each with its line feed: what it is, the entries by subject, the seals. */
export async function* exportAudit(
  scope: Pick<Scope, 'metadata' | 'workspace' | 'artifacts' | 'clock'>,
  options: AuditExportOptions,
): AsyncGenerator<string, void, undefined> {
  const { workspace } = scope;
  const { subject, events = false, signal } = options;
  const things = new AttestedThings(scope);
  const line = (value: object): string => `${JSON.stringify(value)}\n`;
  yield line({
    format: 'keelson-audit',
    version: 1,
    workspace,
    ...(subject === undefined ? {} : { subject }),
    exportedAt: Math.floor(scope.clock.now()),
    recipe,
  });
  const where: { where?: Predicate } =
    subject === undefined ? {} : { where: columnIs('subject', subject) };
  const abort = signal === undefined ? {} : { signal };
  const orderBy = [ascending('subject'), ascending('sequence')];
  const origins = await readOrigins(scope, signal);
  for await (const record of everyRecord(scope, entryKind, { ...where, orderBy, ...abort })) {
    const entry = entryFromRecord(record);
    const origin = origins.get(entry.subject);
    const madeIn = workspaceOf(origin, entry.sequence, workspace);
    const link = { kind: 'entry', digest: entry.digest, text: textOfEntry(madeIn, entry) };
    if (!events) {
      yield line(link);
      continue;
    }
    const salts = saltsOf(record, entry.attests.length);
    const ids = entry.attests.flatMap((one) => ('event' in one ? [one.event] : []));
    const times = { firstAt: entry.at - dayMs, lastAt: entry.at + dayMs };
    const imported = entry.sequence <= (origin?.last ?? 0);
    const found = imported ? await things.imported(ids) : await eventsHere(things, ids, times);
    const attested = entry.attests.flatMap((one, i) => {
      const event = 'event' in one ? found.get(one.event) : undefined;
      const salt = salts[i];
      if (event === undefined || typeof salt !== 'string') return [];
      return [{ id: event.id, salt, text: textOfEvent(madeIn, event) }];
    });
    yield line({ ...link, events: attested });
  }
  for await (const record of everyRecord(scope, sealKind, {
    orderBy: [ascending('number')],
    limit: 20,
    ...abort,
  })) {
    const seal = sealFromRecord(record);
    yield line({ kind: 'seal', digest: seal.digest, text: textOfSeal(workspace, seal) });
  }
}

async function eventsHere(
  things: AttestedThings,
  ...of: Parameters<AttestedThings['events']>
): Promise<ReadonlyMap<string, EventDraft>> {
  const events = new Map<string, EventDraft>();
  for (const [id, found] of await things.events(...of)) {
    if ('event' in found) events.set(id, found.event);
  }
  return events;
}

function ascending(name: string) {
  return { by: { from: 'column', name }, direction: 'asc' } as const;
}
