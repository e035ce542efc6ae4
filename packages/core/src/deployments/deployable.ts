import type { Change } from '../contracts/metadata-store.ts';
import { KeelsonError } from '../errors.ts';
import type { ModelVersion } from '../registry/model-version.ts';

/**
 * That a version may be deployed, for the commit that does so: it was not deleted or found damaged meanwhile.
 * CONFLICT where it is so already.
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
  return { op: 'assert', kind: 'model_version', id: version.id, expect: version.revision };
}
