import { openPlatform } from '../../src/open-platform.ts';

// Starts runs, logs points and artifacts, and ends the runs, until it is killed. Tells of each that ended.
const [dir = ''] = process.argv.slice(2);
const platform = await openPlatform({ dir });
for (let i = 0; ; i += 1) {
  const run = await platform.tracking.startRun({ experiment: 'e', environment: false });
  for (let step = 0; step < 20; step += 1) run.logMetric('loss', step, { step });
  await run.logText('model.txt', `${run.id} ${'x'.repeat((i % 7) * 100_000)}`);
  await run.finish();
  console.log(`ended ${run.id}`);
}
