import { KeelsonError } from '../errors.ts';

/** Refuses, as INVALID, what is no lower-case hex SHA-256. */
export function assertDigest(sha256: unknown, label = 'The digest'): string {
  if (typeof sha256 === 'string' && isDigest(sha256)) return sha256;
  throw new KeelsonError(
    'INVALID',
    `${label} must be a SHA-256 as 64 lower-case hex digits, not ${JSON.stringify(sha256)?.slice(0, 100)}.`,
  );
}

/** Whether a text is a lower-case hex SHA-256. */
export function isDigest(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text);
}
