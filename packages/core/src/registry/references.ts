import type { NamedContents, OpenReferences } from '../contracts/caretaker.ts';
import type { Scope } from '../contracts/scope.ts';
import type { JsonObject } from '../json.ts';
import { everyRecord } from '../operations/every-record.ts';
import type { ModelFile } from './model-version.ts';

/** The contents of model versions: their files lie in bodies, which no index knows, so all are read once. */
export function createModelReferences(scope: Scope): OpenReferences {
  return async (signal) => {
    const used = new Set<string>();
    for await (const { body } of everyRecord(scope, 'model_version', { signal })) {
      for (const sha256 of filesOf(body)) used.add(sha256);
    }
    return { among: async (digests) => new Set(digests.filter((sha256) => used.has(sha256))) };
  };
}

/** The same, as the records name them. */
export const modelContents: NamedContents = {
  kind: 'model_version',
  digests: ({ body }) => filesOf(body),
};

function filesOf(body: JsonObject): readonly string[] {
  const files = (body['files'] ?? []) as unknown as readonly ModelFile[];
  return files.map(({ sha256 }) => sha256);
}
