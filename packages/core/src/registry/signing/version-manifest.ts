import { canonicalJson, digestJson } from '../../json.ts';
import type { ModelVersion } from '../model-version.ts';

/** What no other text begins with that a key of ours signs. */
const domain = 'keelson.model-version/1';

/** What is signed of a version: which one it is, and every file. */
export type SignedVersion = Pick<ModelVersion, 'model' | 'version' | 'number' | 'sha256' | 'files'>;

/** The bytes that are signed: JSON with its keys in order and no spaces, so that everybody makes the same. */
export function versionManifest(version: SignedVersion): Uint8Array {
  const { model, number, sha256 } = version;
  const files = filesOf(version);
  return Buffer.from(
    canonicalJson({ domain, model, version: version.version, number, sha256, files }),
  );
}

/** Whether the digest of the version is that of its files. */
export function isConsistent(version: SignedVersion): boolean {
  return digestJson(filesOf(version)) === version.sha256;
}

function filesOf({ files }: SignedVersion): SignedVersion['files'] {
  return files.map(({ path, sha256, sizeBytes }) => ({ path, sha256, sizeBytes }));
}
