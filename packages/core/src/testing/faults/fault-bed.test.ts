import { appendFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { childFile } from '../../../test/child-program.ts';
import { suiteKinds } from '../metadata/scene.ts';
import { ReferenceHarness } from '../model/reference-harness.ts';
import { CrashPoints, crashesOf, withCrashPoints } from './crash-points.ts';
import { EffectsLog, readEffects } from './effects-log.ts';
import { type CrashScenario, runEveryCrash } from './every-crash.ts';
import { checkInvariants } from './invariants.ts';
import { type KillLoopOptions, killLoop } from './kill-loop.ts';
import { seededRandom, seedOf } from './seed.ts';
import { StoreFaults } from './store-faults.ts';
import { TcpProxy } from './tcp-proxy.ts';

const world = { [Symbol.asyncDispose]: async () => undefined };

function scenario(
  attempt: CrashScenario<typeof world>['attempt'],
  violations: () => readonly string[] = () => [],
): CrashScenario<typeof world> {
  return {
    ...{ name: 'a scenario', open: async () => world, attempt, recover: async () => undefined },
    invariants: [{ name: 'all is well', violations }],
  };
}

describe('every crash', () => {
  test('comes to each point and kind once, at each hit that was asked for', async () => {
    const crashed: string[] = [];
    const one = scenario(async (_world, points) => {
      for (const name of ['a', 'b', 'a', 'a']) {
        await points.hit(name, name === 'a' ? ['throw'] : ['unknown', 'stall']).finally(() => {
          if (points.crashed) crashed.push(name);
        });
      }
    });
    const report = await runEveryCrash({ ...one, hits: 2, kinds: ['throw', 'unknown'] });
    expect(report).toMatchObject({
      points: 2,
      byKind: { throw: 2, unknown: 1, exit: 0, stall: 0 },
    });
    expect(crashed).toEqual(['a', 'a', 'b']);
  });

  test('names the crash after which an invariant did not hold', async () => {
    let crashed = false;
    const one = scenario(
      async (_world, points) => {
        await points.hit('a').finally(() => {
          crashed = points.crashed;
        });
      },
      () => (crashed ? ['all is lost'] : []),
    );
    await expect(runEveryCrash(one)).rejects.toThrow(
      /throw at hit 1 of "a"[\s\S]*all is well[\s\S]*all is lost/,
    );
  });

  test('fails when a crash is not reached, and when what comes out is no KeelsonError', async () => {
    let runs = 0;
    const changing = scenario(async (_world, points) => {
      runs += 1;
      await points.hit(runs === 1 ? 'once' : 'other');
    });
    await expect(runEveryCrash(changing)).rejects.toThrow('The crash was not reached');
    const raw = scenario(async (_world, points) => {
      await points.hit('a').catch(() => {
        throw new TypeError('undefined is not a function');
      });
    });
    await expect(runEveryCrash(raw)).rejects.toThrow('no KeelsonError');
  });

  test('points of a store are named by what its calls do; what only waits has none', async () => {
    await using harness = new ReferenceHarness();
    const points = new CrashPoints();
    const store = withCrashPoints(await harness.open(suiteKinds), points);
    const id = 'a';
    await store.commit({
      ...{ workspace: 'w', principal: 'p' },
      changes: [{ op: 'create', kind: 'job', id, columns: { state: 'due' } }],
    });
    await store.claim('job', { limit: 1, owner: 'o', leaseMs: 1000 });
    await store.find('w', 'job', id);
    await store.now();
    expect(points.points.map(({ name }) => name)).toEqual([
      ...['before commit(create job)', 'after commit(create job)'],
      ...['before claim(job)', 'after claim(job)', 'before find(job)', 'after find(job)'],
    ]);
    // An unknown outcome is one where it was done, and one where it was not.
    const unknown = crashesOf(points.points, { kinds: ['unknown'] }).map(({ point }) => point);
    expect(unknown).toContain('before commit(create job)');
    expect(unknown).toContain('after commit(create job)');
  });
});

describe('a kill loop', () => {
  const loop = (argument: string, options: Partial<KillLoopOptions> = {}): Promise<unknown> =>
    killLoop({
      ...{ program: childFile('misbehave'), argument, processes: 2, kills: 0, seed: 7 },
      ...options,
    });

  test('fails with what a process said that failed by itself, and the seed', async () => {
    await expect(loop('fails')).rejects.toThrow(/seed 7[\s\S]*out of luck/);
  });

  test('fails when all processes have ended and the work is not done', async () => {
    await expect(loop('ends', { done: () => false })).rejects.toThrow('the work is not done');
  });

  test('is over when all have ended, where nothing else says so', async () => {
    await expect(loop('ends')).resolves.toMatchObject({ starts: 2, kills: 0 });
  });

  test('fails when time is up, and when a process does not come to its end', async () => {
    const never = { done: () => false, timeoutMs: 300 };
    await expect(loop('stays', never)).rejects.toThrow('not done after 300 ms');
    const deaf: Partial<KillLoopOptions> = { done: ({ said }) => said.length === 2, stopMs: 100 };
    await expect(loop('deaf', deaf)).rejects.toThrow('had not ended 100 ms after');
  });

  test('replaces whom it kills, in their place', async () => {
    const { kills, starts, said } = await killLoop({
      ...{ program: childFile('misbehave'), argument: 'stays', processes: 2, kills: 3, seed: 7 },
      everyMs: [10, 30],
      done: (soFar) => soFar.said.length === 5,
    });
    expect([kills, starts]).toEqual([3, 5]);
    const numbers = (slot: number): readonly unknown[] =>
      said.flatMap((fact) => {
        const { slot: of, number } = fact as { readonly slot: number; readonly number: number };
        return of === slot ? [number] : [];
      });
    expect([...numbers(0), ...numbers(1)].toSorted()).toEqual([0, 1, 2, 3, 4]);
    expect(numbers(0)).toContain(0);
    expect(numbers(1)).toContain(1);
  });
});

describe('an effects log', () => {
  test('keeps what was appended by several writers, and leaves out a piece of a line', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'keelson-effects-'));
    onTestFinished(() => rm(dir, { recursive: true }));
    const path = join(dir, 'effects');
    expect(readEffects(path)).toEqual([]);
    using one = new EffectsLog(path);
    using two = new EffectsLog(path);
    one.append({ n: 1 });
    two.append({ n: 2 });
    appendFileSync(path, '\n{"n":3,"te');
    one.append({ n: 4 });
    const effects = readEffects<{ n: number }>(path);
    expect(effects.map(({ n }) => n)).toEqual([1, 2, 4]);
    expect(effects[0]).toMatchObject({ pid: process.pid, at: expect.any(Number) });
  });
});

test('store faults: away until it is back, and some calls that fail by the seed', async () => {
  await using harness = new ReferenceHarness();
  const faults = new StoreFaults();
  const store = faults.wrap(await harness.open(suiteKinds));
  const ask = (): Promise<unknown> => store.find('w', 'item', 'a');
  faults.away();
  await expect(ask()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  faults.back();
  expect(await ask()).toBeUndefined();
  const fates = async (): Promise<readonly string[]> => {
    faults.failSome(0.5, seededRandom(1));
    const ended = await Promise.allSettled(Array.from({ length: 20 }, ask));
    return ended.map(({ status }) => status);
  };
  const first = await fates();
  expect(new Set(first).size).toBe(2);
  expect(await fates()).toEqual(first);
  expect(faults.injected).toBe(1 + 2 * first.filter((status) => status === 'rejected').length);
  faults.failSome(0, Math.random);
  await store.close();
});

test('invariants: every violation is told, the first ten of each by their words', async () => {
  const violations = Array.from({ length: 12 }, (_, i) => `thing ${i}`);
  const all = [
    { name: 'holds', violations: () => [] },
    { name: 'does not', violations: () => violations },
    { name: 'neither', violations: async () => ['one'] },
  ];
  await expect(checkInvariants({}, all, 'seed 3')).rejects.toMatchObject({
    broken: ['does not', 'neither'],
    message: expect.stringMatching(/2 invariant.*seed 3[\s\S]*thing 9\n {4}and 2 more/),
  });
  expect(await checkInvariants({}, all.slice(0, 1), 'seed 3')).toBe(1);
});

test('seeds: the one of the environment, or another each time; a wrong one is refused', () => {
  expect(seedOf({ KEELSON_SEED: '12' })).toBe(12);
  expect(seedOf({})).not.toBe(seedOf({}));
  expect(() => seedOf({ KEELSON_SEED: 'twelve' })).toThrow('twelve');
});

test('a proxy: passes, holds up, cuts, is away and back', async () => {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.pipe(socket);
  }).listen(0, '127.0.0.1');
  onTestFinished(() => {
    server.close();
  });
  await new Promise((resolve) => server.once('listening', resolve));
  await using proxy = await TcpProxy.open(
    `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`,
  );
  const dial = (): Socket =>
    connect(Number(new URL(proxy.url).port), '127.0.0.1').on('error', () => undefined);
  const said = (socket: Socket): Promise<string> =>
    new Promise((resolve) => {
      socket.once('data', (data) => resolve(data.toString()));
      socket.once('close', () => resolve('closed'));
    });
  const first = dial();
  first.write('one');
  expect(await said(first)).toBe('one');
  proxy.hold();
  first.write('two');
  const late = said(first);
  const silence = new Promise((resolve) => setTimeout(resolve, 100, 'nothing'));
  expect(await Promise.race([late, silence])).toBe('nothing');
  proxy.back();
  expect(await late).toBe('two');
  const cut = said(first);
  proxy.cut();
  expect(await cut).toBe('closed');
  proxy.away();
  expect(await said(dial())).toBe('closed');
  proxy.back();
  const last = dial();
  last.write('three');
  expect(await said(last)).toBe('three');
  last.destroy();
});
