import type { EventDraft, EventFilter, StoredEvent } from '../contracts/event.ts';
import { KeelsonError } from '../errors.ts';
import { decodeJson, type JsonObject } from '../json.ts';
import { emittedBefore, type SqlRow, type SqlValue } from '../sql/index.ts';
import type { SqliteDatabase } from './sqlite-database.ts';
import { isConstraint } from './sqlite-error.ts';

/** Appends an event under its subject's next number, inside a write. */
export function appendEvent(
  db: SqliteDatabase,
  workspace: string,
  event: EventDraft,
  payload: string,
): void {
  const insert = db.prepare(
    `INSERT INTO event
     (ws, id, type, subject, subject_seq, source, at, schema_version, correlation, causation,
      principal, payload)
     VALUES (?1, ?2, ?3, ?4,
       coalesce(
         (SELECT max(subject_seq) FROM event WHERE ws = ?1 AND subject = ?4),
         (SELECT subject_seq FROM event_end WHERE ws = ?1 AND subject = ?4), 0) + 1,
       ?5, ?6, ?7, ?8, ?9, ?10, ?11)`,
  );
  try {
    insert.run(
      workspace,
      event.id,
      event.type,
      event.subject,
      event.source,
      event.at,
      event.schemaVersion,
      event.correlationId,
      event.causationId ?? null,
      event.principal,
      payload,
    );
  } catch (error) {
    if (!isConstraint(error)) throw error;
    throw emittedBefore(event, error);
  }
}

/** The number of the newest event; 0 when there is none. SQLite has one writer: it is commit order. */
export function latestEvent(db: SqliteDatabase): number {
  return Number(db.prepare('SELECT max(seq) AS seq FROM event').get()?.['seq'] ?? 0);
}

/** The number in a cursor. INVALID for a text that is none. */
export function eventNumber(cursor: string): number {
  if (typeof cursor === 'string' && /^(0|[1-9][0-9]{0,14})$/.test(cursor)) return Number(cursor);
  throw new KeelsonError('INVALID', `'${String(cursor)}' is no cursor of events.`);
}

/** Events behind a number, and the cursor to go on from. Inside one read transaction. */
export function readEvents(
  db: SqliteDatabase,
  request: {
    readonly workspace: string | undefined;
    readonly after: number;
    readonly filter: EventFilter;
    readonly limit: number;
  },
): { readonly events: readonly StoredEvent[]; readonly cursor: string } {
  const { workspace, after, filter, limit } = request;
  const conditions = ['seq > ?'];
  const values: SqlValue[] = [after];
  const where = (condition: string, value: SqlValue): void => {
    conditions.push(condition);
    values.push(value);
  };
  if (workspace !== undefined) where('ws = ?', workspace);
  const { ids, types, subjects, correlationId, since, until, partition } = filter;
  if (ids !== undefined) where(`id IN ${textList}`, JSON.stringify(ids));
  if (types !== undefined) where(`type IN ${textList}`, JSON.stringify(types));
  if (subjects !== undefined) where(`subject IN ${textList}`, JSON.stringify(subjects));
  if (correlationId !== undefined) where('correlation = ?', correlationId);
  if (since !== undefined) where('at >= ?', since);
  if (until !== undefined) where('at < ?', until);
  // Last: of the conditions it is the one that costs.
  if (partition !== undefined) {
    conditions.push('keelson_slot(subject) % ? = ?');
    values.push(partition.of, partition.index);
  }
  // Left to itself, SQLite walks all events in their order.
  const byId = ids !== undefined && workspace !== undefined ? 'INDEXED BY event_id' : '';
  const text = `SELECT seq, ws, id, type, subject, subject_seq, source, at, schema_version,
    correlation, causation, principal, payload
    FROM event ${byId} WHERE ${conditions.join(' AND ')} ORDER BY seq LIMIT ?`;
  const events = db
    .prepare(text)
    .all(...values, limit)
    .map(readEvent);
  // A page that is not full has seen everything there is: go on behind the newest.
  const cursor =
    events.length === limit
      ? (events.at(-1)?.cursor ?? String(after))
      : String(Math.max(after, latestEvent(db)));
  return { events, cursor };
}

/** Removes events; the numbers of their subjects go on behind them. Inside a write. */
export function removeEvents(db: SqliteDatabase, workspace: string, ids: readonly string[]): void {
  const list = JSON.stringify(ids);
  db.prepare(
    `INSERT INTO event_end (ws, subject, subject_seq)
     SELECT ws, subject, max(subject_seq) FROM event INDEXED BY event_id
     WHERE ws = ? AND id IN ${textList} GROUP BY ws, subject
     ON CONFLICT DO UPDATE SET subject_seq = max(subject_seq, excluded.subject_seq)`,
  ).run(workspace, list);
  db.prepare(`DELETE FROM event INDEXED BY event_id WHERE ws = ? AND id IN ${textList}`).run(
    workspace,
    list,
  );
}

/** Where a subject falls: a number that spreads evenly (FNV-1a with a finishing mix), the same for ever. */
export function subjectSlot(subject: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < subject.length; i += 1) {
    hash = Math.imul(hash ^ subject.charCodeAt(i), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

const textList = '(SELECT value FROM json_each(?))';

function readEvent(row: SqlRow): StoredEvent {
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
    cursor: String(row['seq']),
  };
}
