import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { definePipeline, openPlatform, type Platform } from '@keelson/core';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { swarmExecutor } from '../src/index.ts';
import { testImage } from './server/test-engine.ts';
import { TestSwarm } from './server/test-swarm.ts';

let swarm: TestSwarm;
beforeAll(async () => {
  swarm = await TestSwarm.start();
}, 300_000);
afterAll(() => swarm?.stop(), 120_000);

async function open(): Promise<Platform> {
  const dir = await mkdtemp(join('/var/tmp', 'keelson-swarm-test-'));
  const workRoot = join(dir, 'shared');
  const executor = swarmExecutor({ host: swarm.manager.host, workRoot });
  const platform = await openPlatform({ dir: join(dir, '.keelson'), executors: [executor] });
  onTestFinished(async () => {
    await platform.close();
    await executor.close();
    await rm(dir, { recursive: true, force: true });
  });
  return platform;
}

const v = { version: '1.0.0' } as const;

/** What the managers still keep of tasks. */
async function left(): Promise<string> {
  const services = await swarm.manager.docker('service', 'ls', '-q');
  const networks = await swarm.manager.docker(
    ...['network', 'ls', '-q', '--filter', 'label=keelson.task'],
  );
  return services + networks;
}

test('steps run on the nodes that they select, and pass on what they put out', async () => {
  const platform = await open();
  const script =
    'n=1; read n < "$KEELSON_INPUT_N_PATH" 2> /dev/null; echo "$((n * 2))" > "$KEELSON_OUTPUT_N_PATH"';
  const run = { image: testImage, command: ['/bin/sh', '-c', script] };
  const outputs = { n: { type: 'parameter' } } as const;
  const pipeline = definePipeline('nodes', v, (p) => {
    const first = p.image('first', {}, run, {
      ...{ outputs, executor: 'swarm' },
      resources: { nodeSelector: { zone: 'a' } },
    });
    p.image('second', { n: first.pick('n') }, run, { outputs, executor: 'swarm' });
  });
  const { id } = await platform.pipelines.start(pipeline);
  const done = await platform.pipelines.wait(id);
  expect(done.failure).toBeUndefined();
  expect((await platform.pipelines.outputs(id, 'second')).value).toEqual({ n: 4 });
  const [first] = await platform.pipelines.steps(id);
  const last = await swarm.nodes.at(-1)?.docker('info', '-f', '{{.Name}}');
  expect(first).toMatchObject({ executor: 'swarm', node: last, attempt: 1 });
  expect(await left()).toBe('');
  const nowhere = definePipeline('nowhere', v, (p) => {
    p.image('work', {}, run, {
      ...{ outputs, executor: 'swarm' },
      resources: { nodeSelector: { zone: 'nowhere' } },
    });
  });
  await expect(platform.pipelines.start(nowhere)).rejects.toMatchObject({
    code: 'EXHAUSTED',
    message: expect.stringContaining('zone=nowhere'),
  });
}, 120_000);

test('a node that is lost loses its step, which goes on elsewhere from its checkpoint', async () => {
  const platform = await open();
  const script = `
    if [ -n "$KEELSON_CHECKPOINT_PATH" ]; then
      echo "went on in attempt $KEELSON_ATTEMPT from $(cat "$KEELSON_CHECKPOINT_PATH")"; exit 0
    fi
    echo half > "$KEELSON_CHECKPOINT_DIR/v1"; echo begun; while :; do sleep 0.2; done`;
  const pipeline = definePipeline('lost', v, (p) => {
    p.image(
      'work',
      {},
      { image: testImage, command: ['/bin/sh', '-c', script] },
      {
        executor: 'swarm',
      },
    );
  });
  // Only the last node takes work at first.
  for (const node of ['n0', 'n1']) await swarm.availability(node, 'drain');
  const { id } = await platform.pipelines.start(pipeline);
  const waiting = platform.pipelines.wait(id);
  await expect
    .poll(async () => (await platform.pipelines.steps(id))[0]?.externalId, { timeout: 20_000 })
    .toBeDefined();
  for await (const { text } of platform.pipelines.logs(id, 'work', { follow: true })) {
    if (text.includes('begun')) break;
  }
  for (const node of ['n0', 'n1']) await swarm.availability(node, 'active');
  await swarm.nodes.at(-1)?.crash();
  const done = await waiting;
  expect(done.failure).toBeUndefined();
  const [step] = await platform.pipelines.steps(id);
  expect(step).toMatchObject({ status: 'COMPLETED', attempt: 2, losses: 1, failures: 0 });
  const chunks = await Array.fromAsync(platform.pipelines.logs(id, 'work'));
  expect(chunks.map(({ text }) => text).join('')).toBe('went on in attempt 2 from half\n');
}, 180_000);
