import { type Change, type ClaimKey, uuidV7 } from '@keelson/core';
import { quantile, seededRandom, sorted } from '@keelson/core/statistics';
import type { BenchContext } from './benchmark.ts';
import type { PgBench, PgSides } from './pg-server.ts';
import { elapsedMs, inTurns } from './rounds.ts';
import { type Row, rowOf } from './row.ts';

const sizes = {
  smallest: { rounds: 1, records: 200, single: 20, batches: 2, claims: 20 },
  usual: { rounds: 7, records: 10_000, single: 500, batches: 20, claims: 300 },
  full: { rounds: 15, records: 10_000, single: 1_000, batches: 40, claims: 1_000 },
};
const changesPerBatch = 50;
const body = { note: 'x'.repeat(700) };

/** What a caller that waits for each sees in a round. */
interface Pace {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/**
 * Commits to PostgreSQL by one caller that waits for each, and by eight at once; claims that are completed
 * under their fence. Beside it the same in plain statements of an interactive transaction, as is usual.
 */
export async function benchPgCommits(context: BenchContext, server: PgBench): Promise<Row[]> {
  const size = sizes[context.scale];
  context.tell(`stores: ${size.records} records to commit to`);
  await using sides = await server.open();
  const work = await workOf(sides, size.records);
  const draw = drawsOf(work.ids);
  const singles = (each: (id: string) => unknown): Promise<Pace> => paceOf(draw(size.single), each);
  const batches = (each: (ids: readonly string[]) => unknown): Promise<Pace> =>
    paceOf(
      Array.from({ length: size.batches }, () => draw(changesPerBatch)),
      each,
    );
  const paces = await inTurns(
    size.rounds,
    {
      one: () => singles((id) => work.commit([work.replace(id)])),
      bareOne: () => singles((id) => work.bareCommit([id], false)),
      event: () => singles((id) => work.commit([work.replace(id), emit(id)])),
      bareEvent: () => singles((id) => work.bareCommit([id], true)),
      batch: () => batches((ids) => work.commit(ids.map((id) => work.replace(id)))),
      bareBatch: () => batches((ids) => work.bareCommit(ids, false)),
      eight: () => together(draw(size.single), (id) => work.commit([work.replace(id), emit(id)])),
      claim: () => paceOf(Array(size.claims).fill(1), () => work.claim(1)),
      claims: () => paceOf(Array(Math.ceil(size.claims / 10)).fill(10), () => work.claim(10)),
    },
    (round) => context.tell(`stores: commits, round ${round} of ${size.rounds}`),
  );
  const row = (
    name: string,
    figure: keyof Pace,
    of: keyof typeof paces,
    beside?: keyof typeof paces,
  ): Row =>
    rowOf(
      `PostgreSQL: ${name}`,
      figure === 'perSecond' ? '1/s' : 'ms',
      paces[of].map((pace) => pace[figure]),
      beside === undefined
        ? undefined
        : {
            name: 'pg: begin, read, update, insert, commit',
            values: paces[beside].map((pace) => pace[figure]),
          },
    );
  return [
    row('commits of one change', 'perSecond', 'one', 'bareOne'),
    row('commits of one change and its event', 'perSecond', 'event', 'bareEvent'),
    row(`commits of ${changesPerBatch} changes`, 'perSecond', 'batch', 'bareBatch'),
    row('commit of one change, p50', 'p50Ms', 'one', 'bareOne'),
    row('commit of one change, p99', 'p99Ms', 'one', 'bareOne'),
    row('the same by eight callers', 'perSecond', 'eight'),
    row('claim one, complete it', 'perSecond', 'claim'),
    row('claim ten, complete them', 'perSecond', 'claims'),
  ];
}

async function workOf(
  { store, bare }: PgSides,
  records: number,
): Promise<{
  readonly ids: readonly string[];
  commit(changes: readonly Change[]): Promise<unknown>;
  replace(id: string): Change;
  bareCommit(ids: readonly string[], event: boolean): Promise<void>;
  claim(limit: number): Promise<void>;
}> {
  const commit = (changes: readonly Change[]): Promise<unknown> =>
    store.commit({ workspace: 'default', principal: 'bench', changes });
  const ids = Array.from({ length: records }, () => uuidV7());
  for (let from = 0; from < records; from += 100) {
    await commit(ids.slice(from, from + 100).map(createRun));
    await commit(ids.slice(from, from + 100).map(createSubscription));
  }
  await bare.query(`CREATE TABLE record (id text PRIMARY KEY, rev bigint NOT NULL, body jsonb NOT NULL);
    CREATE TABLE record_history (seq bigserial PRIMARY KEY, id text, rev bigint, at bigint, body jsonb);
    CREATE TABLE record_event (seq bigserial PRIMARY KEY, subject text, at bigint, payload jsonb)`);
  await bare.query('INSERT INTO record SELECT unnest($1::text[]), 1, $2', [
    ids,
    JSON.stringify(body),
  ]);
  // As the server does by itself a minute later.
  await bare.query('VACUUM ANALYZE');
  const revisions = new Map<string, number>();
  return {
    ids,
    commit,
    replace(id) {
      const expect = revisions.get(id) ?? 1;
      revisions.set(id, expect + 1);
      return { op: 'replace', kind: 'run', id, expect, body };
    },
    async bareCommit(some, event) {
      await bare.query('BEGIN');
      for (const id of some) {
        const text = JSON.stringify(body);
        const { rows } = await bare.query('SELECT rev FROM record WHERE id = $1 FOR UPDATE', [id]);
        const rev = Number(rows[0]?.rev) + 1;
        await bare.query('UPDATE record SET rev = $2, body = $3 WHERE id = $1', [id, rev, text]);
        await bare.query('INSERT INTO record_history (id, rev, at, body) VALUES ($1, $2, $3, $4)', [
          ...[id, rev, Date.now(), text],
        ]);
        if (event) {
          await bare.query('INSERT INTO record_event (subject, at, payload) VALUES ($1, $2, $3)', [
            ...[`run:${id}`, Date.now(), JSON.stringify({ id })],
          ]);
        }
      }
      await bare.query('COMMIT');
    },
    async claim(limit) {
      const claimed = await store.claim('subscription_partition', {
        limit,
        owner: 'bench',
        leaseMs: 60_000,
      });
      const keys = claimed.map(({ record, owner, fence }): ClaimKey => {
        return {
          workspace: 'default',
          kind: 'subscription_partition',
          id: record.id,
          owner,
          fence,
        };
      });
      const changes = keys.flatMap(({ id, owner, fence }): Change[] => [
        { op: 'hold', kind: 'subscription_partition', id, owner, fence },
        { op: 'merge', kind: 'subscription_partition', id },
      ]);
      await commit(changes);
      await store.release(keys);
    },
  };
}

async function paceOf<T>(items: readonly T[], work: (item: T) => unknown): Promise<Pace> {
  const times: number[] = [];
  for (const item of items) times.push(await elapsedMs(() => work(item)));
  const ascending = sorted(times);
  return {
    perSecond: (items.length / times.reduce((sum, ms) => sum + ms, 0)) * 1_000,
    p50Ms: quantile(ascending, 0.5),
    p99Ms: quantile(ascending, 0.99),
  };
}

/** Eight callers share the items; each waits for its own. */
async function together(items: readonly string[], work: (item: string) => unknown): Promise<Pace> {
  const times: number[] = [];
  const rest = [...items];
  const caller = async (): Promise<void> => {
    for (let item = rest.pop(); item !== undefined; item = rest.pop()) {
      const next = item;
      times.push(await elapsedMs(() => work(next)));
    }
  };
  const tookMs = await elapsedMs(() => Promise.all(Array.from({ length: 8 }, caller)));
  const ascending = sorted(times);
  return {
    perSecond: (items.length / tookMs) * 1_000,
    p50Ms: quantile(ascending, 0.5),
    p99Ms: quantile(ascending, 0.99),
  };
}

/** Draws different ids. */
function drawsOf(ids: readonly string[]): (count: number) => string[] {
  const random = seededRandom('commits');
  return (count) => {
    const drawn = new Set<string>();
    while (drawn.size < Math.min(count, ids.length)) {
      drawn.add(ids[random.below(ids.length)] as string);
    }
    return [...drawn];
  };
}

function createRun(id: string): Change {
  const columns = {
    experimentId: 'bench',
    name: 'a run',
    status: 'COMPLETED',
    startedAt: Date.now(),
    sourceType: 'SCRIPT',
    userId: 'bench',
    lifecycle: 'active',
  };
  return { op: 'create', kind: 'run', id, columns, body };
}

function createSubscription(id: string): Change {
  return {
    op: 'create',
    kind: 'subscription_partition',
    id,
    columns: { subscription: id, number: 0, dirty: false, careful: 0, crashes: 0 },
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
      at: Date.now(),
      payload: { id },
      schemaVersion: 1,
      correlationId: id,
      principal: 'bench',
    },
  };
}
