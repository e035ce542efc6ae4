import type { NamedContents, OpenReferences } from '../contracts/caretaker.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { everyRecord } from '../operations/every-record.ts';
import type { ModelFile } from './model-version.ts';
import { contentsOfReport } from './validation/report.ts';
import { contentsOfSuite } from './validation/suites.ts';

/** The contents of the registry's records: they lie in bodies, which no index knows, so all are read once. */
export function createRegistryReferences(scope: Scope): OpenReferences {
  return async (signal) => {
    const used = new Set<string>();
    for (const { kind, digests } of registryContents) {
      for await (const record of everyRecord(scope, kind, { signal })) {
        for (const sha256 of digests(record)) used.add(sha256);
      }
    }
    return { among: async (digests) => new Set(digests.filter((sha256) => used.has(sha256))) };
  };
}

/** The files of versions. */
export const modelContents: NamedContents = { kind: 'model_version', digests: filesOf };

/** The same, as the records name them: files of versions, rows of suites, reports with the rows they were made of. */
export const registryContents: readonly NamedContents[] = [
  modelContents,
  { kind: 'validation_suite', digests: contentsOfSuite },
  { kind: 'validation_report', digests: contentsOfReport },
];

/** A version that was purged has given its content up. */
function filesOf({ columns, body }: Pick<StoredRecord, 'columns' | 'body'>): readonly string[] {
  if (columns['purgedAt'] !== undefined) return [];
  const files = (body['files'] ?? []) as unknown as readonly ModelFile[];
  return files.map(({ sha256 }) => sha256);
}
