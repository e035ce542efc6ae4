import { KeelsonError } from '../errors.ts';

/** Primary result codes of SQLite that need an answer of their own (sqlite.org/rescode.html). */
const primary = {
  BUSY: 5,
  LOCKED: 6,
  NOMEM: 7,
  READONLY: 8,
  IOERR: 10,
  CORRUPT: 11,
  FULL: 13,
  CANTOPEN: 14,
  PROTOCOL: 15,
  TOOBIG: 18,
  CONSTRAINT: 19,
  NOTADB: 26,
} as const;

/** The extended result code of an error that SQLite gave; undefined for any other error. */
export function sqliteResultCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errcode' in error)) return undefined;
  return typeof error.errcode === 'number' ? error.errcode : undefined;
}

function isPrimary(error: unknown, ...codes: readonly number[]): boolean {
  const code = sqliteResultCode(error);
  return code !== undefined && codes.includes(code & 0xff);
}

/** Whether another connection held the lock: the same work may succeed a moment later. */
export function isBusy(error: unknown): boolean {
  return isPrimary(error, primary.BUSY, primary.LOCKED, primary.PROTOCOL);
}

/** Whether a constraint of the schema (unique key, check, trigger) refused a change. */
export function isConstraint(error: unknown): boolean {
  return isPrimary(error, primary.CONSTRAINT);
}

/** Whether a unique index refused a change. */
export function isTakenKey(error: unknown): boolean {
  return sqliteResultCode(error) === 2067;
}

/** Whether a write may have reached the disk although it failed. */
export function isInputOutput(error: unknown): boolean {
  return isPrimary(error, primary.IOERR);
}

/**
 * `error` as a KeelsonError that names the file and the remedy, the original as its cause. Errors that
 * do not come from SQLite are given back as they are.
 */
export function fromSqliteError(error: unknown, path: string): unknown {
  const code = sqliteResultCode(error);
  if (code === undefined) return error;
  const details = { path, sqlite: code };
  const said = error instanceof Error ? error.message : String(error);
  switch (code & 0xff) {
    case primary.BUSY:
    case primary.LOCKED:
    case primary.PROTOCOL:
      return new KeelsonError(
        'UNAVAILABLE',
        `The database ${path} is locked by another connection; try again.`,
        { cause: error, details },
      );
    case primary.FULL:
      return new KeelsonError(
        'EXHAUSTED',
        `The disk that holds ${path} is full; nothing of this write was kept. Free some space and try again.`,
        { cause: error, details },
      );
    case primary.TOOBIG:
      return new KeelsonError(
        'INVALID',
        `A value is too large for the database ${path}: ${said}.`,
        {
          cause: error,
          details,
        },
      );
    case primary.NOMEM:
      return new KeelsonError('EXHAUSTED', `Out of memory while using the database ${path}.`, {
        cause: error,
        details,
      });
    case primary.CORRUPT:
    case primary.NOTADB:
      return new KeelsonError(
        'CORRUPT',
        `${path} is damaged or is no SQLite database (${said}). Put it back from a backup.`,
        { cause: error, details },
      );
    case primary.READONLY:
      return new KeelsonError(
        'UNAVAILABLE',
        `The database ${path} cannot be written (${said}). Check the permissions of the file and of its directory, and that it was not opened read-only.`,
        { cause: error, details },
      );
    case primary.CANTOPEN:
      return new KeelsonError(
        'UNAVAILABLE',
        `The database ${path} cannot be opened (${said}). Check that its directory exists and that it may be read and written.`,
        { cause: error, details },
      );
    case primary.IOERR:
      return new KeelsonError(
        'UNAVAILABLE',
        `Reading or writing ${path} failed (${said}). Check the disk.`,
        { cause: error, details },
      );
    default:
      return new KeelsonError('INTERNAL', `SQLite refused a statement on ${path}: ${said}.`, {
        cause: error,
        details,
      });
  }
}
