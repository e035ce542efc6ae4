import { KeelsonError } from '../errors.ts';
import { compareText } from '../language/stored-value.ts';
import type { CompareWriters } from '../sql/series-points.ts';
import type { SqliteDatabase } from './sqlite-database.ts';

/** The stream number under which the sequence numbers of points are kept. */
export const pointStream = 0;

/** How far a writer may run ahead of a number that it has left out. */
const longestGap = 1_000;

/**
 * Takes a sequence number of a writer in a stream: false when it was taken before. Inside a write, so
 * that number and data are stored together or not at all. Numbers may come out of order; INVALID when
 * a thousand of them wait for one that is missing.
 */
export function takeSequence(
  database: SqliteDatabase,
  wid: number,
  stream: number,
  sequence: number,
): boolean {
  const row = database
    .prepare('SELECT upto, ahead FROM writer_sequence WHERE wid = ? AND stream = ?')
    .get(wid, stream);
  let upto = Number(row?.['upto'] ?? 0);
  const ahead = new Set<number>(JSON.parse(String(row?.['ahead'] ?? '[]')));
  if (sequence <= upto || ahead.has(sequence)) return false;
  ahead.add(sequence);
  while (ahead.delete(upto + 1)) upto++;
  if (ahead.size > longestGap) {
    throw new KeelsonError(
      'INVALID',
      `Batch ${upto + 1} of this writer never came, though ${longestGap} later ones did; number batches 1, 2, 3 …`,
      { details: { missing: upto + 1, sequence } },
    );
  }
  database
    .prepare(
      `INSERT INTO writer_sequence(wid, stream, upto, ahead) VALUES (?, ?, ?, ?)
       ON CONFLICT(wid, stream) DO UPDATE SET upto = excluded.upto, ahead = excluded.ahead`,
    )
    .run(wid, stream, upto, JSON.stringify([...ahead]));
  return true;
}

/** The number of a writer, allotted if need be. Only inside a write. */
export function widOf(database: SqliteDatabase, writer: string): number {
  const row = database.prepare('SELECT wid FROM writer WHERE writer = ?').get(writer);
  if (row !== undefined) return Number(row['wid']);
  const made = database.prepare('INSERT INTO writer(writer) VALUES (?)').run(writer);
  return Number(made.lastInsertRowid);
}

/** How the numbers of two writers compare: as their ids do. */
export function writerOrder(database: SqliteDatabase): CompareWriters {
  const texts = new Map<number, string>();
  const textOf = (wid: number): string => {
    let text = texts.get(wid);
    if (text === undefined) {
      const row = database.prepare('SELECT writer FROM writer WHERE wid = ?').get(wid);
      text = String(row?.['writer'] ?? '');
      texts.set(wid, text);
    }
    return text;
  };
  return (a, b) => compareText(textOf(a), textOf(b));
}
