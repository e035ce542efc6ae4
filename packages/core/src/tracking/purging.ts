import type { NamedContents, OpenReferences, Purge } from '../contracts/caretaker.ts';
import type { Change } from '../contracts/metadata-store.ts';
import type { Predicate } from '../contracts/query.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError } from '../errors.ts';
import { commitChanges } from '../operations/decide-and-commit.ts';
import { columnIs, everyRecord, referredBy } from '../operations/every-record.ts';

/** Changes of one commit; the contract allows 500. */
const batch = 400;
const reason = 'deleted for longer than the retention';

/**
 * Removes runs and experiments that were deleted before a time. First each is marked, so that nobody can
 * restore it any more; then go its points, params, artifacts and edges, and at last the record itself.
 *
 * A run that something came from (a model version, by the lineage) stays as it is, deleted; so does its
 * experiment. Nested runs are runs of their own: they go when they themselves were deleted, or with their
 * experiment.
 */
export function createPurge(scope: Scope): Purge {
  return async ({ deletedBefore, dryRun, signal, onRemoved }) => {
    for await (const experiment of purgeable(scope, 'experiment', deletedBefore, signal)) {
      const ofIt = { where: columnIs('experimentId', experiment.id), signal };
      let all = true;
      if (!dryRun && !(await mark(scope, experiment))) continue;
      for await (const run of everyRecord(scope, 'run', ofIt)) {
        if (await purgeRun(scope, run, { dryRun, signal, onRemoved })) continue;
        all = false;
      }
      if (!all) continue;
      if (!dryRun) await remove(scope, [await current(scope, experiment)]);
      onRemoved(`experiment:${experiment.id}`);
    }
    for await (const run of purgeable(scope, 'run', deletedBefore, signal)) {
      await purgeRun(scope, run, { dryRun, signal, onRemoved });
    }
  };
}

/** The contents of artifacts, those of deleted runs and moved paths too. */
export function artifactReferences(scope: Scope): OpenReferences {
  return async () => ({ among: (digests) => referredBy(scope, 'artifact', digests) });
}

/** The same, as the records name them; those that another has taken the path of too. */
export const artifactContents: NamedContents = {
  kind: 'artifact',
  digests: ({ columns }) => [columns['sha256'] as string],
};

/** Deleted before the time, or marked by a collection that did not come to its end. */
async function* purgeable(
  scope: Scope,
  kind: 'experiment' | 'run',
  deletedBefore: number,
  signal: AbortSignal,
): AsyncGenerator<StoredRecord, void, undefined> {
  const old: Predicate = {
    op: 'and',
    of: [
      { op: 'in', left: { from: 'column', name: 'lifecycle' }, values: ['deleted', 'purging'] },
      {
        op: 'compare',
        left: { from: 'column', name: 'deletedAt' },
        cmp: '<',
        value: deletedBefore,
      },
    ],
  };
  yield* everyRecord(scope, kind, { where: old, signal });
}

/** Answers whether the run is gone (or, in a dry run, would go). */
async function purgeRun(
  scope: Scope,
  run: StoredRecord,
  how: {
    readonly dryRun: boolean;
    readonly signal: AbortSignal;
    onRemoved(subject: string): void;
  },
): Promise<boolean> {
  how.signal.throwIfAborted();
  if (await hasOffspring(scope, run.id)) return false;
  if (!how.dryRun) {
    if (!(await mark(scope, run))) return false;
    await scope.series.removeOwners(scope.workspace, [run.id]);
    await removeAll(scope, 'param_entry', columnIs('runId', run.id));
    await removeAll(scope, 'artifact', columnIs('runId', run.id));
    await removeAll(scope, 'logged_model', columnIs('runId', run.id));
    await removeAll(scope, 'edge', columnIs('to', run.id));
    await remove(scope, [await current(scope, run)]);
    await scope.quotas?.count('runs', -1);
  }
  how.onRemoved(`run:${run.id}`);
  return true;
}

async function hasOffspring(scope: Scope, runId: string): Promise<boolean> {
  const where = columnIs('from', runId);
  const { records } = await scope.metadata.query(scope.workspace, 'edge', { where, limit: 1 });
  return records.length > 0;
}

/** Takes a record out of everybody's reach; false when it has changed since it was read: restored, say. */
async function mark(scope: Scope, record: StoredRecord): Promise<boolean> {
  if (record.columns['lifecycle'] === 'purging') return true;
  const deletedAt = record.columns['deletedAt'] ?? scope.clock.now();
  const { kind, id, revision } = record;
  const columns = { lifecycle: 'purging', deletedAt };
  try {
    await commitChanges(scope, [{ op: 'replace', kind, id, expect: revision, columns }], reason);
    return true;
  } catch (error) {
    if (isKeelsonError(error, 'STALE', 'NOT_FOUND')) return false;
    throw error;
  }
}

async function current(
  scope: Scope,
  { kind, id }: StoredRecord,
): Promise<StoredRecord | undefined> {
  return scope.metadata.find(scope.workspace, kind, id);
}

async function removeAll(scope: Scope, kind: string, where: Predicate): Promise<void> {
  let some: StoredRecord[] = [];
  for await (const record of everyRecord(scope, kind, { where })) {
    some.push(record);
    if (some.length < batch) continue;
    await remove(scope, some);
    some = [];
  }
  await remove(scope, some);
}

async function remove(scope: Scope, records: readonly (StoredRecord | undefined)[]): Promise<void> {
  const changes = records.flatMap((record): Change[] =>
    record === undefined
      ? []
      : [{ op: 'remove', kind: record.kind, id: record.id, expect: record.revision }],
  );
  try {
    await commitChanges(scope, changes, reason);
  } catch (error) {
    // Another collection was faster with some of them: one by one, those that are left.
    if (!isKeelsonError(error, 'STALE', 'NOT_FOUND') || changes.length === 0) throw error;
    if (changes.length > 1) for (const record of records) await remove(scope, [record]);
  }
}
