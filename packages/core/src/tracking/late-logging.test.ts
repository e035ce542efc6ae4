import { describe, expect, test } from 'vitest';
import { openTestPlatform } from '../../test/open-test-platform.ts';

const quick = { experiment: 'e', environment: false } as const;
const dataset = { name: 'd', digest: 'sha256:1', role: 'test' } as const;

describe('late logging', () => {
  test('is refused when nobody allowed it, by everything that logs', async () => {
    const { platform } = await openTestPlatform();
    const run = await platform.tracking.startRun({ ...quick, id: 'r' });
    await run.finish();
    const joined = await platform.tracking.startRun({ ...quick, id: 'r' });
    for (const handle of [run, joined]) {
      const closed = { code: 'CONFLICT' };
      expect(() => handle.logMetric('m', 1)).toThrow(expect.objectContaining(closed));
      await expect(handle.logParam('p', 1)).rejects.toMatchObject(closed);
      await expect(handle.logText('a.txt', 'a')).rejects.toMatchObject(closed);
      await expect(handle.logDataset(dataset)).rejects.toMatchObject(closed);
    }
  });

  test('where it is allowed, all is taken, the run stays as it ended, its history tells', async () => {
    const { platform } = await openTestPlatform({ tracking: { lateLogging: 'allow' } });
    const { tracking } = platform;
    const run = await tracking.startRun({ ...quick, id: 'r' });
    run.logMetric('m', 1);
    await run.finish();
    const ended = await tracking.getRun('r');
    run.logMetric('m', 2);
    run.logMetric('late', 3);
    await run.logParams({ p: 1 });
    await run.logText('a.txt', 'a');
    await run.logDataset(dataset);
    await run.flush();
    expect(await tracking.getRun('r')).toMatchObject({
      status: 'COMPLETED',
      endedAt: ended.endedAt,
      metrics: { m: 2, late: 3 },
      params: { p: 1 },
    });
    expect(await tracking.listDatasets('r')).toMatchObject([{ name: 'd' }]);
    expect((await tracking.listArtifacts('r')).artifacts).toMatchObject([{ path: 'a.txt' }]);
    const history = await tracking.getRunHistory('r');
    const told = history.filter(({ reason }) => reason?.includes('after the end'));
    expect(told.map(({ reason }) => reason).sort()).toEqual([
      'artifact a.txt logged after the end',
      'dataset d logged after the end',
      'dataset d logged after the end',
      'metrics logged after the end',
      'params logged after the end',
    ]);
    expect(told.every(({ by }) => by === platform.principal.id)).toBe(true);
  });

  test('one person may be allowed what others are not', async () => {
    const { platform } = await openTestPlatform();
    await (await platform.tracking.startRun({ ...quick, id: 'r' })).finish();
    const late = platform.as({ tracking: { lateLogging: 'allow' } });
    const handle = await late.tracking.startRun({ ...quick, id: 'r' });
    await handle.logParam('p', 1);
    const other = await platform.tracking.startRun({ ...quick, id: 'r' });
    await expect(other.logParam('p', 2)).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(await platform.tracking.getParams('r')).toEqual({ p: 1 });
  });
});
