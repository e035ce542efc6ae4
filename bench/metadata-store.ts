/**
 * Measures the embedded metadata store: commits beside bare node:sqlite in the same run, and searches over
 * many runs. `node bench/metadata-store.ts [runs]` (20,000 when left out; the figures of the design are
 * for 100,000).
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { trackingKinds } from '../packages/core/src/contracts/kinds/tracking-kinds.ts';
import type { Change } from '../packages/core/src/contracts/metadata-store.ts';
import type { Order, Predicate, Query, Selector } from '../packages/core/src/contracts/query.ts';
import { SqliteDatabase } from '../packages/core/src/embedded/sqlite-database.ts';
import { SqliteMetadataStore } from '../packages/core/src/embedded/sqlite-metadata-store.ts';
import { SqliteSeriesStore } from '../packages/core/src/embedded/sqlite-series-store.ts';
import { uuidV7 } from '../packages/core/src/uuid.ts';

const runs = Number(process.argv[2] ?? 20_000);
const directory = mkdtempSync(join(tmpdir(), 'keelson-bench-'));
const random = generator(7);
const workspace = 'default';
const principal = 'bench';

try {
  await measureCommits();
  await measureSearches();
} finally {
  rmSync(directory, { recursive: true, force: true });
}

async function measureCommits(): Promise<void> {
  const store = await SqliteMetadataStore.open({
    path: join(directory, 'commits.db'),
    kinds: trackingKinds,
  });
  const bare = new DatabaseSync(join(directory, 'bare.db'));
  bare.exec(
    'PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 16000',
  );
  bare.exec('CREATE TABLE t (id TEXT PRIMARY KEY, rev INTEGER, body TEXT) STRICT');
  bare.exec('CREATE TABLE h (seq INTEGER PRIMARY KEY, id TEXT, rev INTEGER, body TEXT) STRICT');
  const body = { note: 'x'.repeat(700) };
  const text = JSON.stringify(body);
  const ids = Array.from({ length: 2_000 }, () => uuidV7());
  const revisions = new Map<string, number>();
  for (const id of ids) {
    await store.commit({ workspace, principal, changes: [createRun(id, 'e1', body)] });
    revisions.set(id, 1);
    bare.prepare('INSERT INTO t VALUES (?, 1, ?)').run(id, text);
  }
  const find = bare.prepare('SELECT rev FROM t WHERE id = ?');
  const update = bare.prepare('UPDATE t SET rev = rev + 1, body = ? WHERE id = ?');
  const history = bare.prepare('INSERT INTO h (id, rev, body) VALUES (?, ?, ?)');
  const bareCommit = (id: string): void => {
    bare.exec('BEGIN IMMEDIATE');
    find.get(id);
    update.run(text, id);
    history.run(id, 1, text);
    bare.exec('COMMIT');
  };
  const rounds: { bare: number; store: number; event: number; batch: number }[] = [];
  for (let round = 0; round < 5; round += 1) {
    const some = Array.from({ length: 500 }, () => ids[Math.floor(random() * ids.length)] ?? '');
    const bareRate = await rate(some, (id) => bareCommit(id));
    const one = (id: string): Change => {
      const expect = revisions.get(id) ?? 1;
      revisions.set(id, expect + 1);
      return { op: 'replace', kind: 'run', id, expect, body };
    };
    const storeRate = await rate(some, async (id) => {
      await store.commit({ workspace, principal, changes: [one(id)] });
    });
    const eventRate = await rate(some, async (id) => {
      const changes: Change[] = [one(id), emit(id)];
      await store.commit({ workspace, principal, changes });
    });
    // Many callers at once: what several services of one process do.
    const startedAt = performance.now();
    const distinct = [...new Set(some)];
    await Promise.all(
      distinct.map((id) => store.commit({ workspace, principal, changes: [one(id), emit(id)] })),
    );
    const batch = (distinct.length / (performance.now() - startedAt)) * 1_000;
    rounds.push({ bare: bareRate, store: storeRate, event: eventRate, batch });
  }
  print(
    'commits/s: bare node:sqlite (read, update, history)',
    rounds.map((r) => r.bare),
  );
  print(
    'commits/s: store, one replace with history',
    rounds.map((r) => r.store),
  );
  print(
    'commits/s: store, replace and event',
    rounds.map((r) => r.event),
  );
  print(
    'commits/s: store, replace and event, callers at once',
    rounds.map((r) => r.batch),
  );
  await store.close();
  bare.close();
}

async function measureSearches(): Promise<void> {
  const database = await SqliteDatabase.open(join(directory, 'search.db'));
  const series = await SqliteSeriesStore.open({ database });
  const store = await SqliteMetadataStore.open({ database, kinds: trackingKinds });
  const startedAt = performance.now();
  await fill(store, series);
  const took = performance.now() - startedAt;
  console.log(`\n${runs} runs stored in ${(took / 1_000).toFixed(1)} s`);
  for (const [name, query] of searches()) {
    const times: number[] = [];
    let found = 0;
    for (let i = 0; i < 7; i += 1) {
      const at = performance.now();
      found = (await store.query(workspace, 'run', { limit: 50, ...query })).records.length;
      times.push(performance.now() - at);
    }
    const at = performance.now();
    const { count } = await store.count(workspace, 'run', query.where, { exact: true });
    const exact = performance.now() - at;
    const estimateAt = performance.now();
    const estimate = await store.count(workspace, 'run', query.where);
    const estimated = performance.now() - estimateAt;
    const sorted = times.toSorted((a, b) => a - b);
    console.log(
      `${name.padEnd(52)} ${ms(sorted[3])} (${ms(sorted[0])}–${ms(sorted[6])}) ms; ${found} of ${count}; count ${ms(exact)}, estimate ${estimate.count} ${ms(estimated)}`,
    );
  }
  await deepPage(store);
  await store.close();
  await series.close();
  await database.close();
}

async function deepPage(store: SqliteMetadataStore): Promise<void> {
  const query: Query = { orderBy: [{ by: metric('accuracy'), direction: 'desc' }], limit: 50 };
  let cursor: string | undefined;
  let last = 0;
  for (let page = 1; page <= 100; page += 1) {
    const at = performance.now();
    const answer = await store.query(
      workspace,
      'run',
      cursor === undefined ? query : { ...query, cursor },
    );
    last = performance.now() - at;
    cursor = answer.cursor;
    if (cursor === undefined) break;
  }
  console.log(`${'page 100 by cursor'.padEnd(52)} ${ms(last)} ms`);
}

function searches(): readonly (readonly [string, Query])[] {
  const by = (selector: Selector, direction: 'asc' | 'desc' = 'desc'): { orderBy: Order[] } => ({
    orderBy: [{ by: selector, direction }],
  });
  const where = (...of: Predicate[]): { where: Predicate } => ({ where: { op: 'and', of } });
  const start: Selector = { from: 'column', name: 'startedAt' };
  return [
    ['newest runs', by(start)],
    ['newest of an experiment', { ...where(column('experimentId', '=', 'e0')), ...by(start) }],
    [
      'two metrics and a param, many match',
      {
        ...where(
          compare(metric('accuracy'), '>', 0.3),
          compare(metric('loss'), '<', 0.7),
          compare(param('lr'), '=', '0.01'),
        ),
        ...by(metric('accuracy')),
      },
    ],
    [
      'experiment, metric; by another metric',
      {
        ...where(column('experimentId', '=', 'e3'), compare(metric('accuracy'), '>', 0.9)),
        ...by(metric('loss'), 'asc'),
      },
    ],
    [
      'one rare conjunct',
      {
        ...where(compare(metric('accuracy'), '>', 0.1), compare(param('rare'), '=', 1)),
        ...by(start),
      },
    ],
    [
      'three wide, nearly disjoint',
      {
        ...where(
          compare(metric('m1'), '>', 0.9),
          compare(metric('m2'), '>', 0.9),
          compare(metric('m3'), '>', 0.9),
        ),
        ...by(start),
      },
    ],
    [
      'three wide, disjoint, by a metric',
      {
        ...where(
          compare(metric('m1'), '>', 0.95),
          compare(metric('m2'), '>', 0.95),
          compare(metric('m3'), '<', 0.05),
        ),
        ...by(metric('accuracy')),
      },
    ],
    [
      'like on a param, none',
      {
        ...where({ op: 'like', left: param('p7'), pattern: '%none%', caseSensitive: true }),
        ...by(start),
      },
    ],
    [
      'like on the name',
      {
        ...where({
          op: 'like',
          left: { from: 'column', name: 'name' },
          pattern: '%-77',
          caseSensitive: false,
        }),
        ...by(start),
      },
    ],
    [
      'or of two wide',
      {
        where: {
          op: 'or',
          of: [compare(metric('accuracy'), '>', 0.5), compare(metric('loss'), '<', 0.5)],
        },
        ...by(start),
      },
    ],
    [
      'or of two narrow',
      {
        where: {
          op: 'or',
          of: [compare(metric('accuracy'), '>', 0.999), compare(metric('loss'), '<', 0.001)],
        },
        ...by(start),
      },
    ],
    [
      'not that leaves nothing',
      { ...where({ op: 'not', of: { op: 'present', left: metric('m1') } }), ...by(start) },
    ],
    [
      'figure min, filter and order',
      { ...where(compare(metric('loss', 'min'), '<', 0.2)), ...by(metric('loss', 'min'), 'asc') },
    ],
    ['order by param that few have', by(param('rare'))],
    ['body path', where(compare({ from: 'body', path: ['seed'] }, '=', 17))],
  ];
}

async function fill(store: SqliteMetadataStore, series: SqliteSeriesStore): Promise<void> {
  const ids: string[] = [];
  for (let at = 0; at < runs; at += 100) {
    const some = Array.from({ length: Math.min(100, runs - at) }, () => uuidV7());
    const changes = some.map((id, i): Change => {
      const n = at + i;
      const params: Record<string, string | number> = {
        lr: random() < 0.5 ? '0.01' : 0.001,
        ...Object.fromEntries(
          Array.from({ length: 19 }, (_, p) => [`p${p}`, `v${Math.floor(random() * 50)}`]),
        ),
        ...(n % 9_999 === 7 ? { rare: 1 } : {}),
      };
      const experiment = `e${Math.floor(random() ** 3 * 150)}`;
      const change = createRun(id, experiment, { seed: n % 1_000 }, n);
      return { ...change, facets: { params, tags: { team: `t${n % 7}` } } } as Change;
    });
    await store.commit({ workspace, principal, changes });
    ids.push(...some);
  }
  const keys = ['accuracy', 'loss', 'm1', 'm2', 'm3', 'm4', 'm5', 'm6'];
  let sequence = 0;
  for (let at = 0; at < ids.length; at += 200) {
    const owners = ids.slice(at, at + 200);
    const all = owners.flatMap((owner) => keys.map((key) => ({ workspace, owner, key })));
    sequence += 1;
    await series.appendPoints({
      writer: 'bench',
      sequence,
      series: all,
      seriesIndex: Uint32Array.from(all.keys()),
      steps: new Float64Array(all.length),
      timestamps: new Float64Array(all.length),
      values: Float64Array.from(all, () => random()),
    });
  }
  await series.fold();
}

function createRun(id: string, experimentId: string, body: object, n = 0): Change {
  return {
    op: 'create',
    kind: 'run',
    id,
    columns: {
      experimentId,
      name: `run-${n}`,
      status: 'completed',
      startedAt: 1_700_000_000_000 + n,
      sourceType: 'local',
      userId: 'bench',
      lifecycle: 'active',
    },
    body: body as never,
  };
}

function emit(id: string): Change {
  return {
    op: 'emit',
    event: {
      id: uuidV7(),
      type: 'run.changed',
      subject: `run:${id}`,
      source: 'bench',
      at: 1,
      payload: { id },
      schemaVersion: 1,
      correlationId: id,
      principal,
    },
  };
}

async function rate(ids: readonly string[], act: (id: string) => unknown): Promise<number> {
  const startedAt = performance.now();
  for (const id of ids) await act(id);
  return (ids.length / (performance.now() - startedAt)) * 1_000;
}

function metric(key: string, figure?: 'min'): Selector {
  return { from: 'facet', facet: 'metrics', key, ...(figure === undefined ? {} : { figure }) };
}

function param(key: string): Selector {
  return { from: 'facet', facet: 'params', key };
}

function compare(left: Selector, cmp: '=' | '>' | '<', value: string | number): Predicate {
  return { op: 'compare', left, cmp, value };
}

function column(name: string, cmp: '=', value: string): Predicate {
  return { op: 'compare', left: { from: 'column', name }, cmp, value };
}

function print(name: string, values: readonly number[]): void {
  const sorted = values.toSorted((a, b) => a - b).map((value) => Math.round(value));
  console.log(
    `${name.padEnd(60)} ${sorted[Math.floor(sorted.length / 2)]} (${sorted[0]}–${sorted.at(-1)})`,
  );
}

function ms(value: number | undefined): string {
  return value === undefined ? '–' : value.toFixed(2);
}

/** mulberry32: the same data in each run. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
