import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
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

test('what processes that died had put aside, or had removed in part, is cleared by whoever lists', async () => {
  const dir = await temporaryDirectory();
  await using executor = new ProcessExecutor({ stateDir: dir });
  // No process has this number: the greatest that Linux gives is 2^22.
  for (const name of ['.9999999.1.task', 'a'.repeat(32)]) {
    await mkdir(join(dir, name), { recursive: true });
    await writeFile(join(dir, name, 'stdout'), 'half removed');
  }
  expect(await Array.fromAsync(executor.list({ workspace: 'default' }))).toEqual([]);
  expect(await readdir(dir)).toEqual([]);
});

test('a task begins where one of the same key was removed in part', async () => {
  const dir = await temporaryDirectory();
  await using executor = new ProcessExecutor({ stateDir: dir });
  const signal = AbortSignal.timeout(10_000);
  const run = async (): Promise<string> => {
    const handle = await executor.submit({
      key: { workspace: 'w', executionId: 'e', stepId: 's', attempt: 1 },
      entry: { type: 'command', command: ['/bin/sh', '-c', 'exit 0'] },
      ...{ env: {}, input: {}, resources: {}, graceMs: 1_000 },
    });
    expect((await executor.wait(handle, { signal })).state).toBe('succeeded');
    return handle.id;
  };
  await rm(join(dir, await run(), 'task.json'));
  await run();
});
