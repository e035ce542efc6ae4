import { pipeline, Readable } from 'node:stream';
import type { ReadableStream as NodeReadable } from 'node:stream/web';
import { promisify } from 'node:util';
import { createGunzip, gzip } from 'node:zlib';
import type { NamedContents, References } from '../contracts/caretaker.ts';
import type { EventFilter, StoredEvent } from '../contracts/event.ts';
import type { Change } from '../contracts/metadata-store.ts';
import type { Predicate } from '../contracts/query.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { decodeJson, encodeJson, type JsonObject } from '../json.ts';

/** Events that were moved out of the log, as one content. */
export interface EventArchive {
  readonly id: string;
  /** 1, 2, 3 … in the order in which they were made. */
  readonly number: number;
  /** Of the gzipped lines, in the artifact store. */
  readonly sha256: string;
  readonly sizeBytes: number;
  /** How many events it has. */
  readonly events: number;
  /** The times of its earliest and latest event. */
  readonly firstAt: number;
  readonly lastAt: number;
  /** How many of each type. */
  readonly types: Readonly<Record<string, number>>;
  /** Whether some of its events may still be in the log too. */
  readonly isRemoving: boolean;
}

const kind = 'event_archive';
const format = { format: 'keelson-events', version: 1 } as const;
const compress = promisify(gzip);

/** Stores events as a content: gzipped lines of JSON, the first of which names the format. */
export async function putArchive(
  scope: Pick<Scope, 'artifacts'>,
  events: readonly StoredEvent[],
  signal: AbortSignal,
): Promise<{ readonly sha256: string; readonly sizeBytes: number }> {
  const lines = [encodeJson(format), ...events.map((event) => encodeJson(event, event.id)), ''];
  return scope.artifacts.put(await compress(lines.join('\n')), { signal });
}

/** The record of an archive whose content is stored. */
export function archiveRecord(
  id: string,
  number: number,
  content: { readonly sha256: string; readonly sizeBytes: number },
  events: readonly StoredEvent[],
): Change {
  const times = events.map(({ at }) => at);
  const types: Record<string, number> = {};
  for (const { type } of events) types[type] = (types[type] ?? 0) + 1;
  const { sha256, sizeBytes } = content;
  return {
    op: 'create',
    kind,
    id,
    columns: {
      ...{ number, sha256, sizeBytes, events: events.length, state: 'REMOVING' },
      firstAt: Math.min(...times),
      lastAt: Math.max(...times),
    },
    body: { types },
  };
}

/** The change that says that none of an archive's events is in the log any more. */
export function archiveRemoved(record: StoredRecord): Change {
  const { id, revision: expect } = record;
  return { op: 'replace', kind, id, expect, columns: { state: 'REMOVED' } };
}

/** Records of archives with a number above `after`, in order; only those that are being removed, if asked. */
export async function* archiveRecords(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  options: { readonly after?: number; readonly onlyRemoving?: boolean } = {},
): AsyncGenerator<StoredRecord, void, undefined> {
  let after = options.after ?? 0;
  for (;;) {
    const above: Predicate = { op: 'compare', left: column('number'), cmp: '>', value: after };
    const removing: Predicate = {
      op: 'compare',
      left: column('state'),
      cmp: '=',
      value: 'REMOVING',
    };
    const { records } = await scope.metadata.query(scope.workspace, kind, {
      where: options.onlyRemoving ? { op: 'and', of: [above, removing] } : above,
      orderBy: [{ by: column('number'), direction: 'asc' }],
      limit: 500,
    });
    yield* records;
    const last = records.at(-1);
    if (last === undefined || records.length < 500) return;
    after = last.columns['number'] as number;
  }
}

/** What a record of an archive says. */
export function archiveFromRecord({ id, columns, body }: StoredRecord): EventArchive {
  return {
    id,
    number: columns['number'] as number,
    sha256: columns['sha256'] as string,
    sizeBytes: columns['sizeBytes'] as number,
    events: columns['events'] as number,
    firstAt: columns['firstAt'] as number,
    lastAt: columns['lastAt'] as number,
    types: body['types'] as Readonly<Record<string, number>>,
    isRemoving: columns['state'] === 'REMOVING',
  };
}

/** The events of an archive, checked byte by byte on the way. CORRUPT for content that is no archive. */
export async function* readArchive(
  scope: Pick<Scope, 'artifacts'>,
  archive: EventArchive,
): AsyncGenerator<StoredEvent, void, undefined> {
  let read = -1;
  for await (const line of linesOf(await scope.artifacts.open(archive.sha256))) {
    if (read === -1) assertFormat(archive, line);
    else yield decodeJson(line) as unknown as StoredEvent;
    read += 1;
  }
  if (read === archive.events) return;
  throw corrupt(archive, `has ${Math.max(0, read)} events, not ${archive.events}`);
}

/** By line feeds alone: `readline` breaks lines at U+2028 too, which JSON text may have. */
async function* linesOf(
  content: ReadableStream<Uint8Array>,
): AsyncGenerator<string, void, undefined> {
  const unpacked = createGunzip();
  // Its fault is thrown where the lines are read; a reader that stops early ends both.
  pipeline(Readable.fromWeb(content as NodeReadable), unpacked, () => undefined);
  unpacked.setEncoding('utf8');
  let rest = '';
  for await (const text of unpacked) {
    const lines = `${rest}${text}`.split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
  if (rest !== '') yield rest;
}

function assertFormat(archive: EventArchive, line: string): void {
  const head = decodeJson(line) as JsonObject;
  if (head['format'] !== format.format) throw corrupt(archive, 'is no archive of events');
  if (head['version'] === format.version) return;
  throw new KeelsonError(
    'INCOMPATIBLE',
    `Archive ${archive.number} of events has version ${String(head['version'])}; this version reads ${format.version}. Update Keelson.`,
  );
}

function corrupt(archive: EventArchive, problem: string): KeelsonError {
  return new KeelsonError('CORRUPT', `The content of event archive ${archive.number} ${problem}.`, {
    details: { archive: archive.id, sha256: archive.sha256 },
  });
}

/** Whether an archive may have events that match. */
export function mayMatch(archive: EventArchive, filter: EventFilter): boolean {
  const { types, since, until } = filter;
  if (types !== undefined && !types.some((type) => Object.hasOwn(archive.types, type)))
    return false;
  if (since !== undefined && archive.lastAt < since) return false;
  return until === undefined || archive.firstAt < until;
}

/** Whether an event matches, as the stores say it. */
export function matchesFilter(event: StoredEvent, filter: EventFilter): boolean {
  const { ids, types, subjects, correlationId, since, until } = filter;
  return (
    (ids === undefined || ids.includes(event.id)) &&
    (types === undefined || types.includes(event.type)) &&
    (subjects === undefined || subjects.includes(event.subject)) &&
    (correlationId === undefined || event.correlationId === correlationId) &&
    (since === undefined || event.at >= since) &&
    (until === undefined || event.at < until)
  );
}

/** The contents that archives are, for whoever looks whether all of them are there. */
export const archiveContents: NamedContents = {
  kind,
  digests: ({ columns }) => [columns['sha256'] as string],
};

/** Which digests archives refer to. */
export function archiveReferences(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
): () => Promise<References> {
  return async () => ({
    async among(digests) {
      const found = new Set<string>();
      for (let i = 0; i < digests.length; i += 500) {
        const values = digests.slice(i, i + 500);
        const { records } = await scope.metadata.query(scope.workspace, kind, {
          where: { op: 'in', left: column('sha256'), values },
          limit: 1000,
        });
        for (const { columns } of records) found.add(columns['sha256'] as string);
      }
      return found;
    },
  });
}

function column(name: string): { readonly from: 'column'; readonly name: string } {
  return { from: 'column', name };
}
