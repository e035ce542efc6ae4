import { expect, test } from 'vitest';
import { openTestPlatform, temporaryDirectory } from '../../../test/open-test-platform.ts';
import { openTestScope } from '../../../test/open-test-scope.ts';
import { testBackends } from '../../../test/test-backends.ts';
import type { KeyProvider } from '../../contracts/ports.ts';
import type { PredictionRow } from '../../contracts/prediction-sink.ts';
import { KeelsonError } from '../../errors.ts';
import { openPlatform, type Platform } from '../../open-platform.ts';
import { commitChanges } from '../../operations/decide-and-commit.ts';
import { platformKinds } from '../../platform-kinds.ts';
import { writeCounted } from '../counted-requests.ts';
import { createPredictionLogging } from './prediction-logging.ts';
import { PseudonymKeys } from './pseudonym-keys.ts';

const begin = Date.parse('2026-05-01');
const always = { from: 0, to: begin * 2 };

function rowOf(deploymentId: string, i: number, more: Partial<PredictionRow> = {}): PredictionRow {
  return {
    ...{ deploymentId, versionId: 'v1', requestId: `r${i}`, role: 'primary', at: begin + i },
    ...{ features: { x: i }, prediction: i % 2 === 0 ? 'a' : 'b', latencyMs: 1 },
    ...more,
  };
}

/** Everything that is stored as rows in a directory's workspace, as text. */
async function textOf(dir: string): Promise<string> {
  await using world = await openTestScope({ kinds: platformKinds, dir });
  const { series } = world.scope;
  const all: unknown[] = [];
  for (const stream of await series.streams('default')) {
    for await (const { columns } of series.rows(stream, always)) all.push(stream, columns);
  }
  return JSON.stringify(all);
}

test('what is kept of a user goes in all deployments, labels and notes too, and it is proved', async () => {
  const { platform, dir } = await openTestPlatform();
  const { monitoring } = platform;
  await monitoring.setPredictionSettings('d2', {
    anonymising: { userFeature: 'customer', features: { customer: 'tokenise' } },
  });
  const rows = [
    rowOf('d1', 1, { userId: 'ana' }),
    rowOf('d1', 2, { userId: 'ben' }),
    rowOf('d1', 3, { key: 'ana' }),
    rowOf('d1', 4, { key: 'anabel', userId: 'anabel' }),
    rowOf('d1', 5, { userId: 'ana', role: 'shadow', versionId: 'v2' }),
    rowOf('d2', 6, { features: { customer: 'ana' } }),
    rowOf('d2', 7, { features: { customer: 'ben' } }),
    rowOf('d3', 8, { userId: 'ben' }),
  ];
  for (const row of rows) monitoring.predictions.record(row);
  await monitoring.predictions.flush();
  for (const id of ['d1', 'd2', 'd3']) {
    const own = rows.filter(({ deploymentId }) => deploymentId === id);
    const labels = own.map(({ requestId, at }) => ({ requestId, value: 'a', observedAt: at + 1 }));
    await monitoring.logLabels(id, labels);
  }
  const report = await monitoring.eraseUser('ana', { reason: 'asked to' });
  expect(report).toMatchObject({
    ...{ predictions: 4, labels: 4, samples: 0, others: 0, mentions: [] },
    deployments: expect.arrayContaining([
      { deploymentId: 'd1', predictions: 3, labels: 3, samples: 0, others: 0 },
      { deploymentId: 'd2', predictions: 1, labels: 1, samples: 0, others: 0 },
    ]),
    proof: { found: 0 },
  });
  // Of 8 rows and 8 labels.
  expect(report.proof.rowsRead).toBe(8);
  const text = await textOf(dir);
  for (const id of ['r1', 'r3', 'r5', 'r6', '"ana"']) expect(text).not.toContain(`${id}"`);
  for (const id of ['r2', 'r4', 'r7', 'r8']) expect(text).toContain(`"${id}"`);
  const labelled = await monitoring.labelledRows('d1', { from: begin, to: begin + 100 });
  expect(labelled.map(({ features }) => features['x'])).toEqual([2, 4]);
  const entries = await Array.fromAsync(
    platform.operations.audit.entries({ action: 'audit.erased' }),
  );
  expect(entries.map(({ subject }) => subject)).toEqual([`erasure:${report.id}`]);
  // Again, there is nothing; what comes of the user later is kept.
  expect(await monitoring.eraseUser('ana', { reason: 'again' })).toMatchObject({ predictions: 0 });
  for (const bad of ['', 7, 'a\u0000']) {
    const call = monitoring.eraseUser(bad as string, { reason: 'x' });
    await expect(call).rejects.toMatchObject({ code: 'INVALID' });
  }
  await expect(monitoring.eraseUser('ana', {} as never)).rejects.toMatchObject({ code: 'INVALID' });
});

test('rows that another process has recorded, and stores after the erasure, do not come back', async () => {
  const dir = await temporaryDirectory();
  const open = async (): Promise<Platform> =>
    openPlatform({ ...(await testBackends(dir)), dir, monitoring: { flushMs: 3_600_000 } });
  await using first = await open();
  await using second = await open();
  second.monitoring.predictions.record(rowOf('d', 1, { userId: 'ana' }));
  second.monitoring.predictions.record(rowOf('d', 2, { key: 'ana' }));
  second.monitoring.predictions.record(rowOf('d', 3, { userId: 'ben' }));
  // What it does not know yet it must not have learnt by chance: the store is not asked before it flushes.
  const report = await first.monitoring.eraseUser('ana', { reason: 'asked to' });
  expect(report).toMatchObject({ predictions: 0, proof: { found: 0, rowsRead: 0 } });
  await second.monitoring.predictions.flush();
  const text = await textOf(dir);
  expect(text).toContain('"r3"');
  expect(text).not.toContain('"r1"');
  expect(text).not.toContain('"r2"');
});

test('an erasure that ends in the middle is finished by the next; no id of the user is kept for it', async () => {
  await using world = await openTestScope({ kinds: platformKinds });
  const { series } = world.scope;
  let faults = 0;
  const failing = new Proxy(series, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (name !== 'eraseRows') {
        return typeof value === 'function' ? value.bind(target) : value;
      }
      return async (...args: Parameters<typeof series.eraseRows>) => {
        faults -= 1;
        if (faults === 0) throw new KeelsonError('UNAVAILABLE', 'The store is away.');
        return target.eraseRows(...args);
      };
    },
  });
  const room = createPredictionLogging({ ...world.scope, series: failing }, {});
  for (const i of [1, 2]) {
    room.service.predictions.record(rowOf('d', i, { userId: i === 1 ? 'ana' : 'ben', key: 'ana' }));
  }
  await room.service.predictions.flush();
  await writeCounted(world.scope, 'd', { id: 'analysis', at: begin }, ['r1', 'r2', 'r9']);
  // At each call of the store in turn.
  for (let at = 1; at < 6; at += 1) {
    faults = at;
    const call = room.service.eraseUser('ana', { reason: 'asked to' });
    await expect(call).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  }
  faults = 0;
  const { others, proof } = await room.service.eraseUser('ana', { reason: 'asked to' });
  expect(proof.found).toBe(0);
  expect(others).toBeLessThanOrEqual(2);
  const left: string[] = [];
  for (const stream of await series.streams('default')) {
    for await (const { columns } of series.rows(stream, always)) {
      left.push(...((columns['requestId']?.values ?? []) as readonly string[]));
    }
  }
  expect(left).toEqual(['r9']);
  const { records } = await world.scope.metadata.query('default', 'user_erasure', { limit: 100 });
  expect(JSON.stringify(records)).not.toContain('"ana"');
  expect(records.map(({ columns }) => columns['state'])).toContain('DONE');
});

test('what killed processes left of erased users is looked for once, however many users they were', async () => {
  await using world = await openTestScope({ kinds: platformKinds });
  const { series } = world.scope;
  const read: string[] = [];
  const counting = new Proxy(series, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (name !== 'rows') return typeof value === 'function' ? value.bind(target) : value;
      return (...args: Parameters<typeof series.rows>) => {
        read.push(args[0].owner);
        return target.rows(...args);
      };
    },
  });
  const room = createPredictionLogging({ ...world.scope, series: counting }, {});
  const users = ['ana', 'ben', 'cleo'];
  for (const user of users) await room.service.eraseUser(user, { reason: 'asked to' });
  // As one that was killed between storing them and looking who was erased.
  const text = (values: string[]) => ({ type: 'text', values }) as const;
  const keys = [...users, 'dora'];
  await series.appendRows({
    ...{ writer: 'killed', sequence: 1, at: new Float64Array(4).fill(begin) },
    stream: { workspace: 'default', stream: 'predictions', owner: 'd' },
    columns: { requestId: text(keys.map((key) => `of ${key}`)), key: text(keys) },
  });
  read.length = 0;
  expect(await room.erasures.settle(new AbortController().signal)).toBe(3);
  expect(read).toEqual(['d']);
  const left = await Array.fromAsync(
    series.rows({ workspace: 'default', stream: 'predictions', owner: 'd' }, always),
  );
  expect(left.map(({ columns }) => columns['key']?.values)).toEqual([['dora']]);
});

test('users are found under every key that there was, however many there were', async () => {
  await using world = await openTestScope({ kinds: platformKinds });
  const ids = Array.from({ length: 1201 }, (_, i) => `ring-${i}`);
  const key = async (_use: string, id = 'ring-0') => ({ id, bytes: Buffer.alloc(32, id) });
  const scope = { ...world.scope, keys: { key } as unknown as KeyProvider };
  for (let from = 0; from < ids.length; from += 400) {
    const some = ids.slice(from, from + 400);
    const changes = some.map((id) => ({
      ...{ op: 'create', kind: 'pseudonym_key', id: `key:${id}` },
      ...{ columns: { madeAt: begin }, body: {} },
    }));
    await commitChanges(scope, changes as Parameters<typeof commitChanges>[1]);
  }
  expect(await new PseudonymKeys(scope).all()).toHaveLength(ids.length);
});
