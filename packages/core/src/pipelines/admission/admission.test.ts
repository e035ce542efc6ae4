import { hostname } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openTestPlatform, temporaryDirectory } from '../../../test/open-test-platform.ts';
import type { ExecutorCapacity } from '../../contracts/executor.ts';
import { ProcessExecutor } from '../../embedded/processes/process-executor.ts';
import type { Platform } from '../../open-platform.ts';
import { definePipeline } from '../define-pipeline.ts';

const v = { version: '1.0.0' };
const mebibyte = 2 ** 20;

/** A machine that has what the test says. */
class Machine extends ProcessExecutor {
  readonly #capacity: ExecutorCapacity;

  constructor(stateDir: string, machine: Partial<ExecutorCapacity['machines'][number]>) {
    super({ stateDir });
    const whole = {
      name: 'm',
      labels: {},
      cpuCores: 2,
      memoryBytes: 1024 * mebibyte,
      devices: [],
      ...machine,
    };
    this.#capacity = { pool: 'host:m', machines: [whole] };
  }

  override capacity(): Promise<ExecutorCapacity> {
    return Promise.resolve(this.#capacity);
  }
}

async function on(machine: ConstructorParameters<typeof Machine>[1], more = {}) {
  const dir = await temporaryDirectory();
  const { platform } = await openTestPlatform({
    executors: [new Machine(join(dir, 'state'), machine)],
    ...more,
  });
  return platform;
}

async function used(platform: Platform): Promise<readonly number[]> {
  const pools = await platform.pipelines.resources();
  return pools.map((pool) => pool.used['cpuMilli'] ?? 0);
}

const busy = (name: string, seconds = 0.1): string[] => [
  '/bin/sh',
  '-c',
  `echo ${name}; sleep ${seconds}`,
];

describe('admission', () => {
  test('steps run together as far as there is room, each reason is told, and nothing is left', async () => {
    const platform = await on({ cpuCores: 2 });
    const pipeline = definePipeline('wide', v, (p) => {
      for (let i = 0; i < 8; i += 1)
        p.command(`s${i}`, {}, busy('x'), { resources: { cpuCores: 1 } });
    });
    const execution = await platform.pipelines.start(pipeline);
    const waiting = platform.pipelines.wait(execution);
    let most = 0;
    let queued = 0;
    let over = false;
    const watching = (async () => {
      while (!over) {
        const [cpu = 0] = await used(platform);
        const states = await platform.pipelines.steps(execution.id);
        const running = states.filter(({ status }) => status === 'RUNNING').length;
        most = Math.max(most, running);
        expect(cpu).toBeLessThanOrEqual(2000);
        const queue = await platform.pipelines.queue({ executionId: execution.id });
        queued = Math.max(queued, queue.length);
        for (const { reason } of queue) {
          expect(reason).toMatch(/needs 1 cores of host:m, where 0 cores are free|may start/);
        }
      }
    })();
    const done = await waiting;
    over = true;
    await watching;
    expect(done.status).toBe('COMPLETED');
    expect(most).toBe(2);
    expect(queued).toBeGreaterThan(2);
    expect(await used(platform)).toEqual([0]);
    expect((await platform.pipelines.steps(execution.id))[0]?.allocated).toMatchObject({
      cpuCores: 1,
      pool: 'host:m',
    });
  });

  test('what no machine could ever hold is refused at the start, naming step and amounts', async () => {
    const platform = await on({});
    const over = (resources: object) =>
      platform.pipelines.start(
        definePipeline(`p${Math.random()}`, v, (p) => {
          p.command('big', {}, ['true'], { resources });
        }),
      );
    await expect(over({ memoryBytes: 64 * 2 ** 30 })).rejects.toMatchObject({
      code: 'EXHAUSTED',
      message: expect.stringMatching(
        /step big needs 64 GiB of memory, and the largest machine of host:m has 1 GiB/,
      ),
    });
    await expect(over({ cpuCores: 3 })).rejects.toThrow(
      /needs 3 cores, and the largest machine of host:m has 2 cores/,
    );
    await expect(over({ gpuCount: 1, gpuType: 'a100' })).rejects.toThrow(
      /needs 1 GPUs of type a100, and the largest machine of host:m has 0 GPUs/,
    );
    await expect(over({ nodeSelector: { zone: 'x' }, cpuCores: 1 })).rejects.toThrow(
      /asks for a machine with zone=x, and host:m has none/,
    );
  });

  test('devices are exclusive, and the task is told which it has', async () => {
    const devices = [0, 1, 2].map((id) => ({ id: String(id), type: 't4' }));
    const platform = await on({ cpuCores: 8, devices });
    const pipeline = definePipeline('gpus', v, (p) => {
      for (let i = 0; i < 6; i += 1) {
        p.command(
          `s${i}`,
          {},
          ['/bin/sh', '-c', 'echo "$CUDA_VISIBLE_DEVICES" > $KEELSON_OUTPUT_GPUS_PATH; sleep 0.1'],
          {
            resources: { gpuCount: 1 + (i % 2), cpuCores: 0.1 },
            outputs: { gpus: { type: 'artifact' } },
          },
        );
      }
    });
    const execution = await platform.pipelines.start(pipeline);
    const waiting = platform.pipelines.wait(execution);
    let over = false;
    const watching = (async () => {
      while (!over) {
        const steps = await platform.pipelines.steps(execution.id);
        const taken = steps
          .filter(({ status }) => status === 'RUNNING')
          .flatMap(({ allocated }) => (allocated?.['devices'] ?? []) as readonly string[]);
        expect(new Set(taken).size).toBe(taken.length);
      }
    })();
    expect((await waiting).status).toBe('COMPLETED');
    over = true;
    await watching;
    for (const [i, step] of (await platform.pipelines.steps(execution.id)).entries()) {
      const { artifacts } = await platform.pipelines.outputs(execution.id, step.step);
      const told = (await artifacts['gpus']?.text())?.trim().split(',');
      expect(told).toEqual(step.allocated?.['devices']);
      expect(told).toHaveLength(1 + (i % 2));
    }
    expect((await platform.pipelines.resources())[0]?.heldDevices).toEqual([]);
  });

  test('what a cancel, a failure and a retry end is given back', async () => {
    const platform = await on({ cpuCores: 2 });
    const pipeline = definePipeline('ends', v, (p) => {
      p.command('fails', {}, ['/bin/sh', '-c', 'exit 75'], {
        retries: { limit: 2, delayMs: 1 },
        resources: { cpuCores: 1.5 },
      });
    });
    expect((await platform.pipelines.wait(await platform.pipelines.start(pipeline))).status).toBe(
      'FAILED',
    );
    expect(await used(platform)).toEqual([0]);
    const long = definePipeline('long', v, (p) => {
      p.command('sleeps', {}, busy('x', 100), { resources: { cpuCores: 1.5 } });
    });
    const { id } = await platform.pipelines.start(long);
    const waiting = platform.pipelines.wait(id);
    await expect.poll(() => used(platform)).toEqual([1500]);
    await platform.pipelines.cancel(id);
    expect((await waiting).status).toBe('CANCELLED');
    expect(await used(platform)).toEqual([0]);
  });

  test('a user has no more at once than is allowed', async () => {
    const platform = await on(
      { cpuCores: 8 },
      { pipelines: { limits: { perUser: { cpuCores: 1 } } } },
    );
    const pipeline = definePipeline('mine', v, (p) => {
      for (let i = 0; i < 4; i += 1)
        p.command(`s${i}`, {}, busy('x', 0.05), { resources: { cpuCores: 1 } });
    });
    const execution = await platform.pipelines.start(pipeline);
    const waiting = platform.pipelines.wait(execution);
    let most = 0;
    let over = false;
    const watching = (async () => {
      while (!over) {
        const steps = await platform.pipelines.steps(execution.id);
        most = Math.max(most, steps.filter(({ status }) => status === 'RUNNING').length);
      }
    })();
    expect((await waiting).status).toBe('COMPLETED');
    over = true;
    await watching;
    expect(most).toBe(1);
  });

  test('the machine of the embedded executor is this one', async () => {
    const { platform } = await openTestPlatform();
    const pipeline = definePipeline('here', v, (p) => {
      p.command('x', {}, ['true']);
    });
    expect((await platform.pipelines.wait(await platform.pipelines.start(pipeline))).status).toBe(
      'COMPLETED',
    );
    const [pool] = await platform.pipelines.resources();
    expect(pool).toMatchObject({
      pool: `host:${hostname()}`,
      executors: ['process'],
      heldDevices: [],
      holders: [],
    });
  });
});
