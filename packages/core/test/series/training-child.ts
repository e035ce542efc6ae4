// A training loop that never yields to its event loop: logs at a steady rate until it is killed, and
// writes, every tenth of a second, the time, how many points of each series it had logged by then, and
// whether any have been stored.
// node training-child.ts <database> <run> <points a second> <flushMs> <heartbeatMs>
import { writeSync } from 'node:fs';
import { PointWriter } from '../../src/embedded/point-writer.ts';

const [path, runId, rate, flushMs, heartbeatMs] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
];
const writer = PointWriter.open({
  target: { kind: 'sqlite', path },
  flushMs: Number(flushMs),
  heartbeatMs: Number(heartbeatMs),
});
writer.openRun('w', runId);
const series = Array.from({ length: 10 }, (_, i) =>
  writer.seriesIndex({ workspace: 'w', owner: runId, key: `key-${i}` }),
);
const perMs = Number(rate) / 1_000;
const startedAt = Date.now();
let told = startedAt;
let logged = 0;
for (;;) {
  const now = Date.now();
  while (logged < (now - startedAt) * perMs) {
    // Steps of every other series are left to the writer.
    const place = logged % series.length;
    const step = place % 2 === 0 ? Math.floor(logged / series.length) : undefined;
    writer.log(series[place] as number, step, now, logged);
    logged++;
  }
  if (now - told >= 100) {
    told = now;
    const stored = writer.health().lastFlushAt === undefined ? 0 : 1;
    writeSync(1, `${Date.now()} ${Math.floor(logged / series.length)} ${stored}\n`);
  }
}
