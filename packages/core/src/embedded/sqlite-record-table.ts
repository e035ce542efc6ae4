import type { Columns, KindDeclaration, StoredRecord } from '../contracts/record.ts';
import { decodeJson, encodeJson, type JsonObject } from '../json.ts';
import {
  type ColumnInput,
  columnOutput,
  facetColumn,
  flagColumn,
  recordColumn,
  recordTable,
  type SqlRow,
  type SqlValue,
} from '../sql/index.ts';
import type { SqliteDatabase } from './sqlite-database.ts';

/** A record's row, without its facets. */
export interface RecordRow {
  readonly rid: number;
  readonly id: string;
  readonly workspace: string;
  readonly revision: number;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly columns: Columns;
  readonly body: string;
}

/** Reads and writes the rows of one kind; knows nothing of revisions, history and claims. */
export class SqliteRecordTable {
  readonly kind: KindDeclaration;
  readonly #db: SqliteDatabase;
  readonly #columns: readonly { name: string; column: string; flag: string | undefined }[];
  readonly #select: string;
  readonly #selectBodiless: string;

  constructor(db: SqliteDatabase, kind: KindDeclaration) {
    this.kind = kind;
    this.#db = db;
    this.#columns = Object.entries(kind.columns).map(([name, { type }], i) => ({
      name,
      column: `c${i}`,
      flag: type === 'real' ? `x${i}` : undefined,
    }));
    const columns = this.#columns.flatMap(({ name, column, flag }) => [
      `${recordColumn(name)} AS ${column}`,
      ...(flag === undefined ? [] : [`${flagColumn(name)} AS ${flag}`]),
    ]);
    const all = ['rid', 'ws', 'id', 'rev', 'created_at', 'updated_at', ...columns];
    this.#select = ['body', ...all].join(', ');
    this.#selectBodiless = ["'{}' AS body", ...all].join(', ');
  }

  /** The table's name. */
  get name(): string {
    return recordTable(this.kind.name);
  }

  find(workspace: string, id: string, body = true): RecordRow | undefined {
    const select = body ? this.#select : this.#selectBodiless;
    const text = `SELECT ${select} FROM ${this.name} WHERE ws = ? AND id = ?`;
    const row = this.#db.prepare(text).get(workspace, id);
    return row === undefined ? undefined : this.#read(row);
  }

  get(rid: number, body = true): RecordRow | undefined {
    const select = body ? this.#select : this.#selectBodiless;
    const text = `SELECT ${select} FROM ${this.name} WHERE rid = ?`;
    const row = this.#db.prepare(text).get(rid);
    return row === undefined ? undefined : this.#read(row);
  }

  /** A merged facet of a record, as its stored JSON. */
  facetText(rid: number, facet: string): string {
    const text = `SELECT ${facetColumn(facet)} AS value FROM ${this.name} WHERE rid = ?`;
    return String(this.#db.prepare(text).get(rid)?.['value'] ?? '{}');
  }

  insert(
    row: Omit<RecordRow, 'columns'>,
    columns: readonly ColumnInput[],
    facets: readonly (readonly [facet: string, text: string])[],
  ): void {
    const fixed: [string, SqlValue][] = [
      ['rid', row.rid],
      ['ws', row.workspace],
      ['id', row.id],
      ['rev', row.revision],
      ['created_at', row.createdAt],
      ['updated_at', row.updatedAt],
      ['body', row.body],
    ];
    const all = [
      ...fixed,
      ...assignments(columns),
      ...facets.map(([facet, text]): [string, SqlValue] => [facetColumn(facet), text]),
    ];
    const names = all.map(([name]) => name).join(', ');
    const places = all.map(() => '?').join(', ');
    this.#db
      .prepare(`INSERT INTO ${this.name} (${names}) VALUES (${places})`)
      .run(...all.map(([, value]) => value));
  }

  update(
    rid: number,
    changes: {
      /** A new revision, and when the record came to it. */
      readonly revision?: { readonly number: number; readonly at: number };
      readonly body?: string | undefined;
      readonly columns?: readonly ColumnInput[];
      readonly facets?: readonly (readonly [facet: string, text: string])[];
    },
  ): void {
    const all: [string, SqlValue][] = [];
    if (changes.revision !== undefined) {
      all.push(['rev', changes.revision.number], ['updated_at', changes.revision.at]);
    }
    if (changes.body !== undefined) all.push(['body', changes.body]);
    all.push(...assignments(changes.columns ?? []));
    for (const [facet, text] of changes.facets ?? []) all.push([facetColumn(facet), text]);
    if (all.length === 0) return;
    const sets = all.map(([name]) => `${name} = ?`).join(', ');
    this.#db
      .prepare(`UPDATE ${this.name} SET ${sets} WHERE rid = ?`)
      .run(...all.map(([, value]) => value), rid);
  }

  delete(rid: number): void {
    this.#db.prepare(`DELETE FROM ${this.name} WHERE rid = ?`).run(rid);
  }

  /** The record of a row; its facets are the caller's to add. */
  record(row: RecordRow, facets: StoredRecord['facets']): StoredRecord {
    const { id, workspace, revision, createdAt, updatedAt, columns, body } = row;
    return {
      kind: this.kind.name,
      id,
      workspace,
      revision,
      createdAt,
      updatedAt,
      columns,
      body: decodeJson(body) as JsonObject,
      facets,
    };
  }

  #read(row: SqlRow): RecordRow {
    const columns: Record<string, Columns[string]> = {};
    for (const { name, column, flag } of this.#columns) {
      const declaration = this.kind.columns[name];
      if (declaration === undefined) continue;
      const stored = flag === undefined ? null : row[flag];
      const value = columnOutput(declaration, row[column], stored);
      if (value !== undefined) columns[name] = value;
    }
    return {
      rid: Number(row['rid']),
      id: String(row['id']),
      workspace: String(row['ws']),
      revision: Number(row['rev']),
      createdAt: Number(row['created_at']),
      updatedAt: Number(row['updated_at']),
      columns,
      body: String(row['body']),
    };
  }
}

/** The columns and flags that an input sets. */
function assignments(columns: readonly ColumnInput[]): [string, SqlValue][] {
  return columns.flatMap(({ name, declaration, value, flag }): [string, SqlValue][] =>
    declaration.type === 'real'
      ? [
          [recordColumn(name), value],
          [flagColumn(name), flag],
        ]
      : [[recordColumn(name), value]],
  );
}

/** Columns after inputs were applied to them, as the history keeps them. */
export function mergedColumns(before: Columns, inputs: readonly ColumnInput[]): Columns {
  const columns: Record<string, Columns[string]> = { ...before };
  for (const { name, declaration, value, flag } of inputs) {
    const output = columnOutput(declaration, value, flag);
    if (output === undefined) delete columns[name];
    else columns[name] = output;
  }
  return columns;
}

/** Columns as text for the history. */
export function encodeColumns(columns: Columns): string {
  return encodeJson(columns, 'columns');
}
