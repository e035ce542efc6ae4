import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { outageStory } from '../packages/store-pg/test/outage-story.ts';
import type { FaultScenario } from './scenario.ts';

/** Scenarios in which what the platform stands on is away for a while. */
export const outageScenarios: readonly FaultScenario[] = [
  {
    name: 'outages',
    sentence:
      'PostgreSQL is away for 60 s and the receiver of notifications is dead: no busy loop, no growth, back by itself.',
    async run({ store, extent, tell }) {
      const { url } = store;
      if (url === undefined) return { faults: {}, invariants: 0 };
      tell('the database is away');
      const dir = mkdtempSync(join(tmpdir(), 'keelson-outage-'));
      const awayMs = extent === 'long' ? 60_000 : 6_500;
      try {
        const schema = `outage_${process.pid}`;
        const report = await outageStory({ url, schema, dir: join(dir, '.keelson'), awayMs });
        const { cpuShare, grownBytes, linesWhileAway, points, pointsWhileAway, back } = report;
        hold('it took less than half of a core', cpuShare < 0.5, cpuShare);
        hold('it grew by less than 128 MiB', grownBytes < 128 * 2 ** 20, grownBytes);
        hold(
          'it logged at most five lines a second',
          linesWhileAway < awayMs / 200,
          linesWhileAway,
        );
        hold('no point is lost', points === pointsWhileAway + 100, points);
        hold('people were told once of each', report.told.length === 2, report.told);
        hold('the log tells it under one id', report.story.length > 2, report.story);
        console.log(report.story.map((line) => `    ${line.slice(0, 140)}`).join('\n'));
        return {
          faults: {
            'ms away': awayMs,
            '% of a core': Math.round(1000 * cpuShare) / 10,
            'MiB grown': Math.round(grownBytes / 2 ** 20),
            'log lines': linesWhileAway,
            'points meanwhile': pointsWhileAway,
            ...Object.fromEntries(
              Object.entries(back).map(([what, ms]) => [`ms until ${what}`, ms]),
            ),
          },
          invariants: 6,
        };
      } finally {
        rmSync(dir, { recursive: true, force: true });
      }
    },
  },
];

function hold(what: string, holds: boolean, found: unknown): void {
  if (!holds) throw new Error(`It does not hold that ${what}: ${JSON.stringify(found)}`);
}
