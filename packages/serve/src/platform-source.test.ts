import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openPlatform, secretKeys } from '@keelson/core';
import { describe, expect, onTestFinished, test } from 'vitest';
import { openServing } from './hosting/serving.ts';
import { platformSource } from './platform-source.ts';

const signature = {
  inputs: [{ name: 'x', datatype: 'FP64', shape: [-1] }],
  outputs: [{ name: 'y', datatype: 'FP64', shape: [-1] }],
} as const;

async function openWorld() {
  const dir = await mkdtemp(join(tmpdir(), 'keelson-source-'));
  const secret = Buffer.alloc(32, 7).toString('base64');
  const platform = await openPlatform({
    dir,
    keys: secretKeys({ secret: async () => `k1:${secret}` }),
  });
  onTestFinished(async () => {
    await platform.close();
    await rm(dir, { recursive: true, force: true });
  });
  const files = { 'index.mjs': Buffer.from('export default () => ({})') };
  const version = await platform.registry.register({
    ...{ model: 'm', from: { files }, format: 'JS', signature },
  });
  return { platform, version };
}

const options = { signal: new AbortController().signal };

test('a model is fetched once, also by several at once', async () => {
  const { platform, version } = await openWorld();
  const source = platformSource(platform);
  const models = await Promise.all([1, 2, 3].map(() => source.model(version.id, options)));
  const [{ directory = '' } = {}] = models;
  expect(models.map((model) => model.directory)).toEqual([directory, directory, directory]);
  expect(await readFile(join(directory, 'index.mjs'), 'utf8')).toBe('export default () => ({})');
});

test('where a signature is asked for, none is loaded without it, and files are read again each time', async () => {
  const { platform, version } = await openWorld();
  const source = platformSource(platform, { requireSignature: true });
  // Somebody has served it without asking: what lies there does not count.
  await platformSource(platform).model(version.id, options);
  await expect(source.model(version.id, options)).rejects.toMatchObject({ code: 'FORBIDDEN' });
  const { publicKey } = await platform.registry.sign(version.id);
  const { directory } = await source.model(version.id, options);
  const file = join(directory, 'index.mjs');
  await chmod(file, 0o644);
  await writeFile(file, 'export default () => "mine"');
  const strict = platformSource(platform, { requireSignature: { trusted: [publicKey] } });
  await strict.model(version.id, options);
  expect(await readFile(file, 'utf8')).toBe('export default () => ({})');
  const foreign = platformSource(platform, { requireSignature: { trusted: [] } });
  await expect(foreign.model(version.id, options)).rejects.toMatchObject({ code: 'FORBIDDEN' });
});

test('a version whose inputs are columns is not served, and the refusal says why', async () => {
  const { platform } = await openWorld();
  const { id } = await platform.registry.register({
    model: 'prices',
    from: { files: { 'model.mjs': Buffer.from('export const load = () => 0;') } },
    format: 'JS',
    signature: {
      inputs: [],
      outputs: [],
      inputColumns: [{ name: 'age', type: 'integer', datatype: 'INT64', required: true }],
    },
  });
  await expect(platformSource(platform).model(id, options)).rejects.toMatchObject({
    code: 'INVALID',
    message: expect.stringMatching(/of prices describes its inputs as columns/),
  });
});

test('a stopped deployment answers nobody and holds nothing, until it is started again', async () => {
  const { platform } = await openWorld();
  const model = 'export const load = () => ({ predict: ({ x }) => ({ y: x.data }) });';
  const version = await platform.registry.register({
    ...{ model: 'same', from: { files: { 'model.mjs': Buffer.from(model) } } },
    ...{ format: 'JS', signature },
  });
  await platform.deployments.create({
    ...{ name: 'same', versionId: version.id, environment: 'PRODUCTION' },
  });
  await using serving = await openServing(platform, { deployments: ['same'], replicas: 1 });
  const ask = async () => {
    const inputs = [{ name: 'x', shape: [1], datatype: 'FP64', data: [3] }];
    const bytes = Buffer.from(JSON.stringify({ inputs }));
    const url = '/v2/models/same/infer';
    const { status, body } = await serving.handle({ method: 'POST', url, headers: {}, bytes });
    return [status, String(body)] as const;
  };
  expect((await ask())[0]).toBe(200);
  await platform.deployments.stop('same', 'no longer needed');
  await expect.poll(() => serving.status()[0]?.state, { timeout: 10_000 }).toBe('STOPPED');
  expect(serving.status()[0]?.versions).toEqual([]);
  expect(await ask()).toEqual([503, expect.stringMatching(/same is stopped: start it/)]);
  await platform.deployments.start('same', 'needed after all');
  await expect.poll(async () => (await ask())[0], { timeout: 10_000 }).toBe(200);
  expect(serving.status()[0]?.state).toBe('HEALTHY');
});

describe('a candidate that sleeps because nobody asks', () => {
  async function rollOut(broken: boolean) {
    const { platform } = await openWorld();
    const place = await mkdtemp(join(tmpdir(), 'keelson-sleepers-'));
    onTestFinished(() => rm(place, { recursive: true, force: true }));
    const flag = join(place, 'broken');
    const register = (version: string) =>
      platform.registry.register({
        from: {
          files: {
            'model.mjs': Buffer.from(`// ${version}
              import { existsSync } from 'node:fs';
              if (${version !== '1.0.0'} && existsSync(${JSON.stringify(flag)})) throw new Error('weights are gone');
              export const load = () => ({ predict: ({ x }) => ({ y: x.data }) });`),
          },
        },
        ...{ model: 'sleeper', version, format: 'JS', signature },
      });
    const [first, second] = [await register('1.0.0'), await register('2.0.0')];
    const { deployments } = platform;
    await deployments.create({
      ...{ name: 'sleeper', versionId: first.id, environment: 'DEVELOPMENT' },
      scaling: { min: 0, max: 1, scaleToZeroAfterMs: 300 },
    });
    await using serving = await openServing(platform, { deployments: ['sleeper'], pollMs: 20 });
    const off = { errors: false, comparison: false, latency: false, accuracy: false } as const;
    const rollout = await deployments.deploy('sleeper', {
      ...{ versionId: second.id, strategy: 'blue-green', reason: 'a better one' },
      policy: { ...off, drift: false, durationMs: 86_400_000 },
    });
    const sleeping = () =>
      serving.status()[0]?.versions.filter(({ isDormant }) => isDormant).length;
    await expect.poll(sleeping).toBe(2);
    const evaluate = async () => (await deployments.evaluateRollout(rollout.id)).status;
    if (broken) {
      await writeFile(flag, '');
      await deployments.promoteRollout(rollout.id, 'on with it');
      await expect.poll(evaluate).toBe('ROLLED_BACK');
      return;
    }
    const before = rollout.stepIndex;
    await expect
      .poll(async () => (await deployments.evaluateRollout(rollout.id)).stepIndex)
      .toBeGreaterThan(before);
  }

  test('is ready: it has been started before', () => rollOut(false));

  test('is started when it gets traffic, and turned back where that fails', () => rollOut(true));
});
