import { openPlatform } from '../../src/open-platform.ts';

// A training that never yields, with the system sampled beside it.
const [dir = '', ms = '2500'] = process.argv.slice(2);
const platform = await openPlatform({ dir });
const options = { experiment: 'e', id: 'busy', systemMetrics: { intervalMs: 200 } };
const run = await platform.tracking.startRun(options);
for (const end = performance.now() + Number(ms); performance.now() < end; ) {
  run.logMetric('loss', Math.random());
}
await run.finish();
await platform.close();
console.log('done');
