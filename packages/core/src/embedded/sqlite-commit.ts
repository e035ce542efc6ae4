import type { Commit, CommitResult } from '../contracts/metadata-store.ts';
import type { Columns, KindDeclaration } from '../contracts/record.ts';
import type { KeelsonError } from '../errors.ts';
import { canonicalJson, decodeJson } from '../json.ts';
import {
  type CheckedChange,
  type ColumnInput,
  columnInput,
  immutablePart,
  lostClaim,
  missingRecord,
  outOfBounds,
  recordColumn,
  staleRecord,
  takenId,
  takenKey,
  unsafeInteger,
} from '../sql/index.ts';
import type { SqliteDatabase } from './sqlite-database.ts';
import { isTakenKey } from './sqlite-error.ts';
import { appendEvent } from './sqlite-events.ts';
import { removeFacets, writeFacet } from './sqlite-facets.ts';
import { appendHistory, restoreHistory } from './sqlite-history.ts';
import { mergedColumns, type RecordRow, type SqliteRecordTable } from './sqlite-record-table.ts';
import { ridOf } from './sqlite-schema.ts';

/** What applying a commit needs. `at` is the time of the commit. */
export interface CommitContext {
  readonly db: SqliteDatabase;
  readonly commit: Commit;
  readonly at: number;
  table(kind: KindDeclaration): SqliteRecordTable;
}

/** Applies the changes in order, inside a write; throws at the first that cannot be. */
export function applyCommit(
  context: CommitContext,
  changes: readonly CheckedChange[],
): CommitResult {
  return { at: context.at, revisions: changes.map((change) => applyChange(context, change)) };
}

function applyChange(context: CommitContext, change: CheckedChange): number {
  switch (change.op) {
    case 'create': {
      const { at } = context;
      return insert(context, { ...change, revision: 1, createdAt: at, updatedAt: at });
    }
    case 'restore':
      return insert(context, change);
    case 'replace':
      return replace(context, change);
    case 'merge':
      return merge(context, change);
    case 'remove':
      return remove(context, change);
    case 'assert':
      return assertRevision(context, change);
    case 'adjust':
      return adjust(context, change);
    case 'hold':
      return hold(context, change);
    case 'emit':
      appendEvent(context.db, context.commit.workspace, change.event, change.payload);
      return 0;
  }
}

type Of<Op extends CheckedChange['op']> = Extract<CheckedChange, { op: Op }>;

/** A record to put in: a new one, or one as it was elsewhere. */
type Inserted = Omit<Of<'restore'>, 'op' | 'history'> & Partial<Pick<Of<'restore'>, 'history'>>;

function insert(context: CommitContext, record: Inserted): number {
  const { db } = context;
  const { workspace } = context.commit;
  const { kind, id, revision, createdAt, updatedAt, columns: inputs, body, history } = record;
  const table = context.table(kind);
  if (table.find(workspace, id) !== undefined) {
    throw takenId({ kind: kind.name, id });
  }
  const rid = ridOf(db, workspace, id);
  const owner = { workspace, kind, rid };
  const facets = record.facets.map(
    (facet) => [facet.facet, writeFacet(db, owner, facet, '{}')] as const,
  );
  const row = { rid, workspace, id, revision, createdAt, updatedAt, body };
  const columns = mergedColumns({}, inputs);
  keepUnique(context, kind, { id, rid, columns }, () => table.insert(row, inputs, facets));
  if (history === undefined) appendHistory(context, kind, { rid, revision, columns, body }, false);
  else restoreHistory(db, { kind: kind.name, rid }, history);
  return revision;
}

function replace(context: CommitContext, change: Of<'replace'>): number {
  const { kind, id, expect } = change;
  const table = context.table(kind);
  const row = getRow(context, kind, id);
  if (row.revision !== expect) throw staleRecord({ kind: kind.name, id }, expect, row.revision);
  const columns = mergedColumns(row.columns, change.columns);
  assertImmutable(kind, id, row.columns, change.columns);
  let body = change.body;
  if (body !== undefined && kind.immutableBody === true) {
    if (canonicalJson(decodeJson(body)) !== canonicalJson(decodeJson(row.body))) {
      throw immutablePart({ kind: kind.name, id }, undefined);
    }
    // Equal, but perhaps with its keys in another order: the stored text must not change.
    body = undefined;
  }
  const revision = row.revision + 1;
  keepUnique(context, kind, { id, rid: row.rid, columns }, () =>
    table.update(row.rid, {
      revision: { number: revision, at: context.at },
      body,
      columns: change.columns,
    }),
  );
  const after = { rid: row.rid, revision, columns, body: body ?? row.body };
  appendHistory(context, kind, after, false);
  return revision;
}

function merge(context: CommitContext, change: Of<'merge'>): number {
  const { db } = context;
  const { kind, id } = change;
  const table = context.table(kind);
  const { rid, revision } = getRow(context, kind, id);
  const owner = { workspace: context.commit.workspace, kind, rid };
  const facets = change.facets.map((facet) => {
    const before = table.facetText(rid, facet.facet);
    return [facet.facet, writeFacet(db, owner, facet, before)] as const;
  });
  table.update(rid, { facets });
  return revision;
}

function remove(context: CommitContext, change: Of<'remove'>): number {
  const { db } = context;
  const { workspace } = context.commit;
  const { kind, id, expect } = change;
  const table = context.table(kind);
  const row = table.find(workspace, id);
  if (row?.revision !== expect) throw staleRecord({ kind: kind.name, id }, expect, row?.revision);
  const { rid, columns, body } = row;
  removeFacets(db, table, { workspace, kind, rid });
  db.prepare('DELETE FROM claim WHERE kind = ? AND rid = ?').run(kind.name, rid);
  table.delete(rid);
  appendHistory(context, kind, { rid, revision: row.revision + 1, columns, body }, true);
  return 0;
}

function assertRevision(context: CommitContext, change: Of<'assert'>): number {
  const { kind, id, expect } = change;
  const row = context.table(kind).find(context.commit.workspace, id);
  if (expect === 'absent') {
    if (row === undefined) return 0;
  } else if (row?.revision === expect) {
    return row.revision;
  }
  throw staleRecord({ kind: kind.name, id }, expect, row?.revision);
}

function adjust(context: CommitContext, change: Of<'adjust'>): number {
  const { kind, id, column, declaration, by, min, max } = change;
  const row = getRow(context, kind, id);
  const before = row.columns[column];
  const after = (typeof before === 'number' ? before : 0) + by;
  const refused = {
    ...{ kind: kind.name, id, column, by, min, max },
    value: typeof before === 'number' ? before : 0,
  };
  const within = (min === undefined || after >= min) && (max === undefined || after <= max);
  if (!within) throw outOfBounds(refused);
  if (declaration.type === 'integer' && !Number.isSafeInteger(after)) throw unsafeInteger(refused);
  const input = columnInput(kind, column, after, `${kind.name} ${id}`);
  const columns = mergedColumns(row.columns, [input]);
  keepUnique(context, kind, { id, rid: row.rid, columns }, () =>
    context.table(kind).update(row.rid, { columns: [input] }),
  );
  return row.revision;
}

function hold(context: CommitContext, change: Of<'hold'>): number {
  const { kind, id, owner, fence } = change;
  const held = context.db
    .prepare(
      `SELECT 1 AS held FROM claim
       WHERE fence = ? AND kind = ? AND ws = ? AND id = ? AND owner = ? AND expires_at > ?`,
    )
    .get(fence, kind.name, context.commit.workspace, id, owner, context.at);
  if (held !== undefined) return 0;
  throw lostClaim({ kind: kind.name, id }, { owner, fence });
}

function getRow(context: CommitContext, kind: KindDeclaration, id: string): RecordRow {
  const row = context.table(kind).find(context.commit.workspace, id);
  if (row !== undefined) return row;
  throw missingRecord({ kind: kind.name, id });
}

/** Refuses changes of immutable columns; setting what is there already is no change. */
export function assertImmutable(
  kind: KindDeclaration,
  id: string,
  before: Columns,
  inputs: readonly ColumnInput[],
): void {
  for (const { name, declaration, value, flag } of inputs) {
    if (declaration.immutable !== true) continue;
    const now = columnInput(kind, name, before[name], `${kind.name} ${id}`);
    if (now.value !== value || now.flag !== flag) {
      throw immutablePart({ kind: kind.name, id }, name);
    }
  }
}

/** Runs a write of a record; turns a taken unique key into a CONFLICT that names it. */
export function keepUnique(
  context: Pick<CommitContext, 'db' | 'table'> & { readonly commit: Pick<Commit, 'workspace'> },
  kind: KindDeclaration,
  record: { readonly id: string; readonly rid: number; readonly columns: Columns },
  write: () => void,
): void {
  try {
    write();
  } catch (error) {
    if (!isTakenKey(error)) throw error;
    throw findTakenKey(context, kind, record, error);
  }
}

function findTakenKey(
  context: Parameters<typeof keepUnique>[0],
  kind: KindDeclaration,
  record: { readonly id: string; readonly rid: number; readonly columns: Columns },
  cause: unknown,
): KeelsonError {
  const table = context.table(kind).name;
  for (const key of kind.unique ?? []) {
    const values = key.columns.map((name) => (name === 'id' ? record.id : record.columns[name]));
    if (values.includes(undefined)) continue;
    const same = key.columns.map((name) => `${recordColumn(name)} = ?`).join(' AND ');
    const stored = values.map((value) =>
      typeof value === 'boolean' ? Number(value) : (value ?? null),
    );
    const other = context.db
      .prepare(`SELECT id FROM ${table} WHERE ws = ? AND ${same} AND rid <> ?`)
      .get(context.commit.workspace, ...stored, record.rid);
    if (other === undefined) continue;
    return takenKey({ kind: kind.name, id: record.id }, key, String(other['id']), cause);
  }
  return takenKey({ kind: kind.name, id: record.id }, undefined, undefined, cause);
}
