/** Opens a directory that may not be there yet, logs to one run, closes, prints the run's id. */
import { openPlatform } from '../../src/open-platform.ts';

const [dir = ''] = process.argv.slice(2);
const platform = await openPlatform({ dir });
const id = await platform.tracking.withRun({ experiment: 'e', environment: false }, async (run) => {
  run.logMetric('m', 1);
  await run.logText('a.txt', 'the same of all');
  return run.id;
});
await platform.close();
console.log(`logged ${id}`);
