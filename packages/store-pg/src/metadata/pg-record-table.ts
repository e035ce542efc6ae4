import {
  type Columns,
  decodeJson,
  type FacetMap,
  type JsonObject,
  type KindDeclaration,
  type StoredRecord,
} from '@keelson/core';
import {
  columnOutput,
  exactLast,
  facetColumn,
  flagColumn,
  metricDict,
  recordColumn,
  recordTable,
} from '@keelson/core/sql';
import type { PgTransaction } from '../connection/pg-server.ts';
import type { PgRow } from '../connection/pg-session.ts';
import { isProjected } from './key-numbers.ts';

/** How rows of one kind become records. */
export class PgRecordTable {
  readonly kind: KindDeclaration;
  readonly name: string;
  readonly #columns: readonly { name: string; column: string; flag: string | undefined }[];
  readonly #select: string;

  constructor(kind: KindDeclaration) {
    this.kind = kind;
    this.name = recordTable(kind.name);
    this.#columns = Object.entries(kind.columns).map(([name, { type }], i) => ({
      name,
      column: `c${i}`,
      flag: type === 'real' ? `x${i}` : undefined,
    }));
    const declared = this.#columns.flatMap(({ name, column, flag }) => [
      `t.${recordColumn(name)} AS ${column}`,
      ...(flag === undefined ? [] : [`t.${flagColumn(name)} AS ${flag}`]),
    ]);
    const fixed = ['rid', 'ws', 'id', 'rev', 'created_at', 'updated_at'];
    this.#select = [...fixed.map((name) => `t.${name}`), ...declared].join(', ');
  }

  /** What to select of a row `t`, with these facets; an empty body where none is wanted. */
  select(facets: readonly string[], body = true): string {
    const merged = facets
      .map((facet, i) =>
        isProjected(this.kind, facet) ? '' : `, t.${facetColumn(facet)} AS f${i}`,
      )
      .join('');
    return `${this.#select}, ${body ? 't.body' : "'{}' AS body"}${merged}`;
  }

  /** The record of a row; projected facets are `metrics` of its number. */
  record(
    row: PgRow,
    facets: readonly string[],
    metrics: ReadonlyMap<number, FacetMap> = new Map(),
  ): StoredRecord {
    const entries = facets.map((facet, i): [string, FacetMap] => [
      facet,
      isProjected(this.kind, facet)
        ? (metrics.get(Number(row['rid'])) ?? {})
        : (decodeJson(String(row[`f${i}`])) as FacetMap),
    ]);
    return {
      kind: this.kind.name,
      id: String(row['id']),
      workspace: String(row['ws']),
      revision: Number(row['rev']),
      createdAt: Number(row['created_at']),
      updatedAt: Number(row['updated_at']),
      columns: this.#declared(row),
      body: decodeJson(String(row['body'])) as JsonObject,
      facets: Object.fromEntries(entries),
    };
  }

  #declared(row: PgRow): Columns {
    const columns: Record<string, Columns[string]> = {};
    for (const { name, column, flag } of this.#columns) {
      const declaration = this.kind.columns[name];
      if (declaration === undefined) continue;
      const stored = flag === undefined ? null : row[flag];
      const value = columnOutput(declaration, row[column], stored);
      if (value !== undefined) columns[name] = value;
    }
    return columns;
  }
}

/** The records of these numbers, in their order; those that are gone are left out. */
export async function readRecords(
  transaction: PgTransaction,
  table: PgRecordTable,
  rids: readonly number[],
  { facets, body }: { readonly facets: readonly string[]; readonly body?: boolean },
): Promise<readonly StoredRecord[]> {
  if (rids.length === 0) return [];
  const rows = await transaction.query(
    `SELECT ${table.select(facets, body)} FROM ${table.name} t WHERE t.rid = ANY ($1::bigint[])`,
    [rids],
  );
  const metrics = await readMetrics(transaction, table, rids, facets);
  const byRid = new Map(rows.map((row) => [Number(row['rid']), row]));
  return rids.flatMap((rid) => {
    const row = byRid.get(rid);
    return row === undefined ? [] : [table.record(row, facets, metrics)];
  });
}

/** The last value of each metric of the records, by key ascending, if a projected facet is asked for. */
async function readMetrics(
  transaction: PgTransaction,
  table: PgRecordTable,
  rids: readonly number[],
  facets: readonly string[],
): Promise<ReadonlyMap<number, FacetMap>> {
  if (!facets.some((facet) => isProjected(table.kind, facet))) return new Map();
  const rows = await transaction.query(
    `SELECT s.rid AS rid, d.key AS key, s.last AS last, s.flags AS flags
     FROM summary s JOIN dict d ON d.kid = s.kid
     WHERE s.rid = ANY ($1::bigint[]) AND d.kind = $2 AND d.facet = $3 AND s.count > 0
     ORDER BY d.key`,
    [rids, metricDict.kind, metricDict.facet],
  );
  const entries = new Map<number, [string, number][]>();
  for (const row of rows) {
    const rid = Number(row['rid']);
    const last = row['last'] === null ? null : Number(row['last']);
    const value = exactLast({ last, flags: Number(row['flags']) });
    const own = entries.get(rid);
    if (own === undefined) entries.set(rid, [[String(row['key']), value]]);
    else own.push([String(row['key']), value]);
  }
  // fromEntries, because assigning `__proto__` would set a prototype.
  return new Map([...entries].map(([rid, own]) => [rid, Object.fromEntries(own)]));
}
