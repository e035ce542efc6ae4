import { mkdtempSync } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ChildProgram, childFile } from '../../test/child-program.ts';
import { wholeOf } from '../../test/moving/whole-of.ts';
import { openTestPlatform, temporaryDirectory } from '../../test/open-test-platform.ts';
import { testBackends } from '../../test/test-backends.ts';
import { openPlatform, type Platform, type Services } from '../open-platform.ts';
import { rest } from '../rest.ts';

const never = new AbortController().signal;
const runCount = 60;

/** Runs of which each says in its params how many points, entries and artifacts it must have. */
async function fill({ tracking }: Pick<Services, 'tracking'>): Promise<void> {
  for (let i = 0; i < runCount; i += 1) {
    const count = 1 + ((i * 37) % 400);
    await tracking.withRun(
      { experiment: `e${i % 15}`, params: { count }, environment: false },
      async (run) => {
        for (let step = 0; step < count * 20; step += 1) run.logMetric('m', step, { step });
        for (let n = 0; n < 3; n += 1) {
          await run.logArtifact(`a${n}.bin`, Buffer.alloc(20_000 + i, `${i} ${n}`));
          await run.logParams({ [`later${n}`]: n });
        }
      },
    );
  }
}

/** How many runs are there; each must be whole. */
async function wholeRuns({ tracking }: Pick<Services, 'tracking'>): Promise<number> {
  let runs = 0;
  for await (const { id, params } of tracking.eachRun()) {
    const count = Number(params['count']);
    const { values } = await tracking.getMetricHistory(id, 'm');
    expect(values.length).toBe(count * 20);
    expect(values.at(-1)).toBe(count * 20 - 1);
    expect(await tracking.getParamHistory(id)).toHaveLength(4);
    const { artifacts } = await tracking.listArtifacts(id);
    expect(artifacts).toHaveLength(3);
    for (const { path } of artifacts) await tracking.readArtifact(id, path);
    runs += 1;
  }
  return runs;
}

/** Starts an import and lets it be for a part of `ms`; answers whether it was killed within. */
async function killWithin(home: string, path: string, ms: number): Promise<boolean> {
  const child = new ChildProgram(childFile('import-all'), [home, path]);
  await child.line(/^begins$/);
  await rest(Math.random() * ms, never);
  const { signal } = await child.kill();
  expect(child.errors).toBe('');
  return signal === 'SIGKILL';
}

describe('killed anywhere', () => {
  // No test changes what it exports, and to fill it takes longer than the rest.
  const source = join(mkdtempSync(join(tmpdir(), 'keelson-test-')), '.keelson');
  let from: Platform;

  beforeAll(async () => {
    from = await openPlatform({ dir: source, ...(await testBackends(source)) });
    await fill(from);
  }, 120_000);
  afterAll(async () => {
    await from?.close();
    await rm(dirname(source), { recursive: true, force: true });
  });

  test('an import is completed by another, and no run is ever there in part', async () => {
    const dir = await temporaryDirectory();
    const path = join(dir, 'x.tar');
    await from.tracking.exportExperiments({ to: path });
    // How long a whole one takes here, so that the kills fall into it.
    const whole = new ChildProgram(childFile('import-all'), [join(dir, 'other'), path]);
    await whole.line(/^begins$/);
    const begun = performance.now();
    await whole.line(/^imported/);
    const ms = performance.now() - begun;
    let partly = 0;
    let homes = 0;
    for (let attempt = 0; attempt < 8 || (partly === 0 && attempt < 60); attempt += 1) {
      // Now into an empty place, now into what the last one left.
      if (attempt % 3 === 0) homes += 1;
      const home = join(dir, `home-${homes}`);
      await killWithin(home, path, ms);
      const { platform } = await openTestPlatform({ dir: home });
      const runs = await wholeRuns(platform);
      if (runs > 0 && runs < runCount) partly += 1;
      await platform.close();
    }
    for (let n = 1; n <= homes; n += 1) {
      const { platform } = await openTestPlatform({ dir: join(dir, `home-${n}`) });
      const { added, skipped } = await platform.tracking.importExperiments({ from: path });
      expect(added.runs + skipped.runs).toBe(runCount);
      expect(await wholeRuns(platform)).toBe(runCount);
      if (n === 1) expect(await wholeOf(platform)).toEqual(await wholeOf(from));
      await platform.close();
    }
    expect(partly, 'kills that fell among the runs').toBeGreaterThan(0);
  }, 300_000);

  test('an import that waits for one that is killed takes its turn', async () => {
    const dir = await temporaryDirectory();
    const path = join(dir, 'x');
    await from.tracking.exportExperiments({ to: path });
    const home = join(dir, 'home');
    const children = [0, 1, 2].map(() => new ChildProgram(childFile('import-all'), [home, path]));
    await Promise.all(children.map((child) => child.line(/^begins$/)));
    await rest(Math.random() * 300, never);
    await children[0]?.kill();
    for (const child of children.slice(1)) expect(await child.end()).toMatchObject({ code: 0 });
    const { platform } = await openTestPlatform({ dir: home });
    expect(await wholeRuns(platform)).toBe(runCount);
  }, 300_000);

  test('an export is there as a whole or not at all; the next one clears up', async () => {
    const dir = await temporaryDirectory();
    const to = join(dir, 'to');
    await mkdir(to);
    for (let kill = 0; kill < 8; kill += 1) {
      const child = new ChildProgram(childFile('export-all'), [source, join(to, 'x')]);
      await child.line(/^begins/);
      await rest(Math.random() * 400, never);
      await child.kill();
      expect(child.errors).toBe('');
    }
    const there = (await readdir(to)).filter((name) => !name.startsWith('.'));
    const { platform } = await openTestPlatform();
    for (const [i, name] of there.entries()) {
      const { tracking } = platform.as({ workspace: `w${i}` });
      const { added } = await tracking.importExperiments({ from: join(to, name) });
      expect(added.runs).toBe(runCount);
    }
    await from.tracking.exportExperiments({ to: join(to, 'last') });
    expect((await readdir(to)).toSorted()).toEqual([...there, 'last'].toSorted());
  }, 300_000);
});
