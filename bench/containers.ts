import { join } from 'node:path';
import { definePipeline, openPlatform, type Pipeline, type Platform } from '@keelson/core';
import { EngineApi } from '../packages/runner-docker/src/engine-api.ts';
import { enginePlace } from '../packages/runner-docker/src/engine-place.ts';
import { dockerExecutor } from '../packages/runner-docker/src/index.ts';
import { TestEngine, testImage } from '../packages/runner-docker/test/server/test-engine.ts';
import type { BenchContext } from './benchmark.ts';
import { elapsedMs, inTurns } from './rounds.ts';
import { type Row, rowOf } from './row.ts';

const sizes = {
  smallest: { rounds: 1, containers: 2 },
  usual: { rounds: 5, containers: 10 },
  full: { rounds: 11, containers: 20 },
};

/**
 * A step in a container beside the same container made, started, waited for and removed by the Engine API alone:
 * as we bound it (read-only, an init, no network), and as it comes.
 */
export async function benchContainers(context: BenchContext): Promise<Row[]> {
  const { rounds, containers } = sizes[context.scale];
  const engine = await TestEngine.start();
  const api = new EngineApi(enginePlace(engine.host, undefined), { patienceMs: 10_000 });
  try {
    const executor = dockerExecutor({ host: engine.host });
    await using platform = await openPlatform({
      dir: join(context.dir, 'containers'),
      executors: [executor],
    });
    const one = sideBySide('one', 1);
    const many = sideBySide('many', containers);
    const times = await inTurns(
      rounds,
      {
        step: () => averageMs(containers, () => run(platform, one)),
        bounded: () => averageMs(containers, () => bare(api, bounds)),
        plain: () => averageMs(containers, () => bare(api, { NetworkMode: 'none' })),
        together: async () => (await elapsedMs(() => run(platform, many))) / containers,
        bareTogether: async () => {
          const all = Array.from({ length: containers }, () => () => bare(api, bounds));
          return (await elapsedMs(() => Promise.all(all.map((each) => each())))) / containers;
        },
      },
      (round) => context.tell(`containers: round ${round} of ${rounds}`),
    );
    await executor.close();
    const bounded = {
      name: 'create, start, wait, remove with the same bounds',
      values: times.bounded,
    };
    return [
      {
        ...rowOf('execution with one container, start to end', 'ms', times.step, bounded),
        goal: { mostRatio: 1.15 },
      },
      rowOf('the same as Docker runs it by default, without a network', 'ms', times.plain),
      rowOf(`each of ${containers} containers at once`, 'ms', times.together, {
        name: 'the same by the API alone',
        values: times.bareTogether,
      }),
    ];
  } finally {
    api.close();
    await engine.stop();
  }
}

const bounds = {
  ...{ NetworkMode: 'none', ReadonlyRootfs: true, Init: true, CapDrop: ['ALL'], PidsLimit: 4096 },
  ...{ SecurityOpt: ['no-new-privileges'], Tmpfs: { '/tmp': 'rw,size=67108864' } },
};

async function bare(api: EngineApi, hostConfig: object): Promise<void> {
  const body = { Image: testImage, Entrypoint: ['/bin/true'], HostConfig: hostConfig };
  const { Id } = await api.json<{ Id: string }>('POST', '/containers/create', { body });
  await api.json('POST', `/containers/${Id}/start`);
  await api.json('POST', `/containers/${Id}/wait`);
  await api.json('DELETE', `/containers/${Id}`);
}

async function run(platform: Platform, pipeline: Pipeline): Promise<void> {
  const { id } = await platform.pipelines.start(pipeline as Pipeline<Record<never, never>>);
  const { status } = await platform.pipelines.wait(id);
  if (status !== 'COMPLETED') throw new Error(`It ended as ${status}.`);
}

const image = { image: testImage, command: ['/bin/true'] };

function sideBySide(name: string, steps: number): Pipeline {
  return definePipeline(name, { version: '1.0.0' }, (p) => {
    for (let i = 0; i < steps; i += 1) p.image(`s${i}`, {}, image, { cache: false });
  });
}

async function averageMs(times: number, work: () => Promise<unknown>): Promise<number> {
  const all = await elapsedMs(async () => {
    for (let i = 0; i < times; i += 1) await work();
  });
  return all / times;
}
