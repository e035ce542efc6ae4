import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ChildProgram, childFile } from '../test/child-program.ts';
import { openTestPlatform, temporaryDirectory } from '../test/open-test-platform.ts';

test('every method answers whatever it is given, or refuses it with an error that says why', async () => {
  const cwd = await temporaryDirectory();
  const dir = join(cwd, '.keelson');
  const child = new ChildProgram(childFile('hostile-arguments'), [dir], { cwd });
  const { code } = await child.end();
  expect(child.lines.slice(0, -1)).toEqual([]);
  expect(child.lines.at(-1)).toMatch(/^called \d{5}$/);
  expect([code, child.errors]).toEqual([0, '']);
  const { platform } = await openTestPlatform({ dir });
  expect((await platform.tracking.getRun('x')).metrics).toEqual({ x: 1 });
  expect((await platform.operations.verify({ contents: 'read' })).findings).toEqual([]);
}, 300_000);
