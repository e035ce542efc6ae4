import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { checkOptions } from '../../check-options.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../../errors.ts';
import { assertText } from '../../json.ts';
import { commitChanges } from '../../operations/decide-and-commit.ts';
import { asKeelsonError } from '../../tracking/local-files.ts';
import { assertHasContent, assertWhole } from '../damage.ts';
import { emitOfModel } from '../emit-of-model.ts';
import type { ModelVersion } from '../model-version.ts';
import { readNamedVersion } from '../named-version.ts';
import { publicPem, publicText, readPublicKey, signEd25519, versionKey } from './ed25519.ts';
import { signaturesOf, verifiedSignatures } from './trust.ts';
import { versionManifest } from './version-manifest.ts';
import type { VerifiedSignature, VersionSignature } from './version-signature.ts';

/** Public keys: PEM, or 32 bytes in base64. */
export interface TrustOptions {
  /** Those that the platform trusts when left out. */
  readonly trusted?: readonly string[];
}

/** A list of public keys, as options take it. */
export const publicKeys: z.ZodType<readonly string[]> = z
  .array(
    z.string().refine(isPublicKey, 'must be an Ed25519 public key, as PEM or 32 bytes in base64'),
  )
  .max(1000);

const signShape = z.strictObject({ keyId: z.string().min(1).max(1000).optional() });
const trustShape = z.strictObject({
  trusted: publicKeys.optional(),
} satisfies Record<keyof TrustOptions, z.ZodType>);

/** Who vouches for versions. */
export interface Signatures {
  /**
   * Signs a version (its id, or `model@1.2.0`) with the platform's current key, or another of its provider's:
   * Ed25519 over a manifest that names model, version, number and the SHA-256 of every file. The same key again
   * answers the same signature. UNSUPPORTED where the platform was opened without `keys`.
   */
  sign(version: string, options?: { readonly keyId?: string }): Promise<VersionSignature>;
  /** Those that there are, by key; nothing is verified. */
  signatures(version: string): Promise<readonly VersionSignature[]>;
  /**
   * Verifies them: `valid` when it is of this very version, `trusted` when its public key is. Content is not
   * read; `download(…, { requireSignature })` verifies both.
   */
  verifySignatures(version: string, options?: TrustOptions): Promise<readonly VerifiedSignature[]>;
  /**
   * Writes `manifest.json` and for each signature `manifest.<key>.sig` and `manifest.<key>.pem` into the
   * directory, for other programs: OpenSSL verifies them, see docs/signed-models.md. Answers the paths.
   */
  exportSignatures(version: string, directory: string): Promise<readonly string[]>;
}

/** Signatures, bound to a scope. */
export function createSignatures(scope: Scope): Signatures {
  return {
    async sign(name, options = {}) {
      const { keyId } = checkOptions(signShape, options, 'sign') as { keyId?: string };
      const version = await readNamedVersion(scope, name);
      assertHasContent(version);
      assertWhole(version);
      return await signVersion(scope, version, keyId);
    },

    async signatures(name) {
      return await signaturesOf(scope, (await readNamedVersion(scope, name)).id);
    },

    async verifySignatures(name, options = {}) {
      checkOptions(trustShape, options, 'verifySignatures');
      const version = await readNamedVersion(scope, name);
      return await verifiedSignatures(scope, version, options.trusted);
    },

    async exportSignatures(name, directory) {
      assertText(directory, 'A directory', 4096);
      const version = await readNamedVersion(scope, name);
      const files = new Map<string, string | Uint8Array>();
      files.set('manifest.json', versionManifest(version));
      for (const { keyId, signature, publicKey } of await signaturesOf(scope, version.id)) {
        // A key may have any name; a file may not.
        const base = `manifest.${encodeURIComponent(keyId).replaceAll('*', '%2A')}`;
        files.set(`${base}.sig`, Buffer.from(signature, 'base64'));
        files.set(`${base}.pem`, publicPem(publicKey));
      }
      return await writeAll(directory, files);
    },
  };
}

async function signVersion(
  scope: Scope,
  version: ModelVersion,
  keyId: string | undefined,
): Promise<VersionSignature> {
  if (scope.keys === undefined) {
    throw new KeelsonError(
      'UNSUPPORTED',
      'Nothing can be signed here: open the platform with keys, such as derivedKeys(environmentSecrets()).',
    );
  }
  const { id, bytes } = await scope.keys.key('sign', keyId);
  const key = versionKey(bytes);
  const publicKey = publicText(key);
  const signature = Buffer.from(signEd25519(key, versionManifest(version))).toString('base64');
  const { id: versionId, modelId, sha256 } = version;
  const columns = { modelId, versionId, keyId: id, sha256, publicKey, signature };
  try {
    await commitChanges(scope, [
      {
        op: 'create',
        kind: 'version_signature',
        id: scope.ids.next(),
        columns: { ...columns, createdBy: scope.principal.id },
      },
      emitOfModel(scope, 'model.signed', version.model, {
        ...{ versionId, version: version.version, keyId: id, publicKey },
      }),
    ]);
  } catch (error) {
    if (!isKeelsonError(error, 'CONFLICT')) throw error;
  }
  const found = (await signaturesOf(scope, versionId)).find((each) => each.keyId === id);
  if (found?.signature === signature) return found;
  throw new KeelsonError(
    'CONFLICT',
    `Version ${version.version} of ${version.model} has a signature by another key of the name ${id}; give keys that change new names.`,
    { details: { versionId, keyId: id } },
  );
}

async function writeAll(
  directory: string,
  files: ReadonlyMap<string, string | Uint8Array>,
): Promise<readonly string[]> {
  try {
    await mkdir(directory, { recursive: true });
    for (const [name, bytes] of files) await writeFile(join(directory, name), bytes);
  } catch (error) {
    throw asKeelsonError(error, `${directory} cannot be written to`);
  }
  return [...files.keys()].map((name) => join(directory, name));
}

function isPublicKey(text: string): boolean {
  try {
    readPublicKey(text);
    return true;
  } catch (error) {
    if (isKeelsonError(error, 'INVALID')) return false;
    throw error;
  }
}
