import type { Query } from '@keelson/core';
import { runFilter, runOrder } from '../packages/core/test/run-language.ts';
import { storeManyRuns } from '../packages/store-pg/test/many-runs.ts';
import type { BenchContext } from './benchmark.ts';
import type { PgBench, PgSides } from './pg-server.ts';
import { elapsedMs, inTurns } from './rounds.ts';
import { type Row, rowOf } from './row.ts';
import { adversarialQueries, type RunQuery, realisticQueries } from './run-queries.ts';

const sizes = {
  smallest: { rounds: 1, runs: 600, page: 3 },
  usual: { rounds: 7, runs: 20_000, page: 100 },
  full: { rounds: 9, runs: 100_000, page: 100 },
};
const workspace = 'default';
const pageSize = 50;

type Times = Readonly<Record<'search' | 'sql', readonly number[]>>;

/**
 * Run search on PostgreSQL: pages of 50 with their params and tags; beside plain SQL over the same tables,
 * planned by PostgreSQL. That both find the same runs is checked.
 */
export async function benchPgSearch(context: BenchContext, server: PgBench): Promise<Row[]> {
  const { rounds, runs, page } = sizes[context.scale];
  context.tell(`stores: ${runs} runs to search`);
  await using sides = await server.open();
  const fill = async (text: string): Promise<readonly Record<string, unknown>[]> =>
    (await sides.bare.query(text)).rows;
  await storeManyRuns(fill, sides.schema, runs);
  const bare = await BarePgRuns.of(sides);
  const all = async (name: string, queries: readonly RunQuery[]): Promise<Row[]> => {
    const times: Times[] = [];
    for (const query of queries) {
      context.tell(`stores: ${name}, ${query.name}`);
      times.push(await compare(sides, bare, query, queryOf(query), 1, rounds));
    }
    const flat = (side: 'search' | 'sql'): number[] => times.flatMap((one) => one[side]);
    return [
      timesRow(name, { search: flat('search'), sql: flat('sql') }),
      ...queries.map((query, i) => timesRow(`  ${query.name}`, times[i] as Times)),
    ];
  };
  const rows = await all(
    `PostgreSQL: search of ${runs.toLocaleString('en-US')} runs`,
    realisticQueries,
  );
  for (const query of realisticQueries.slice(0, 3)) {
    context.tell(`stores: page ${page}, ${query.name}`);
    const deep = await deepPage(sides, query, page);
    const times = await compare(sides, bare, query, deep, page, rounds);
    rows.push(timesRow(`  page ${page}, ${query.name}`, times));
  }
  rows.push(...(await totals(sides, bare, rounds)));
  return [...rows, ...(await all('PostgreSQL: adversarial search', adversarialQueries))];
}

/** The query of a search, of live runs. */
function queryOf({ search }: RunQuery): Query {
  const left = { from: 'column', name: 'lifecycle' } as const;
  const live = { op: 'compare', left, cmp: '=', value: 'active' } as const;
  const filter = runFilter(search.filter ?? '');
  return {
    where: { op: 'and', of: filter === undefined ? [live] : [live, filter] },
    orderBy: (search.orderBy ?? []).map(runOrder),
    limit: pageSize,
    facets: ['params', 'tags'],
  };
}

async function deepPage({ store }: PgSides, query: RunQuery, page: number): Promise<Query> {
  let asked = queryOf(query);
  for (let before = 1; before < page; before += 1) {
    const { cursor } = await store.query(workspace, 'run', asked);
    if (cursor === undefined) throw new Error(`There is no page ${page} of: ${query.name}.`);
    asked = { ...asked, cursor };
  }
  return asked;
}

async function compare(
  { store }: PgSides,
  bare: BarePgRuns,
  query: RunQuery,
  asked: Query,
  page: number,
  rounds: number,
): Promise<Times> {
  let found: readonly string[] = [];
  let expected: readonly string[] = [];
  const times = await inTurns(rounds, {
    search: () =>
      elapsedMs(async () => {
        const { records } = await store.query(workspace, 'run', asked);
        found = records.map(({ id }) => id);
      }),
    sql: () =>
      elapsedMs(async () => {
        expected = await bare.page(query, page);
      }),
  });
  if (found.join() !== expected.join()) {
    throw new Error(`Search and SQL found different runs: ${query.name}, page ${page}.`);
  }
  return times;
}

async function totals({ store }: PgSides, bare: BarePgRuns, rounds: number): Promise<Row[]> {
  const rows: Row[] = [];
  for (const query of [realisticQueries[0], realisticQueries[6]] as RunQuery[]) {
    const { where } = queryOf(query);
    const times = await inTurns(rounds, {
      search: () => elapsedMs(() => store.count(workspace, 'run', where)),
      sql: () => elapsedMs(() => bare.count(query)),
    });
    rows.push(timesRow(`  estimated total, ${query.name.split(',')[0]}`, times, 'count(*) in SQL'));
  }
  return rows;
}

function timesRow(name: string, times: Times, beside = 'SQL on the same tables'): Row {
  return rowOf(name, 'ms', times.search, { name: beside, values: times.sql });
}

/** Plain SQL over the tables that the store has, joins by key, as PostgreSQL plans it. */
class BarePgRuns {
  readonly #bare: PgSides['bare'];
  readonly #kids: ReadonlyMap<string, number>;

  private constructor(bare: PgSides['bare'], kids: ReadonlyMap<string, number>) {
    this.#bare = bare;
    this.#kids = kids;
  }

  static async of({ bare }: PgSides): Promise<BarePgRuns> {
    const { rows } = await bare.query('SELECT kid, facet, key FROM dict');
    const kids = rows.map((row): [string, number] => [`${row.facet} ${row.key}`, row.kid]);
    return new BarePgRuns(bare, new Map(kids));
  }

  /** A join of the summary of a metric, under its own name. */
  metric(key: string): string {
    return ` JOIN summary "${key}" ON "${key}".kid = ${this.#kids.get(`metrics ${key}`)} AND "${key}".rid = r.rid`;
  }

  /** A join of a param, under its own name. */
  param(key: string): string {
    return ` JOIN facet "${key}" ON "${key}".kid = ${this.#kids.get(`params ${key}`)} AND "${key}".rid = r.rid`;
  }

  /** The ids of a page, having read all that it shows. Pages are found by OFFSET, as is usual. */
  async page(query: RunQuery, page: number): Promise<readonly string[]> {
    const { joins, where, orderBy } = query.sql(this);
    const { rows } = await this.#bare.query(
      `SELECT r.id, r.body, r.f_params, r.f_tags FROM rec_run r ${joins}
       WHERE r.ws = '${workspace}' AND r.c_lifecycle = 'active' AND (${where})
       ORDER BY ${orderBy}, r.id LIMIT ${pageSize} OFFSET ${pageSize * (page - 1)}`,
    );
    return rows.map((row) => String(row.id));
  }

  /** How many match. */
  async count(query: RunQuery): Promise<number> {
    const { joins, where } = query.sql(this);
    const { rows } = await this.#bare.query(
      `SELECT count(*) AS n FROM rec_run r ${joins}
       WHERE r.ws = '${workspace}' AND r.c_lifecycle = 'active' AND (${where})`,
    );
    return Number(rows[0]?.n);
  }
}
