/**
 * Many runs open at once: `hold-many-runs <dir> <runs> <points>`. Starts them, logs to each in turn, and
 * prints `flushed N` when the first N points of all of them are durable; ends them, and prints `done`.
 */
import { openPlatform } from '../../src/open-platform.ts';

const [dir = '', runs = '', points = ''] = process.argv.slice(2);
const platform = await openPlatform({ dir });
const options = { experiment: 'many', environment: false } as const;
const open = await Promise.all(
  Array.from({ length: Number(runs) }, () => platform.tracking.startRun(options)),
);
console.log(`runs ${open.map(({ id }) => id).join(' ')}`);
const batch = Number(points) / 10;
for (let from = 0; from < Number(points); from += batch) {
  for (let step = from; step < from + batch; step += 1) {
    for (const run of open) run.logMetric('loss', step, { step });
  }
  await open[0]?.flush();
  console.log(`flushed ${from + batch}`);
}
for (const run of open) await run.finish();
console.log('done');
await platform.close();
