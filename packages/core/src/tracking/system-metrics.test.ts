import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ChildProgram, childFile } from '../../test/child-program.ts';
import { openTestPlatform, temporaryDirectory, until } from '../../test/open-test-platform.ts';

const quick = { experiment: 'e', environment: false } as const;
const cpu = 'system/process_cpu_percentage';

test('a loop that never yields is sampled all the while', async () => {
  const dir = join(await temporaryDirectory(), '.keelson');
  const child = new ChildProgram(childFile('train-without-yielding'), [dir]);
  await child.line(/^done$/);
  const { platform } = await openTestPlatform({ dir });
  const { steps, values } = await platform.tracking.getMetricHistory('busy', cpu);
  // 12 would be due; a busy machine may leave out some.
  expect(steps.length).toBeGreaterThan(3);
  expect([...steps]).toEqual([...steps.keys()]);
  expect(Math.max(...values)).toBeGreaterThan(20);
  const { metrics } = await platform.tracking.getRun('busy');
  for (const name of ['process_memory_megabytes', 'disk_available_megabytes']) {
    expect(metrics[`system/${name}`]).toBeGreaterThan(0);
  }
});

test('as the platform says, unless the run says otherwise', async () => {
  const { platform } = await openTestPlatform({ systemMetrics: { intervalMs: 100 } });
  const { tracking } = platform;
  const on = await tracking.startRun({ ...quick, id: 'on' });
  const off = await tracking.startRun({ ...quick, id: 'off', systemMetrics: false });
  await until('a sample', async () => (await tracking.getRun('on')).metrics[cpu] !== undefined);
  expect((await tracking.getRun('off')).metrics).toEqual({});
  await on.finish();
  const ended = (await tracking.getMetricHistory('on', cpu)).steps.length;
  expect(ended).toBeGreaterThan(0);
  await off.finish();
  // A run of a client elsewhere is resumed here: the figures of this machine are none of its.
  await tracking.resumeRun('off', { systemMetrics: false });
  const again = await tracking.startRun({ ...quick, id: 'again' });
  await until('a sample', async () => (await tracking.getRun('again')).metrics[cpu] !== undefined);
  expect((await tracking.getRun('off')).metrics).toEqual({});
  await again.finish();
});

test.each([{ intervalMs: 5 }, { intervalMs: 0.5 }, { every: 1 }, 7])(
  '%j is refused',
  async (systemMetrics) => {
    const { platform } = await openTestPlatform();
    const options = { ...quick, systemMetrics: systemMetrics as never };
    const refused = { code: 'INVALID', message: expect.stringContaining('systemMetrics') };
    await expect(platform.tracking.startRun(options)).rejects.toMatchObject(refused);
  },
);
