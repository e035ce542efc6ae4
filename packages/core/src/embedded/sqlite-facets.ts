import type { FacetMap, KindDeclaration } from '../contracts/record.ts';
import { decodeJson, encodeJson, type Json } from '../json.ts';
import {
  type CheckedFacet,
  exactLast,
  facetValue,
  mergedFacets,
  metricDict,
} from '../sql/index.ts';
import type { SqliteDatabase } from './sqlite-database.ts';
import type { SqliteRecordTable } from './sqlite-record-table.ts';
import { findKid, kidOf } from './sqlite-schema.ts';

/** Whose facets. */
export interface FacetOwner {
  readonly workspace: string;
  readonly kind: KindDeclaration;
  readonly rid: number;
}

/**
 * Writes facet rows, given what is there already; answers the facet's whole new map as JSON. Values
 * that are there already are not written again.
 */
export function writeFacet(
  db: SqliteDatabase,
  owner: FacetOwner,
  change: CheckedFacet,
  before: string,
): string {
  const { workspace, kind, rid } = owner;
  const values = new Map(Object.entries(decodeJson(before) as FacetMap));
  const number = (key: string): number =>
    kidOf(db, { workspace, kind: kind.name, facet: change.facet, key });
  const remove = db.prepare('DELETE FROM facet WHERE kid = ? AND rid = ?');
  for (const key of change.unset) {
    if (values.delete(key)) remove.run(number(key), rid);
  }
  const put = db.prepare(
    `INSERT INTO facet (kid, rid, num, str, long, nan) VALUES (?, ?, ?, ?, ?, ?)
     ON CONFLICT (kid, rid) DO UPDATE
     SET num = excluded.num, str = excluded.str, long = excluded.long, nan = excluded.nan`,
  );
  for (const [key, value] of Object.entries(change.set)) {
    if (values.has(key) && sameValue(values.get(key), value)) continue;
    values.set(key, value);
    const { num, str, long, nan } = facetValue(value);
    put.run(number(key), rid, num, str, long, nan);
  }
  // fromEntries, because assigning `__proto__` would set a prototype.
  return encodeJson(Object.fromEntries(values), change.facet);
}

function sameValue(a: Json | undefined, b: Json): boolean {
  if (typeof a === 'object' || typeof b === 'object') return encodeJson(a) === encodeJson(b);
  return Object.is(a, b);
}

/** Removes the facet rows of a record. */
export function removeFacets(
  db: SqliteDatabase,
  table: SqliteRecordTable,
  owner: FacetOwner,
): void {
  const { workspace, kind, rid } = owner;
  const remove = db.prepare('DELETE FROM facet WHERE kid = ? AND rid = ?');
  for (const facet of mergedFacets(kind)) {
    for (const key of Object.keys(decodeJson(table.facetText(rid, facet)) as FacetMap)) {
      const kid = findKid(db, { workspace, kind: kind.name, facet, key });
      if (kid !== undefined) remove.run(kid, rid);
    }
  }
}

/** The facets of a record, merged ones from the record, projected ones from the summaries. */
export function readFacets(
  db: SqliteDatabase,
  table: SqliteRecordTable,
  rid: number,
  facets: readonly string[],
): Readonly<Record<string, FacetMap>> {
  const entries = facets.map((facet): [string, FacetMap] => [
    facet,
    table.kind.facets?.[facet]?.source === 'projected'
      ? readMetrics(db, rid)
      : (decodeJson(table.facetText(rid, facet)) as FacetMap),
  ]);
  return Object.fromEntries(entries);
}

/** The last value of each metric, by key ascending. */
function readMetrics(db: SqliteDatabase, rid: number): FacetMap {
  const rows = db
    .prepare(
      `SELECT d.key AS key, s.last AS last, s.flags AS flags FROM summary s
       CROSS JOIN dict d ON d.kid = s.kid
       WHERE s.rid = ? AND d.kind = ? AND d.facet = ? AND s.count > 0 ORDER BY d.key`,
    )
    .all(rid, metricDict.kind, metricDict.facet);
  return Object.fromEntries(
    rows.map((row) => {
      const last = row['last'] === null ? null : Number(row['last']);
      return [String(row['key']), exactLast({ last, flags: Number(row['flags']) })];
    }),
  );
}
