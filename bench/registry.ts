import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { openPlatform, type Registry } from '@keelson/core';
import { openStores } from '../packages/core/src/embedded/open-stores.ts';
import { platformKinds } from '../packages/core/src/platform-kinds.ts';
import { pgBackend } from '../packages/store-pg/src/index.ts';
import { bareClient } from '../packages/store-pg/test/server/bare-client.ts';
import type { BenchContext } from './benchmark.ts';
import { PgBench } from './pg-server.ts';
import { type RegistryData, storeRegistry } from './registry-data.ts';
import { elapsedMs, inTurns } from './rounds.ts';
import { type Row, rowOf } from './row.ts';

const sizes = {
  smallest: { rounds: 1, versions: 600, models: 50 },
  usual: { rounds: 9, versions: 10_000, models: 2_000 },
  full: { rounds: 15, versions: 60_000, models: 10_000 },
};

type Backends = Pick<Parameters<typeof openPlatform>[0] & object, 'metadata' | 'series'>;

/** How plain SQL walks the same edges; answers how many nodes it found. */
type Walk = (start: string, direction: 'forward' | 'backward') => Promise<number>;

/**
 * Lineage of 1,000 nodes, impact, and searches in a registry of 100,000 versions and datasets (full), on
 * both stores; beside a recursive query over the same edges, which reads no labels.
 */
export async function benchRegistry(context: BenchContext): Promise<Row[]> {
  const embedded = await benchEmbedded(context);
  context.tell('registry: starting PostgreSQL');
  await using server = await PgBench.start();
  return [...embedded, ...(await benchPg(context, server))];
}

async function benchEmbedded(context: BenchContext): Promise<Row[]> {
  const dir = join(context.dir, 'registry');
  const data = await fill(context, 'SQLite', dir, {});
  await using platform = await openPlatform({ dir });
  const bare = new DatabaseSync(join(dir, 'keelson.db'), { readOnly: true });
  const walk: Walk = async (start, direction) => {
    const [near, far] = direction === 'forward' ? ['c_from', 'c_to'] : ['c_to', 'c_from'];
    const row = bare
      .prepare(
        `WITH RECURSIVE walk(id) AS (SELECT ? UNION SELECT e."${far}" FROM walk w
           CROSS JOIN rec_edge e ON e.ws = 'default' AND e."${near}" = w.id)
         SELECT count(*) AS n FROM walk`,
      )
      .get(start);
    return Number(row?.['n']);
  };
  const rows = await questions(context, 'SQLite', platform.registry, data, walk);
  bare.close();
  return rows;
}

async function benchPg(context: BenchContext, server: PgBench): Promise<Row[]> {
  const schema = server.freshSchema();
  const dir = join(context.dir, 'registry-pg');
  const backend = pgBackend({ url: server.url, schema });
  const backends = { metadata: backend, series: backend };
  const data = await fill(context, 'PostgreSQL', dir, backends);
  const bare = await bareClient(server.url);
  await bare.query(`SET search_path TO ${schema}`);
  await bare.query('VACUUM (ANALYZE)');
  await using platform = await openPlatform({ dir, ...backends });
  const walk: Walk = async (start, direction) => {
    const [near, far] = direction === 'forward' ? ['c_from', 'c_to'] : ['c_to', 'c_from'];
    const { rows } = await bare.query(
      `WITH RECURSIVE walk(id) AS (SELECT '${start}'::text COLLATE "C" UNION SELECT e."${far}" FROM walk w
         JOIN rec_edge e ON e.ws = 'default' AND left(e."${near}", 200) = left(w.id, 200)
           AND e."${near}" = w.id)
       SELECT count(*) AS n FROM walk`,
    );
    return Number(rows[0]?.n);
  };
  const rows = await questions(context, 'PostgreSQL', platform.registry, data, walk);
  await bare.end();
  return rows;
}

async function fill(
  { scale, tell }: BenchContext,
  name: string,
  dir: string,
  backends: Backends,
): Promise<RegistryData> {
  const { versions, models } = sizes[scale];
  const stores = await openStores({ dir, kinds: platformKinds, ...backends });
  const data = await storeRegistry(stores.metadata, { versions, models }, (share) =>
    tell(`registry: ${name}, ${Math.floor(100 * share)} % of ${versions} versions stored`),
  );
  await stores.close({ timeoutMs: 10_000 });
  return data;
}

async function questions(
  { scale, tell }: BenchContext,
  store: string,
  registry: Registry,
  data: RegistryData,
  walk: Walk,
): Promise<Row[]> {
  const { rounds } = sizes[scale];
  const { baseDigest, lastVersionId } = data;
  const all = { depth: 1_000, limit: 1_000 };
  const [start] = (await registry.lineage(baseDigest, { depth: 0 })).nodes;
  const ofDataset = start?.id ?? '';
  const rows: Row[] = [];
  const lineage = async (name: string, of: string, direction: 'forward' | 'backward') => {
    tell(`registry: ${store}, ${name}`);
    const graph = await registry.lineage(of, { ...all, direction });
    const found = await walk(of, direction);
    if (!graph.truncated && graph.nodes.length !== found) {
      throw new Error(`${name}: ${graph.nodes.length} nodes by the registry, ${found} by SQL.`);
    }
    const depth = graph.nodes.at(-1)?.depth;
    const times = await inTurns(rounds, {
      registry: () => elapsedMs(() => registry.lineage(of, { ...all, direction })),
      sql: () => elapsedMs(() => walk(of, direction)),
    });
    const title = `${name}: ${graph.nodes.length} nodes, ${graph.edges.length} edges, depth ${depth}`;
    const beside = { name: 'recursive SQL, ids alone', values: times.sql };
    rows.push({ ...rowOf(`  ${title}`, 'ms', times.registry, beside), goal: { most: 50 } });
  };
  await lineage('forward of a dataset', ofDataset, 'forward');
  await lineage('backward of a version', lastVersionId, 'backward');
  const asked: readonly (readonly [string, () => Promise<number>])[] = [
    [
      'impact of that dataset, by its digest',
      async () => (await registry.impact({ datasetDigest: baseDigest })).versions.length,
    ],
    ...searches(registry, data),
  ];
  for (const [name, ask] of asked) {
    tell(`registry: ${store}, ${name}`);
    const count = await ask();
    const { times } = await inTurns(rounds, { times: () => elapsedMs(ask) });
    rows.push(rowOf(`  ${name} (${count})`, 'ms', times));
  }
  const nodes = (data.versions + data.datasets).toLocaleString('en-US');
  const [first, ...others] = rows as [Row, ...Row[]];
  return [{ ...first, name: `${store}, ${nodes} versions and datasets;${first.name}` }, ...others];
}

/** Each with how many it finds. */
function searches(
  registry: Registry,
  { baseDigest }: RegistryData,
): readonly (readonly [string, () => Promise<number>])[] {
  const versions =
    (search: Parameters<Registry['searchVersions']>[0]) => async (): Promise<number> =>
      (await registry.searchVersions(search)).versions.length;
  const models = (name: string) => async (): Promise<number> =>
    (await registry.searchModels({ name })).models.length;
  return [
    ['newest versions', versions({})],
    [
      'in production, best first',
      versions({ filter: "stage = 'PRODUCTION'", orderBy: ['metrics.auc DESC'] }),
    ],
    ['metric and tag', versions({ filter: "metrics.auc > 0.99 AND tags.team = 'team-1'" })],
    ['range ^1.490 of all models', versions({ versionRange: '^1.490', orderBy: ['version DESC'] })],
    [
      'range of one model, highest first',
      versions({
        filter: "model = 'model-0'",
        versionRange: '>=1.100 <1.200',
        orderBy: ['version DESC'],
      }),
    ],
    ['made from a dataset', versions({ filter: `lineage.dataset = '${baseDigest}'` })],
    ['models like "fruad detecton"', models('fruad detecton')],
  ];
}
