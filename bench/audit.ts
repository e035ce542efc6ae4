import { join } from 'node:path';
import { type Change, type MetadataStore, uuidV7 } from '@keelson/core';
import { openStores, type PlatformStores } from '../packages/core/src/embedded/open-stores.ts';
import { verifyAudit } from '../packages/core/src/operations/audit/audit-verification.ts';
import { auditedStore } from '../packages/core/src/operations/audit/audited-store.ts';
import { sealWorkspace } from '../packages/core/src/operations/audit/sealing.ts';
import { platformKinds } from '../packages/core/src/platform-kinds.ts';
import { pgBackend } from '../packages/store-pg/src/index.ts';
import type { BenchContext } from './benchmark.ts';
import { PgBench } from './pg-server.ts';
import { elapsedMs, inTurns } from './rounds.ts';
import { type Row, rowOf } from './row.ts';

const sizes = {
  smallest: { rounds: 1, routes: 5, commits: 10 },
  usual: { rounds: 9, routes: 100, commits: 400 },
  full: { rounds: 15, routes: 100, commits: 1_000 },
};
const workspace = 'default';
const clock = { now: () => Date.now() };
const ids = { next: () => uuidV7() };

/**
 * What an audit entry costs: a route replaced at its revision, with its event, by one caller that waits for each,
 * with and without its entry in the same store; then sealing and verifying all there is.
 */
export async function benchAudit(context: BenchContext): Promise<Row[]> {
  const silent = () => undefined;
  const logger = { debug: silent, info: silent, warn: silent, error: silent };
  const embedded = await openStores({
    dir: join(context.dir, 'sqlite'),
    kinds: platformKinds,
    logger,
  });
  await using server = await PgBench.start();
  const metadata = pgBackend({ url: server.url, schema: server.freshSchema() });
  const dir = join(context.dir, 'pg');
  const remote = await openStores({
    dir,
    kinds: platformKinds,
    metadata,
    series: metadata,
    logger,
  });
  try {
    return [
      ...(await benchStore(context, 'SQLite', embedded)),
      ...(await benchStore(context, 'PostgreSQL', remote)),
    ];
  } finally {
    await embedded.close({ timeoutMs: 5_000 });
    await remote.close({ timeoutMs: 5_000 });
  }
}

async function benchStore(
  context: BenchContext,
  name: string,
  stores: PlatformStores,
): Promise<Row[]> {
  const size = sizes[context.scale];
  const plain = stores.metadata;
  const audited = auditedStore(plain, { clock, ids });
  // Each has routes of its own: chains have no gaps.
  const sides = {
    audited: await routesIn(audited, 'audited', size.routes),
    plain: await routesIn(plain, 'plain', size.routes),
  };
  const paces = await inTurns(
    size.rounds,
    {
      audited: () => paceOf(size.commits, sides.audited),
      plain: () => paceOf(size.commits, sides.plain),
    },
    (round) => context.tell(`${name}: commits, round ${round} of ${size.rounds}`),
  );
  const beside = { name: 'the same without entries', values: paces.plain };
  const scope = {
    metadata: plain,
    workspace,
    principal: { id: 'bench', roles: [] },
    clock,
    artifacts: stores.artifacts.space(workspace),
  };
  const events = await eventsIn(plain);
  context.tell(`${name}: sealing and verifying ${events} events`);
  const sealed = (1000 * events) / (await elapsedMs(() => sealWorkspace(scope)));
  const verified: number[] = [];
  for (let round = 0; round < Math.min(5, size.rounds); round += 1) {
    const startedAt = performance.now();
    // Events of the plain side have no entries, which is what it says of each.
    const { entries } = await verifyAudit(scope, {});
    verified.push((1000 * entries) / (performance.now() - startedAt));
  }
  return [
    rowOf(`${name}: audited commits`, '1/s', paces.audited, beside),
    rowOf(`${name}: events sealed`, '1/s', [sealed]),
    rowOf(`${name}: entries verified`, '1/s', verified),
  ];
}

/** Commits that replace routes one after another, each with its event. */
async function routesIn(
  store: MetadataStore,
  side: string,
  count: number,
): Promise<() => Promise<void>> {
  const routes = Array.from({ length: count }, (_, n) => `${side}-${n}`);
  const commit = (changes: readonly Change[]) =>
    store.commit({ workspace, principal: 'bench', changes });
  for (const id of routes) {
    const columns = { deploymentId: id, deploymentName: id };
    await commit([{ op: 'create', kind: 'route', id, columns, body: body(0) }]);
  }
  let n = 0;
  return async () => {
    const id = routes[n % count] as string;
    n += 1;
    const expect = Math.ceil(n / count);
    const eventId = uuidV7();
    const facts = { source: 'bench', correlationId: eventId, principal: 'bench', schemaVersion: 1 };
    const payload = { deployment: id, oldWeights: {}, newWeights: { v: 100 }, reason: 'bench' };
    const subject = `deployment:${id}`;
    const said = { id: eventId, type: 'traffic.shifted', subject, at: Date.now(), payload };
    await commit([
      { op: 'replace', kind: 'route', id, expect, body: body(n) },
      { op: 'emit', event: { ...said, ...facts } },
    ]);
  };
}

function body(n: number): { readonly n: number; readonly note: string } {
  return { n, note: 'x'.repeat(700) };
}

async function paceOf(commits: number, commit: () => Promise<void>): Promise<number> {
  const ms = await elapsedMs(async () => {
    for (let i = 0; i < commits; i += 1) await commit();
  });
  return (1000 * commits) / ms;
}

async function eventsIn(store: MetadataStore): Promise<number> {
  let after: string | undefined;
  for (let count = 0; ; ) {
    const from = after === undefined ? {} : { after };
    const page = await store.readEvents({ workspace, limit: 1000, ...from });
    count += page.events.length;
    if (page.events.length < 1000) return count;
    after = page.cursor;
  }
}
