import type {
  Change,
  KindDeclaration,
  MetadataStore,
  Order,
  Predicate,
  Selector,
} from '@keelson/core';
import pg from 'pg';
import { expect, test } from 'vitest';
import { runFilter, trackingKinds } from '../../core/test/run-language.ts';
import { PgDatabase } from '../src/connection/pg-database.ts';
import { PgMetadataStore } from '../src/metadata/pg-metadata-store.ts';
import { storeManyRuns } from './many-runs.ts';
import { searchActs, workspace } from './plan-searches.ts';
import { describeOnPg } from './server/test-database.ts';
import { wholeReads } from './whole-reads.ts';

/** The long form, as the specification has it: `RUNS=100000 vitest run pg-plans`. */
const runs = Number(process.env['RUNS'] ?? 10_000);

const jobKind: KindDeclaration = {
  name: 'job',
  columns: { state: { type: 'text' }, dueAt: { type: 'integer' }, code: { type: 'text' } },
  unique: [{ name: 'job code', columns: ['code'] }],
  indexes: [['state', 'dueAt']],
  facets: { params: { source: 'merged' } },
  history: 'kept',
  claimable: true,
};
const kinds = [...trackingKinds, jobKind];
const column = (name: string): Selector => ({ from: 'column', name });
const job = (n: number): string => `job-${n}`;

await describeOnPg(`plans, with ${runs} runs`, ({ url, freshSchema, query }) => {
  const schema = freshSchema();

  async function open(): Promise<{ store: MetadataStore; close: () => Promise<void> }> {
    const database = new PgDatabase({ url, schema });
    const beforeProjectedQuery = async (): Promise<void> => undefined;
    const store = await PgMetadataStore.open({ database, kinds, beforeProjectedQuery });
    const close = async (): Promise<void> => {
      await store.close();
      await database.close();
    };
    return { store, close };
  }

  test(
    'the store is filled',
    async () => {
      await (await open()).close();
      // A session of its own: what it has read is told at its end, and belongs to no act.
      const client = new pg.Client({ connectionString: url });
      await client.connect();
      const fill = async (text: string): Promise<Record<string, unknown>[]> =>
        (await client.query(text)).rows;
      await storeManyRuns(fill, schema, runs);
      await fill(fillOthers(schema, runs));
      for (const table of ['rec_job', 'rec_edge', 'event', 'history', 'claim', 'entity']) {
        await fill(`VACUUM (ANALYZE) ${schema}.${table}`);
      }
      await client.end();
    },
    60_000 + 10 * runs,
  );

  /** Everything that is to be answered through indexes: statements of the store, and inside its functions. */
  const acts: Readonly<Record<string, (store: MetadataStore) => Promise<unknown>>> = {
    ...searchActs,
    history: (store) => store.history(workspace, 'job', job(5)),
    lineage: async (store) => {
      const options = { depth: 3, limit: 100 };
      await store.reach(workspace, ['node-5'], { direction: 'forward', ...options });
      await store.reach(workspace, ['node-50'], { direction: 'backward', ...options });
    },
    events: async (store) => {
      const { cursor } = await store.readEvents({ limit: 100 });
      await store.readEvents({ after: cursor, limit: 100 });
      await store.latestEventCursor();
      await store.waitForEvents(cursor, { timeoutMs: 0 });
    },
    'events of a subject, an id, a correlation': async (store) => {
      await store.readEvents({ workspace, filter: { subjects: ['job:7'] }, limit: 10 });
      await store.readEvents({ workspace, filter: { ids: ['event-7'] }, limit: 10 });
      await store.readEvents({ workspace, filter: { correlationId: 'c7' }, limit: 10 });
    },
    claims: async (store) => {
      const where: Predicate = { op: 'compare', left: column('state'), cmp: '=', value: 'due' };
      const orderBy: readonly Order[] = [{ by: column('dueAt'), direction: 'asc' }];
      const request = { where, orderBy, limit: 10, owner: 'me', leaseMs: 60_000 };
      const claimed = [
        ...(await store.claim('job', { ...request, workspace })),
        ...(await store.claim('job', request)),
      ];
      expect(claimed.length).toBe(20);
      const keys = claimed.map(({ record, owner, fence }) => {
        return { workspace, kind: 'job', id: record.id, owner, fence };
      });
      expect((await store.renew(keys, 60_000)).length).toBe(20);
      await store.release(keys);
    },
    commits: async (store) => {
      const commit = (...changes: readonly Change[]): Promise<unknown> =>
        store.commit({ workspace, principal: 'p', changes });
      const columns = { state: 'new', dueAt: 1, code: 'new' };
      const facets = { params: { p: 1, q: 'x' } };
      const at = { kind: 'job', id: 'new' } as const;
      await commit({ op: 'create', ...at, columns, facets }, emit('new'));
      const again = { op: 'create', kind: 'job', id: 'other', columns } as const;
      await expect(commit(again)).rejects.toMatchObject({ code: 'CONFLICT' });
      await expect(commit({ ...again, id: 'new' })).rejects.toMatchObject({ code: 'CONFLICT' });
      const taken = { op: 'replace', ...at, expect: 1, columns: { code: 'code-5' } } as const;
      await expect(commit(taken)).rejects.toMatchObject({ code: 'CONFLICT' });
      await commit(
        { op: 'assert', kind: 'job', id: job(3), expect: 1 },
        { op: 'assert', kind: 'job', id: 'absent', expect: 'absent' },
        { op: 'replace', ...at, expect: 1, columns: { code: 'newer' }, body: { a: 1 } },
        { op: 'merge', ...at, set: { params: { r: 2 } }, unset: { params: ['p'] } },
        { op: 'adjust', ...at, column: 'dueAt', by: 3 },
        emit('newer'),
      );
      await commit({ op: 'remove', ...at, expect: 2 });
    },
  };

  test('totals that are estimated are near what is there, and the same each time', async () => {
    const { store, close } = await open();
    for (const [filter, share] of [
      [`metrics.accuracy > 0.375 AND params.optimizer = 'adam'`, 0.5],
      [`metrics.accuracy > 0.75 AND params.optimizer = 'adam'`, 0.2],
      [`params.optimizer = 'adam'`, 0.8],
    ] as const) {
      const where = runFilter(filter);
      const exact = await store.count(workspace, 'run', where, { exact: true });
      expect(exact).toMatchObject({ exact: true });
      expect(Math.abs(exact.count / runs - share)).toBeLessThan(0.05);
      const estimate = await store.count(workspace, 'run', where);
      expect(Math.abs(estimate.count / exact.count - 1)).toBeLessThan(0.1);
      expect(await store.count(workspace, 'run', where)).toEqual(estimate);
    }
    await close();
  });

  test.each(Object.keys(acts))('%s: no large table is read whole', async (name) => {
    const before = await wholeReads(query, schema);
    expect(Object.keys(before)).toEqual(expect.arrayContaining(large));
    const { store, close } = await open();
    await acts[name]?.(store);
    await close();
    expect(await wholeReads(query, schema)).toEqual(before);
  });
});

/** What must be among the tables that are watched. */
const large = ['rec_run', 'facet', 'summary', 'rec_job', 'rec_edge', 'event', 'history', 'entity'];

function emit(id: string): Change {
  const event = { id, type: 'job.changed', subject: 'job:new', source: 'test', at: 1, payload: {} };
  const more = { schemaVersion: 1, correlationId: 'c', principal: 'p' };
  return { op: 'emit', event: { ...event, ...more } };
}

/** Jobs, some of them held, with their history; a graph; events. */
function fillOthers(schema: string, count: number): string {
  const jobs = `generate_series(1, ${count}) AS n`;
  return `BEGIN; SET LOCAL search_path TO ${schema};
    INSERT INTO entity (ws, id) SELECT 'default', 'job-' || n FROM ${jobs};
    INSERT INTO rec_job (rid, ws, id, rev, created_at, updated_at, c_state, "c_dueAt", c_code, body)
      SELECT e.rid, 'default', e.id, 1, 1, 1, CASE WHEN n % 3 = 0 THEN 'due' ELSE 'done' END, n,
        'code-' || n, '{}' FROM ${jobs} JOIN entity e ON e.ws = 'default' AND e.id = 'job-' || n;
    INSERT INTO history (kind, rid, rev, at, principal, columns, body, removed)
      SELECT 'job', rid, 1, 1, 'p', '{}', '{}', false FROM rec_job;
    INSERT INTO claim (kind, rid, ws, id, owner, fence, expires_at)
      SELECT 'job', rid, ws, id, 'another', nextval('claim_fence'),
        CASE WHEN rid % 2 = 0 THEN now_ms() + 3600000 ELSE 1 END FROM rec_job WHERE rid % 5 = 0;
    INSERT INTO entity (ws, id) SELECT 'default', 'edge-' || n FROM ${jobs};
    INSERT INTO rec_edge (rid, ws, id, rev, created_at, updated_at, c_from, c_to, c_role, body)
      SELECT e.rid, 'default', e.id, 1, 1, 1, 'node-' || n / 3, 'node-' || n, 'made', '{}'
      FROM ${jobs} JOIN entity e ON e.ws = 'default' AND e.id = 'edge-' || n;
    INSERT INTO event (tx, ws, id, type, subject, subject_key, subject_seq, source, at, schema_version,
        correlation, principal, payload)
      SELECT n / 10, 'default', 'event-' || n, 'job.changed', 'job:' || n,
        encode(substring(sha256(convert_to('["default","job:' || n || '"]', 'UTF8')) FOR 16), 'hex')::uuid,
        1, 'test', n, 1, 'c' || n, 'p', '{}' FROM ${jobs};
    COMMIT`;
}
