import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../../../test/open-test-platform.ts';
import { processHarness } from '../../../test/process-executor-harness.ts';
import { executorSuite } from '../../testing/executor-suite.ts';
import { runCase } from '../../testing/suite.ts';
import { ProcessExecutor } from './process-executor.ts';

describe('keeps the promises of Executor', () => {
  for (const suiteCase of executorSuite.cases) {
    test(suiteCase.name, () => runCase(suiteCase, processHarness));
  }
});

test('what a process had put aside as it died is cleared by whoever lists', async () => {
  const dir = await temporaryDirectory();
  await using executor = new ProcessExecutor({ stateDir: dir });
  // No process has this number: the greatest that Linux gives is 2^22.
  const aside = join(dir, '.9999999.1.task');
  await mkdir(aside, { recursive: true });
  await writeFile(join(aside, 'stdout'), 'half removed');
  expect(await Array.fromAsync(executor.list({ workspace: 'default' }))).toEqual([]);
  expect(await readdir(dir)).toEqual([]);
});
