/**
 * Starts a run (or joins one) and holds it: `hold-run <dir> <heartbeatTimeoutMs> [run id]`. Prints the
 * run's id; each line that comes on SIGUSR2 logs a param and prints whether that went well; SIGTERM ends
 * the run.
 */
import { openPlatform } from '../../src/open-platform.ts';
import { testBackends } from '../test-backends.ts';

const [dir = '', timeout = '', id] = process.argv.slice(2);
const { tracking } = await openPlatform({
  ...(await testBackends(dir)),
  dir,
  heartbeatTimeoutMs: Number(timeout),
});
const run =
  id === undefined
    ? await tracking.startRun({ experiment: 'held', environment: false })
    : await tracking.resumeRun(id);
run.logMetric('held', 1);
let logged = 0;
process.on('SIGUSR2', () => {
  logged += 1;
  run.logParam(`param${logged}`, logged).then(
    () => console.log(`logged ${logged}`),
    (error: Error) => console.log(`refused ${error.message}`),
  );
});
process.on('SIGTERM', () => {
  run.finish().then(
    () => process.exit(0),
    (error: Error) => console.log(`not finished: ${error.message}`),
  );
});
setInterval(() => undefined, 1000);
await run.flush();
console.log(`holding ${run.id}`);
