import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Executor, TaskSpec } from '@keelson/core';
import type { ExecutorHarness, Work } from '@keelson/core/testing';
import { shellScript, taskDirectory } from '../../core/test/process-executor-harness.ts';
import { testImage } from './server/test-engine.ts';

/** A harness of an executor of containers, with the test's image. */
export async function containerHarness(
  make: () => Executor,
  root = tmpdir(),
): Promise<ExecutorHarness> {
  const dir = await mkdtemp(join(root, 'keelson-task-'));
  const workDir = join(dir, 'work');
  const executor = make();
  return {
    executor,
    entry: (work: Work): Pick<TaskSpec, 'entry'> => ({
      entry: {
        type: 'image',
        image: testImage,
        command: ['/bin/sh', '-c', shellScript(work, '/keelson/work')],
      },
    }),
    async directory() {
      const made = await taskDirectory(workDir);
      await chmodAll(workDir);
      return made;
    },
    another: async () => make(),
    async [Symbol.asyncDispose]() {
      await using cleaner = make();
      for await (const task of cleaner.list({ workspace: 'w' })) {
        await cleaner.cancel(task, { graceMs: 0 });
        await cleaner.release(task);
      }
      await executor.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

async function chmodAll(path: string): Promise<void> {
  const { chmod } = await import('node:fs/promises');
  await chmod(path, 0o777);
}
