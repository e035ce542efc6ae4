import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ChildProgram, childFile } from '../../test/child-program.ts';
import { openTestPlatform, temporaryDirectory, until } from '../../test/open-test-platform.ts';

/** `KEELSON_MANY_RUNS=500`: as many as the specification speaks of, with 1,000 points each. */
const runs = Number(process.env['KEELSON_MANY_RUNS'] ?? 80);
const points = runs >= 500 ? 1_000 : 200;
const writers = 8;

test(`${runs} runs open at once in ${writers} processes, two of them killed, while another searches`, async () => {
  const dir = join(await temporaryDirectory(), '.keelson');
  const perWriter = Math.ceil(runs / writers);
  // The two that are killed have so much to do that they cannot be done before.
  const children = Array.from(
    { length: writers },
    (_, i) =>
      new ChildProgram(childFile('hold-many-runs'), [
        ...[dir, String(perWriter), String(i < 2 ? 50 * points : points)],
      ]),
  );
  const searcher = new ChildProgram(childFile('search-on'), [dir]);
  // All runs are open, and the victims in the middle, when they die.
  await Promise.all(children.map((child) => child.line(/^runs /)));
  const victims = children.slice(0, 2);
  await Promise.all(
    victims.map(async (victim) => {
      await victim.line(/^flushed /);
      await victim.kill();
    }),
  );
  await Promise.all(children.slice(2).map((child) => child.line(/^done$/)));
  await searcher.line(/^searched /);
  await searcher.kill();
  expect(searcher.errors).toBe('');

  const { platform } = await openTestPlatform({ dir });
  const { tracking } = platform;
  for (const child of children) {
    const ids = (child.lines[0] ?? '').split(' ').slice(1);
    expect(ids.length).toBe(perWriter);
    const flushed = Math.max(
      ...child.lines
        .filter((line) => line.startsWith('flushed'))
        .map((line) => Number(line.slice(8))),
    );
    expect(flushed).toBeGreaterThanOrEqual(points);
    for (const id of ids) {
      const { steps, values } = await tracking.getMetricHistory(id, 'loss');
      expect(steps.length).toBeGreaterThanOrEqual(flushed);
      // Each exactly once, and none but those that were logged before the kill.
      expect(steps.every((step, at) => step === at && values[at] === at)).toBe(true);
    }
  }
  const left = (): Promise<{ count: number }> =>
    tracking.countRuns({ filter: "attributes.status = 'RUNNING'", exact: true });
  await until('the marks of the dead', async () => (await left()).count === 0, 60_000);
  const ended = async (status: string): Promise<number> =>
    (await tracking.countRuns({ filter: `attributes.status = '${status}'`, exact: true })).count;
  const counts = { FAILED: await ended('FAILED'), KILLED: await ended('KILLED') };
  const all = { ...counts, COMPLETED: await ended('COMPLETED'), RUNNING: (await left()).count };
  expect(all).toEqual({
    ...{ FAILED: 2 * perWriter, KILLED: 0 },
    ...{ COMPLETED: (writers - 2) * perWriter, RUNNING: 0 },
  });
  expect((await platform.operations.verify()).findings).toEqual([]);
}, 600_000);

test('twenty processes open one new directory at once: all of them log, none fails', async () => {
  const dir = join(await temporaryDirectory(), 'new', '.keelson');
  const children = Array.from(
    { length: 20 },
    () => new ChildProgram(childFile('open-and-log'), [dir]),
  );
  const ids = await Promise.all(
    children.map(async (child) => (await child.line(/^logged /)).slice(7)),
  );
  expect(children.map(({ errors }) => errors)).toEqual(children.map(() => ''));
  const { platform } = await openTestPlatform({ dir });
  expect(new Set(ids).size).toBe(20);
  expect((await platform.tracking.countRuns({ exact: true })).count).toBe(20);
  const { experiments } = await platform.tracking.listExperiments();
  expect(experiments).toMatchObject([{ name: 'e', runCount: 20 }]);
  expect((await platform.operations.verify({ contents: 'read' })).findings).toEqual([]);
}, 300_000);

test('a process that is stopped for longer than its runs may be silent goes on, no point lost', async () => {
  const dir = join(await temporaryDirectory(), '.keelson');
  const child = new ChildProgram(childFile('log-while-stopped'), [dir, '600']);
  await child.line(/^logging$/);
  process.kill(child.pid, 'SIGSTOP');
  const { platform } = await openTestPlatform({ dir, heartbeatTimeoutMs: 600 });
  const { tracking } = platform;
  await until('the presumed death', async () => (await tracking.getRun('r')).status === 'FAILED');
  await tracking.reap();
  process.kill(child.pid, 'SIGCONT');
  const logged = Number((await child.line(/^logged /)).slice(7));
  const run = await tracking.getRun('r');
  expect(run).toMatchObject({ status: 'COMPLETED', lostPoints: {} });
  const { steps } = await tracking.getMetricHistory('r', 'loss');
  expect(steps.length).toBe(logged);
  expect(steps.every((step, i) => step === i)).toBe(true);
  const reasons = (await tracking.getRunHistory('r')).map(({ reason }) => reason ?? '');
  expect(reasons.filter((reason) => /heartbeat|taken for dead/.test(reason)).length).toBe(2);
}, 180_000);

test('the limit of tags holds between processes that add them at once', async () => {
  const { platform, dir } = await openTestPlatform();
  const { tracking } = platform;
  const run = await tracking.startRun({ experiment: 'e', environment: false });
  const children = ['a', 'b', 'c'].map(
    (prefix) => new ChildProgram(childFile('set-tags'), [dir, run.id, prefix]),
  );
  const counts = await Promise.all(
    children.map(async (child) => Number((await child.line(/^set /)).slice(4))),
  );
  expect(counts.reduce((sum, count) => sum + count, 0)).toBe(50);
  const [some = '', ...others] = Object.keys((await tracking.getRun(run.id)).tags);
  expect(others.length).toBe(49);
  expect(children[0]?.lines[0]).toContain('would have 51 tags; at most 50 are allowed');
  // Those that are there may still change.
  await tracking.setRunTags(run.id, { [some]: 'changed' });
  await run.finish();
});
