import type { MovedRecord } from '../archive/record-lines.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { canonicalJson } from '../json.ts';

/** Most that `findMany` takes. */
const mostIds = 1_000;

/**
 * Which of the records are here already, by id, with the facets that the records themselves have. All
 * must be of one kind.
 */
export async function alreadyHere(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  records: readonly MovedRecord[],
): Promise<ReadonlyMap<string, StoredRecord>> {
  const found = new Map<string, StoredRecord>();
  for (let at = 0; at < records.length; at += mostIds) {
    const some = records.slice(at, at + mostIds);
    const facets = [...new Set(some.flatMap((record) => Object.keys(record.facets)))];
    const ids = some.map(({ id }) => id);
    const kind = some[0]?.kind ?? '';
    for (const record of await scope.metadata.findMany(scope.workspace, kind, ids, { facets })) {
      found.set(record.id, record);
    }
  }
  return found;
}

/** Whether a record that is here is the one that is to come, with all that it has. */
export function sameContent(here: StoredRecord, coming: MovedRecord): boolean {
  return contentOf(here) === contentOf(coming);
}

/** CONFLICT: the id is taken by a record of other content. */
export function otherContent(here: StoredRecord, coming: MovedRecord): KeelsonError {
  const { kind, id } = coming;
  const revisions =
    here.revision === coming.revision
      ? `both at revision ${here.revision}`
      : `here at revision ${here.revision}, there at ${coming.revision}`;
  return new KeelsonError(
    'CONFLICT',
    `The ${kind} ${id} is here already, with other content than in the export (${revisions}). Nothing of it was changed; import into another workspace, or remove what is here first.`,
    { details: { kind, id, here: here.revision, there: coming.revision } },
  );
}

function contentOf(record: MovedRecord): string {
  const { revision, createdAt, updatedAt, columns, body, facets } = record;
  return canonicalJson({ revision, createdAt, updatedAt, columns, body, facets });
}
