import { KeelsonError } from '@keelson/core';
import type { PgTarget } from './connection-options.ts';

/**
 * The address of a target: its own, or that of the pool that was given, as far as `pg` keeps it there.
 * UNSUPPORTED for a pool that does not tell, such as one with a certificate in its options.
 */
export function urlOf(target: PgTarget): string {
  if ('url' in target) return target.url;
  const { options } = target.pool as { readonly options?: Readonly<Record<string, unknown>> };
  const { connectionString, ssl, host, port, user, password, database } = options ?? {};
  if (typeof connectionString === 'string') return connectionString;
  const plain = [host, user, database].every((part) => part === undefined || isText(part));
  const open = ssl === undefined || ssl === false;
  if (options === undefined || !plain || !open || (password !== undefined && !isText(password))) {
    throw new KeelsonError(
      'UNSUPPORTED',
      'The thread that writes metric points needs an address of the database, which this pool does not tell. Give pgBackend a url, or only use it as metadata.',
    );
  }
  const url = new URL('postgres://localhost');
  if (isText(host)) url.hostname = host.startsWith('/') ? 'localhost' : host;
  if (isText(host) && host.startsWith('/')) url.searchParams.set('host', host);
  if (port !== undefined) url.port = String(port);
  if (isText(user)) url.username = encodeURIComponent(user);
  if (isText(password)) url.password = encodeURIComponent(password);
  if (isText(database)) url.pathname = `/${encodeURIComponent(database)}`;
  return url.href;
}

function isText(part: unknown): part is string {
  return typeof part === 'string';
}
