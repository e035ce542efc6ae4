import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readdirSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { openTestPlatform, temporaryDirectory, until } from '../../test/open-test-platform.ts';

/** Only root may mount a small disk; continuous integration is. */
const notRoot = process.getuid?.() !== 0;
const quick = { experiment: 'e', environment: false } as const;

/** A small disk, and what fills it and frees it again. */
async function smallDisk(): Promise<{ mount: string; fill: () => void; free: () => void }> {
  const mount = await temporaryDirectory();
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=32m', 'tmpfs', mount]);
  onTestFinished(() => void execFileSync('umount', ['-l', mount]));
  const filler = join(mount, 'filler');
  return {
    mount,
    fill() {
      // To the last byte, whatever others write meanwhile.
      const file = openSync(filler, 'w');
      const piece = Buffer.alloc(65_536);
      try {
        for (;;) writeSync(file, piece);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      } finally {
        closeSync(file);
      }
    },
    free: () => rmSync(filler),
  };
}

test.skipIf(notRoot)(
  'a disk that fills up and is freed again in time: the training goes on, nothing is lost',
  async () => {
    const { mount, fill, free } = await smallDisk();
    const { platform } = await openTestPlatform({ dir: join(mount, '.keelson') });
    const { tracking } = platform;
    const id = await tracking.withRun(quick, async (run) => {
      let step = 0;
      const train = (steps: number): void => {
        for (const end = step + steps; step < end; step += 1) run.logMetric('loss', step, { step });
      };
      train(1_000);
      await run.flush();
      fill();
      train(50_000);
      await until('the fault', () => run.health.lastError !== undefined);
      expect(run.health.lastError).toMatch(/full/);
      const upload = run.logArtifact('model.bin', new Uint8Array(2 ** 20));
      await expect(upload).rejects.toMatchObject({
        code: 'EXHAUSTED',
        message: expect.stringContaining('full'),
      });
      await expect(run.logParams({ a: 'x'.repeat(100_000) })).rejects.toMatchObject({
        code: 'EXHAUSTED',
      });
      train(50_000);
      expect((await tracking.listArtifacts(run.id)).artifacts).toEqual([]);
      expect(readdirSync(join(mount, '.keelson', 'artifacts', 'incoming'))).toEqual([]);
      free();
      await run.flush();
      await run.logArtifact('model.bin', new Uint8Array(2 ** 20));
      train(1_000);
      expect(run.health).toMatchObject({ lostPoints: {} });
      return run.id;
    });
    const { steps, values } = await tracking.getMetricHistory(id, 'loss');
    expect(steps.length).toBe(102_000);
    expect(steps.every((step, i) => step === i && values[i] === i)).toBe(true);
    expect(await tracking.getRun(id)).toMatchObject({ status: 'COMPLETED', lostPoints: {} });
    expect((await platform.operations.verify({ contents: 'read' })).findings).toEqual([]);
  },
);

test.skipIf(notRoot)(
  'an upload that fills the disk half-way leaves nothing, and points go on',
  async () => {
    const { mount } = await smallDisk();
    const dir = join(mount, '.keelson');
    const { platform } = await openTestPlatform({ dir });
    const { tracking } = platform;
    const id = await tracking.withRun(quick, async (run) => {
      let written = 0;
      async function* weights(): AsyncIterable<Uint8Array> {
        // Twice what there is room for; a training goes on beside it.
        for (; written < 64; written += 1) {
          yield new Uint8Array(2 ** 20).fill(written);
          for (let i = 0; i < 100; i += 1) run.logMetric('loss', i, { step: written * 100 + i });
        }
      }
      const upload = run.logArtifact('model.bin', weights());
      await expect(upload).rejects.toMatchObject({ code: 'EXHAUSTED' });
      expect(written).toBeGreaterThan(4);
      expect((await tracking.listArtifacts(run.id)).artifacts).toEqual([]);
      expect(readdirSync(join(dir, 'artifacts', 'incoming'))).toEqual([]);
      // What the upload took is free again, without anybody's help.
      await run.logArtifact('small.bin', new Uint8Array(2 ** 20));
      await run.flush();
      const { steps } = await tracking.getMetricHistory(run.id, 'loss');
      expect(steps).toEqual(Float64Array.from({ length: written * 100 }, (_, i) => i));
      return run.id;
    });
    expect(await tracking.getRun(id)).toMatchObject({ status: 'COMPLETED', lostPoints: {} });
    expect((await platform.operations.verify({ contents: 'read' })).findings).toEqual([]);
  },
  60_000,
);

test.skipIf(notRoot)(
  'beyond the memory, the loss is thinned, counted by key, told by health, run and close',
  async () => {
    const { mount, fill, free } = await smallDisk();
    const dir = join(mount, '.keelson');
    const { platform, logs } = await openTestPlatform({ dir, metrics: { memoryBytes: 65_536 } });
    const { tracking } = platform;
    const run = await tracking.startRun(quick);
    run.logMetric('loss', -1, { step: -1 });
    await run.flush();
    fill();
    const total = 100_000;
    for (let step = 0; step < total; step += 1) {
      run.logMetric('loss', step, { step });
      if (step % 1_000 === 0) run.logMetric('seldom', step, { step });
    }
    await until('the loss', () => (run.health.lostPoints['loss'] ?? 0) > 0);
    free();
    await run.flush();
    const { lostPoints } = run.health;
    expect(lostPoints['loss']).toBeGreaterThan(1_000);
    const stored = await tracking.getMetricHistory(run.id, 'loss');
    expect(stored.steps.length + (lostPoints['loss'] ?? 0)).toBe(total + 1);
    const seldom = await tracking.getMetricHistory(run.id, 'seldom');
    expect(seldom.steps.length + (lostPoints['seldom'] ?? 0)).toBe(total / 1_000);
    await run.finish();
    expect((await tracking.getRun(run.id)).lostPoints).toEqual(lostPoints);
    await platform.close();
    const told = logs.filter(({ message }) => message.includes('points were lost'));
    expect(told).toMatchObject([
      { level: 'warn', message: expect.stringContaining(`loss of run ${run.id}: `) },
    ]);
  },
  60_000,
);

test.skipIf(notRoot)(
  'a process that only joined a run tells of its loss on the run when it closes',
  async () => {
    const { mount, fill, free } = await smallDisk();
    const dir = join(mount, '.keelson');
    const { platform } = await openTestPlatform({ dir, metrics: { memoryBytes: 65_536 } });
    const run = await platform.tracking.startRun(quick);
    fill();
    for (let step = 0; step < 100_000; step += 1) run.logMetric('loss', step, { step });
    await until('the loss', () => (run.health.lostPoints['loss'] ?? 0) > 0);
    free();
    await run.flush();
    const { lostPoints } = run.health;
    await platform.close();
    const again = await openTestPlatform({ dir });
    expect((await again.platform.tracking.getRun(run.id)).lostPoints).toEqual(lostPoints);
  },
  60_000,
);
