import type { StoredRecord } from '../../contracts/record.ts';
import { readPublicKey, verifyEd25519 } from './ed25519.ts';
import { isConsistent, type SignedVersion, versionManifest } from './version-manifest.ts';

/** An Ed25519 signature over the manifest of a version. */
export interface VersionSignature {
  readonly versionId: string;
  /** The key provider's name of the key. */
  readonly keyId: string;
  /** Of the manifest of all files: the version's own. */
  readonly sha256: string;
  /** 32 bytes in base64. */
  readonly publicKey: string;
  /** 64 bytes in base64. */
  readonly signature: string;
  readonly createdBy: string;
  readonly createdAt: number;
}

/** What became of a signature when it was verified. */
export interface VerifiedSignature extends VersionSignature {
  /** It is a signature of this very version by the public key beside it. */
  readonly valid: boolean;
  /** The public key is one that is trusted. */
  readonly trusted: boolean;
  /** Why it is not valid. */
  readonly problem?: string;
}

/** A signature out of its record. */
export function signatureFromRecord({ columns: c, createdAt }: StoredRecord): VersionSignature {
  return {
    versionId: c['versionId'] as string,
    keyId: c['keyId'] as string,
    sha256: c['sha256'] as string,
    publicKey: c['publicKey'] as string,
    signature: c['signature'] as string,
    createdBy: c['createdBy'] as string,
    createdAt,
  };
}

/** Why it is no signature of the version; undefined when it is one. A pure function. */
export function problemOfSignature(
  version: SignedVersion,
  { sha256, publicKey, signature }: Pick<VersionSignature, 'sha256' | 'publicKey' | 'signature'>,
): string | undefined {
  if (!isConsistent(version)) return 'the files of the version are not those of its digest';
  if (sha256 !== version.sha256) return `it was made for the content ${sha256}`;
  try {
    const bytes = Buffer.from(signature, 'base64');
    if (verifyEd25519(readPublicKey(publicKey), versionManifest(version), bytes)) return undefined;
  } catch (error) {
    if (error instanceof Error) return 'its public key cannot be read';
    throw error;
  }
  return 'it is not of this version, or not by its key';
}
