import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openPlatform, type Registry } from '@keelson/core';
import pg from 'pg';
import { expect, test } from 'vitest';
import { pgBackend } from '../src/index.ts';
import { describeOnPg } from './server/test-database.ts';
import { rowsRead } from './whole-reads.ts';

/** The long form: `VERSIONS=100000 vitest run pg-registry-plans`. */
const versions = Number(process.env['VERSIONS'] ?? 10_000);
const familySize = 50;

await describeOnPg(`plans, with ${versions} versions`, ({ url, freshSchema, query }) => {
  const schema = freshSchema();

  async function withRegistry(act: (registry: Registry) => Promise<unknown>): Promise<void> {
    const dir = await mkdtemp(join(tmpdir(), 'keelson-registry-plans-'));
    const backend = pgBackend({ url, schema });
    const platform = await openPlatform({ dir, metadata: backend, series: backend });
    try {
      await act(platform.registry);
    } finally {
      await platform.close();
      await rm(dir, { recursive: true, force: true });
    }
  }

  test(
    'the store is filled',
    async () => {
      await withRegistry(async () => undefined);
      // A session of its own: what it has read is told at its end, and belongs to no act.
      const client = new pg.Client({ connectionString: url });
      await client.connect();
      await client.query(fillText(schema));
      for (const table of large) await client.query(`VACUUM (ANALYZE) ${schema}.${table}`);
      await client.query(`VACUUM (ANALYZE) ${schema}.entity`);
      await client.end();
    },
    60_000 + 20 * versions,
  );

  /** Each with how much it is to find. */
  const acts: Readonly<Record<string, (registry: Registry) => Promise<number>>> = {
    'lineage forward of a dataset': async (registry) =>
      (await registry.lineage('digest-3', { direction: 'forward', depth: 100 })).nodes.length -
      (2 * familySize + 1),
    'lineage backward of a version': async (registry) =>
      (await registry.lineage(versionId(4 * familySize - 1), { depth: 100 })).nodes.length -
      (3 * familySize + 2),
    impact: async (registry) =>
      (await registry.impact({ datasetDigest: 'digest-3' })).versions.length - familySize / 10,
    'versions of a commit': async (registry) =>
      (await registry.searchVersions({ filter: "lineage.commit = 'c77'" })).versions.length - 1,
    'versions of a dataset': async (registry) =>
      (await registry.countVersions({ filter: "lineage.dataset = 'digest-3'", exact: true }))
        .count - familySize,
    'a range of one model, the highest first': async (registry) =>
      (
        await registry.searchVersions({
          filter: "model = 'model-3'",
          versionRange: '>=1.10 <1.20',
          orderBy: ['version DESC'],
        })
      ).versions.length - 10,
    'in production': async (registry) =>
      (await registry.searchVersions({ filter: "stage = 'PRODUCTION'", limit: 20 })).versions
        .length - 20,
  };

  test.each(Object.keys(acts))('%s: no large table is read whole', async (name) => {
    const before = await rowsRead(query, schema);
    expect([...before.keys()]).toEqual(expect.arrayContaining(large));
    await withRegistry(async (registry) => expect(await acts[name]?.(registry)).toBe(0));
    const shares = [...(await rowsRead(query, schema))].map(
      ([table, { read, rows }]) => [table, (read - (before.get(table)?.read ?? 0)) / rows] as const,
    );
    // The planner looks at 3,001 rows of a kind at most; half of the whole is more at this size.
    expect(shares.filter(([, share]) => share >= 0.5)).toEqual([]);
  });
});

/** What must be among the tables that are watched. */
const large = ['rec_model_version', 'rec_run', 'rec_edge', 'rec_stage_transition', 'history'];

function versionId(n: number): string {
  return `01990000-0000-7000-8000-${String(n).padStart(12, '0')}`;
}

/**
 * Families of 50: a dataset led to 50 runs, each run to a version, each version to the next. A version of ten is
 * in production; each was once asked to move.
 */
function fillText(schema: string): string {
  const ns = `generate_series(0, ${versions - 1}) AS n`;
  const family = `(n / ${familySize})`;
  const index = `(n % ${familySize})`;
  const version = `'01990000-0000-7000-8000-' || lpad(n::text, 12, '0')`;
  // As the registry writes 1.0.0 to 1.49.0: each number behind a letter for its length.
  const key = `'a1' || chr(96 + length(${index}::text)) || ${index} || 'a0~'`;
  const insert = (kind: string, id: string, columns: Record<string, string>, from = ns): string => `
    INSERT INTO entity (ws, id) SELECT 'default', ${id} FROM ${from} ON CONFLICT DO NOTHING;
    INSERT INTO rec_${kind} (rid, ws, id, rev, created_at, updated_at, body,
        ${Object.keys(columns)
          .map((name) => `"c_${name}"`)
          .join(', ')})
      SELECT e.rid, 'default', e.id, 1, n, n, '{}', ${Object.values(columns).join(', ')}
      FROM ${from} JOIN entity e ON e.ws = 'default' AND e.id = ${id};`;
  const edge = (role: string, source: string, target: string): string =>
    insert('edge', `'edge-${role}-' || n`, { from: source, to: target, role: `'${role}'` });
  const stage = `CASE WHEN n % 10 = 0 THEN 'PRODUCTION' ELSE 'DEVELOPMENT' END`;
  return `BEGIN; SET LOCAL search_path TO ${schema};
    ${insert('dataset', `'dataset-' || n`, { name: `'d'`, digest: `'digest-' || n` }, `generate_series(0, ${Math.ceil(versions / familySize) - 1}) AS n`)}
    ${insert('run', `'run-' || n`, {
      ...{ experimentId: `'e'`, name: `'run'`, status: `'COMPLETED'`, startedAt: 'n' },
      ...{ sourceType: `'SCRIPT'`, userId: `'u'`, lifecycle: `'active'` },
    })}
    ${insert('model_version', version, {
      ...{
        modelId: `'m' || ${family}`,
        modelName: `'model-' || ${family}`,
        number: `${index} + 1`,
      },
      ...{ version: `'1.' || ${index} || '.0'`, sha256: `repeat('a', 64)`, sizeBytes: '1' },
      versionKey: key,
      ...{ format: `'JS'`, sourceRunId: `'run-' || n`, createdBy: `'u'`, stage, status: `'READY'` },
    })}
    ${insert('stage_transition', `'transition-' || n`, {
      ...{ modelId: `'m' || ${family}`, versionId: version, fromStage: `'STAGING'` },
      ...{ toStage: stage, requestedBy: `'u'`, status: `'DONE'` },
    })}
    INSERT INTO history (kind, rid, rev, at, principal, columns, body, removed)
      SELECT 'model_version', rid, 1, 1, 'p', jsonb_build_object('stage', c_stage), '{}', false
      FROM rec_model_version;
    ${edge('train', `'dataset-' || ${family}`, `'run-' || n`)}
    ${edge('produced', `'run-' || n`, version)}
    ${edge('code', `'commit:c' || n`, version)}
    ${edge('parent', `CASE WHEN ${index} = 0 THEN 'start-' || n ELSE '01990000-0000-7000-8000-' || lpad((n - 1)::text, 12, '0') END`, version)}
    COMMIT`;
}
