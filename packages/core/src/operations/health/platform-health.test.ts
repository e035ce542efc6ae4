import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openTestPlatform, until } from '../../../test/open-test-platform.ts';
import { healthAnswer } from './health-answer.ts';

test('nothing is known before a check has run; asked for fresh, all answer', async () => {
  const { platform } = await openTestPlatform();
  const before = await platform.operations.health();
  expect(before.status).toBe('UNKNOWN');
  expect(healthAnswer(before).status).toBe(503);
  const after = await platform.operations.health({ fresh: true });
  const critical = after.checks.filter((check) => check.critical);
  expect(critical.map(({ name, status }) => [name, status])).toEqual([
    ['database', 'HEALTHY'],
    ['artifact write, read, delete', 'HEALTHY'],
    ['disk', expect.stringMatching(/^HEALTHY|DEGRADED$/)],
  ]);
  expect(after.checks.every(({ at, ageMs }) => at !== undefined && ageMs !== undefined)).toBe(true);
  const { status, body } = healthAnswer(after);
  expect([status, JSON.parse(body).status]).toEqual([200, after.status]);
});

test('started, checks run by themselves, and what is broken is found', async () => {
  const { platform, dir } = await openTestPlatform();
  platform.start();
  await until('all have run', async () => {
    const { checks } = await platform.operations.health();
    return checks.every(({ at }) => at !== undefined);
  });
  await rm(join(dir, 'artifacts'), { recursive: true, force: true });
  const blocked = join(dir, 'artifacts');
  await writeFile(blocked, 'a file where the directory was');
  await platform.operations.health({ fresh: true });
  const { status, checks } = await platform.operations.health({ fresh: true });
  const check = checks.find(({ name }) => name === 'artifact write, read, delete');
  expect([status, check?.status]).toEqual(['UNHEALTHY', 'UNHEALTHY']);
});
