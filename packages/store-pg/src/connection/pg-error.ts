import { isKeelsonError, KeelsonError } from '@keelson/core';

/** The SQLSTATE of an error that PostgreSQL gave; undefined for any other error. */
export function sqlState(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') {
    return undefined;
  }
  return /^[0-9A-Z]{5}$/.test(error.code) && 'severity' in error ? error.code : undefined;
}

/** A field of an error that PostgreSQL gave, such as the name of the constraint that refused. */
export function serverSaid(error: unknown, field: 'constraint' | 'detail'): string | undefined {
  if (sqlState(error) === undefined) return undefined;
  const value = (error as Readonly<Record<string, unknown>>)[field];
  return typeof value === 'string' ? value : undefined;
}

/** Errors of sockets and of name resolution: nothing is wrong with the statement. */
const socketFaults: ReadonlySet<string> = new Set([
  'ECONNRESET',
  'ECONNREFUSED',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'ENETRESET',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ENOENT',
]);

/** What `pg` and its pool say of a connection that is gone; they give these errors no code. */
const connectionMessages =
  /^(Connection terminated|Client has encountered a connection error|Client was closed|timeout expired|timeout exceeded when trying to connect|Cannot use a pool after calling end)/;

/**
 * Whether the connection is gone, or was never made. What was under way on it has then happened or not:
 * the server may have committed before it could say so. 57P01 and its like are among them, because a
 * server that is told to stop while it waits for a standby has committed by then.
 */
export function isConnectionFault(error: unknown): boolean {
  const state = sqlState(error);
  if (state !== undefined) {
    return state.startsWith('08') || ['40003', '57P01', '57P02', '57P03', '57P05'].includes(state);
  }
  if (!(error instanceof Error)) return false;
  if ('code' in error && socketFaults.has(String(error.code))) return true;
  if (error instanceof AggregateError) return error.errors.some(isConnectionFault);
  return connectionMessages.test(error.message);
}

/**
 * Whether the server undid the whole transaction for a reason that may not hold a moment later: a lost
 * race with other transactions, a lock or a statement that took too long, no room for a connection.
 */
export function isRolledBack(error: unknown): boolean {
  const state = sqlState(error);
  if (state === undefined) return false;
  return ['40001', '40P01', '55P03', '57014', '53300', '25P03', '25P04'].includes(state);
}

/** Whether a unique index refused. */
export function isTakenKey(error: unknown): boolean {
  return sqlState(error) === '23505';
}

type Mapping = readonly [code: 'INVALID' | 'EXHAUSTED' | 'CORRUPT' | 'FORBIDDEN', remedy: string];

const mappings: Readonly<Record<string, Mapping>> = {
  '22021': ['INVALID', 'A text is not what the database can store'],
  '22P05': ['INVALID', 'A text is not what the database can store'],
  '54000': ['INVALID', 'A value is too large; what is indexed may have about 2,600 bytes'],
  '54001': ['INVALID', 'The query is too complex'],
  '53100': ['EXHAUSTED', 'The disk of the server is full; free some space and try again'],
  '53200': ['EXHAUSTED', 'The server is out of memory'],
  '42501': ['FORBIDDEN', 'The database user lacks a privilege; grant it, or use another user'],
  '28000': ['FORBIDDEN', 'The server refuses this user; check user and pg_hba.conf'],
  '28P01': ['FORBIDDEN', 'The server refuses this user and password; check both'],
  XX001: ['CORRUPT', 'The database is damaged; put it back from a backup'],
  XX002: ['CORRUPT', 'An index is damaged; run REINDEX'],
};

/**
 * `error` as a KeelsonError, the original as its cause. `place` names the server without its secrets.
 * With `sent`, a write was under way: a broken connection leaves open whether it happened.
 */
export function fromPgError(
  error: unknown,
  place: string,
  options: { readonly sent?: boolean } = {},
): KeelsonError {
  if (isKeelsonError(error)) return error;
  const state = sqlState(error);
  const said = messageOf(error);
  const details = { place, ...(state === undefined ? {} : { sqlState: state }) };
  if (isConnectionFault(error)) return connectionFault(error, said, place, details, options.sent);
  if (state === undefined) {
    return new KeelsonError('INTERNAL', `Talking to ${place} failed: ${said}.`, {
      cause: error,
      details,
    });
  }
  if (isRolledBack(error)) {
    return new KeelsonError(
      'UNAVAILABLE',
      `${place} undid the statement, and again when it was repeated (${said}); nothing was changed. Try again.`,
      { cause: error, details },
    );
  }
  const mapped = mappings[state];
  if (mapped !== undefined) {
    return new KeelsonError(mapped[0], `${mapped[1]} (${place}: ${said}).`, {
      cause: error,
      details,
    });
  }
  if (state === '25006' || state === '3D000') {
    const remedy =
      state === '25006'
        ? 'It takes no writes: it may be a standby. Give the address of the primary'
        : 'Create the database first';
    return new KeelsonError('UNAVAILABLE', `${place} cannot be used (${said}). ${remedy}.`, {
      cause: error,
      details,
    });
  }
  return new KeelsonError('INTERNAL', `${place} refused a statement: ${said}.`, {
    cause: error,
    details,
  });
}

function connectionFault(
  error: unknown,
  said: string,
  place: string,
  details: Readonly<Record<string, unknown>>,
  sent: boolean | undefined,
): KeelsonError {
  if (sent === true) {
    return new KeelsonError(
      'UNAVAILABLE',
      `The connection to ${place} broke while a write was under way (${said}): it is wholly there or wholly absent. Read before you repeat it.`,
      { cause: error, details: { ...details, outcome: 'unknown' } },
    );
  }
  return new KeelsonError(
    'UNAVAILABLE',
    `${place} cannot be reached (${said}). Check that it runs and takes connections from here, then try again.`,
    { cause: error, details },
  );
}

function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') {
    return [...new Set(error.errors.map(messageOf))].join('; ');
  }
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/\.$/, '');
}
