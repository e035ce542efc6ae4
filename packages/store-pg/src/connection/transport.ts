import { KeelsonError } from '@keelson/core';

const verified: readonly (string | null)[] = ['prefer', 'require', 'verify-ca', 'verify-full'];

/**
 * Refuses, as INVALID, an address beyond this machine over which passwords and records would go unencrypted, or to a
 * server that proves nothing: unless that was said twice, by the url (`sslmode=disable`, `sslmode=no-verify`) and by
 * `insecure`. What the url leaves out is taken from PGHOST and PGSSLMODE, as `pg` does it.
 */
export function checkTransport(
  url: string,
  insecure: boolean,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): void {
  const parsed = new URL(url);
  const host =
    parsed.searchParams.get('host') ??
    (parsed.hostname === ''
      ? (environment['PGHOST'] ?? 'localhost')
      : decodeURIComponent(parsed.hostname));
  if (isHere(host)) return;
  const mode = parsed.searchParams.get('sslmode') ?? modeOfSsl(parsed) ?? environment['PGSSLMODE'];
  if (mode === undefined) {
    throw refused(
      host,
      'its url says nothing of TLS, and so the password and all records would go in plain text',
      'add ?sslmode=verify-full (sslrootcert=PATH names an authority of your own)',
    );
  }
  const likeLibpq = parsed.searchParams.get('uselibpqcompat') === 'true';
  const isLax = likeLibpq && ['prefer', 'require'].includes(mode);
  const isOff = environment['NODE_TLS_REJECT_UNAUTHORIZED'] === '0';
  if (verified.includes(mode) && !isLax && !isOff) return;
  if (insecure) return;
  const why = isOff
    ? 'NODE_TLS_REJECT_UNAUTHORIZED=0 has nobody prove who he is'
    : `sslmode=${mode} has the server prove nothing`;
  throw refused(
    host,
    why,
    'use sslmode=verify-full, or say it a second time: pgBackend({ insecure: true })',
  );
}

function modeOfSsl({ searchParams }: URL): string | undefined {
  const ssl = searchParams.get('ssl');
  if (ssl === null) return searchParams.has('sslrootcert') ? 'verify-full' : undefined;
  return ssl === 'true' || ssl === '1' ? 'verify-full' : 'disable';
}

/** Whether a host is this machine: a socket's directory, or a loopback address. */
function isHere(host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, '').toLowerCase();
  return bare.startsWith('/') || bare === 'localhost' || bare === '::1' || /^127\./.test(bare);
}

function refused(host: string, why: string, remedy: string): KeelsonError {
  return new KeelsonError(
    'INVALID',
    `pgBackend does not connect to ${host}: ${why}. To mend it, ${remedy}.`,
    { details: { host } },
  );
}
