import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import type { BenchContext } from './benchmark.ts';
import { buildServer, HttpProcess } from './http-process.ts';
import { MlflowPair } from './mlflow-pair.ts';
import { inTurns } from './rounds.ts';
import { type Row, rowOf } from './row.ts';
import { type StoredRun, storeRuns } from './run-data.ts';
import { realisticQueries } from './run-queries.ts';

const sizes = {
  smallest: { rounds: 1, starts: 1, restMs: 200, runs: 0, batches: 0, whole: 0 },
  usual: { rounds: 5, starts: 5, restMs: 3_000, runs: 20_000, batches: 10, whole: 10 },
  full: { rounds: 7, starts: 9, restMs: 5_000, runs: 100_000, batches: 20, whole: 20 },
};
const pointsPerBatch = 1_000;

interface Sides {
  readonly context: BenchContext;
  readonly rounds: number;
  readonly mlflow: MlflowPair;
  readonly url: string;
}

/**
 * What MLflow's own client waits for when it logs to this server, in turns with MLflow's own server (default store and
 * workers); what this server takes at rest, and how soon it answers. The smallest form leaves MLflow out.
 */
export async function benchHttp(context: BenchContext): Promise<Row[]> {
  const size = sizes[context.scale];
  context.tell('http: building the server');
  const built = await buildServer();
  try {
    const rows = await atRest(context, built);
    if (context.scale === 'smallest') return rows;
    context.tell('http: starting MLflow');
    await using mlflow = await MlflowPair.start(context.dir);
    if (mlflow === undefined) {
      context.tell('http: MLflow is not installed; docs/benchmarks.md says how');
      return rows;
    }
    const dir = join(context.dir, 'served');
    await fill(context, { dir, mlflow, runs: size.runs });
    await using server = await HttpProcess.start(built, dir);
    const sides = { context, rounds: size.rounds, mlflow, url: server.url };
    return [
      ...(await logged(sides, size.batches)),
      ...(await wholeRuns(sides, size.whole)),
      ...(await searched(sides, size.runs)),
      ...rows,
    ];
  } finally {
    await rm(built, { recursive: true, force: true });
  }
}

async function atRest(context: BenchContext, built: string): Promise<Row[]> {
  const { starts, restMs } = sizes[context.scale];
  const dir = join(context.dir, 'rest');
  const ready: number[] = [];
  const resident: number[] = [];
  // The first makes the directory.
  for (let start = 0; start <= starts; start += 1) {
    context.tell(`http: start ${start} of ${starts}`);
    await using server = await HttpProcess.start(built, dir);
    if (start === 0) continue;
    await new Promise((resolve) => setTimeout(resolve, restMs));
    ready.push(server.readyMs);
    resident.push(await server.residentMb());
  }
  return [
    { ...rowOf('server at rest, resident', 'MB', resident), goal: { most: 120 } },
    { ...rowOf('its start to its first answer', 'ms', ready), goal: { most: 1_000 } },
  ];
}

/** The same runs in both stores. */
async function fill(
  { dir: place, tell }: BenchContext,
  {
    dir,
    mlflow,
    runs,
  }: { readonly dir: string; readonly mlflow: MlflowPair; readonly runs: number },
): Promise<void> {
  const path = join(place, 'runs.jsonl');
  const lines = createWriteStream(path);
  await storeRuns(
    dir,
    runs,
    (share) => tell(`http: ${Math.floor(100 * share)} % of ${runs} runs stored`),
    (run) => lines.write(lineOf(run)),
  );
  lines.end();
  await finished(lines);
  tell(`http: ${runs} runs into MLflow's database`);
  await mlflow.ask({ do: 'fill', database: mlflow.database, path });
  await rm(path);
}

function lineOf({ id, name, experiment, isFailed, startedAt, ...facets }: StoredRun): string {
  const status = isFailed ? 'FAILED' : 'FINISHED';
  const { metrics, params, tags } = facets;
  const fields = [id.replaceAll('-', ''), name, experiment, status, startedAt];
  return `${JSON.stringify([...fields, metrics, params, tags])}\n`;
}

async function logged({ context, rounds, mlflow, url }: Sides, calls: number): Promise<Row[]> {
  const rate = async (at: string): Promise<number> => {
    const task = { do: 'log_batch', url: at, calls, points: pointsPerBatch };
    return (calls * pointsPerBatch) / ((await mlflow.ask(task)).ms / 1_000);
  };
  const rates = await inTurns(
    rounds,
    { ours: () => rate(url), theirs: () => rate(mlflow.url) },
    (round) => context.tell(`http: log_batch, round ${round} of ${rounds}`),
  );
  const row = rowOf("MLflow's client: log_batch of 1,000 metrics", 'points/s', rates.ours, {
    name: `MLflow ${mlflow.version}`,
    values: rates.theirs,
  });
  return [{ ...row, goal: { leastRatio: 10 } }];
}

async function wholeRuns({ context, rounds, mlflow, url }: Sides, calls: number): Promise<Row[]> {
  const rate = async (at: string): Promise<number> =>
    calls / ((await mlflow.ask({ do: 'runs', url: at, calls })).ms / 1_000);
  const rates = await inTurns(
    rounds,
    { ours: () => rate(url), theirs: () => rate(mlflow.url) },
    (round) => context.tell(`http: whole runs, round ${round} of ${rounds}`),
  );
  const name = "MLflow's client: start_run, 10 params, 10 metrics, end_run";
  const row = rowOf(name, 'runs/s', rates.ours, {
    name: `MLflow ${mlflow.version}`,
    values: rates.theirs,
  });
  return [{ ...row, goal: { leastRatio: 5 } }];
}

/**
 * The requests that MLflow's client makes, answered whole; that both answer with the same runs in the same order is
 * checked. Beside them what the client waits for, half of which is its own reading of the answer.
 */
async function searched({ context, rounds, mlflow, url }: Sides, runs: number): Promise<Row[]> {
  const chosen = realisticQueries.filter(({ name }) => /^(50|1) %/.test(name));
  const experiments = new Map<string, readonly string[]>();
  for (const at of [url, mlflow.url]) experiments.set(at, await experimentsOf(at));
  const rows: Row[] = [];
  const ours: number[] = [];
  const theirs: number[] = [];
  const baseline = (values: readonly number[]) => ({ name: `MLflow ${mlflow.version}`, values });
  for (const { name, search } of chosen) {
    context.tell(`http: search, ${name}`);
    const asked = { filter: search.filter, max_results: 50, order_by: search.orderBy };
    const ask = (at: string): Promise<Found> =>
      found(at, { ...asked, experiment_ids: experiments.get(at) });
    const [here, there] = [await ask(url), await ask(mlflow.url)];
    if (String(here.names) !== String(there.names)) {
      throw new Error(`The servers disagree on: ${name}.\n${here.names}\n${there.names}`);
    }
    const times = await inTurns(rounds, {
      ours: async () => (await ask(url)).ms,
      theirs: async () => (await ask(mlflow.url)).ms,
    });
    ours.push(...times.ours);
    theirs.push(...times.theirs);
    rows.push(rowOf(`  ${name}`, 'ms', times.ours, baseline(times.theirs)));
  }
  const of = `${runs.toLocaleString('en-US')} runs`;
  const all = rowOf(`search_runs over ${of}, the request alone`, 'ms', ours, baseline(theirs));
  const [first] = chosen;
  const task = { do: 'search', filter: first?.search.filter, order: first?.search.orderBy?.[0] };
  const waited = await inTurns(rounds, {
    ours: async () => (await mlflow.ask({ ...task, url })).ms,
    theirs: async () => (await mlflow.ask({ ...task, url: mlflow.url })).ms,
  });
  const client = rowOf(
    `what MLflow's client waits for: ${first?.name}`,
    'ms',
    waited.ours,
    baseline(waited.theirs),
  );
  return [{ ...all, goal: { mostRatio: 1 / 20 } }, ...rows, client];
}

interface Found {
  readonly ms: number;
  readonly names: readonly string[];
}

async function found(url: string, asked: object): Promise<Found> {
  const startedAt = performance.now();
  const text = await answerOf(url, 'runs/search', asked);
  const ms = performance.now() - startedAt;
  const { runs } = JSON.parse(text) as {
    readonly runs: readonly { readonly info: { readonly run_name: string } }[];
  };
  return { ms, names: runs.map(({ info }) => info.run_name) };
}

async function experimentsOf(url: string): Promise<readonly string[]> {
  const asked = { max_results: 1_000, filter: "name LIKE 'experiment-%'" };
  const { experiments } = JSON.parse(await answerOf(url, 'experiments/search', asked)) as {
    readonly experiments: readonly { readonly experiment_id: string }[];
  };
  return experiments.map((each) => each.experiment_id);
}

async function answerOf(url: string, path: string, asked: object): Promise<string> {
  const answer = await fetch(`${url}/api/2.0/mlflow/${path}`, {
    ...{ method: 'POST', headers: { 'content-type': 'application/json' } },
    body: JSON.stringify(asked),
  });
  if (answer.status !== 200) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer.text();
}
