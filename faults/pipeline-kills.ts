import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Execution, openPlatform, type Platform } from '@keelson/core';
import { checkInvariants, type Invariant, killLoop } from '@keelson/core/testing';
import { isZombie, statOf } from '../packages/core/src/embedded/processes/process-tree.ts';
import { pgBackend } from '../packages/store-pg/src/index.ts';
import { orderFaults, reservedStill } from './execution-faults.ts';
import { mixedPipeline, mixedSteps, type PipelineArgument } from './mixed-pipeline.ts';
import type { FaultContext, FaultReport, FaultScenario } from './scenario.ts';

/** What is left when all executions have ended. */
interface Left {
  readonly platform: Platform;
  readonly dir: string;
  readonly effects: string;
  readonly executions: readonly Execution[];
  /** The most that was reserved at any look, in thousandths of cores, and what there is. */
  readonly most: number;
  readonly capacity: number;
}

/** Executions of fifty steps, whose supervisors are killed. */
export const pipelineKills: FaultScenario = {
  name: 'pipeline-kills',
  sentence:
    'Three processes drive executions of 50 steps, functions and commands; of those that have begun to work one is killed every 60 to 150 ms, when a step has been done since, or stalled for longer than its lease.',
  run: killed,
};

async function killed({ store, extent, seed, tell }: FaultContext): Promise<FaultReport> {
  const root = mkdtempSync(join(tmpdir(), 'keelson-pipelines-'));
  const dir = join(root, '.keelson');
  const [kills, stalls] = extent === 'long' ? [200, 30] : [6, 1];
  const argument = {
    ...{ dir, effects: join(root, 'effects'), executions: Math.ceil(kills / 8) },
    ...(store.url === undefined ? {} : { url: store.url }),
  } satisfies PipelineArgument;
  try {
    const pg = store.url === undefined ? undefined : pgBackend({ url: store.url });
    await using platform = await openPlatform({
      ...(pg === undefined ? {} : { metadata: pg, series: pg }),
      dir,
    });
    const reserved = { most: 0, capacity: 0 };
    let stepsDone = 0;
    const all = async (): Promise<readonly Execution[]> =>
      (await platform.pipelines.list({ pipeline: 'mixed', limit: 1000 })).executions;
    const report = await killLoop({
      program: new URL('./pipeline-child.ts', import.meta.url),
      ...{ argument, processes: 3, kills, stalls, stallMs: 2_500, seed, timeoutMs: 1_200_000 },
      // What was just looked at for `done`.
      progress: () => stepsDone,
      done: async () => {
        const [pool] = await platform.pipelines.resources();
        reserved.most = Math.max(reserved.most, pool?.used['cpuMilli'] ?? 0);
        reserved.capacity = pool?.total['cpuMilli'] ?? 0;
        const executions = await all();
        stepsDone = executions.reduce((sum, { openSteps }) => sum + mixedSteps - openSteps, 0);
        const ended = executions.filter(({ endedAt }) => endedAt !== undefined).length;
        tell(`${ended} of ${argument.executions} executions have ended`);
        return ended === argument.executions;
      },
    });
    for (const loop of platform.pipelines.loops) {
      await loop.runOnce(new AbortController().signal);
    }
    const left = { platform, dir, effects: argument.effects, executions: await all(), ...reserved };
    await checkInvariants(left, invariants, `seed ${seed}`);
    return { faults: { kill: report.kills, stall: report.stalls }, invariants: invariants.length };
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

const invariants: readonly Invariant<Left>[] = [
  {
    name: 'every execution has completed, with all of its steps',
    async violations({ platform, executions }) {
      const wrong: string[] = [];
      for (const { id, status, openSteps, failure } of executions) {
        const steps = await platform.pipelines.steps(id);
        const done = steps.filter((step) => step.status === 'COMPLETED').length;
        if (status === 'COMPLETED' && openSteps === 0 && done === mixedSteps) continue;
        wrong.push(`${id} is ${status} with ${done} steps: ${failure?.message ?? ''}`);
      }
      return wrong;
    },
  },
  {
    name: 'no step completes twice, or starts before those that it depends on have completed',
    violations: ({ platform, executions }) =>
      orderFaults(platform, executions, mixedPipeline({ effects: '' }).definition.steps),
  },
  {
    name: 'each command ran exactly once, each attempt of a function at most once',
    async violations({ effects, platform, executions }) {
      const lines = readFileSync(effects, 'utf8').trim().split('\n');
      const ran = Map.groupBy(lines, (line) => line.split(' ').slice(0, 2).join(' '));
      const wrong: string[] = [];
      for (const { id } of executions) {
        for (const { step, attempt, executor } of await platform.pipelines.steps(id)) {
          const all = ran.get(`${id} ${step}`) ?? [];
          const attempts = all.map((line) => Number(line.split(' ')[2]));
          const once = new Set(attempts).size === attempts.length && attempts.includes(attempt);
          const sole = executor === undefined || (attempts.length === 1 && attempt === 1);
          if (!once || !sole)
            wrong.push(`${id}: ${step} ran as ${attempts.join(', ')}, and completed as ${attempt}`);
        }
      }
      return wrong;
    },
  },
  {
    name: 'what is reserved never exceeds what there is, and is nothing at the end',
    async violations({ platform, most, capacity }) {
      return [
        ...(most > capacity ? [`${most} of ${capacity} were reserved`] : []),
        ...(await reservedStill(platform)),
      ];
    },
  },
  {
    name: 'no process and no file of a task is left',
    async violations({ effects, dir, executions, platform }) {
      const wrong: string[] = readdirSync(join(dir, 'executors', 'process'));
      const commands = new Set<string>();
      for (const { id } of executions) {
        for (const { step, executor } of await platform.pipelines.steps(id)) {
          if (executor !== undefined) commands.add(`${id} ${step}`);
        }
      }
      for (const line of readFileSync(effects, 'utf8').trim().split('\n')) {
        const [id, step, , pid] = line.split(' ');
        if (!commands.has(`${id} ${step}`)) continue;
        const stat = await statOf(Number(pid));
        if (stat !== undefined && !isZombie(stat)) wrong.push(`process ${pid} of ${step} lives`);
      }
      return wrong;
    },
  },
];
