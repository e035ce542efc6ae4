import { createHash } from 'node:crypto';
import { type Commit, type CommitResult, encodeJson, type KindDeclaration } from '@keelson/core';
import {
  type CheckedChange,
  type CheckedFacet,
  type CheckedRevision,
  type ColumnInput,
  type FacetKey,
  facetColumn,
  facetValue,
  flagColumn,
  type Kinds,
  recordColumn,
  recordTable,
} from '@keelson/core/sql';
import type { PgDatabase } from '../connection/pg-database.ts';
import { commitRefusal } from './commit-refusal.ts';
import type { KeyNumbers } from './key-numbers.ts';

/** What a commit needs. */
export interface CommitContext {
  readonly database: PgDatabase;
  readonly kinds: Kinds;
  readonly numbers: KeyNumbers;
}

type Of<Op extends CheckedChange['op']> = Extract<CheckedChange, { op: Op }>;

/** Applies the changes: all of them, in one call, or none. */
export async function applyCommit(
  context: CommitContext,
  commit: Commit,
  changes: readonly CheckedChange[],
): Promise<CommitResult> {
  const { database, kinds } = context;
  const kids = await allotKeys(context, commit.workspace, changes);
  const written = changes.map((change) => changeText(commit.workspace, change, kids));
  try {
    const [row] = await database.write(
      `SELECT ${database.name('commit_changes')}($1, $2, $3, $4, $5, $6, $7, $8) AS result`,
      [
        commit.workspace,
        commit.principal,
        commit.reason ?? null,
        commit.correlationId ?? null,
        database.lockTimeoutMs,
        subjectLocks(commit.workspace, changes),
        recordLocks(changes),
        `[${written.join(',')}]`,
      ],
    );
    return JSON.parse(String(row?.['result'])) as CommitResult;
  } catch (error) {
    throw commitRefusal(error, kinds) ?? error;
  }
}

/** The number of a facet key of a kind. */
type KidOf = (kind: KindDeclaration, key: FacetKey) => number;

async function allotKeys(
  { numbers }: CommitContext,
  workspace: string,
  changes: readonly CheckedChange[],
): Promise<KidOf> {
  const named = new Map<KindDeclaration, FacetKey[]>();
  for (const change of changes) {
    if (change.op !== 'create' && change.op !== 'restore' && change.op !== 'merge') continue;
    const keys = named.get(change.kind) ?? [];
    named.set(change.kind, keys);
    for (const { facet, set, unset } of change.facets) {
      for (const key of [...Object.keys(set), ...unset]) keys.push({ facet, key });
    }
  }
  const kids = new Map<KindDeclaration, Map<string, number>>();
  for (const [kind, keys] of named) {
    if (keys.length === 0) continue;
    const all = await numbers.allot(workspace, kind, keys);
    kids.set(kind, new Map(keys.map((key, i) => [keyText(key), all[i] ?? Number.NaN])));
  }
  return (kind, key) => kids.get(kind)?.get(keyText(key)) ?? Number.NaN;
}

function keyText({ facet, key }: FacetKey): string {
  return `${facet}\u0000${key}`;
}

/** A change as `commit_changes` reads it. */
function changeText(workspace: string, change: CheckedChange, kidOf: KidOf): string {
  switch (change.op) {
    case 'emit':
      return withTexts(emitJson(workspace, change), { payload: change.payload });
    case 'create': {
      const json = { ...record(change), columns: columnsJson(change.columns) };
      const facets = facetTexts(change.kind, change.facets, kidOf);
      return withTexts(json, { body: change.body, ...facets });
    }
    case 'restore': {
      const { revision, createdAt, updatedAt, history } = change;
      const own = { revision, createdAt, updatedAt, columns: columnsJson(change.columns) };
      return withTexts(
        { ...record(change), ...own },
        {
          body: change.body,
          ...facetTexts(change.kind, change.facets, kidOf),
          ...(history === undefined ? {} : { history: historyText(history) }),
        },
      );
    }
    case 'replace': {
      const json = { ...record(change), expect: change.expect };
      const columns = JSON.stringify(columnsJson(change.columns));
      return withTexts(json, {
        columns,
        ...(change.body === undefined ? {} : { body: change.body }),
      });
    }
    case 'merge':
      return withTexts(record(change), facetTexts(change.kind, change.facets, kidOf));
    case 'remove':
    case 'assert':
      return JSON.stringify({ ...record(change), expect: change.expect });
    case 'adjust':
      return JSON.stringify(adjustJson(change));
    case 'hold':
      return JSON.stringify({ ...record(change), owner: change.owner, fence: change.fence });
  }
}

function historyText(history: readonly CheckedRevision[]): string {
  const entries = history.map(({ columns, body, revision, at, by, reason, correlationId }) =>
    withTexts(
      { rev: revision, at, who: by, why: reason, correlation: correlationId },
      { columns, body },
    ),
  );
  return `[${entries.join(',')}]`;
}

/** JSON of an object with properties that are JSON texts already. */
function withTexts(json: object, texts: Readonly<Record<string, string>>): string {
  const parts = Object.entries(texts).map(([name, text]) => `,"${name}":${text}`);
  return `${JSON.stringify(json).slice(0, -1)}${parts.join('')}}`;
}

function record(change: Exclude<CheckedChange, Of<'emit'>>): object {
  return { op: change.op, kind: change.kind.name, id: change.id };
}

function adjustJson(change: Of<'adjust'>): object {
  const { column, declaration, by, min, max } = change;
  return {
    ...record(change),
    table: recordTable(change.kind.name),
    name: column,
    column: unquoted(recordColumn(column)),
    by: numberJson(by),
    ...(declaration.type === 'real' ? { flag: unquoted(flagColumn(column)) } : {}),
    ...(min === undefined ? {} : { min: numberJson(min) }),
    ...(max === undefined ? {} : { max: numberJson(max) }),
  };
}

function emitJson(workspace: string, { event }: Of<'emit'>): object {
  return {
    op: 'emit',
    id: event.id,
    type: event.type,
    subject: event.subject,
    key: subjectKey(workspace, event.subject),
    source: event.source,
    at: event.at,
    version: event.schemaVersion,
    correlation: event.correlationId,
    ...(event.causationId === undefined ? {} : { causation: event.causationId }),
    by: event.principal,
  };
}

/** Columns and their flags under the names that their table has for them. */
export function columnsJson(inputs: readonly ColumnInput[]): Record<string, unknown> {
  const entries = inputs.flatMap(({ name, declaration, value, flag }): [string, unknown][] => {
    const own = typeof value === 'number' ? numberJson(value) : value;
    const column: [string, unknown] = [unquoted(recordColumn(name)), own];
    return declaration.type === 'real' ? [column, [unquoted(flagColumn(name)), flag]] : [column];
  });
  return Object.fromEntries(entries);
}

/** A number as JSON that PostgreSQL reads back exactly: JSON has no infinities. */
function numberJson(value: number): number | string {
  if (Object.is(value, -0)) return '-0';
  return Number.isFinite(value) ? value : String(value);
}

function unquoted(column: string): string {
  return column.startsWith('"') ? column.slice(1, -1) : column;
}

/** The facets' maps to merge, the keys to remove from them, and the same as rows of `facet`. */
function facetTexts(
  kind: KindDeclaration,
  facets: readonly CheckedFacet[],
  kidOf: KidOf,
): Readonly<Record<string, string>> {
  const maps: string[] = [];
  const unset: Record<string, readonly string[]> = {};
  const rows: object[] = [];
  const gone: number[] = [];
  for (const change of facets) {
    const { facet } = change;
    const column = unquoted(facetColumn(facet));
    maps.push(`"${column}":${encodeJson(change.set, facet)}`);
    if (change.unset.length > 0) unset[column] = change.unset.map(escapedKey);
    for (const key of change.unset) gone.push(kidOf(kind, { facet, key }));
    for (const [key, value] of Object.entries(change.set)) {
      const { num, ...rest } = facetValue(value);
      rows.push({
        kid: kidOf(kind, { facet, key }),
        num: num === null ? null : numberJson(num),
        ...rest,
      });
    }
  }
  if (maps.length === 0) return {};
  return {
    facets: `{${maps.join(',')}}`,
    ...(Object.keys(unset).length === 0 ? {} : { unset: JSON.stringify(unset) }),
    ...(rows.length === 0 ? {} : { rows: JSON.stringify(rows) }),
    ...(gone.length === 0 ? {} : { gone: JSON.stringify(gone) }),
  };
}

/** A key as encodeJson writes it. */
function escapedKey(key: string): string {
  return /^\$+number$/.test(key) ? `$${key}` : key;
}

/** The records that more than one change could wait for, by kind and id: the order of all commits. */
function recordLocks(changes: readonly CheckedChange[]): string | null {
  const ids = new Map<string, { readonly ids: Set<string>; share: boolean }>();
  let count = 0;
  for (const change of changes) {
    if (change.op === 'create' || change.op === 'restore') continue;
    if (change.op === 'emit' || change.op === 'hold') continue;
    if (change.op === 'assert' && change.expect === 'absent') continue;
    const table = recordTable(change.kind.name);
    const group = ids.get(table) ?? { ids: new Set(), share: true };
    ids.set(table, group);
    if (!group.ids.has(change.id)) count += 1;
    group.ids.add(change.id);
    if (change.op !== 'assert') group.share = false;
  }
  if (count <= 1) return null;
  const locks = [...ids.keys()].toSorted().map((table) => {
    const group = ids.get(table);
    return { table, share: group?.share ?? false, ids: [...(group?.ids ?? [])] };
  });
  return JSON.stringify(locks);
}

/** So many locks at most for all subjects of a store: the server's memory for locks is bounded. */
const subjectLockCount = 4_096;

function subjectLocks(
  workspace: string,
  changes: readonly CheckedChange[],
): readonly number[] | null {
  const locks = new Set<number>();
  for (const change of changes) {
    if (change.op !== 'emit') continue;
    const key = subjectKey(workspace, change.event.subject);
    locks.add(Number.parseInt(key.slice(0, 8), 16) % subjectLockCount);
  }
  return locks.size === 0 ? null : [...locks].toSorted((a, b) => a - b);
}

/** The beginning of a digest, in place of a subject that may be too long for an index; as a UUID. */
export function subjectKey(workspace: string, subject: string): string {
  const text = JSON.stringify([workspace, subject]);
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}
