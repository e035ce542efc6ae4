import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { definePipeline, openPlatform, type Pipeline, type Platform } from '@keelson/core';
import { pgBackend } from '../packages/store-pg/src/index.ts';
import type { BenchContext } from './benchmark.ts';
import { Orchestrator, orchestratorNames } from './orchestrators.ts';
import { PgBench } from './pg-server.ts';
import { elapsedMs, inTurns } from './rounds.ts';
import { type Row, rowOf } from './row.ts';

const sizes = {
  smallest: { rounds: 1, steps: 10, commands: 3, beside: 3 },
  usual: { rounds: 5, steps: 500, commands: 10, beside: 50 },
  full: { rounds: 11, steps: 500, commands: 30, beside: 50 },
};

/**
 * What the engine costs a step: chains and fan-outs of functions that do nothing, on both stores; a command as
 * a step beside the bare spawn of the same; the time from a start to the first step; the same graphs in Prefect and
 * Dagster, where they are installed.
 */
export async function benchPipelines(context: BenchContext): Promise<Row[]> {
  const { rounds, steps, commands } = sizes[context.scale];
  await using server = await PgBench.start();
  await using embedded = await openPlatform({ dir: join(context.dir, 'pipelines') });
  const pg = pgBackend({ url: server.url });
  await using remote = await openPlatform({
    ...{ dir: join(context.dir, 'pipelines-pg'), metadata: pg, series: pg },
  });
  const chain = chainOf(steps);
  const fan = fanOut(steps);
  let first = 0;
  const single = definePipeline('single', { version: '1.0.0' }, (p) => {
    p.step('only', {}, () => {
      first = performance.now();
    });
  });
  const command = definePipeline('command', { version: '1.0.0' }, (p) => {
    p.command('only', {}, ['/bin/true'], { resources: { cpuCores: 0.01 } });
  });
  const inSteps = async (platform: Platform, pipeline: Pipeline): Promise<number> =>
    (await elapsedMs(() => run(platform, pipeline))) / steps;
  const times = await inTurns(
    rounds,
    {
      chain: () => inSteps(embedded, chain),
      chainPg: () => inSteps(remote, chain),
      fan: () => inSteps(embedded, fan),
      fanPg: () => inSteps(remote, fan),
      trigger: async () => {
        const began = performance.now();
        await run(embedded, single);
        return first - began;
      },
      step: () => averageMs(commands, () => run(embedded, command)),
      spawn: () => averageMs(commands, bareSpawn),
      empty: () => averageMs(commands, () => run(embedded, single)),
    },
    (round) => context.tell(`pipelines: round ${round} of ${rounds}`),
  );
  const spawned = { name: 'spawn of /bin/true', values: times.spawn };
  return [
    { ...rowOf(`step of a chain of ${steps}, SQLite`, 'ms', times.chain), goal: { most: 4 } },
    {
      ...rowOf(`step of a chain of ${steps}, PostgreSQL`, 'ms', times.chainPg),
      goal: { most: 10 },
    },
    rowOf(`item of a fan-out of ${steps}, SQLite`, 'ms', times.fan),
    rowOf(`item of a fan-out of ${steps}, PostgreSQL`, 'ms', times.fanPg),
    {
      ...rowOf('from start() to the first step running', 'ms', times.trigger),
      goal: { most: 100 },
    },
    rowOf('execution with one command, start to end', 'ms', times.step, spawned),
    rowOf('execution with one function, start to end', 'ms', times.empty),
    {
      ...rowOf(
        'what a command takes more than a function and a spawn',
        'ms',
        times.step.map((ms, i) => ms - (times.empty[i] ?? 0) - (times.spawn[i] ?? 0)),
      ),
      goal: { most: 12 },
    },
    ...(await besideOthers(context, embedded)),
  ];
}

/** Small chains and fan-outs, start to end, beside orchestrators that keep their state in SQLite too. */
async function besideOthers(context: BenchContext, platform: Platform): Promise<Row[]> {
  const { rounds, beside: count } = sizes[context.scale];
  const shapes = { chain: chainOf(count), fan: fanOut(count) } as const;
  const rows: Row[] = [];
  for (const name of orchestratorNames) {
    // The smallest form is for tests, which take seconds.
    const small =
      context.scale === 'smallest' && process.env['KEELSON_ORCHESTRATORS'] === undefined;
    await using other = small ? undefined : await Orchestrator.start(name, context.dir);
    const own = (shape: keyof typeof shapes) => async (): Promise<number> =>
      (await elapsedMs(() => run(platform, shapes[shape]))) / count;
    const times = await inTurns(
      rounds,
      {
        chain: own('chain'),
        fan: own('fan'),
        otherChain: async () => ((await other?.run('chain', count)) ?? 0) / count,
        otherFan: async () => ((await other?.run('fan', count)) ?? 0) / count,
      },
      (round) => context.tell(`pipelines: ${name}, round ${round} of ${rounds}`),
    );
    const without = small ? 'left out at its smallest' : 'not installed';
    const called = other === undefined ? `${name} ${without}` : `${name} ${other.version}`;
    const beside = (values: readonly number[]) =>
      other === undefined ? undefined : { name: called, values };
    const [chain, fan] = [`step of a chain of ${count}`, `item of a fan-out of ${count}`];
    const told = other === undefined ? `, ${called}` : '';
    rows.push(
      rowOf(`${chain}, SQLite${told}`, 'ms', times.chain, beside(times.otherChain)),
      rowOf(`${fan}, SQLite${told}`, 'ms', times.fan, beside(times.otherFan)),
    );
  }
  return rows;
}

async function run(platform: Platform, pipeline: Pipeline): Promise<void> {
  const { id } = await platform.pipelines.start(pipeline as Pipeline<Record<never, never>>);
  const { status } = await platform.pipelines.wait(id);
  if (status !== 'COMPLETED') throw new Error(`It ended as ${status}.`);
}

function chainOf(steps: number): Pipeline {
  return definePipeline(`chain${steps}`, { version: '1.0.0' }, (p) => {
    let before = p.step('s0', {}, () => 0);
    for (let i = 1; i < steps; i += 1) {
      before = p.step(`s${i}`, { before }, ({ inputs }) => inputs.before + 1);
    }
  });
}

function fanOut(items: number): Pipeline {
  return definePipeline(`fan${items}`, { version: '1.0.0' }, (p) => {
    const list = p.step('list', {}, () => Array.from({ length: items }, (_, i) => i));
    p.forEach('each', list, {}, ({ inputs }) => inputs.item);
  });
}

async function averageMs(times: number, work: () => Promise<unknown>): Promise<number> {
  const all = await elapsedMs(async () => {
    for (let i = 0; i < times; i += 1) await work();
  });
  return all / times;
}

async function bareSpawn(): Promise<void> {
  await once(spawn('/bin/true', { stdio: 'ignore' }), 'exit');
}
