// Predictions with ten features through the whole log (recorded, sampled, made columns, stored), as fast as one process can, for a
// while: rows a second, CPU time a row, what a row costs whoever records it, memory as it goes, and that nothing was lost which
// was not counted.
// node --conditions=keelson:source bench/sustained-predictions.ts [seconds] [sqlite | postgres]
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setImmediate as turn } from 'node:timers/promises';
import { openPlatform } from '@keelson/core';

const [seconds = '120', kept = 'sqlite'] = process.argv.slice(2);
const perTurn = 1000;
/** No faster than it is stored: what one process can keep up with, not what it must drop. */
const mostPending = 10_000;
const stretches = 8;
const dir = await mkdtemp(join(tmpdir(), 'keelson-sustained-'));
await using stack = new AsyncDisposableStack();
const backends = kept === 'postgres' ? await onPostgres() : {};
const platform = await openPlatform({ ...backends, dir, monitoring: { maxRows: 200_000 } });
const { predictions } = platform.monitoring;
const delay = monitorEventLoopDelay({ resolution: 1 });
delay.enable();
const begun = performance.now();
const cpuBefore = process.cpuUsage();
let [recorded, recording] = [0, 0];
const rates: number[] = [];
const memory: Record<string, number>[] = [];
for (let stretch = 1, before = 0; stretch <= stretches; stretch += 1) {
  const from = performance.now();
  const until = begun + (Number(seconds) * 1000 * stretch) / stretches;
  while (performance.now() < until) {
    if (predictions.health().pending < mostPending) recordSome();
    await turn();
  }
  rates.push(Math.round(((recorded - before) / (performance.now() - from)) * 1000));
  before = recorded;
  memory.push(megabytes());
}
await predictions.flush();
const took = performance.now() - begun;
const cpu = process.cpuUsage(cpuBefore);
const { stored = 0, dropped } = predictions.health();
console.log(
  JSON.stringify({
    rowsPerSecond: Math.round((stored / took) * 1000),
    ...{ slowest: Math.min(...rates), fastest: Math.max(...rates) },
    cpuMicrosecondsPerRow: Number(((cpu.user + cpu.system) / recorded).toFixed(2)),
    ofThatSystem: Number((cpu.system / recorded).toFixed(2)),
    microsecondsToRecord: Number(((recording * 1000) / recorded).toFixed(2)),
    blockedMs: { p99: delay.percentile(99) / 1e6, most: delay.max / 1e6 },
    ...{ recorded, stored, dropped, unaccounted: recorded - stored - dropped },
    peakMegabytes: Math.round(process.resourceUsage().maxRSS / 1024),
  }),
);
console.log('megabytes as it went:', memory.map((each) => JSON.stringify(each)).join('\n'));
await platform.close();
await rm(dir, { recursive: true, force: true });

function recordSome(): void {
  const from = performance.now();
  const at = Date.now();
  for (let i = 0; i < perTurn; i += 1) {
    recorded += 1;
    predictions.record({
      ...{ deploymentId: 'bench', versionId: 'v', requestId: `request-${recorded}` },
      ...{ role: 'primary', at, prediction: i % 3 === 0 ? 'rain' : 'sun', latencyMs: 1.5 },
      features: {
        ...{ f0: i, f1: i * 0.1, f2: i * 0.2, f3: i * 0.3, f4: i * 0.4 },
        ...{ f5: i * 0.5, f6: i * 0.6, f7: i * 0.7, f8: i * 0.8, f9: i * 0.9 },
      },
    });
  }
  recording += performance.now() - from;
}

function megabytes(): Record<string, number> {
  const { rss, heapUsed, external, arrayBuffers } = process.memoryUsage();
  const all = { rss, heapUsed, external, arrayBuffers };
  return Object.fromEntries(Object.entries(all).map(([name, n]) => [name, Math.round(n / 1e6)]));
}

/** A PostgreSQL of its own, which waits for the disk; its CPU time is not counted. */
async function onPostgres() {
  const [{ pgBackend }, { PgBench }] = await Promise.all([
    import('../packages/store-pg/src/index.ts'),
    import('./pg-server.ts'),
  ]);
  const server = stack.use(await PgBench.start());
  const backend = pgBackend({ url: server.url, schema: server.freshSchema() });
  return { metadata: backend, series: backend };
}
