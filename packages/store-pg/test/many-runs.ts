import type { TestDatabase } from './server/test-database.ts';

type Query = TestDatabase['query'];

/** The names of the metrics that every run has; twelve more are of its experiment, 144 in all. */
const commonMetrics = ['accuracy', 'loss', 'val_loss', 'time', 'speed', 'a', 'b', 'c'];
const ownMetrics = Array.from({ length: 144 }, (_, i) => `own-${i}`);
const params = [
  ...['optimizer', 'optimizer.learning_rate', 'layers'],
  ...Array.from({ length: 17 }, (_, i) => `p${i}`),
];
const tags = Array.from({ length: 5 }, (_, i) => `tag-${i}`);

/**
 * Fills a schema with runs as a workspace of some age has them, by statements on the server: 150 experiments of very
 * unequal size, 20 params, 20 metrics and 5 tags a run, in the workspace `default`. `accuracy` is uniform in
 * 0…1 and `loss` falls with it; four runs in five have `optimizer = 'adam'`; each of `a`, `b` and `c` is above
 * 0.6 in a third of the runs, two of them together in hardly any. The kinds of tracking must be there.
 * `storeMetrics` finds the runs, and each one's metrics as JSON, in the table `drawn`.
 */
export async function storeManyRuns(
  query: Query,
  schema: string,
  count: number,
  storeMetrics: (query: Query, schema: string) => Promise<void> = insertSummaries,
): Promise<void> {
  const run = (text: string): Promise<unknown> =>
    query(`BEGIN; SET LOCAL search_path TO ${schema}; SELECT setseed(0.5); ${text}; COMMIT`);
  await run(summaryTable);
  await run(keysOf('run', 'params', params));
  await run(keysOf('run', 'tags', tags));
  await run(keysOf('series', 'metrics', [...commonMetrics, ...ownMetrics]));
  await run(`CREATE TABLE drawn AS ${drawn(count)}`);
  await run(`INSERT INTO entity (ws, id) SELECT 'default', id FROM drawn ORDER BY n`);
  await run(`INSERT INTO rec_run (rid, ws, id, rev, created_at, updated_at, "c_experimentId", c_name,
      c_status, "c_startedAt", "c_endedAt", "c_durationMs", "c_sourceType", "c_sourceName", "c_userId",
      c_lifecycle, body, f_params, f_tags)
    SELECT e.rid, 'default', d.id, 1, d.at, d.at, d.experiment, 'run-' || d.n,
      CASE WHEN d.n % 20 = 0 THEN 'FAILED' ELSE 'COMPLETED' END, d.at, d.at + 50000, 50000,
      'SCRIPT', 'train.ts', 'user:' || d.n % 30, 'active',
      jsonb_build_object('description', repeat('A run of the benchmark. ', 4),
        'environment', jsonb_build_object('command', repeat('node train.ts ', 10))),
      d.params, d.tags
    FROM drawn d JOIN entity e ON e.ws = 'default' AND e.id = d.id ORDER BY d.n`);
  for (const [facet, column] of [
    ['params', 'params'],
    ['tags', 'tags'],
  ] as const) {
    await run(`INSERT INTO facet (kid, rid, num, str)
      SELECT k.kid, e.rid, CASE WHEN jsonb_typeof(p.value) = 'number' THEN (p.value #>> '{}')::float8 END,
        p.value #>> '{}'
      FROM drawn d JOIN entity e ON e.ws = 'default' AND e.id = d.id
      CROSS JOIN LATERAL jsonb_each(d.${column}) AS p
      JOIN dict k ON k.ws = 'default' AND k.kind = 'run' AND k.facet = '${facet}' AND k.key = p.key
      ORDER BY d.n`);
  }
  await storeMetrics(query, schema);
  await run('DROP TABLE drawn');
  for (const table of ['entity', 'dict', 'rec_run', 'facet']) {
    await query(`VACUUM (ANALYZE) ${schema}.${table}`);
  }
}

/** Their metrics as summaries, as if they had been logged and folded long ago. */
async function insertSummaries(query: Query, schema: string): Promise<void> {
  await query(`BEGIN; SET LOCAL search_path TO ${schema}; INSERT INTO summary (kid, rid, count, nan_count, tiers, flags, last, last_step, last_at,
      last_wid, first, first_step, first_at, first_wid, min, min_step, max, max_step, sum, lost, mean)
    SELECT k.kid, e.rid, 1, 0, 0, 0, v, 0, d.at, 1, v, 0, d.at, 1, v, 0, v, 0, v, 0, v
    FROM drawn d JOIN entity e ON e.ws = 'default' AND e.id = d.id
    CROSS JOIN LATERAL (SELECT m.key, m.value::text::float8 AS v FROM jsonb_each(d.metrics) AS m) AS m
    JOIN dict k ON k.ws = 'default' AND k.kind = 'series' AND k.facet = 'metrics' AND k.key = m.key
    ORDER BY d.n; COMMIT`);
  await query(`VACUUM (ANALYZE) ${schema}.summary`);
}

function keysOf(kind: string, facet: string, keys: readonly string[]): string {
  const list = (texts: readonly string[]): string => texts.map((text) => `'${text}'`).join(', ');
  return `SELECT kids_of('default', array_fill('${kind}'::text, ARRAY[${keys.length}]),
    array_fill('${facet}'::text, ARRAY[${keys.length}]), ARRAY[${list(keys)}])`;
}

/** A run a row, with what it logs. */
function drawn(count: number): string {
  const named = Array.from({ length: 17 }, (_, i) => `'p${i}', 'value-' || floor(random() * 50)`);
  const tagged = tags.map((tag, i) => `'${tag}', 'value-' || n % ${7 * (i + 1)}`);
  const own = Array.from(
    { length: 12 },
    (_, i) => `'own-' || (12 * experiment + ${i}) % 144, random()`,
  );
  const normal = '(random() + random() + random() + random() - 2) * 1.7';
  return `SELECT n, '01990000-0000-7000-8000-' || lpad(n::text, 12, '0') AS id,
      1767225600000 + n::bigint * 60000 AS at,
      '00000000-0000-7000-8000-' || lpad(experiment::text, 12, '0') AS experiment,
      jsonb_build_object('optimizer', CASE WHEN random() < 0.8 THEN 'adam' ELSE 'sgd' END,
        'optimizer.learning_rate', 10.0 ^ -(1 + floor(random() * 5)),
        'layers', 1 + floor(random() * 8), ${named.join(', ')}) AS params,
      jsonb_build_object(${tagged.join(', ')}) AS tags,
      jsonb_build_object('accuracy', accuracy, 'loss', loss, 'val_loss', loss + 0.1 * ${normal},
        'time', random(), 'speed', random(),
        'a', CASE WHEN high IN (0, 3) THEN 0.6 + 0.4 * random() ELSE 0.6 * random() END,
        'b', CASE WHEN high IN (1, 3) THEN 0.6 + 0.4 * random() ELSE 0.6 * random() END,
        'c', CASE WHEN high IN (2, 3) THEN 0.6 + 0.4 * random() ELSE 0.6 * random() END,
        ${own.join(', ')}) AS metrics
    FROM (
      SELECT n, floor(random() ^ 3 * 150)::int AS experiment, accuracy,
        1 - accuracy + 0.1 * ${normal} AS loss,
        CASE WHEN random() < 0.001 THEN 3 ELSE floor(random() * 3) END AS high
      FROM (SELECT n, random() AS accuracy FROM generate_series(0, ${count - 1}) AS n) AS a
    ) AS b`;
}

/** The table of the series that searches look at. */
const summaryTable = `CREATE TABLE IF NOT EXISTS summary (
    kid integer NOT NULL, rid bigint NOT NULL, count bigint NOT NULL, nan_count bigint NOT NULL,
    tiers integer NOT NULL, flags integer NOT NULL, last double precision, last_step bigint NOT NULL,
    last_at double precision NOT NULL, last_wid bigint NOT NULL, first double precision,
    first_step bigint NOT NULL, first_at double precision NOT NULL, first_wid bigint NOT NULL,
    min double precision, min_step bigint, max double precision, max_step bigint,
    sum double precision, lost double precision NOT NULL, mean double precision
  );
  CREATE UNIQUE INDEX IF NOT EXISTS summary_key ON summary (kid, rid) INCLUDE (last, min, max);
  CREATE INDEX IF NOT EXISTS summary_last ON summary (kid, last, rid) WHERE last IS NOT NULL;
  CREATE INDEX IF NOT EXISTS summary_rid ON summary (rid)`;
