/**
 * `npm run fuzz -- serving [--minutes=10] [--seed=N]`: what callers may send, and worse. Prints what was answered and
 * how memory went, and ends with 1 when something was answered that must not be.
 */
import { parseArgs } from 'node:util';
import { fuzzServing } from './serving-fuzz.ts';

const usage = 'npm run fuzz -- serving [--minutes=10] [--seed=N]';
const mostGrowthMebibytes = 40;

try {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { minutes: { type: 'string', default: '10' }, seed: { type: 'string' } },
  });
  const minutes = Number(values.minutes);
  const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 32));
  const isUsable = positionals.join() === 'serving' && minutes > 0 && Number.isSafeInteger(seed);
  if (!isUsable) throw new TypeError(`${positionals.join(' ') || 'Nothing'} cannot be fuzzed so.`);
  process.exitCode = await fuzz(minutes, seed);
} catch (error) {
  if (!(error instanceof TypeError)) throw error;
  console.error(`${error.message}\n${usage}`);
  process.exitCode = 2;
}

async function fuzz(minutes: number, seed: number): Promise<number> {
  console.log(`fuzzing serving for ${minutes} min, --seed=${seed} repeats its requests`);
  const report = await fuzzServing({ seed, durationMs: minutes * 60_000, tell });
  const statuses = Object.entries(report.statuses).map(([status, count]) => `${count} × ${status}`);
  console.log(
    `${report.requests} requests, ${report.connections} connections: ${statuses.join(', ')}`,
  );
  console.log(
    `${report.abandoned} connections were left by their caller in the middle of a request`,
  );
  const { memory } = report;
  const isFlat = memory === undefined || memory.to.heap - memory.from.heap < mostGrowthMebibytes;
  if (memory !== undefined) {
    const { from, to } = memory;
    console.log(
      `heap ${from.heap} → ${to.heap} MiB, resident ${from.rss} → ${to.rss} MiB (medians of the second and the last fifth)`,
    );
  }
  for (const fault of report.faults) console.error(fault);
  const holds = report.faults.length === 0 && isFlat;
  console.log(
    holds ? 'all held' : `${report.faults.length} faults${isFlat ? '' : '; the heap has grown'}`,
  );
  return holds ? 0 : 1;
}

function tell(message: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${message}\r`);
}
