import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { outageStory } from './outage-story.ts';
import { describeOnPg } from './server/test-database.ts';

await describeOnPg(
  'a database that is away, and a receiver that is dead',
  ({ url, freshSchema }) => {
    // The long form, 60 seconds away: npm run faults -- outages
    test('no busy loop, no memory without bound, all comes back by itself, and the log tells it under one id', async () => {
      const parent = mkdtempSync(join(tmpdir(), 'keelson-outage-'));
      onTestFinished(() => rmSync(parent, { recursive: true, force: true }));
      const dir = join(parent, '.keelson');
      const report = await outageStory({ url, schema: freshSchema(), dir, awayMs: 6_500 });
      expect(report.cpuShare).toBeLessThan(0.5);
      expect(report.grownBytes).toBeLessThan(128 * 2 ** 20);
      expect(report.linesWhileAway).toBeLessThan(200);
      expect([report.lostPoints, report.points]).toEqual([{}, report.pointsWhileAway + 100]);
      expect(report.told).toEqual(['CRITICAL OPEN', 'INFO RESOLVED']);
      const lines = [
        /^error database is UNHEALTHY: .* cannot be reached/,
        /^info database is HEALTHY again/,
        /^warn A notification will be sent again later/,
      ];
      for (const line of lines) expect(report.story).toContainEqual(expect.stringMatching(line));
    }, 60_000);
  },
);
