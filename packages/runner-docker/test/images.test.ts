import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { definePipeline, openPlatform, type Pipeline, type Platform } from '@keelson/core';
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test } from 'vitest';
import { dockerExecutor, type RunnerOptions } from '../src/index.ts';
import { TestEngine } from './server/test-engine.ts';
import { bigImage, TestRegistry } from './server/test-registry.ts';

const mebibyte = 2 ** 20;
let engine: TestEngine;
let registry: TestRegistry;
let other: TestRegistry;
/** What the registry has; the engine has neither it nor its layer when a test begins. */
let image: string;

beforeAll(async () => {
  engine = await TestEngine.start({ flags: ['--max-download-attempts', '2'] });
  registry = await TestRegistry.start(engine);
  other = await TestRegistry.start(engine, 5001);
  await bigImage(engine, 'big:1', randomBytes(8 * mebibyte));
  image = await registry.add(engine, 'big:1', 'team/trainer', '1');
  await other.add(engine, 'big:1', 'team/trainer', '1');
  await engine.docker('rmi', 'big:1');
}, 180_000);
afterAll(async () => {
  await registry?.stop();
  await other?.stop();
  await engine?.stop();
}, 60_000);
afterEach(async () => {
  for (const each of [registry, other]) each.reset();
  for (const { address } of [registry, other]) {
    const left = await engine.docker('images', '-q', `${address}/*/*`);
    if (left !== '') await engine.docker('rmi', '-f', ...new Set(left.split('\n')));
  }
});

async function openWith(options: RunnerOptions = {}): Promise<Platform> {
  const dir = await mkdtemp(join(tmpdir(), 'keelson-images-test-'));
  const executor = dockerExecutor({ host: engine.host, patienceMs: 2_000, ...options });
  const platform = await openPlatform({ dir: join(dir, '.keelson'), executors: [executor] });
  onTestFinished(async () => {
    await platform.close();
    await executor.close();
    await rm(dir, { recursive: true, force: true });
  });
  return platform;
}

let defined = 0;

function steps(names: readonly string[], of = image, more: object = {}): Pipeline {
  defined += 1;
  return definePipeline(`images${defined}`, { version: '1.0.0' }, (p) => {
    for (const name of names) {
      const command = ['/bin/sh', '-c', 'wc -c < /weights > "$KEELSON_OUTPUT_BYTES_PATH"'];
      const outputs = { bytes: { type: 'parameter' } } as const;
      p.image(name, {}, { image: of, command }, { outputs, ...more });
    }
  });
}

async function failureOf(platform: Platform, of = image) {
  const { id } = await platform.pipelines.start(steps(['work'], of));
  await platform.pipelines.wait(id);
  const [step] = await platform.pipelines.steps(id);
  expect(step).toMatchObject({ status: 'FAILED', failures: 1 });
  return step?.failure;
}

test('an image that is missing is pulled once for all who want it, and not again', async () => {
  const platform = await openWith();
  for (let round = 0; round < 2; round += 1) {
    const { id } = await platform.pipelines.start(steps(['a', 'b', 'c'], image, { cache: false }));
    expect(await platform.pipelines.wait(id)).toMatchObject({ status: 'COMPLETED' });
    expect((await platform.pipelines.outputs(id, 'c')).value).toEqual({ bytes: 8 * mebibyte });
    expect(registry.layerAsked).toBe(1);
  }
});

test('what is pulled is told while it comes, of steps that wait for it and of those that have begun', async () => {
  const platform = await openWith();
  for (const more of [{}, { cache: false }]) {
    registry.faults = { stopAfterBytes: 4 * mebibyte };
    const { id } = await platform.pipelines.start(steps(['work'], image, more));
    const waiting = platform.pipelines.wait(id);
    const told = expect.stringMatching(
      /^pulling 127\.0\.0\.1:5000\/team\/trainer:1: \d\.\d of \d\.\d MB$/,
    );
    const seen =
      'cache' in more
        ? { status: 'RUNNING', progress: { share: expect.any(Number), message: told } }
        : { status: 'PENDING', waitsFor: told };
    await expect
      .poll(async () => (await platform.pipelines.steps(id))[0], { timeout: 10_000 })
      .toMatchObject(seen);
    registry.goOn();
    expect((await waiting).status).toBe('COMPLETED');
    const [step] = await platform.pipelines.steps(id);
    expect(step?.progress).toBeUndefined();
    expect(step?.waitsFor).toBeUndefined();
    await engine.docker('rmi', '-f', image);
  }
});

const cancelled = 'Not continuing with pull after error: context canceled';

test('a cancel ends a pull that nobody else waits for, and no container begins afterwards', async () => {
  const started = engine.started.length;
  const platform = await openWith();
  registry.faults = { stopAfterBytes: mebibyte };
  for (const more of [{}, { cache: false }]) {
    const givenUp = await engine.logged(cancelled);
    const asked = registry.layerAsked;
    const [kept, ended] = [
      await platform.pipelines.start(steps(['work'], image, more)),
      await platform.pipelines.start(steps(['work'], image, { ...more, priority: 1 })),
    ];
    const [stays, ends] = [platform.pipelines.wait(kept.id), platform.pipelines.wait(ended.id)];
    await expect.poll(() => registry.layerAsked, { timeout: 10_000 }).toBe(asked + 1);
    const before = performance.now();
    await platform.pipelines.cancel(ended.id);
    expect((await ends).status).toBe('CANCELLED');
    expect(await engine.logged(cancelled)).toBe(givenUp);
    await platform.pipelines.cancel(kept.id);
    expect((await stays).status).toBe('CANCELLED');
    expect(performance.now() - before).toBeLessThan(2000);
    await expect.poll(() => engine.logged(cancelled), { timeout: 10_000 }).toBe(givenUp + 1);
    registry.goOn();
    registry.faults = { stopAfterBytes: mebibyte };
  }
  expect(engine.started.length).toBe(started);
  expect(await engine.docker('ps', '-aq')).toBe('');
});

test('a platform that closes does not wait for a pull; the step goes on in the next', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'keelson-images-test-'));
  registry.faults = { stopAfterBytes: mebibyte };
  const executors = () => [dockerExecutor({ host: engine.host })];
  const first = await openPlatform({ dir, executors: executors() });
  const { id } = await first.pipelines.start(steps(['work'], image, { cache: false }));
  const waiting = first.pipelines.wait(id).catch((error: unknown) => error);
  await expect.poll(() => registry.layerAsked, { timeout: 10_000 }).toBe(1);
  const before = performance.now();
  await first.close();
  expect(performance.now() - before).toBeLessThan(2000);
  expect(await waiting).toMatchObject({ code: 'CLOSED' });
  registry.goOn();
  const next = await openPlatform({ dir, executors: executors() });
  expect(await next.pipelines.wait(id)).toMatchObject({ status: 'COMPLETED' });
  expect(await next.pipelines.steps(id)).toMatchObject([{ attempt: 1, failures: 0 }]);
  await next.close();
  await rm(dir, { recursive: true });
});

test('an image that the registry has not, or no registry, fails the step with the class that fits', async () => {
  const platform = await openWith();
  expect(await failureOf(platform, `${registry.address}/team/trainer:none`)).toMatchObject({
    ...{ class: 'permanent', code: 'NOT_FOUND' },
    message: expect.stringMatching(/team\/trainer:none.*could not be pulled: manifest unknown/),
  });
  expect(
    await failureOf(platform, `${registry.address}/team/trainer@sha256:${'0'.repeat(64)}`),
  ).toMatchObject({
    ...{ class: 'permanent', code: 'NOT_FOUND' },
  });
  expect(await failureOf(platform, 'No Name')).toMatchObject({ class: 'data', code: 'INVALID' });
  expect(await failureOf(platform, '127.0.0.1:1/team/trainer:1')).toMatchObject({
    ...{ class: 'transient', code: 'UNAVAILABLE' },
    message: expect.stringMatching(/connection refused/),
  });
  for (const status of [429, 503]) {
    registry.faults = { status };
    expect(await failureOf(platform)).toMatchObject({ class: 'transient', code: 'UNAVAILABLE' });
  }
});

test('`never` asks no registry, whatever it has', async () => {
  const platform = await openWith({ pull: 'never' });
  expect(await failureOf(platform)).toMatchObject({
    ...{ class: 'permanent', code: 'NOT_FOUND' },
    message: expect.stringMatching(/trainer:1 at unix:.*pulling is off.*load or build it/),
  });
  expect(registry.asked).toEqual([]);
});

test('`always` runs what the registry has for each task, and records its digest', async () => {
  await bigImage(engine, 'moved:1', randomBytes(mebibyte));
  const moving = await other.add(engine, 'moved:1', 'team/moving', '1');
  const first = await engine.docker('inspect', '--format', '{{.Id}}', 'moved:1');
  await bigImage(engine, 'moved:2', randomBytes(2 * mebibyte));
  const second = await engine.docker('inspect', '--format', '{{.Id}}', 'moved:2');
  const always = await openWith({ pull: 'always' });
  const missing = await openWith();
  const run = async (platform: Platform, more: object, names = ['work']) => {
    const { id } = await platform.pipelines.start(steps(names, moving, more));
    expect((await platform.pipelines.wait(id)).failure).toBeUndefined();
    const all = await platform.pipelines.steps(id);
    const { value } = await platform.pipelines.outputs(id, 'work');
    return { images: [...new Set(all.map(({ image }) => image))], value };
  };
  for (const more of [{}, { cache: false }]) {
    await other.add(engine, first, 'team/moving', '1');
    expect(await run(always, more)).toEqual({ images: [first], value: { bytes: mebibyte } });
    // Under the same name.
    await other.add(engine, 'moved:2', 'team/moving', '1');
    expect((await run(missing, more)).images).toEqual([first]);
    const gang = { ...more, distributed: { nodes: 1, processesPerNode: 2, strategy: 'data' } };
    expect((await run(always, 'cache' in more ? gang : more)).images).toEqual([second]);
    expect((await run(always, more, ['a', 'work'])).images).toEqual([second]);
  }
  // The registry has the last word, also where the engine has the image.
  other.faults = { status: 503 };
  expect(await failureOf(always, moving)).toMatchObject({
    ...{ class: 'transient', code: 'UNAVAILABLE' },
    message: expect.stringMatching(
      /could not be pulled to unix:.* for this task \(`pull: 'always'`\)/,
    ),
  });
  other.faults = {};
  expect(() => dockerExecutor({ host: engine.host, pull: 'allways' as 'always' })).toThrow(
    'pull must be one of missing, always, never, not allways.',
  );
}, 120_000);

test('a private registry is told the name and password for it, and nobody else is', async () => {
  registry.credentials = { username: 'anna', password: 'pässword~?' };
  const mine = { ...registry.credentials, serveraddress: `http://${registry.address}/v2/` };
  const theirs = { username: 'bob', password: 'other', serveraddress: other.address };
  const platform = await openWith({ registryAuth: [theirs, mine] });
  const { id } = await platform.pipelines.start(steps(['work']));
  expect((await platform.pipelines.wait(id)).failure).toBeUndefined();
  await engine.docker('rmi', '-f', image);

  // Asks for a name and password that are not for it.
  other.credentials = { username: 'x', password: 'y' };
  const stranger = await openWith({ registryAuth: mine });
  const failure = await failureOf(stranger, image.replace(':5000', ':5001'));
  expect(failure).toMatchObject({
    ...{ class: 'permanent', code: 'FORBIDDEN' },
    message: expect.stringContaining('`registryAuth` says who one is at 127.0.0.1:5001'),
  });
  expect(other.authorizations).toEqual([]);
});

test('a wrong password fails the step for good, and says where it was given', async () => {
  registry.credentials = { username: 'anna', password: 'right' };
  // Of every length: what is encoded must not depend on it.
  for (const password of ['wrong', 'wrong1', 'wrong12']) {
    const platform = await openWith({ registryAuth: { username: 'anna', password } });
    const failure = await failureOf(platform);
    expect(failure).toMatchObject({
      ...{ class: 'permanent', code: 'FORBIDDEN' },
      message: expect.stringMatching(
        /could not be pulled: .*127\.0\.0\.1:5000 does not take .*`registryAuth`/,
      ),
    });
    expect(failure?.message).not.toContain(password);
    const sent = Buffer.from(`anna:${password}`).toString('base64');
    expect(registry.authorizations).toContain(`Basic ${sent}`);
  }
});

test('a registry that drops the connection midway is asked again for the rest', async () => {
  const platform = await openWith();
  registry.faults = { cutAfterBytes: 4 * mebibyte, cuts: 1 };
  const { id } = await platform.pipelines.start(steps(['work']));
  expect(await platform.pipelines.wait(id)).toMatchObject({ status: 'COMPLETED' });
  expect(registry.brokenOff).toBe(1);
}, 30_000);

test('one that goes on dropping it fails the attempt as transient, and the next one has the image', async () => {
  const platform = await openWith();
  registry.faults = { cutAfterBytes: mebibyte };
  const retry = { cache: false, retries: { limit: 1, delayMs: 10 } };
  const { id } = await platform.pipelines.start(steps(['work'], image, retry));
  const waiting = platform.pipelines.wait(id);
  await expect
    .poll(async () => (await platform.pipelines.steps(id))[0]?.failures, { timeout: 30_000 })
    .toBe(1);
  registry.faults = {};
  const done = await waiting;
  expect(done.failure).toBeUndefined();
  const [step] = await platform.pipelines.steps(id);
  expect(step).toMatchObject({ status: 'COMPLETED', attempt: 2, failures: 1 });
  expect(await engine.docker('ps', '-aq')).toBe('');
}, 60_000);

test('an engine that goes down while it pulls fails the attempt as transient', async () => {
  const platform = await openWith({ patienceMs: 0 });
  registry.faults = { stopAfterBytes: mebibyte };
  const { id } = await platform.pipelines.start(steps(['work'], image, { cache: false }));
  const waiting = platform.pipelines.wait(id);
  await expect.poll(() => registry.layerAsked, { timeout: 10_000 }).toBe(1);
  await engine.restart('SIGKILL');
  await waiting;
  expect((await platform.pipelines.steps(id))[0]?.failure).toMatchObject({
    ...{ class: 'transient', code: 'UNAVAILABLE' },
    message: expect.stringMatching(/broke off while it pulled/),
  });
}, 60_000);
