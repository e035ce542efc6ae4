/**
 * `npm run fuzz -- serving|http [--minutes=10] [--seed=N]`: what callers may send, and worse: to the inference API, and by
 * the OpenAPI document to the control plane (by schemathesis, whose interpreter `.ci/run` or KEELSON_TEST_PYTHON names).
 * Prints what was answered and how memory went, and ends with 1 when something was answered that must not be. `--short`
 * is ten seconds.
 */
import { parseArgs } from 'node:util';
import { findPython } from '../packages/serve/test/python/interpreter.ts';
import { fuzzHttp } from './http-fuzz.ts';
import type { MemoryWatch } from './memory-watch.ts';
import { fuzzServing } from './serving-fuzz.ts';

const usage = 'npm run fuzz -- serving|http [--minutes=10] [--seed=N] [--short]';
const mostGrowthMebibytes = 40;

try {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      minutes: { type: 'string', default: '10' },
      seed: { type: 'string' },
      short: { type: 'boolean', default: false },
    },
  });
  const minutes = values.short ? 1 / 6 : Number(values.minutes);
  const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 32));
  const [what, ...more] = positionals;
  const isKnown = (what === 'serving' || what === 'http') && more.length === 0;
  if (!isKnown || !(minutes > 0) || !Number.isSafeInteger(seed))
    throw new TypeError(`${positionals.join(' ') || 'Nothing'} cannot be fuzzed so.`);
  console.log(`fuzzing ${what} for ${minutes.toFixed(1)} min, --seed=${seed} repeats its requests`);
  process.exitCode = await (what === 'http' ? fuzzControlPlane : fuzz)(minutes, seed);
} catch (error) {
  if (!(error instanceof TypeError)) throw error;
  console.error(`${error.message}\n${usage}`);
  process.exitCode = 2;
}

async function fuzz(minutes: number, seed: number): Promise<number> {
  const report = await fuzzServing({ seed, durationMs: minutes * 60_000, tell });
  const statuses = Object.entries(report.statuses).map(([status, count]) => `${count} × ${status}`);
  console.log(
    `${report.requests} requests, ${report.connections} connections: ${statuses.join(', ')}`,
  );
  console.log(
    `${report.abandoned} connections were left by their caller in the middle of a request`,
  );
  return verdict(report.faults, report.memory);
}

async function fuzzControlPlane(minutes: number, seed: number): Promise<number> {
  const python = findPython();
  if (python === undefined) return 2;
  const report = await fuzzHttp({ python, seed, durationMs: minutes * 60_000 });
  console.log(report.output);
  const statuses = Object.entries(report.statuses).map(([status, count]) => `${count} × ${status}`);
  console.log(`${report.requests} requests: ${statuses.join(', ')}`);
  console.log(`the slowest took ${Math.round(report.slowestMs)} ms: ${report.slowest}`);
  return verdict(report.faults, report.memory);
}

function verdict(faults: readonly string[], memory: ReturnType<MemoryWatch['growth']>): number {
  const isFlat = memory === undefined || memory.to.heap - memory.from.heap < mostGrowthMebibytes;
  if (memory !== undefined) {
    const { from, to } = memory;
    console.log(
      `heap ${from.heap} → ${to.heap} MiB, resident ${from.rss} → ${to.rss} MiB (medians of the second and the last fifth)`,
    );
  }
  for (const fault of faults) console.error(fault);
  const holds = faults.length === 0 && isFlat;
  console.log(
    holds ? 'all held' : `${faults.length} faults${isFlat ? '' : '; the heap has grown'}`,
  );
  return holds ? 0 : 1;
}

function tell(message: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${message}\r`);
}
