import type { Change } from '../contracts/metadata-store.ts';
import { KeelsonError } from '../errors.ts';
import type { ModelVersion } from '../registry/model-version.ts';

/**
 * For the commit that deploys a version: it is raised to its next revision, so that whoever is about to delete
 * or archive it at the same moment looks again. CONFLICT where it is deleted or damaged already.
 */
export function deployable(version: ModelVersion): Change {
  const what = `Version ${version.version} of ${version.model}`;
  if (version.deletedAt !== undefined) {
    throw new KeelsonError('CONFLICT', `${what} was deleted; restore it, or deploy another one.`);
  }
  if (version.status === 'FAILED') {
    const why = version.failure ?? 'its content does not match its hash';
    throw new KeelsonError('CONFLICT', `${what} is damaged: ${why}. Deploy another one.`);
  }
  return { op: 'replace', kind: 'model_version', id: version.id, expect: version.revision };
}
