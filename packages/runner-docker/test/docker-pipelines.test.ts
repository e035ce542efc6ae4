import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  definePipeline,
  type Execution,
  openPlatform,
  type Pipeline,
  type Platform,
} from '@keelson/core';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { dockerExecutor, type RunnerOptions } from '../src/index.ts';
import { TestEngine, testImage } from './server/test-engine.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await TestEngine.start();
}, 180_000);
afterAll(() => engine?.stop(), 60_000);

async function openWith(options: RunnerOptions = {}): Promise<Platform> {
  const dir = await mkdtemp(join(tmpdir(), 'keelson-docker-test-'));
  const executor = dockerExecutor({ host: engine.host, patienceMs: 2_000, ...options });
  const platform = await openPlatform({ dir: join(dir, '.keelson'), executors: [executor] });
  onTestFinished(async () => {
    await platform.close();
    await executor.close();
    await rm(dir, { recursive: true, force: true });
  });
  return platform;
}

const v = { version: '1.0.0' } as const;

async function run(platform: Platform, pipeline: Pipeline): Promise<Execution> {
  const { id } = await platform.pipelines.start(pipeline);
  return platform.pipelines.wait(id);
}

/** A pipeline of one step that runs a script in a container. */
function scriptPipeline(name: string, script: string, more: object = {}): Pipeline {
  return definePipeline(name, v, (p) => {
    p.image('work', {}, { image: testImage, command: ['/bin/sh', '-c', script] }, more);
  });
}

async function textOf(platform: Platform, { id }: Execution, stream?: string): Promise<string> {
  const chunks = await Array.fromAsync(platform.pipelines.logs(id, 'work'));
  return chunks
    .filter((chunk) => stream === undefined || chunk.stream === stream)
    .map(({ text }) => text)
    .join('');
}

async function left(): Promise<string> {
  const all = await Promise.all([
    engine.docker('ps', '-aq'),
    engine.docker('volume', 'ls', '-q'),
    engine.docker('network', 'ls', '-q', '--filter', 'label=keelson.task'),
  ]);
  return all.join('').trim();
}

describe('a step in a container', () => {
  test('takes the outputs of earlier steps, puts out files and values, and logs metrics', async () => {
    const platform = await openWith();
    const pipeline = definePipeline('passing', v, (p) => {
      const made = p.step('make', {}, async ({ outputs }) => ({
        rows: await outputs.artifact('rows.csv', Buffer.from('a,b\n1,2\n')),
        factor: 3,
      }));
      const script = `
        set -e
        cat "$KEELSON_INPUT_DATA_PATH" > "$KEELSON_OUTPUT_COPY_PATH"
        echo "$((KEELSON_INPUT_FACTOR * 2))" > "$KEELSON_OUTPUT_DOUBLE_PATH"
        echo '{"metric":"loss","value":0.25,"step":1}' >> "$KEELSON_METRICS_PATH"
        mkdir "$KEELSON_OUTPUT_MODEL_PATH"; echo w > "$KEELSON_OUTPUT_MODEL_PATH/weights"
        echo "step $KEELSON_STEP of $KEELSON_PIPELINE, attempt $KEELSON_ATTEMPT"`;
      const work = p.image(
        'work',
        { data: made.pick('rows'), factor: made.pick('factor') },
        { image: testImage, command: ['/bin/sh', '-c', script] },
        {
          outputs: {
            copy: { type: 'artifact' },
            double: { type: 'parameter' },
            model: { type: 'model' },
          },
        },
      );
      p.step('read', { copy: work.pick('copy'), double: work.pick('double') }, async (c) => ({
        text: await c.inputs.copy.text(),
        double: Number(c.inputs.double),
      }));
    });
    const done = await run(platform, pipeline);
    expect(done.failure).toBeUndefined();
    const { value } = await platform.pipelines.outputs(done.id, 'read');
    expect(value).toEqual({ text: 'a,b\n1,2\n', double: 6 });
    expect(await textOf(platform, done)).toBe('step work of passing, attempt 1\n');
    const steps = await platform.pipelines.steps(done.id);
    const work = steps.find(({ step }) => step === 'work');
    const image = await engine.docker('inspect', '-f', '{{.Id}}', testImage);
    expect(work).toMatchObject({ executor: 'docker', image, exitCode: 0, attempt: 1 });
    const { runs } = await platform.tracking.searchRuns({ filter: 'metrics.loss = 0.25' });
    expect(runs).toHaveLength(1);
    expect(await left()).toBe('');
  });

  test('can do as little as it needs: no root, no writing, no network, no capabilities, no secrets', async () => {
    const platform = await openWith();
    process.env['SUPER_SECRET'] = 'hidden';
    const script = `
      id -u; id -g
      touch /etc/x 2> /dev/null && echo 'wrote to the root'
      touch /tmp/x && echo 'wrote to /tmp'
      touch "$KEELSON_WORK_DIR/x" && echo 'wrote to its directory'
      ls /sys/class/net
      grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status
      echo "[$SUPER_SECRET]"
      env | grep -c '^HOME=/tmp$'`;
    const done = await run(platform, scriptPipeline('least', script));
    delete process.env['SUPER_SECRET'];
    expect((await textOf(platform, done, 'stdout')).split('\n')).toEqual([
      ...['65534', '65534', 'wrote to /tmp', 'wrote to its directory', 'lo'],
      ...[
        'CapEff:\t0000000000000000',
        'CapBnd:\t0000000000000000',
        'NoNewPrivs:\t1',
        'Seccomp:\t2',
      ],
      ...['[]', '1', ''],
    ]);
  });

  test('has the limits that it was given: memory, processors, processes', async () => {
    const platform = await openWith({ pidsLimit: 20 });
    const limits = { resources: { memoryBytes: 64 * 2 ** 20, cpuCores: 0.5 } };
    const big = scriptPipeline(
      'big',
      `x=$(head -c 200000000 /dev/zero | tr '\\0' a); echo \${#x}`,
      limits,
    );
    const done = await run(platform, big);
    expect(done.status).toBe('FAILED');
    expect(done.failure?.message).toMatch(/more memory than there is\. It was given 64 MiB/);
    const [step] = await platform.pipelines.steps(done.id);
    expect(step?.failure).toMatchObject({ class: 'resource' });

    const forks = 'for i in $(seq 40); do sleep 1 & done; wait; echo over';
    const bomb = await run(platform, scriptPipeline('forks', forks, limits));
    expect(await textOf(platform, bomb, 'stderr')).toMatch(/can't fork/);

    const config = { cpu: '' };
    const waits = scriptPipeline('waits', 'echo begun; sleep 30', limits);
    const { id } = await platform.pipelines.start(waits);
    const waiting = platform.pipelines.wait(id);
    for await (const { text } of followed(platform, id)) if (text.includes('begun')) break;
    const format = '{{.HostConfig.NanoCpus}} {{.HostConfig.Memory}} {{.HostConfig.MemorySwap}}';
    config.cpu = await engine.docker('inspect', '-f', format, await engine.docker('ps', '-q'));
    expect(config.cpu).toBe(`500000000 ${64 * 2 ** 20} ${64 * 2 ** 20}`);
    const before = performance.now();
    await platform.pipelines.cancel(id);
    expect((await waiting).status).toBe('CANCELLED');
    expect(performance.now() - before).toBeLessThan(2000);
    await expect.poll(left, { timeout: 20_000 }).toBe('');
  }, 60_000);

  test('exit codes, commands that are not there and images that are not there say what is wrong', async () => {
    const platform = await openWith({ pull: 'never' });
    const five = await run(platform, scriptPipeline('five', 'echo why >&2; exit 5'));
    expect(five.failure?.message).toMatch(/exit code 5[\s\S]*why/);
    const none = definePipeline('none', v, (p) => {
      p.image('work', {}, { image: testImage, command: ['/no/such/program'] });
    });
    expect((await run(platform, none)).failure?.message).toMatch(/no\/such\/program|not found/);
    const missing = definePipeline('missing', v, (p) => {
      p.image('work', {}, { image: 'no-such-image:1' });
    });
    const done = await run(platform, missing);
    expect(done.failure?.message).toMatch(/no-such-image:1.*pull/s);
    const [step] = await platform.pipelines.steps(done.id);
    expect(step?.failure).toMatchObject({ class: 'permanent' });
  });

  test('an engine that is not there is told of, with what helps', async () => {
    const platform = await openWith({ host: 'unix:///nowhere/docker.sock', patienceMs: 0 });
    const done = await run(platform, scriptPipeline('nowhere', 'true'));
    expect(done.failure?.message).toMatch(/nowhere\/docker\.sock does not answer.*DOCKER_HOST/s);
  });

  test('is taken from the cache by the digest of its image, and run anew when the tag moves', async () => {
    const platform = await openWith();
    const pipeline = scriptPipeline('cached', 'date +%s > "$KEELSON_OUTPUT_AT_PATH"', {
      outputs: { at: { type: 'parameter' } },
      cache: {},
    });
    const first = await run(platform, pipeline);
    const second = await run(platform, pipeline);
    expect(await platform.pipelines.explainCache(second.id, 'work')).toMatchObject({
      outcome: 'hit',
      explanation: expect.stringContaining(first.id),
    });
    await engine.docker('tag', testImage, 'keelson-test:before');
    const container = await engine.docker('create', testImage, '/bin/sh');
    await engine.docker('commit', '--change', 'LABEL moved=1', container, testImage);
    await engine.docker('rm', container);
    const third = await run(platform, pipeline);
    await engine.docker('tag', 'keelson-test:before', testImage);
    expect(await platform.pipelines.explainCache(third.id, 'work')).toMatchObject({
      outcome: 'miss',
      explanation: expect.stringMatching(/image/),
    });
  });

  test('of a gang, each reaches the first by its address, over a network of their own', async () => {
    const platform = await openWith();
    // With -e: a listener whose own input is at its end would end the talk before it heard anything.
    const script = `
      hear='cat > "$KEELSON_OUTPUT_HEARD_PATH"'
      if [ "$RANK" = 0 ]; then exec nc -l -p "$MASTER_PORT" -e /bin/sh -c "$hear"; fi
      until echo "from $RANK of $WORLD_SIZE" | nc "$MASTER_ADDR" "$MASTER_PORT"; do sleep 0.1; done`;
    const pipeline = scriptPipeline('gang', script, {
      distributed: { strategy: 'data', nodes: 2, processesPerNode: 1 },
      outputs: { heard: { type: 'artifact' } },
    });
    const done = await run(platform, pipeline);
    expect(done.failure).toBeUndefined();
    const { artifacts } = await platform.pipelines.outputs(done.id, 'work');
    expect(await artifacts['heard']?.text()).toBe('from 1 of 2\n');
    expect(await left()).toBe('');
  });

  test('of another platform on the same engine is left alone by a sweep', async () => {
    const [mine, other] = [await openWith(), await openWith()];
    const pipeline = scriptPipeline('sweep', 'echo begun; sleep 2; echo over');
    const { id } = await mine.pipelines.start(pipeline);
    const waiting = mine.pipelines.wait(id);
    for await (const { text } of followed(mine, id)) if (text.includes('begun')) break;
    for (const loop of other.pipelines.loops) await loop.runOnce(new AbortController().signal);
    expect((await waiting).status).toBe('COMPLETED');
  });
});

/** The log of a step whose execution has just begun. */
async function* followed(platform: Platform, id: string) {
  await expect
    .poll(async () => (await platform.pipelines.steps(id))[0]?.externalId, { timeout: 10_000 })
    .toBeDefined();
  yield* platform.pipelines.logs(id, 'work', { follow: true });
}
