/**
 * Leaves the process without closing anything: `leave <dir> <how>`. How: `exit` calls process.exit in the
 * middle of a run; `throw` dies of an exception nobody catches; `end` has nothing left to do, its run
 * open; `idle` opened a platform and no more; `started` runs loops and a subscription too; `finish` ends
 * its run as it should, but does not close.
 */
import { openPlatform } from '../../src/open-platform.ts';
import { testBackends } from '../test-backends.ts';

const [dir = '', how = ''] = process.argv.slice(2);
const platform = await openPlatform({ ...(await testBackends(dir)), dir });
if (how === 'started') {
  await platform.events.subscribe('s', { types: ['run.started'] }, () => undefined);
  platform.start();
}
if (how === 'idle') {
  console.log('open');
} else {
  const run = await platform.tracking.startRun({ experiment: 'e', environment: false, name: how });
  for (let step = 0; step < 10_000; step += 1) run.logMetric('m', step, { step });
  console.log(`run ${run.id}`);
  if (how === 'finish') await run.finish();
  if (how === 'exit') process.exit(3);
  if (how === 'throw') throw new Error('nobody catches this');
}
