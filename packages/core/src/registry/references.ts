import type { OpenReferences } from '../contracts/caretaker.ts';
import type { Scope } from '../contracts/scope.ts';
import { everyRecord } from '../operations/every-record.ts';
import type { ModelFile } from './model-version.ts';

/** The contents of model versions: their files lie in bodies, which no index knows, so all are read once. */
export function createModelReferences(scope: Scope): OpenReferences {
  return async (signal) => {
    const used = new Set<string>();
    for await (const { body } of everyRecord(scope, 'model_version', { signal })) {
      for (const { sha256 } of (body['files'] ?? []) as unknown as readonly ModelFile[]) {
        used.add(sha256);
      }
    }
    return { among: async (digests) => new Set(digests.filter((sha256) => used.has(sha256))) };
  };
}
