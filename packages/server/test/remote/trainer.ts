import { openPlatform } from '@keelson/core';

// node trainer.ts DIR RUN COUNT: logs to a run at KEELSON_URL for ever, or COUNT points and no end; says what it knows to be durable.
const [dir = '', id = '', count = '0'] = process.argv.slice(2);
const platform = await openPlatform({ url: process.env['KEELSON_URL'] ?? '', dir });
const run = await platform.tracking.startRun({ experiment: 'killed', id, environment: false });
console.log('started');
for (let n = 0; count === '0' || n < Number(count); n += 1) {
  run.logMetric('loss', n, { step: n });
  if (count !== '0' || n % 500 !== 499) continue;
  await run.flush().then(
    () => console.log(`durable ${n + 1}`),
    () => undefined,
  );
}
// What is in the spool stays there: the process ends without an end.
const logged = Number(count);
while (run.health.spooledPoints < logged) await new Promise((done) => setTimeout(done, 20));
console.log(`spooled ${run.health.spooledPoints}`);
setInterval(() => undefined, 1_000);
