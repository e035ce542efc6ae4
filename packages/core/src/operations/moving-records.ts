import type { MovedRecord, RecordLine } from '../archive/record-lines.ts';
import type { RevisionEntry, StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';

const attempts = 10;
/** More than any record has come to. */
const allRevisions = 1_000_000;

/**
 * A record with its kept history, both as of one moment; undefined when it is gone. `record` as it was
 * read, with the facets that it is to have. Of a record that was removed and made again, only the
 * revisions since count.
 */
export async function withHistory(
  scope: Pick<Scope, 'metadata' | 'workspace'>,
  record: StoredRecord,
): Promise<RecordLine | undefined> {
  const { metadata, workspace } = scope;
  const { kind, id } = record;
  let current: StoredRecord | undefined = record;
  for (let attempt = 1; attempt <= attempts; attempt += 1) {
    if (current === undefined) return undefined;
    const all = await metadata.history(workspace, kind, id, { limit: allRevisions });
    const since = all.slice(all.findLastIndex((entry) => entry.removed) + 1);
    const history = upTo(since, current.revision);
    if (history.at(-1)?.revision === current.revision) return { record: moved(current), history };
    // It was changed, or removed and made again, in between.
    const facets = Object.keys(record.facets);
    current = await metadata.find(workspace, kind, id, { facets });
  }
  throw new KeelsonError(
    'STALE',
    `${kind} ${id} is changed so often that it cannot be read with its history; try again.`,
    { details: { kind, id } },
  );
}

/** A record without its workspace: as it moves. */
export function moved(record: StoredRecord): MovedRecord {
  const { workspace: _, ...rest } = record;
  return rest;
}

function upTo(entries: readonly RevisionEntry[], revision: number): readonly RevisionEntry[] {
  return entries.filter((entry) => entry.revision <= revision);
}
