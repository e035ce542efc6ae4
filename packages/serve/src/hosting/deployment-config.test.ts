import type { DeploymentHealth, ScalingReport } from '@keelson/core';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ServingBed, until, weatherBody } from '../testing/serving-bed.ts';
import { openServing, type Serving } from './serving.ts';

let bed: ServingBed;
let serving: Serving | undefined;

beforeEach(async () => {
  bed = await ServingBed.open();
  await bed.addModel('a');
});

afterEach(async () => {
  await serving?.close({ timeoutMs: 2000 });
  serving = undefined;
  await bed[Symbol.asyncDispose]();
});

async function open(): Promise<Serving> {
  serving = await openServing(bed.source, { deployments: ['weather'], replicas: 1, pollMs: 50 });
  return serving;
}

async function infer(body: string): Promise<number> {
  const { status } = await (serving as Serving).handle({
    method: 'POST',
    url: '/v2/models/weather/infer',
    headers: {},
    bytes: Buffer.from(body),
  });
  return status;
}

const versionOf = () => (serving as Serving).status()[0]?.versions[0];

test('a deployment says itself how it is run; what it leaves out is as the process has it', async () => {
  const cache = { maxBytes: 1e6 };
  const serves = { replicas: 2, cache, batching: { mode: 'off' } } as const;
  bed.setRoute({ a: 100 }, {}, 'weather', { serving: serves });
  await open();
  expect(versionOf()).toMatchObject({ wanted: 2, batches: undefined });
  const body = weatherBody([[1, 2]]);
  for (let i = 0; i < 5; i += 1) expect(await infer(body)).toBe(200);
  expect(versionOf()?.cache).toMatchObject({ hits: 4, misses: 1 });
  expect(bed.sink.rows.map(({ replica }) => replica).filter((id) => id === 'cache')).toHaveLength(
    4,
  );
});

test('a changed configuration comes into force under load, with no request failed', async () => {
  bed.setRoute({ a: 100 });
  await open();
  const before = versionOf()?.replicas[0]?.id;
  let stop = false;
  const statuses: number[] = [];
  const load = Array.from({ length: 4 }, async () => {
    while (!stop) {
      statuses.push(await infer(weatherBody([[statuses.length, 1]])));
      // A refusal at once must not keep the others from their turn.
      await new Promise((resolve) => setImmediate(resolve));
    }
  });
  await until('some answers', () => statuses.length > 50);
  bed.setRoute({ a: 100 }, {}, 'weather', { serving: { replicas: 3 } });
  await until('three replicas', () => versionOf()?.replicas.length === 3);
  // Only more of the same: the first one goes on.
  expect(versionOf()?.replicas.map(({ id }) => id)).toContain(before);
  bed.setRoute({ a: 100 }, {}, 'weather', { serving: { batching: { mode: 'off' } } });
  await until('another way of batching', () => versionOf()?.batches === undefined);
  const seen = statuses.length;
  await until('answers after it', () => statuses.length > seen + 50);
  stop = true;
  await Promise.all(load);
  expect(new Set(statuses)).toEqual(new Set([200]));
});

test('replicas follow the load, down to none and back at the first request; each change is told', async () => {
  const told: ScalingReport[] = [];
  const source = Object.assign(bed.source, {
    scaled: async (_deployment: string, report: ScalingReport) => told.push(report),
  });
  const scaling = { min: 0, max: 2, scaleToZeroAfterMs: 500 };
  bed.setRoute({ a: 100 }, {}, 'weather', { scaling });
  serving = await openServing(source, { deployments: ['weather'] });
  await until('no replica', () => versionOf()?.replicas.length === 0);
  expect(told.at(-1)).toMatchObject({
    oldReplicas: 1,
    newReplicas: 0,
    reason: expect.stringMatching(/1\.0\.a: nobody has asked/),
  });
  expect(serving.status()[0]?.state).toBe('HEALTHY');
  expect(await Promise.all([1, 2, 3].map((x) => infer(weatherBody([[x, 1]]))))).toEqual([
    200, 200, 200,
  ]);
  expect(versionOf()?.replicas.length).toBe(1);
});

test('how a deployment is doing is told when it changes', async () => {
  const told: DeploymentHealth[] = [];
  const source = Object.assign(bed.source, {
    report: async (_deployment: string, health: DeploymentHealth) => told.push(health),
  });
  bed.setRoute({ a: 100 });
  serving = await openServing(source, { deployments: ['weather'], replicas: 2, pollMs: 20 });
  await until('a first word', () => told.length === 1);
  expect(told[0]).toMatchObject({
    status: 'HEALTHY',
    generation: 1,
    versions: [{ versionId: 'a', liveReplicas: 2, replicas: 2 }],
  });
  await bed.addModel('broken', { 'model.mjs': 'export const nothing = 1;' });
  bed.setRoute({ a: 50, broken: 50 });
  await until('a second word', () => told.length > 1);
  expect(told.at(-1)).toMatchObject({
    status: 'DEGRADED',
    reason: expect.stringMatching(/model\.mjs exports no function "load"/),
  });
  expect(new Set(told.map(({ reporter }) => reporter)).size).toBe(1);
});

test('a store that does not hear is told again, and nothing waits for it', async () => {
  let calls = 0;
  const source = Object.assign(bed.source, {
    report: async () => {
      calls += 1;
      if (calls < 3) throw new Error('away');
    },
  });
  bed.setRoute({ a: 100 });
  serving = await openServing(source, { deployments: ['weather'], pollMs: 20 });
  expect(await infer(weatherBody([[1, 1]]))).toBe(200);
  await until('being told again', () => calls === 3);
});
