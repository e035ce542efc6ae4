/**
 * What monitoring does in the background, through a timeline of its own: alert rules evaluated every 15 s of ten minutes, then
 * what predictions become after days and years. Killed at any moment, it goes on with the turn that it was in.
 */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { openPlatform } from '../packages/core/src/index.ts';
import { silentLogger } from '../packages/store-pg/test/silent-logger.ts';
import { backendsOf, type MonitoringPlace, turns } from './monitoring-world.ts';

const place = JSON.parse(process.argv[2] ?? '{}') as MonitoringPlace;
const progress = join(place.dir, 'turn');
let turn = existsSync(progress) ? Number(readFileSync(progress, 'utf8')) : 0;
const clock = { now: () => turns[Math.min(turn, turns.length - 1)]?.at ?? 0 };
const platform = await openPlatform({
  ...{ dir: place.dir, clock, logger: silentLogger },
  ...backendsOf(place),
});
console.log('ready');
const { signal } = new AbortController();
for (; turn < turns.length; turn += 1) {
  if (turns[turn]?.does === 'ageing') await platform.operations.gc();
  else await evaluate();
  writeFileSync(`${progress}.new`, String(turn + 1));
  renameSync(`${progress}.new`, progress);
}
await platform.close();

/** Until it was done: whoever was killed had the turn, and is not known to be gone at once. */
async function evaluate(): Promise<void> {
  for (let i = 0; i < 20; i += 1) {
    const done = await Promise.all(
      platform.monitoring.alertingLoops.map((loop) => loop.runOnce(signal)),
    );
    if (done.every(Boolean)) return;
    await wait(20);
  }
}
