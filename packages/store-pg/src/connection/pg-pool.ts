/**
 * What Keelson needs of a pool of connections: a subset of `pg.Pool`, so that any version of `pg`, or a
 * pool that wraps one, will do.
 */
export interface PgPool {
  connect(): Promise<PgPoolClient>;
  /** How many connections there are, are free, and how many callers wait for one. */
  readonly totalCount?: number;
  readonly idleCount?: number;
  readonly waitingCount?: number;
}

/** A connection out of a pool. */
export interface PgPoolClient {
  query(query: PgQuery): Promise<PgResult>;
  /** Back to the pool; with `true` the connection is closed instead. */
  release(destroy?: boolean): void;
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'notification', listener: (message: PgNotification) => void): unknown;
  removeListener(event: 'error', listener: (error: Error) => void): unknown;
  removeListener(event: 'notification', listener: (message: PgNotification) => void): unknown;
  /** From now on it keeps no process alive. */
  unref?(): void;
  /** The server's process behind the connection; what a cancel is addressed to. */
  readonly processID?: number | null;
}

/** A message of NOTIFY. */
export interface PgNotification {
  readonly channel: string;
  readonly payload?: string | undefined;
}

/** A statement; without values it may be several, separated by semicolons. */
export interface PgQuery {
  readonly text: string;
  // `pg` takes a mutable array, and does not change it.
  readonly values?: unknown[];
  readonly types?: { getTypeParser(oid: number, format?: string): (value: string) => unknown };
}

/** The answer to a statement. */
export interface PgResult {
  readonly rows: readonly Readonly<Record<string, unknown>>[];
  readonly rowCount: number | null;
}
