import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../../errors.ts';
import { everyRecord } from '../../operations/every-record.ts';
import { is } from '../model-records.ts';
import type { ModelVersion } from '../model-version.ts';
import { publicText, readPublicKey, versionKey } from './ed25519.ts';
import {
  problemOfSignature,
  signatureFromRecord,
  type VerifiedSignature,
  type VersionSignature,
} from './version-signature.ts';

/** What is read to tell whom to trust. */
export type TrustScope = Pick<Scope, 'metadata' | 'workspace' | 'keys' | 'trustedKeys'>;

/** The signatures of a version, by key. */
export async function signaturesOf(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  versionId: string,
): Promise<readonly VersionSignature[]> {
  const found: VersionSignature[] = [];
  const where = is('versionId', versionId);
  for await (const record of everyRecord(scope, 'version_signature', { where })) {
    found.push(signatureFromRecord(record));
  }
  return found.sort((a, b) => (a.keyId < b.keyId ? -1 : 1));
}

/**
 * Verifies the signatures of a version. Trusted are the public keys that are given; where none are, those that
 * the platform was opened with, and those that its own key provider has.
 */
export async function verifiedSignatures(
  scope: TrustScope,
  version: ModelVersion,
  trusted: readonly string[] | undefined,
): Promise<readonly VerifiedSignature[]> {
  const keys = new Set(
    (trusted ?? scope.trustedKeys ?? []).map((key) => publicText(readPublicKey(key))),
  );
  const verified: VerifiedSignature[] = [];
  for (const signature of await signaturesOf(scope, version.id)) {
    const problem = problemOfSignature(version, signature);
    const own = trusted === undefined ? await ownKey(scope, signature.keyId) : undefined;
    verified.push({
      ...signature,
      valid: problem === undefined,
      trusted: keys.has(signature.publicKey) || own === signature.publicKey,
      ...(problem === undefined ? {} : { problem }),
    });
  }
  return verified;
}

/** FORBIDDEN, saying what there is instead, unless somebody who is trusted has signed the version. */
export async function assertSigned(
  scope: TrustScope,
  version: ModelVersion,
  trusted: readonly string[] | undefined,
): Promise<void> {
  const found = await verifiedSignatures(scope, version, trusted);
  if (found.some(isGood)) return;
  throw new KeelsonError(
    'FORBIDDEN',
    `Version ${version.version} of ${version.model} is not signed by a trusted key: ${whyNone(found)}. registry.sign('${version.id}') signs it; openPlatform({ trustedKeys }) says whom to trust.`,
    { details: { versionId: version.id } },
  );
}

/** Whether it counts. */
export function isGood({ valid, trusted }: VerifiedSignature): boolean {
  return valid && trusted;
}

/** What is wrong with each of them, in words. */
export function whyNone(found: readonly VerifiedSignature[]): string {
  if (found.length === 0) return 'nobody has signed it';
  return found
    .slice(0, 5)
    .map(
      ({ keyId, problem }) =>
        `that of key ${keyId} is ${problem === undefined ? 'by nobody who is trusted' : `not valid (${problem})`}`,
    )
    .join('; ');
}

/** The public key that the provider's key of that name has now. */
async function ownKey({ keys }: TrustScope, keyId: string): Promise<string | undefined> {
  if (keys === undefined) return undefined;
  try {
    return publicText(versionKey((await keys.key('sign', keyId)).bytes));
  } catch (error) {
    if (isKeelsonError(error, 'NOT_FOUND')) return undefined;
    throw error;
  }
}
