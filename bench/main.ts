/**
 * `npm run bench -- NAME [options]`: measures, prints a table and writes the same as JSON. Without a name,
 * lists the benchmarks.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Benchmark, Scale } from './benchmark.ts';
import { benchmarks } from './benchmarks.ts';
import { describeMachine, machineText } from './machine.ts';
import { Progress } from './progress.ts';
import { tableOf } from './table.ts';

const usage = `npm run bench -- NAME [options]
  --full         as much as the specification asks for (search over 100,000 runs, …)
  --smallest     as little as possible: to see that it works
  --seeds=N      false-alarms: how many seeds (50 when left out)
  --lifecycle=N  false-alarms: the whole lifecycle example for N seeds, in the place of its rules
  --dir=PATH     where to work: the disk that is measured (the system's temporary directory)
  --json=PATH    where to write the figures (.bench/NAME.json)`;

const { positionals, values } = readArguments();
const [name, ...rest] = positionals;
const benchmark = benchmarks.find((each) => each.name === name);
if (name === undefined) {
  console.log(listText());
} else if (benchmark === undefined || rest.length > 0) {
  console.error(`There is no benchmark ${positionals.join(' ')}.\n\n${listText()}`);
  process.exitCode = 2;
} else {
  await measure(benchmark);
}

async function measure({ name: chosen, run }: Benchmark): Promise<void> {
  const progress = new Progress(process.stderr);
  const dir = await mkdtemp(join(resolve(values.dir), 'keelson-bench-'));
  const startedAt = new Date();
  const began = performance.now();
  try {
    const machine = describeMachine(dir);
    const scale: Scale = values.full ? 'full' : values.smallest ? 'smallest' : 'usual';
    const { seeds, lifecycle } = { seeds: number('seeds'), lifecycle: number('lifecycle') };
    const tell = (message: string): void => progress.tell(message);
    const rows = await run({ dir, scale, tell, seeds, lifecycle });
    progress.end();
    const tookMs = Math.round(performance.now() - began);
    const { loadAverage } = describeMachine(dir);
    const report = { benchmark: chosen, startedAt, tookMs, scale, machine, loadAverage, rows };
    const path = resolve(values.json ?? defaultPath(chosen));
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, `${JSON.stringify(report, undefined, 2)}\n`);
    console.log(
      `${chosen} (${scale}), ${startedAt.toISOString()}, ${Math.round(tookMs / 1_000)} s`,
    );
    console.log(
      `${machineText(machine)} → ${loadAverage.toFixed(2)}\n\n${tableOf(rows)}\n\n${path}`,
    );
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

function readArguments(): {
  readonly positionals: readonly string[];
  readonly values: ReturnType<typeof parse>['values'];
} {
  try {
    return parse();
  } catch (error) {
    // parseArgs names the option that it does not know.
    console.error(`${(error as Error).message}\n\n${usage}`);
    process.exit(2);
  }
}

function parse() {
  return parseArgs({
    allowPositionals: true,
    options: {
      full: { type: 'boolean', default: false },
      smallest: { type: 'boolean', default: false },
      seeds: { type: 'string' },
      lifecycle: { type: 'string' },
      dir: { type: 'string', default: tmpdir() },
      json: { type: 'string' },
    },
  });
}

function number(option: 'seeds' | 'lifecycle'): number | undefined {
  const text = values[option];
  if (text === undefined) return undefined;
  const count = Number(text);
  if (Number.isSafeInteger(count) && count > 0) return count;
  console.error(`--${option} must be a whole number above 0, not ${text}.\n\n${usage}`);
  process.exit(2);
}

function defaultPath(chosen: string): string {
  return fileURLToPath(new URL(`../.bench/${chosen}.json`, import.meta.url));
}

function listText(): string {
  const width = Math.max(...benchmarks.map((each) => each.name.length));
  const lines = benchmarks.map((each) => `  ${each.name.padEnd(width)}  ${each.sentence}`);
  return `Benchmarks:\n${lines.join('\n')}\n\n${usage}`;
}
