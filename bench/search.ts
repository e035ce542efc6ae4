import { join } from 'node:path';
import { openPlatform, type RunSearch, type Tracking } from '@keelson/core';
import { BareRuns } from './bare-runs.ts';
import type { BenchContext } from './benchmark.ts';
import { elapsedMs, inTurns } from './rounds.ts';
import { type Row, rowOf } from './row.ts';
import { storeRuns } from './run-data.ts';
import {
  adversarialQueries,
  otherQueries,
  type RunQuery,
  realisticQueries,
} from './run-queries.ts';

const sizes = {
  smallest: { rounds: 1, runs: 600, page: 3 },
  usual: { rounds: 7, runs: 20_000, page: 100 },
  full: { rounds: 7, runs: 100_000, page: 100 },
};

interface Sides {
  readonly tracking: Tracking;
  readonly bare: BareRuns;
  readonly rounds: number;
  readonly tell: (message: string) => void;
}

type Times = Readonly<Record<'search' | 'sql', readonly number[]>>;

/**
 * Run search over many runs (20 params, 20 metrics each), pages of 50 with their params, tags and metrics;
 * beside plain SQL on the same tables. That both find the same runs is checked.
 */
export async function benchSearch(context: BenchContext): Promise<Row[]> {
  return withSides(context, async (sides, { runs, page }) => [
    ...(await firstPages(
      `search of ${runs.toLocaleString('en-US')} runs`,
      sides,
      realisticQueries,
    )),
    ...(await deepPages(sides, page)),
    ...(await totals(sides)),
    ...(await firstPages('adversarial search', sides, adversarialQueries)),
  ]);
}

/** Searches of other shapes, each for itself. */
export async function benchSearchShapes(context: BenchContext): Promise<Row[]> {
  return withSides(context, (sides) => firstPages('search', sides, otherQueries));
}

async function withSides(
  context: BenchContext,
  measure: (sides: Sides, size: (typeof sizes)['usual']) => Promise<Row[]>,
): Promise<Row[]> {
  const size = sizes[context.scale];
  const dir = join(context.dir, 'runs');
  await storeRuns(dir, size.runs, (share) =>
    context.tell(`search: ${Math.floor(100 * share)} % of ${size.runs} runs stored`),
  );
  await using platform = await openPlatform({ dir });
  const bare = new BareRuns(dir);
  const { tracking } = platform;
  const rows = await measure({ tracking, bare, rounds: size.rounds, tell: context.tell }, size);
  bare.close();
  return rows;
}

/** A row for each query, and one for the median over all of them. */
async function firstPages(
  name: string,
  sides: Sides,
  queries: readonly RunQuery[],
): Promise<Row[]> {
  const all: Times[] = [];
  for (const query of queries) {
    sides.tell(`${name}: ${query.name}`);
    all.push(await compare(sides, query, query.search, 1));
  }
  const together: Times = {
    search: all.flatMap((times) => times.search),
    sql: all.flatMap((times) => times.sql),
  };
  return [
    timesRow(`${name}: all ${queries.length}`, together),
    ...queries.map((query, i) => timesRow(`  ${query.name}`, all[i] as Times)),
  ];
}

/** A page far down, reached by the cursor of the page before. */
async function deepPages(sides: Sides, page: number): Promise<Row[]> {
  const rows: Row[] = [];
  for (const query of realisticQueries.slice(0, 3)) {
    sides.tell(`search: page ${page}, ${query.name}`);
    let cursor: string | undefined;
    for (let before = 1; before < page; before += 1) {
      const search = { ...query.search, ...(cursor === undefined ? {} : { cursor }) };
      ({ cursor } = await sides.tracking.searchRuns(search));
      if (cursor === undefined) throw new Error(`There is no page ${page} of: ${query.name}.`);
    }
    const search = { ...query.search, ...(cursor === undefined ? {} : { cursor }) };
    rows.push(timesRow(`  page ${page}, ${query.name}`, await compare(sides, query, search, page)));
  }
  return rows;
}

async function compare(
  { tracking, bare, rounds }: Sides,
  query: RunQuery,
  search: RunSearch,
  page: number,
): Promise<Times> {
  let found: readonly string[] = [];
  let expected: readonly string[] = [];
  const times = await inTurns(rounds, {
    search: () =>
      elapsedMs(async () => {
        found = (await tracking.searchRuns(search)).runs.map((run) => run.id);
      }),
    sql: () =>
      elapsedMs(() => {
        expected = bare.page(query, page);
      }),
  });
  if (found.join() !== expected.join()) {
    throw new Error(`Search and SQL found different runs: ${query.name}, page ${page}.`);
  }
  return times;
}

/** The total that is shown beside a page, as an estimate; the SQL counts. */
async function totals({ tracking, bare, rounds, tell }: Sides): Promise<Row[]> {
  const rows: Row[] = [];
  for (const query of [realisticQueries[0], realisticQueries[6]] as RunQuery[]) {
    tell(`search: total, ${query.name}`);
    const times = await inTurns(rounds, {
      search: () => elapsedMs(() => tracking.countRuns(query.search)),
      sql: () => elapsedMs(() => bare.count(query)),
    });
    const share = query.name.split(',')[0];
    rows.push(timesRow(`  estimated total, ${share}`, times, 'count(*) in SQL'));
  }
  return rows;
}

function timesRow(name: string, times: Times, beside = 'SQL on the same tables'): Row {
  return rowOf(name, 'ms', times.search, { name: beside, values: times.sql });
}
