import { execFileSync } from 'node:child_process';
import { rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { openTestPlatform, temporaryDirectory, until } from '../../../test/open-test-platform.ts';

/** Only root may mount a small disk; continuous integration is. */
const notRoot = process.getuid?.() !== 0;

async function smallDisk(): Promise<{
  mount: string;
  fill: (left: number) => void;
  free: () => void;
}> {
  const mount = await temporaryDirectory();
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=48m', 'tmpfs', mount]);
  onTestFinished(() => void execFileSync('umount', ['-l', mount]));
  const filler = join(mount, 'filler');
  return {
    mount,
    fill(left) {
      const { bavail, bsize } = statfsSync(mount);
      writeFileSync(filler, Buffer.alloc(bavail * bsize - left));
    },
    free: () => rmSync(filler),
  };
}

test.skipIf(notRoot)(
  'a disk that is nearly full is emptied of what retention allows, by itself, and the log tells it under one id',
  async () => {
    const { mount, fill } = await smallDisk();
    const ahead = { ms: 0 };
    const clock = { now: () => Date.now() + ahead.ms };
    const { platform, logs } = await openTestPlatform({ dir: join(mount, '.keelson'), clock });
    const { tracking, operations, events } = platform;
    const id = await tracking.withRun({ experiment: 'e', environment: false }, async (run) => {
      await run.logArtifact('model.bin', new Uint8Array(16 * 2 ** 20));
      return run.id;
    });
    await tracking.deleteRun(id);
    ahead.ms = 31 * 86_400_000;
    fill(3 * 2 ** 20);
    const disk = async () => {
      const { checks } = await operations.health({ fresh: true });
      return checks.find(({ name }) => name === 'disk')?.status;
    };
    expect(await disk()).toBe('UNHEALTHY');
    await until('it is mended', async () => (await disk()) === 'HEALTHY');
    const [attempt] = await operations.recoveries({ check: 'disk' });
    expect(attempt).toMatchObject({ recovery: 'collect storage', outcome: 'SUCCESS' });
    const changes = await Array.fromAsync(events.each({ types: ['component.health_changed'] }));
    const ofMachine = changes.filter(({ payload }) => payload['component'] === 'machine');
    const statuses = ofMachine.map(({ payload }) => payload['newStatus']);
    // Something else of the machine may be wrong too.
    expect([statuses[0], statuses.at(-1)]).toEqual([
      'UNHEALTHY',
      expect.stringMatching(/^(HEALTHY|DEGRADED)$/),
    ]);
    const ids = new Set(ofMachine.map(({ correlationId }) => correlationId));
    expect(ids.size).toBe(1);
    const story = logs.filter(({ fields }) => ids.has(fields['correlationId'] as string));
    expect(story.map(({ message }) => message)).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^disk is UNHEALTHY: Only 3 MiB/),
        expect.stringMatching(/^Recovery begins for disk: collect storage/),
        expect.stringMatching(/^Recovery collect storage ended as SUCCESS/),
        expect.stringMatching(/^disk is HEALTHY again/),
      ]),
    );
  },
  30_000,
);

test.skipIf(notRoot)(
  'a disk without a byte left: nothing spins, memory stays, and with room again all goes on by itself',
  async () => {
    const { mount, fill, free } = await smallDisk();
    const { platform, logs } = await openTestPlatform({ dir: join(mount, '.keelson') });
    const { tracking } = platform;
    platform.start();
    const run = await tracking.startRun({ experiment: 'e', environment: false });
    run.logMetric('loss', 1, { step: 0 });
    await run.flush();
    fill(0);
    const before = { cpu: process.cpuUsage(), at: performance.now(), lines: logs.length };
    const rss = process.memoryUsage.rss();
    let step = 1;
    await until('the disk has been full for three seconds', async () => {
      for (const end = step + 50; step < end; step += 1) run.logMetric('loss', 1, { step });
      return performance.now() - before.at > 3_000;
    });
    const { user, system } = process.cpuUsage(before.cpu);
    expect((user + system) / 1000 / (performance.now() - before.at)).toBeLessThan(0.7);
    expect(process.memoryUsage.rss() - rss).toBeLessThan(128 * 2 ** 20);
    expect(logs.length - before.lines).toBeLessThan(200);
    free();
    await until('it can be written again', async () => {
      try {
        await run.flush({ timeoutMs: 1_000 });
        await run.logParam('after', true);
        return true;
      } catch {
        return false;
      }
    });
    await run.finish();
    const { steps } = await tracking.getMetricHistory(run.id, 'loss');
    expect(steps.length).toBe(step);
    expect(run.health.lostPoints).toEqual({});
  },
  30_000,
);
