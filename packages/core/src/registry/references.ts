import type { NamedContents, OpenReferences } from '../contracts/caretaker.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { everyRecord } from '../operations/every-record.ts';
import type { ModelFile } from './model-version.ts';

/** The contents of model versions: their files lie in bodies, which no index knows, so all are read once. */
export function createModelReferences(scope: Scope): OpenReferences {
  return async (signal) => {
    const used = new Set<string>();
    for await (const record of everyRecord(scope, 'model_version', { signal })) {
      for (const sha256 of filesOf(record)) used.add(sha256);
    }
    return { among: async (digests) => new Set(digests.filter((sha256) => used.has(sha256))) };
  };
}

/** The same, as the records name them. */
export const modelContents: NamedContents = { kind: 'model_version', digests: filesOf };

/** A version that was purged has given its content up. */
function filesOf({ columns, body }: Pick<StoredRecord, 'columns' | 'body'>): readonly string[] {
  if (columns['purgedAt'] !== undefined) return [];
  const files = (body['files'] ?? []) as unknown as readonly ModelFile[];
  return files.map(({ sha256 }) => sha256);
}
