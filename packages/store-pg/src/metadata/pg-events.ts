import { setTimeout as wait } from 'node:timers/promises';
import {
  decodeJson,
  type EventFilter,
  type JsonObject,
  KeelsonError,
  type StoredEvent,
} from '@keelson/core';
import type { PgDatabase } from '../connection/pg-database.ts';
import type { PgRow } from '../connection/pg-session.ts';
import { subjectKey } from './pg-commit.ts';

/** A place in the order of events: behind the event of this transaction and number. */
export interface EventPlace {
  readonly tx: number;
  readonly seq: number;
}

/** The place in a cursor. INVALID for a text that is none. */
export function eventPlace(cursor: string | undefined): EventPlace {
  if (cursor === undefined) return { tx: 0, seq: 0 };
  const parts = typeof cursor === 'string' ? /^([0-9]{1,15})\.([0-9]{1,15})$/.exec(cursor) : null;
  if (parts === null) {
    throw new KeelsonError('INVALID', `'${String(cursor)}' is no cursor of events.`);
  }
  return { tx: Number(parts[1]), seq: Number(parts[2]) };
}

function cursorOf({ tx, seq }: EventPlace): string {
  return `${tx}.${seq}`;
}

/** How far readers may go, and how far they could if nobody were writing. */
interface EventBound {
  /** All events of transactions below it are there. */
  readonly bound: number;
  /** Transactions from here on had not begun. */
  readonly ahead: number;
  /** The newest event below the bound. */
  readonly newest: EventPlace;
}

/** Looks at how far readers may go now. */
async function readBound(database: PgDatabase): Promise<EventBound> {
  const [row] = await database.read(`SELECT * FROM ${database.name('event_bound()')}`);
  return {
    bound: Number(row?.['bound']),
    ahead: Number(row?.['ahead']),
    newest: { tx: Number(row?.['tx'] ?? 0), seq: Number(row?.['seq'] ?? 0) },
  };
}

/** So long a reader waits at most for commits that were under way when it came. */
const settleMs = 1_000;

/**
 * Waits until what was being committed at `first` is there or is not: whoever commits an event and then
 * reads sees it, whatever else is committed at the same time. Gives up after a second.
 */
async function settled(database: PgDatabase, first: EventBound): Promise<EventBound> {
  const startedAt = performance.now();
  let now = first;
  for (let pauseMs = 1; now.bound < first.ahead; pauseMs = Math.min(2 * pauseMs, 50)) {
    if (performance.now() - startedAt > settleMs) break;
    await wait(pauseMs);
    now = await readBound(database);
  }
  return now;
}

/** What to read. */
export interface EventRequest {
  readonly workspace: string | undefined;
  readonly after: EventPlace;
  readonly filter: EventFilter;
  readonly limit: number;
}

/** Events behind a place, and the cursor to go on from. */
export async function readEvents(
  database: PgDatabase,
  request: EventRequest,
): Promise<{ readonly events: readonly StoredEvent[]; readonly cursor: string }> {
  const first = await readBound(database);
  const events = await readUpTo(database, request, first.bound);
  if (events.length === request.limit) return pageOf(events, request);
  // The page is not full: what was committed before this call, yet behind the bound, belongs to it.
  const last = await settled(database, first);
  if (last.bound > first.bound) {
    const after = later(request.after, { tx: first.bound, seq: 0 });
    const limit = request.limit - events.length;
    events.push(...(await readUpTo(database, { ...request, after, limit }, last.bound)));
    if (events.length === request.limit) return pageOf(events, request);
  }
  return { events, cursor: cursorOf(later(request.after, last.newest)) };
}

function pageOf(
  events: readonly StoredEvent[],
  { after }: EventRequest,
): { readonly events: readonly StoredEvent[]; readonly cursor: string } {
  return { events, cursor: events.at(-1)?.cursor ?? cursorOf(after) };
}

function isLater(a: EventPlace, b: EventPlace): boolean {
  return a.tx > b.tx || (a.tx === b.tx && a.seq > b.seq);
}

function later(a: EventPlace, b: EventPlace): EventPlace {
  return isLater(a, b) ? a : b;
}

/** The cursor behind the newest event. */
export async function latestEventCursor(database: PgDatabase): Promise<string> {
  const { newest } = await settled(database, await readBound(database));
  return cursorOf(newest);
}

/** Whether an event behind a place can be read; `soon` when one is there that cannot yet. */
export async function hasEvents(
  database: PgDatabase,
  after: EventPlace,
): Promise<'yes' | 'soon' | 'no'> {
  const { bound, ahead, newest } = await readBound(database);
  if (isLater(newest, after)) return 'yes';
  if (bound >= ahead) return 'no';
  const event = database.name('event');
  const rows = await database.read(`SELECT 1 FROM ${event} WHERE tx >= $1 LIMIT 1`, [bound]);
  return rows.length > 0 ? 'soon' : 'no';
}

async function readUpTo(
  database: PgDatabase,
  request: EventRequest,
  bound: number,
): Promise<StoredEvent[]> {
  const { workspace, after, filter, limit } = request;
  const values: unknown[] = [after.tx, after.seq, bound];
  const conditions = ['(tx, seq) > ($1::bigint, $2::bigint)', 'tx < $3::bigint'];
  const where = (condition: (place: string) => string, value: unknown): void => {
    values.push(value);
    conditions.push(condition(`$${values.length}`));
  };
  if (workspace !== undefined) where((place) => `ws = ${place}`, workspace);
  const { ids, types, subjects, correlationId, since, until, partition } = filter;
  if (ids !== undefined) where((place) => `id = ANY (${place}::text[])`, ids);
  if (types !== undefined) where((place) => `type = ANY (${place}::text[])`, types);
  if (subjects !== undefined) {
    where((place) => `subject = ANY (${place}::text[])`, subjects);
    if (workspace !== undefined) {
      const keys = subjects.map((subject) => subjectKey(workspace, subject));
      where((place) => `subject_key = ANY (${place}::uuid[])`, keys);
    }
  }
  if (correlationId !== undefined) {
    const digest = database.name('digest_of');
    where(
      (place) => `correlation = ${place} AND ${digest}(correlation) = ${digest}(${place})`,
      correlationId,
    );
  }
  if (since !== undefined) where((place) => `at >= ${place}::double precision`, since);
  if (until !== undefined) where((place) => `at < ${place}::double precision`, until);
  if (partition !== undefined) {
    const slot = `('x' || left(subject_key::text, 8))::bit(32)::bigint`;
    values.push(partition.of, partition.index);
    const last = values.length;
    conditions.push(`${slot} % $${last - 1}::bigint = $${last}::bigint`);
  }
  values.push(limit);
  const rows = await database.read(
    `SELECT tx, seq, ws, id, type, subject, subject_seq, source, at, schema_version, correlation,
       causation, principal, payload
     FROM ${database.name('event')} WHERE ${conditions.join(' AND ')}
     ORDER BY tx, seq LIMIT $${values.length}`,
    values,
  );
  return rows.map(readEvent);
}

/** Removes events; the numbers of their subjects go on behind them. */
export async function removeEvents(
  database: PgDatabase,
  workspace: string,
  ids: readonly string[],
): Promise<void> {
  const event = database.name('event');
  const end = database.name('event_end');
  // One statement: whoever numbers the next event sees the newest one, or what is kept of it.
  await database.transaction(async (transaction) => {
    await transaction.query(
      `WITH gone AS (
         DELETE FROM ${event} WHERE ws = $1 AND id = ANY ($2::text[]) RETURNING subject_key, subject_seq
       ), last AS (
         SELECT subject_key, max(subject_seq) AS subject_seq FROM gone GROUP BY subject_key
       )
       INSERT INTO ${end} AS e (subject_key, subject_seq)
       SELECT subject_key, subject_seq FROM last ORDER BY subject_key
       ON CONFLICT (subject_key) DO UPDATE
       SET subject_seq = greatest(e.subject_seq, excluded.subject_seq)`,
      [workspace, ids],
    );
  });
}

function readEvent(row: PgRow): StoredEvent {
  return {
    id: String(row['id']),
    type: String(row['type']),
    subject: String(row['subject']),
    source: String(row['source']),
    at: Number(row['at']),
    payload: decodeJson(String(row['payload'])) as JsonObject,
    schemaVersion: Number(row['schema_version']),
    correlationId: String(row['correlation']),
    ...(row['causation'] === null ? {} : { causationId: String(row['causation']) }),
    principal: String(row['principal']),
    workspace: String(row['ws']),
    subjectSequence: Number(row['subject_seq']),
    cursor: cursorOf({ tx: Number(row['tx']), seq: Number(row['seq']) }),
  };
}
