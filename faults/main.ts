/**
 * `npm run faults [-- NAME …] [options]`: does harm to both stores, in every scenario or in those named,
 * and prints what was done and what held. Ends with 1 when something did not hold.
 */
import { parseArgs } from 'node:util';
import { seedOf } from '../packages/core/src/testing/faults/seed.ts';
import { keepCompiled } from '../tools/compile-cache.ts';
import type { Extent, FaultScenario } from './scenario.ts';
import { scenarios } from './scenarios.ts';
import { type FaultStore, pgFaultStore, sqliteFaultStore } from './stores.ts';

const usage = `npm run faults [-- NAME …] [options]
  --short        little of everything, in a minute: to see that it works
  --store=NAME   sqlite or pg; both when left out
  KEELSON_SEED   repeats the choices of a run

Scenarios:
${scenarios.map(({ name, sentence }) => `  ${name.padEnd(22)} ${sentence}`).join('\n')}`;

const { names, extent, stores, help } = readArguments();
if (help) console.log(usage);
else {
  keepCompiled();
  process.exitCode = await runAll();
}

async function runAll(): Promise<number> {
  const seed = seedOf();
  console.log(`fault bed (${extent}), seed ${seed}: KEELSON_SEED=${seed} repeats its choices\n`);
  console.log(row('scenario', 'store', 'invariants', 'time', 'faults'));
  let failed = 0;
  for (const name of stores) {
    await using store = name === 'pg' ? await pgFaultStore() : sqliteFaultStore();
    for (const scenario of scenarios) {
      if (names.length > 0 && !names.includes(scenario.name)) continue;
      if (!(await runOne(scenario, store, seed))) failed += 1;
    }
  }
  console.log(failed === 0 ? '\nall held' : `\n${failed} did not hold`);
  return failed === 0 ? 0 : 1;
}

async function runOne(scenario: FaultScenario, store: FaultStore, seed: number): Promise<boolean> {
  const began = performance.now();
  const took = (): string => `${((performance.now() - began) / 1_000).toFixed(1)} s`;
  try {
    const { faults, invariants } = await scenario.run({ store, extent, seed, tell });
    const done = Object.entries(faults).map(([what, times]) => `${times} ${what}`);
    // A scenario for another store.
    if (done.length === 0) return true;
    const held = invariants === 0 ? '' : `${invariants} held`;
    console.log(row(scenario.name, store.name, held, took(), done.join(', ')));
    return true;
  } catch (error) {
    console.log(row(scenario.name, store.name, 'BROKEN', took(), ''));
    console.error(error);
    return false;
  }
}

function tell(message: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${message}\r`);
}

function row(...[scenario, store, invariants, time, faults]: readonly string[]): string {
  return `${scenario?.padEnd(23)}${store?.padEnd(8)}${invariants?.padEnd(12)}${time?.padStart(8)}  ${faults}`;
}

function readArguments(): {
  readonly names: readonly string[];
  readonly extent: Extent;
  readonly stores: readonly string[];
  readonly help: boolean;
} {
  try {
    const { positionals, values } = parseArgs({
      allowPositionals: true,
      options: {
        short: { type: 'boolean', default: false },
        store: { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    });
    const unknown = positionals.filter((name) => !scenarios.some((each) => each.name === name));
    if (unknown.length > 0) throw new Error(`There is no scenario ${unknown.join(', ')}.`);
    const { store, short, help: asked } = values;
    if (store !== undefined && store !== 'sqlite' && store !== 'pg') {
      throw new Error(`--store is sqlite or pg, not ${store}.`);
    }
    const both = store === undefined ? ['sqlite', 'pg'] : [store];
    return { names: positionals, extent: short ? 'short' : 'long', stores: both, help: asked };
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${usage}`);
    process.exit(2);
  }
}
