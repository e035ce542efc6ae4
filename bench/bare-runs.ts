import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { RunQuery } from './run-queries.ts';

const pageSize = 50;

/**
 * Plain SQL over the tables that the store has, as a good hand would write it without a planner of its
 * own: joins by key, SQLite's choice of indexes, and the page's params, tags and metrics read as well.
 */
export class BareRuns {
  readonly #database: DatabaseSync;

  /** Opens the database of a platform's directory, to read. */
  constructor(dir: string) {
    this.#database = new DatabaseSync(join(dir, 'keelson.db'), { readOnly: true });
    this.#database.exec('PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16000');
  }

  /** A join of the summary of a metric, under its own name. */
  metric(key: string): string {
    return ` JOIN summary "${key}" ON "${key}".kid = ${this.#kid('series', 'metrics', key)} AND "${key}".rid = r.rid`;
  }

  /** A join of a param, under its own name. */
  param(key: string): string {
    return ` JOIN facet "${key}" ON "${key}".kid = ${this.#kid('run', 'params', key)} AND "${key}".rid = r.rid`;
  }

  /** The ids of a page, having read all that it shows. Pages are found by OFFSET, as is usual. */
  page(query: RunQuery, page: number): string[] {
    const { joins, where, orderBy } = query.sql(this);
    const found = this.#database
      .prepare(
        `SELECT r.rid, r.id, r.body, r."f_params" AS params, r."f_tags" AS tags FROM rec_run r ${joins}
         WHERE r.ws = 'default' AND r."c_lifecycle" = 'active' AND (${where})
         ORDER BY ${orderBy}, r.id LIMIT ${pageSize} OFFSET ${pageSize * (page - 1)}`,
      )
      .all();
    const rids = found.map((row) => Number(row['rid']));
    this.#database
      .prepare(
        `SELECT s.rid, d.key, s.last, s.min, s.max, s.mean, s.count, s.first FROM summary s
         JOIN dict d ON d.kid = s.kid WHERE s.rid IN (SELECT value FROM json_each(?))`,
      )
      .all(JSON.stringify(rids));
    for (const row of found) {
      for (const column of ['body', 'params', 'tags']) JSON.parse(String(row[column]));
    }
    return found.map((row) => String(row['id']));
  }

  /** How many match. */
  count(query: RunQuery): number {
    const { joins, where } = query.sql(this);
    const row = this.#database
      .prepare(
        `SELECT count(*) AS n FROM rec_run r ${joins}
         WHERE r.ws = 'default' AND r."c_lifecycle" = 'active' AND (${where})`,
      )
      .get();
    return Number(row?.['n']);
  }

  close(): void {
    this.#database.close();
  }

  #kid(kind: string, facet: string, key: string): number {
    const row = this.#database
      .prepare(`SELECT kid FROM dict WHERE ws = 'default' AND kind = ? AND facet = ? AND key = ?`)
      .get(kind, facet, key);
    if (row === undefined) throw new Error(`No run has ${facet}.${key}.`);
    return Number(row['kid']);
  }
}
