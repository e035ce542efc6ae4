import { KeelsonError } from '@keelson/core';
import pg from 'pg';
import type { PgPool } from './pg-pool.ts';
import { checkTransport } from './transport.ts';

/** A server, by its address or through a pool that is borrowed. */
export type PgTarget = { readonly url: string } | { readonly pool: PgPool };

/** How the database is reached, and how long it may take. */
export type PgConnectionOptions = (
  | {
      /** `postgres://user:password@host:port/database?sslmode=…`; what it leaves out comes from PGHOST … */
      readonly url: string;
      /** Connections at most; 10 when left out. One more listens for events. */
      readonly maxConnections?: number;
    }
  | {
      /** Borrowed: it stays open at `close`, and nothing of its sessions is changed. */
      readonly pool: PgPool;
    }
) & {
  /** The schema that holds everything of this platform; `keelson` when left out. */
  readonly schema?: string;
  /**
   * Said a second time, where a `url` beyond this machine says that its connection is not encrypted or its server not
   * verified (`sslmode=disable`, `sslmode=no-verify`). False when left out: such a url is INVALID.
   */
  readonly insecure?: boolean;
  /** A streaming standby that answers searches; one that lags behind is waited for, or passed over. */
  readonly replica?: PgTarget;
  /**
   * Whether one connection is kept to be woken by events; without it they are looked for 20 times a
   * second while somebody waits. True for a `url`, false for a `pool` (which may be a small one) when
   * left out. A pooler in transaction mode cannot do it.
   */
  readonly listen?: boolean;
  /** Bounds one statement; 30,000 when left out. TIMEOUT afterwards. */
  readonly statementTimeoutMs?: number;
  /** Bounds the wait for another transaction's lock; 5,000 when left out. */
  readonly lockTimeoutMs?: number;
  /** Bounds the wait for a connection; 10,000 when left out. */
  readonly connectTimeoutMs?: number;
  /** Bounds the repeating of what a transient fault undid; 10,000 when left out. */
  readonly retryMs?: number;
};

const known: ReadonlySet<string> = new Set([
  'url',
  'pool',
  'maxConnections',
  'schema',
  'insecure',
  'replica',
  'listen',
  'statementTimeoutMs',
  'lockTimeoutMs',
  'connectTimeoutMs',
  'retryMs',
]);

/** Refuses, as INVALID and by name, options that are unknown or of the wrong type; does no I/O. */
export function checkConnectionOptions(options: PgConnectionOptions): PgConnectionOptions {
  if (typeof options !== 'object' || options === null) {
    throw invalid('needs options: { url } or { pool }.');
  }
  for (const name of Object.keys(options)) {
    if (!known.has(name)) {
      throw invalid(`does not know the option ${name}. Known options: ${[...known].join(', ')}.`);
    }
  }
  const { url, pool, replica } = options as { url?: unknown; pool?: unknown; replica?: unknown };
  if ((url === undefined) === (pool === undefined)) {
    throw invalid('needs either url or pool, and not both.');
  }
  const insecure: unknown = options.insecure ?? false;
  if (typeof insecure !== 'boolean') throw invalid('needs true or false as insecure.');
  checkTarget({ url, pool }, { prefix: '', insecure });
  if (replica !== undefined) {
    checkTarget(replica as { url?: unknown; pool?: unknown }, { prefix: 'replica.', insecure });
  }
  const listen: unknown = options.listen ?? true;
  if (typeof listen !== 'boolean') throw invalid('needs true or false as listen.');
  const schema: unknown = options.schema ?? 'keelson';
  if (typeof schema !== 'string' || !/^[a-z][a-z0-9_]{0,47}$/.test(schema)) {
    throw invalid(
      'needs a schema of lower-case letters, digits and _, beginning with a letter, at most 48.',
    );
  }
  for (const name of [
    'statementTimeoutMs',
    'lockTimeoutMs',
    'connectTimeoutMs',
    'retryMs',
    'maxConnections',
  ]) {
    const value: unknown = (options as Readonly<Record<string, unknown>>)[name];
    if (value === undefined) continue;
    if (!Number.isSafeInteger(value) || (value as number) < 1 || (value as number) > 2 ** 31 - 1) {
      throw invalid(`needs a whole number above 0 as ${name}.`);
    }
  }
  return options;
}

function checkTarget(
  { url, pool }: { readonly url?: unknown; readonly pool?: unknown },
  { prefix, insecure }: { readonly prefix: string; readonly insecure: boolean },
): void {
  if (url !== undefined && typeof url !== 'string') throw invalid(`needs a text as ${prefix}url.`);
  if (typeof url === 'string') {
    describeUrl(url);
    checkTransport(url, insecure);
  }
  const connects =
    typeof pool === 'object' &&
    pool !== null &&
    typeof (pool as Readonly<Record<string, unknown>>)['connect'] === 'function';
  if (pool !== undefined && !connects) {
    throw invalid(`needs a pool of pg (an object with connect) as ${prefix}pool.`);
  }
}

/** Where a url leads, without user, password and parameters: fit for messages. */
export function describeUrl(url: string): string {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    // The cause would quote the url, and with it the password.
    throw invalid('cannot read its url; it should be postgres://user:password@host:port/database.');
  }
  if (parsed.protocol !== 'postgres:' && parsed.protocol !== 'postgresql:') {
    throw invalid(`needs a url that begins with postgres://, not ${parsed.protocol}//.`);
  }
  const socket = parsed.searchParams.get('host');
  const host = parsed.hostname === '' ? (socket ?? 'localhost') : parsed.hostname;
  const port = parsed.port === '' ? '' : `:${parsed.port}`;
  return `PostgreSQL at ${decodeURIComponent(host)}${port}${decodeURIComponent(parsed.pathname)}`;
}

/** A pool of connections of our own. `onError` hears of idle connections that broke. */
export function openPool(
  url: string,
  options: {
    readonly max: number;
    readonly connectTimeoutMs: number;
    readonly onConnect: (client: pg.ClientBase) => Promise<void>;
    readonly onError: (error: Error) => void;
  },
): pg.Pool {
  const pool = new pg.Pool({
    connectionString: url,
    max: options.max,
    connectionTimeoutMillis: options.connectTimeoutMs,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
    // Idle connections keep no process alive.
    allowExitOnIdle: true,
    application_name: 'keelson',
    // The pool waits for it, whatever its type says.
    onConnect: options.onConnect as (client: pg.ClientBase) => void,
  });
  pool.on('error', options.onError);
  return pool;
}

function invalid(message: string): KeelsonError {
  return new KeelsonError('INVALID', `pgBackend ${message}`);
}
