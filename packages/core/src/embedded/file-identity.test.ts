import { copyFileSync, existsSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openTestPlatform, until } from '../../test/open-test-platform.ts';

const quick = { experiment: 'e', environment: false } as const;

test.each([
  [
    'its directory is removed',
    (dir: string) => rmSync(dir, { recursive: true }),
    'was removed',
    'lost',
  ],
  ['its file is removed', (dir: string) => rmSync(join(dir, 'keelson.db')), 'was removed', 'lost'],
  [
    'another is put in its place',
    (dir: string) => {
      copyFileSync(join(dir, 'keelson.db'), join(dir, 'other.db'));
      renameSync(join(dir, 'other.db'), join(dir, 'keelson.db'));
    },
    'was replaced',
    'lost',
  ],
  [
    'its path cannot be read any more',
    (dir: string) => {
      rmSync(join(dir, 'keelson.db'));
      symlinkSync('keelson.db', join(dir, 'keelson.db'));
    },
    'cannot be found any more (ELOOP)',
    'unknown',
  ],
])(
  'a database is told of when %s under the process that has it open',
  async (_, harm, message, outcome) => {
    const { platform, dir, logs } = await openTestPlatform();
    const result = await platform.tracking.withRun(quick, async (run) => {
      await run.logParam('before', 1);
      harm(dir);
      await expect(run.logParam('after', 2)).rejects.toMatchObject({
        code: 'UNAVAILABLE',
        message: expect.stringContaining(message),
        details: { outcome },
      });
      return 'trained';
    });
    // Hours of training are not lost for a line in a database.
    expect(result).toBe('trained');
    expect(logs.filter(({ level }) => level === 'error')).toMatchObject([
      { message: expect.stringContaining('its end could not be written down') },
    ]);
    await platform.close({ timeoutMs: 2_000 }).catch(() => undefined);
  },
);

test('points are kept in the spool then, and no other database is made in its place', async () => {
  const { platform, dir } = await openTestPlatform();
  const run = await platform.tracking.startRun({ ...quick, id: 'r' });
  run.logMetric('loss', 0, { step: 0 });
  await run.flush();
  const file = join(dir, 'keelson.db');
  renameSync(file, join(dir, 'away'));
  run.logMetric('loss', 1, { step: 1 });
  await expect(run.flush({ timeoutMs: 6_000 })).rejects.toMatchObject({ code: 'TIMEOUT' });
  expect(run.health.lastError).toContain('was removed');
  expect(existsSync(file)).toBe(false);
  await platform.close();
  renameSync(join(dir, 'away'), file);
  const again = await openTestPlatform({ dir });
  await until('the points', async () => {
    const { steps } = await again.platform.tracking.getMetricHistory('r', 'loss');
    return steps.join() === '0,1';
  });
});
