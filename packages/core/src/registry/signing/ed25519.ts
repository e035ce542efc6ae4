import {
  createPrivateKey,
  createPublicKey,
  hkdfSync,
  type KeyObject,
  sign as signBytes,
  verify as verifyBytes,
} from 'node:crypto';
import { KeelsonError } from '../../errors.ts';

// What stands before the 32 bytes of a private key in PKCS #8, and of a public one in SPKI (RFC 8410).
const privateHead = Buffer.from('302e020100300506032b657004220420', 'hex');
const publicHead = Buffer.from('302a300506032b6570032100', 'hex');
const keyBytes = 32;

/** The Ed25519 key of a seed of 32 bytes (RFC 8032). */
export function keyFromSeed(seed: Uint8Array): KeyObject {
  const key = Buffer.concat([privateHead, seed]);
  return createPrivateKey({ key, format: 'der', type: 'pkcs8' });
}

/** The key that signs versions, out of one of a key provider's: HKDF-SHA-256 keeps it apart from other uses. */
export function versionKey(secret: Uint8Array): KeyObject {
  const seed = hkdfSync('sha256', secret, '', 'keelson:model-version:ed25519', keyBytes);
  return keyFromSeed(new Uint8Array(seed));
}

/** The signature of the bytes, 64 bytes. */
export function signEd25519(key: KeyObject, bytes: Uint8Array): Uint8Array {
  return signBytes(null, bytes, key);
}

/** Whether it is the signature of these bytes by that key. */
export function verifyEd25519(key: KeyObject, bytes: Uint8Array, signature: Uint8Array): boolean {
  return signature.length === 64 && verifyBytes(null, bytes, key, signature);
}

/** The public key in base64: 32 bytes. */
export function publicText(key: KeyObject): string {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key;
  return publicKey
    .export({ format: 'der', type: 'spki' })
    .subarray(publicHead.length)
    .toString('base64');
}

/** The public key in the form that other programs read. */
export function publicPem(text: string): string {
  return readPublicKey(text).export({ format: 'pem', type: 'spki' }).toString();
}

/** A public key out of base64 (32 bytes) or PEM. INVALID for anything else, a private key above all. */
export function readPublicKey(text: string): KeyObject {
  const key = typeof text === 'string' ? parsed(text.trim()) : undefined;
  if (key !== undefined) return key;
  throw new KeelsonError(
    'INVALID',
    'A public key is Ed25519, as PEM (-----BEGIN PUBLIC KEY-----) or its 32 bytes in base64.',
  );
}

function parsed(text: string): KeyObject | undefined {
  if (text.includes('PRIVATE')) return undefined;
  const raw = /^[A-Za-z0-9+/_-]{43}=?$/.test(text) ? Buffer.from(text, 'base64') : undefined;
  try {
    const key =
      raw === undefined
        ? createPublicKey({ key: text, format: 'pem' })
        : createPublicKey({ key: Buffer.concat([publicHead, raw]), format: 'der', type: 'spki' });
    return key.asymmetricKeyType === 'ed25519' ? key : undefined;
  } catch (error) {
    // What OpenSSL says of a text that is no key helps nobody.
    if (error instanceof Error) return undefined;
    throw error;
  }
}
