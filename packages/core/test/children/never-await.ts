/**
 * A training loop that never awaits: `never-await <dir> <heartbeatTimeoutMs> <flushMs> <points a second>`.
 * Logs points whose value is their number and whose timestamp is when they were logged, until it is
 * killed. A timer that would run if the loop ever yielded says so.
 */
import { writeSync } from 'node:fs';
import { openPlatform } from '../../src/open-platform.ts';
import { testBackends } from '../test-backends.ts';

const [dir = '', heartbeat = '', flush = '', rate = ''] = process.argv.slice(2);
const platform = await openPlatform({
  ...(await testBackends(dir)),
  dir,
  heartbeatTimeoutMs: Number(heartbeat),
  metrics: { flushMs: Number(flush) },
});
const run = await platform.tracking.startRun({ experiment: 'loop', environment: false });
writeSync(1, `run ${run.id}\n`);
setInterval(() => writeSync(1, 'a timer ran\n'), 1);
const perMs = Number(rate) / 1000;
const startedAt = performance.now();
for (let logged = 0; ; ) {
  const due = (performance.now() - startedAt) * perMs;
  for (; logged < due; logged += 1) run.logMetric('loss', logged, { step: logged });
}
