/**
 * Leaves the process without closing anything: `leave <dir> <how>`. How: `exit` calls process.exit in the
 * middle of a run; `throw` dies of an exception nobody catches; `end` has nothing left to do, its run
 * open; `idle` opened a platform and no more; `started` runs loops and a subscription too; `finish` ends
 * its run as it should, but does not close; `reject` dies of a rejection nobody handles; `stay` waits for a
 * signal, `handle` too, and closes when it comes; `thread` has a worker thread do all that, which ends.
 */
import { once } from 'node:events';
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { openPlatform } from '../../src/open-platform.ts';
import { testBackends } from '../test-backends.ts';

const [dir = '', given = ''] = process.argv.slice(2);
if (given === 'thread' && isMainThread) {
  const worker = new Worker(new URL(import.meta.url), { argv: [dir, given], workerData: 'end' });
  await once(worker, 'exit');
  process.exit(0);
}
const how = isMainThread ? given : String(workerData);
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
  if (how === 'reject') void Promise.reject(new Error('nobody handles this'));
  if (how === 'stay' || how === 'handle') {
    await run.flush();
    const alive = setInterval(() => undefined, 1_000);
    if (how === 'handle') {
      process.once('SIGTERM', () => {
        clearInterval(alive);
        // Logged after the flush: only closing, or leaving, keeps these.
        for (let step = 10_000; step < 20_000; step += 1) run.logMetric('m', step, { step });
        void run.finish('KILLED', 'asked to end').then(() => platform.close());
      });
    }
    console.log('ready');
  }
}
