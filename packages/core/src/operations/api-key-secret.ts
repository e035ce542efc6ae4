import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

/** The parts of a key as it is handed out: `keelson_<workspace>.<id>.<secret>`. */
export interface KeyText {
  readonly workspace: string;
  readonly id: string;
  readonly secret: string;
}

/** A digest of a secret, and until when it is good. */
export interface StoredSecret {
  /** SHA-256, hex. */
  readonly sha256: string;
  /** Epoch ms; as long as the key when left out. */
  readonly until?: number;
}

const prefix = 'keelson_';
const form = /^keelson_([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{12})\.([A-Za-z0-9_-]{43})$/;

/** 256 random bits: nothing to guess, so that a fast digest is enough to keep. */
export function newSecret(): string {
  return randomBytes(32).toString('base64url');
}

/** A new id of a key; it finds the record and is no secret. */
export function newKeyId(): string {
  return randomBytes(9).toString('base64url');
}

/** What is kept of a secret. */
export function digestSecret(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

/** The text that a caller keeps. */
export function keyText({ workspace, id, secret }: KeyText): string {
  return `${prefix}${Buffer.from(workspace).toString('base64url')}.${id}.${secret}`;
}

/** Whether a bearer is meant to be a key of ours. */
export function looksLikeKey(bearer: string): boolean {
  return bearer.startsWith(prefix);
}

/** The parts of a key; undefined for what is none. */
export function parseKey(bearer: string): KeyText | undefined {
  const found = form.exec(bearer);
  if (found === null) return undefined;
  const [, encoded = '', id = '', secret = ''] = found;
  const workspace = Buffer.from(encoded, 'base64url').toString();
  const exact = keyText({ workspace, id, secret }) === bearer;
  return exact && !workspace.includes('\u0000') ? { workspace, id, secret } : undefined;
}

/** Whether the secret is one of those kept, in a time that does not depend on how much of it is right. */
export function isOneOf(secret: string, kept: readonly StoredSecret[], now: number): boolean {
  const given = Buffer.from(digestSecret(secret), 'hex');
  let found = false;
  for (const { sha256, until = Number.POSITIVE_INFINITY } of kept) {
    const same = timingSafeEqual(given, Buffer.from(sha256, 'hex'));
    found = (same && now < until) || found;
  }
  return found;
}
