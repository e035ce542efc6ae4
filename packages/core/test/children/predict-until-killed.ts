// Logs predictions of `deployment` and prints how many after each turn, flushing some of them, until it is killed.
// node predict-until-killed.ts <dir> <flushMs>
import { writeSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { openPlatform } from '../../src/open-platform.ts';
import { testBackends } from '../test-backends.ts';

const [dir, flushMs] = process.argv.slice(2) as [string, string];
const monitoring = { flushMs: Number(flushMs), flushRows: 1_000_000 };
const platform = await openPlatform({ ...(await testBackends(dir)), dir, monitoring });
for (let row = 0; ; ) {
  for (let i = 0; i < 700; i += 1) {
    row += 1;
    platform.monitoring.predictions.record({
      ...{ deploymentId: 'deployment', versionId: 'v', requestId: `r${row}`, role: 'primary' },
      ...{ at: Date.now(), features: { x: row }, prediction: 'a', latencyMs: 1 },
    });
  }
  writeSync(1, `${row} ${platform.monitoring.predictions.health().stored}\n`);
  await turn();
}
