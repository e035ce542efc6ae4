import { describe, expect, test } from 'vitest';
import { ChildProgram, childFile } from '../../test/child-program.ts';
import { openTestPlatform, temporaryDirectory, until } from '../../test/open-test-platform.ts';

/** 7 s in the tests; `KEELSON_LOOP_MS=60000` for the long form. */
const loopMs = Number(process.env['KEELSON_LOOP_MS'] ?? 7_000);
const pointsPerSecond = 10_000;
const heartbeatTimeoutMs = 3_000;
const flushMs = 1_000;

describe('a training loop that never awaits', () => {
  test(
    `${loopMs} ms at ${pointsPerSecond} points a second, then SIGKILL`,
    async () => {
      const dir = await temporaryDirectory();
      const { platform } = await openTestPlatform({ dir, heartbeatTimeoutMs });
      const { tracking } = platform;
      const args = [dir, heartbeatTimeoutMs, flushMs, pointsPerSecond].map(String);
      const child = new ChildProgram(childFile('never-await'), args);
      const id = (await child.line(/^run /)).replace('run ', '');
      const startedAt = Date.now();

      // Meanwhile it lives, for several times the timeout, and its points come.
      let looks = 0;
      let before = 0;
      let longestLag = 0;
      while (Date.now() - startedAt < loopMs) {
        const run = await tracking.getRun(id);
        expect(run.status, `after ${Date.now() - startedAt} ms`).toBe('RUNNING');
        expect(await tracking.reap()).toBe(0);
        const [summary] = await tracking.getMetricSummaries(id);
        expect(summary?.count ?? 0).toBeGreaterThanOrEqual(before);
        before = summary?.count ?? 0;
        const lag = Date.now() - Math.max(startedAt, summary?.lastTimestamp ?? 0);
        longestLag = Math.max(longestLag, lag);
        looks += 1;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      expect(looks).toBeGreaterThan(5);
      expect(before).toBeGreaterThan((loopMs / 1000) * pointsPerSecond * 0.3);

      const killedAt = Date.now();
      await child.kill();
      // The loop did not yield once: what relies on timers would have stored nothing and been dead.
      expect(child.lines).toEqual([`run ${id}`]);

      // Nothing that is older than a flush interval is missing, and nothing is there twice.
      const { steps, values, timestamps } = await tracking.getMetricHistory(id, 'loss');
      expect(steps).toEqual(Float64Array.from(steps, (_, i) => i));
      expect(values).toEqual(steps);
      const lastAt = timestamps.at(-1) ?? 0;
      expect(killedAt - lastAt).toBeLessThan(flushMs);
      console.log(
        `${steps.length} points, the last one ${killedAt - lastAt} ms before the kill; longest lag seen ${longestLag} ms`,
      );

      await until(
        'the run reads FAILED',
        async () => (await tracking.getRun(id)).status === 'FAILED',
      );
      const dead = await tracking.getRun(id);
      expect(dead.statusReason).toMatch(/ended without finishing|no heartbeat since/);
      expect(dead.endedAt).toBeGreaterThan(killedAt - heartbeatTimeoutMs);
      expect(await tracking.reap()).toBe(1);
      expect(await tracking.getRun(id)).toMatchObject({
        status: 'FAILED',
        statusReason: dead.statusReason,
        metrics: { loss: values.at(-1) },
      });
      const types = [];
      for await (const event of platform.events.each({ subjects: [`run:${id}`] })) {
        types.push(event.type);
      }
      expect(types).toEqual(['run.started', 'run.completed']);
    },
    loopMs + 60_000,
  );
});
