import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ChildProgram, childFile } from '../../test/child-program.ts';
import {
  openTestPlatform,
  sharePlatform,
  temporaryDirectory,
} from '../../test/open-test-platform.ts';
import type { ActiveRun } from './active-run.ts';
import type { Tracking } from './tracking.ts';

const shared = sharePlatform();
const quick = { experiment: 'e', environment: false } as const;
const many = (count: number): Record<string, string> =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`tag ${i}`, 'x']));

type Use = (size: number, tracking: Tracking, run: ActiveRun) => unknown;

describe('each limit: what reaches it is taken, one more is refused and says how much is allowed', () => {
  test.each<[string, number, Use]>([
    ['experiment name', 255, (n, t) => t.createExperiment({ name: 'n'.repeat(n) })],
    [
      'experiment description',
      2048,
      (n, t) => t.createExperiment({ name: `d${n}`, description: 'd'.repeat(n) }),
    ],
    ['tags of an experiment', 20, (n, t) => t.createExperiment({ name: `t${n}`, tags: many(n) })],
    ['tags set on an experiment', 20, (n, t) => t.setExperimentTags('e', many(n))],
    ['run name', 255, (n, t) => t.startRun({ ...quick, name: 'n'.repeat(n) })],
    ['run id', 255, (n, t) => t.startRun({ ...quick, id: 'i'.repeat(n) })],
    ['run description', 2048, (n, t) => t.startRun({ ...quick, description: 'd'.repeat(n) })],
    ['tags of a run', 50, (n, t) => t.startRun({ ...quick, tags: many(n) })],
    ['tags set on a run', 50, (n, _, run) => run.setTags(many(n))],
    ['tag key', 250, (n, _, run) => run.setTag('k'.repeat(n), 'x')],
    ['tag value', 8000, (n, _, run) => run.setTag('k', 'v'.repeat(n))],
    ['metric key', 255, (n, _, run) => run.logMetric('k'.repeat(n), 1)],
    [
      'dataset name',
      255,
      (n, _, r) => r.logDataset({ name: 'n'.repeat(n), digest: 'd', role: 'test' }),
    ],
    [
      'dataset digest',
      255,
      (n, _, r) => r.logDataset({ name: 'n', digest: 'd'.repeat(n), role: 'test' }),
    ],
    ['artifact path', 1024, (n, _, run) => run.logText('p'.repeat(n), 'x')],
    // Two bytes each: bytes count, not characters.
    ['artifact path in bytes', 512, (n, _, run) => run.logText('é'.repeat(n), 'x')],
    ['canonical metric name', 255, (n, t) => t.defineMetric({ name: 'm'.repeat(n) })],
    ['page of a search', 1000, (n, t) => t.searchRuns({ limit: n })],
    ['page of experiments', 1000, (n, t) => t.listExperiments({ limit: n })],
  ])('%s: %i', async (_what, limit, use) => {
    const { tracking } = shared.fresh().platform;
    const run = await tracking.startRun(quick);
    const refused = async (size: number) => use(size, tracking, run);
    await refused(limit);
    const allowed = _what === 'artifact path in bytes' ? 1024 : limit;
    await expect(refused(limit + 1)).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringMatching(
        new RegExp(`\\b(${allowed}|${allowed.toLocaleString('en')})\\b`),
      ),
    });
    await run.finish();
  });
});

test('the limit of tags of an experiment holds between processes that add them at once', async () => {
  const dir = join(await temporaryDirectory(), '.keelson');
  const { platform } = await openTestPlatform({ dir });
  const { tracking } = platform;
  const { id } = await tracking.createExperiment({ name: 'e' });
  const children = ['a', 'b'].map(
    (prefix) => new ChildProgram(childFile('set-tags'), [dir, id, prefix, 'experiment']),
  );
  const counts = await Promise.all(
    children.map(async (child) => Number((await child.line(/^set /)).slice(4))),
  );
  expect(counts.reduce((sum, count) => sum + count, 0)).toBe(20);
  expect(Object.keys((await tracking.getExperiment(id)).tags).length).toBe(20);
  expect(children[0]?.lines[0]).toContain('would have 21 tags; at most 20 are allowed');
}, 60_000);
