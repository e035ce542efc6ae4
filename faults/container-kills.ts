import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Execution, openPlatform, type Platform } from '@keelson/core';
import { checkInvariants, type Invariant, killLoop, seededRandom } from '@keelson/core/testing';
import { dockerExecutor } from '../packages/runner-docker/src/index.ts';
import { TestEngine } from '../packages/runner-docker/test/server/test-engine.ts';
import { pgBackend } from '../packages/store-pg/src/index.ts';
import { type ContainerArgument, containerPipeline } from './container-pipeline.ts';
import { orderFaults, reservedStill } from './execution-faults.ts';
import type { FaultContext, FaultReport, FaultScenario } from './scenario.ts';

/** What is left when all executions have ended. */
interface Left {
  readonly platform: Platform;
  readonly engine: TestEngine;
  readonly executions: readonly Execution[];
  readonly steps: number;
  /** How often a container of each step of each execution began, by the engine's own events. */
  readonly starts: ReadonlyMap<string, number>;
}

/** Steps in containers, whose supervisors are killed and stalled. */
export const containerSupervisors: FaultScenario = {
  name: 'container-supervisors',
  sentence:
    'Three processes drive executions of containers; one is killed or stopped for longer than its lease every 100 to 400 ms.',
  run: (context) => harmed(context, harmSupervisors, [...ends, once]),
};

/** Steps in containers, which are killed and removed, and whose engine is restarted and killed. */
export const containerKills: FaultScenario = {
  name: 'container-kills',
  sentence:
    'Containers of executions are killed and removed by somebody else, and their engine is restarted and killed.',
  run: (context) => harmed(context, harmContainers, ends),
};

type Harm = (
  context: FaultContext,
  parts: {
    readonly engine: TestEngine;
    readonly argument: ContainerArgument & Record<string, string | number>;
    readonly done: () => Promise<boolean>;
  },
) => Promise<FaultReport['faults']>;

async function harmed(
  context: FaultContext,
  harm: Harm,
  invariants: readonly Invariant<Left>[],
): Promise<FaultReport> {
  const { store, extent, seed, tell } = context;
  const root = mkdtempSync(join(tmpdir(), 'keelson-containers-'));
  const engine = await TestEngine.start();
  try {
    const dir = join(root, '.keelson');
    const argument = {
      ...{ dir, host: engine.host },
      ...(extent === 'long' ? { executions: 4, steps: 50 } : { executions: 1, steps: 10 }),
      ...(store.url === undefined ? {} : { url: store.url }),
    };
    const pg = store.url === undefined ? undefined : pgBackend({ url: store.url });
    await using platform = await openPlatform({
      ...(pg === undefined ? {} : { metadata: pg, series: pg }),
      ...{ dir, executors: [dockerExecutor({ host: engine.host })] },
    });
    const all = async (): Promise<readonly Execution[]> =>
      (await platform.pipelines.list({ pipeline: 'containers', limit: 1000 })).executions;
    const faults = await harm(context, {
      engine,
      argument,
      done: async () => {
        const executions = await all();
        const ended = executions.filter(({ endedAt }) => endedAt !== undefined).length;
        tell(`${ended} of ${argument.executions} executions have ended`);
        return ended === argument.executions;
      },
    });
    for (const loop of platform.pipelines.loops) {
      await loop.runOnce(new AbortController().signal);
    }
    const left = {
      ...{ platform, engine, executions: await all(), steps: argument.steps },
      starts: countStarts(engine),
    };
    await checkInvariants(left, invariants, `seed ${seed}`);
    return { faults, invariants: invariants.length };
  } finally {
    await engine.stop();
    rmSync(root, { recursive: true, force: true });
  }
}

const program = new URL('./container-child.ts', import.meta.url);

const harmSupervisors: Harm = async ({ extent, seed }, { argument, done }) => {
  const long = extent === 'long';
  const { kills, stalls } = await killLoop({
    ...{ program, argument, seed, done, processes: 3, timeoutMs: 1_200_000 },
    ...(long ? { kills: 200, stalls: 30 } : { kills: 5, stalls: 1 }),
    ...{ everyMs: [100, 400], stallMs: 2_500 },
  });
  return { kill: kills, stall: stalls };
};

const harmContainers: Harm = async ({ extent, seed, tell }, { engine, argument, done }) => {
  const random = seededRandom(seed);
  const plan: readonly ('kill' | 'remove' | 'restart' | 'crash')[] =
    extent === 'long'
      ? [...Array(10).fill('kill'), ...Array(5).fill('remove'), 'restart', 'crash']
      : ['kill', 'remove', 'restart', 'crash'];
  const left = plan.toSorted(() => random() - 0.5);
  const did: Record<string, number> = {};
  await killLoop({
    ...{ program, argument, seed, processes: 2, kills: 0, timeoutMs: 1_200_000 },
    async done() {
      const [next] = left;
      // Where the work was faster than the plan, harm was done to all there was.
      if ((await done()) || next === undefined) return done();
      if (next === 'restart' || next === 'crash') {
        await engine.restart(next === 'restart' ? 'SIGTERM' : 'SIGKILL');
      } else {
        const running = (await engine.docker('ps', '-q')).split('\n').filter((id) => id !== '');
        const victim = running[Math.floor(random() * running.length)];
        if (victim === undefined) return false;
        const how = next === 'kill' ? ['kill', victim] : ['rm', '-f', victim];
        // It may have ended by itself just now.
        const hit = await engine.docker(...how).then(
          () => true,
          () => false,
        );
        if (!hit) return false;
      }
      left.shift();
      did[next] = (did[next] ?? 0) + 1;
      tell(`${next}, ${left.length} to come`);
      return false;
    },
  });
  return did;
};

/** How often each step of each execution began. */
function countStarts({ started }: TestEngine): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const line of started) counts.set(line, (counts.get(line) ?? 0) + 1);
  return counts;
}

const ends: readonly Invariant<Left>[] = [
  {
    name: 'every execution has completed, with the values that its steps passed on',
    async violations({ platform, executions, steps }) {
      const wrong: string[] = [];
      for (const { id, status, failure } of executions) {
        const all = await platform.pipelines.steps(id);
        const done = all.filter((step) => step.status === 'COMPLETED');
        if (status !== 'COMPLETED' || done.length !== steps) {
          wrong.push(`${id} is ${status} with ${done.length} steps: ${failure?.message ?? ''}`);
        }
        for (const { step } of done) {
          const row = Number(/^r(\d+)/.exec(step)?.[1]);
          const { value } = await platform.pipelines.outputs(id, step);
          const { n } = value as { n?: unknown };
          if (n !== row + 1) wrong.push(`${id}: ${step} put out ${JSON.stringify(value)}`);
        }
      }
      return wrong;
    },
  },
  {
    name: 'no step completes twice, or starts before those that it depends on have completed',
    violations: ({ platform, executions, steps }) =>
      orderFaults(platform, executions, containerPipeline({ steps }).definition.steps),
  },
  {
    name: 'nothing is reserved, and no container, network or volume of a task is left',
    async violations({ platform, engine }) {
      const left = await Promise.all([
        engine.docker('ps', '-a', '--format', '{{.Names}}'),
        engine.docker('network', 'ls', '--filter', 'label=keelson.task', '--format', '{{.Name}}'),
        engine.docker('volume', 'ls', '--format', '{{.Name}}'),
      ]);
      return [
        ...(await reservedStill(platform)),
        ...left.flatMap((names) => names.split('\n').filter((name) => name !== '')),
      ];
    },
  },
];

/** Holds where nothing but orchestrators was harmed. */
const once: Invariant<Left> = {
  name: 'each step had exactly one container, in its first attempt',
  async violations({ platform, executions, starts }) {
    const wrong: string[] = [];
    for (const { id, correlationId } of executions) {
      const told = new Map<string, string[]>();
      for await (const { type, payload } of platform.events.each({ correlationId })) {
        if (type !== 'step.retried' && type !== 'step.started') continue;
        const step = String(payload['step']);
        told.set(step, [...(told.get(step) ?? []), JSON.stringify(payload)]);
      }
      for (const { step, attempt } of await platform.pipelines.steps(id)) {
        const began = starts.get(`${id} ${step}`) ?? 0;
        if (began !== 1 || attempt !== 1) {
          const why = told.get(step) ?? [];
          wrong.push(
            `${id}: ${step} began ${began} times, and completed as attempt ${attempt}: ${why.join('; ')}`,
          );
        }
      }
    }
    return wrong;
  },
};
