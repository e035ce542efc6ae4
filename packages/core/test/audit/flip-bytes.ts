import { DatabaseSync } from 'node:sqlite';

/** One byte of one stored value, altered. */
export interface Flip {
  readonly table: string;
  readonly column: string;
  /** The row as it was. */
  readonly row: Readonly<Record<string, unknown>>;
  /** Puts the byte back. */
  undo(): void;
}

/**
 * Flips bytes in the rows of a table of an embedded database, one at a time: every `stride`th byte of every
 * column from `offset` on, of numbers each of the eight. What a constraint refuses is left out.
 */
export function* flipBytes(
  path: string,
  table: string,
  options: {
    readonly stride: number;
    readonly offset: number;
    readonly where?: string;
    readonly leaveOut?: readonly string[];
  },
): Generator<Flip, void, undefined> {
  const { stride, offset, where = 'TRUE', leaveOut = [] } = options;
  const db = new DatabaseSync(path);
  try {
    // Whoever alters bytes of the file asks no trigger.
    for (const { name } of db
      .prepare(`SELECT name FROM sqlite_schema WHERE type = 'trigger'`)
      .all()) {
      db.exec(`DROP TRIGGER "${String(name)}"`);
    }
    const rows = db.prepare(`SELECT rowid AS rowid_, * FROM ${table} WHERE ${where}`).all();
    let position = offset % stride;
    for (const row of rows) {
      for (const [column, value] of Object.entries(row)) {
        if (column === 'rowid_' || value === null || leaveOut.includes(column)) continue;
        const bytes = typeof value === 'number' ? 8 : Buffer.byteLength(String(value));
        // Of the first row each column, then the next bytes of the stride, counted over columns and rows.
        const own = row === rows[0] && position >= bytes ? [offset % bytes] : [];
        for (; position < bytes; position += stride) own.push(position);
        position -= bytes;
        for (const at of own) {
          const altered = flipped(value, at);
          let id = row['rowid_'] as number;
          const set = (to: unknown): void => {
            const cast = typeof to === 'number' ? '?' : 'CAST(? AS TEXT)';
            db.prepare(`UPDATE ${table} SET "${column}" = ${cast} WHERE rowid = ?`).run(
              to as number,
              id,
            );
          };
          try {
            set(altered);
          } catch {
            continue;
          }
          // Where the column is the row's own number.
          const moved = db.prepare(`SELECT count(*) AS n FROM ${table} WHERE rowid = ?`).get(id);
          if (moved?.['n'] === 0) id = altered as number;
          yield {
            table,
            column,
            row,
            undo: () => set(typeof value === 'number' ? value : Buffer.from(String(value))),
          };
        }
      }
    }
  } finally {
    db.close();
  }
}

function flipped(value: unknown, position: number): number | Buffer {
  if (typeof value === 'number') {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(value));
    // The highest byte would leave the numbers that are exact.
    const at = Math.min(position, 5);
    bytes.writeUInt8(bytes.readUInt8(at) ^ 0x01, at);
    return Number(bytes.readBigInt64LE());
  }
  const bytes = Buffer.from(String(value));
  bytes.writeUInt8(bytes.readUInt8(position) ^ 0x01, position);
  return bytes;
}
