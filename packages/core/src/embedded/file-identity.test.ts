import { copyFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openTestPlatform } from '../../test/open-test-platform.ts';

const quick = { experiment: 'e', environment: false } as const;

test.each([
  ['its directory is removed', (dir: string) => rmSync(dir, { recursive: true }), 'was removed'],
  ['its file is removed', (dir: string) => rmSync(join(dir, 'keelson.db')), 'was removed'],
  [
    'another is put in its place',
    (dir: string) => {
      copyFileSync(join(dir, 'keelson.db'), join(dir, 'other.db'));
      renameSync(join(dir, 'other.db'), join(dir, 'keelson.db'));
    },
    'was replaced',
  ],
])('a database is told of when %s under the process that has it open', async (_, harm, message) => {
  const { platform, dir, logs } = await openTestPlatform();
  const result = await platform.tracking.withRun(quick, async (run) => {
    await run.logParam('before', 1);
    harm(dir);
    await expect(run.logParam('after', 2)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining(message),
      details: { outcome: 'lost' },
    });
    return 'trained';
  });
  // Hours of training are not lost for a line in a database.
  expect(result).toBe('trained');
  expect(logs.filter(({ level }) => level === 'error')).toMatchObject([
    { message: expect.stringContaining('its end could not be written down') },
  ]);
  await platform.close({ timeoutMs: 2_000 }).catch(() => undefined);
});
