/**
 * Logs for three seconds of its own time, then ends the run: `log-while-stopped <dir> <heartbeatTimeoutMs>`.
 * Whoever stops it with SIGSTOP makes that longer for the others.
 */
import { openPlatform } from '../../src/open-platform.ts';

const [dir = '', timeout = ''] = process.argv.slice(2);
const platform = await openPlatform({ dir, heartbeatTimeoutMs: Number(timeout) });
const run = await platform.tracking.startRun({ experiment: 'e', id: 'r', environment: false });
let step = 0;
console.log('logging');
for (let turn = 0; turn < 300; turn += 1) {
  for (let i = 0; i < 10; i += 1) run.logMetric('loss', step, { step: step++ });
  await new Promise((resolve) => setTimeout(resolve, 10));
}
await run.finish();
await platform.close();
console.log(`logged ${step}`);
