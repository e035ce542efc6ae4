import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cachedArtifacts, isKeelsonError, openPlatform, type Platform } from '@keelson/core';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { s3Backend } from '../src/index.ts';
import { S3ArtifactStore } from '../src/s3-artifact-store.ts';
import type { S3Options } from '../src/s3-options.ts';
import { flipByte, newBucket } from './s3-harness.ts';
import { S3Gateway } from './server/gateway.ts';

let gateway: S3Gateway;
beforeAll(async () => {
  gateway = await S3Gateway.start();
});
afterAll(() => gateway?.stop());

const weights = randomBytes(9 * 2 ** 20 + 3);

interface World {
  readonly dir: string;
  /** A directory with the model's files. */
  readonly source: string;
  readonly platform: Platform;
  /** Another machine: nothing is in its cache. */
  elsewhere(): Promise<Platform>;
  flip(sha256: string, offset: number): Promise<void>;
}

async function openWorld(cached: boolean): Promise<World> {
  const place: S3Options = await newBucket(gateway);
  const dir = await mkdtemp(join(tmpdir(), 'keelson-models-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  const artifacts = cached ? cachedArtifacts(s3Backend(place)) : s3Backend(place);
  const home = join(dir, 'home');
  const open = async (more: object): Promise<Platform> => {
    const platform = await openPlatform({ dir: home, artifacts, ...more });
    onTestFinished(() => platform.close());
    return platform;
  };
  const store = await S3ArtifactStore.open(place);
  onTestFinished(() => store.close());
  const source = join(dir, 'weights.bin');
  await writeFile(source, weights);
  return {
    dir,
    source,
    platform: await open({}),
    elsewhere: () => open({ downloadCache: { dir: join(dir, 'elsewhere') } }),
    async flip(sha256, offset) {
      const key = store.uri('default', sha256).slice(`s3://${place.bucket}/`.length);
      await flipByte(join(gateway.directory, place.bucket, key), offset);
    },
  };
}

async function code(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (isKeelsonError(error)) return error.code;
    throw error;
  }
  throw new Error('It was not refused.');
}

test.each([false, true])(
  'a model on S3 (with a cache of artifacts: %s): fetched once, damage found, healed',
  async (cached) => {
    const { dir, source, platform, elsewhere, flip } = await openWorld(cached);
    const registering = { model: 'm', from: { file: source }, format: 'CUSTOM' } as const;
    const version = await platform.registry.register({ ...registering, version: '1.0.0' });
    const sha256 = version.files[0]?.sha256 ?? '';
    await platform.registry.download('m@1.0.0', join(dir, 'cold'));
    await flip(sha256, 4 * 2 ** 20);
    // The copy of this machine was verified as it came in, and is looked at again.
    await platform.registry.download('m@1.0.0', join(dir, 'warm'));
    for (const place of ['cold', 'warm']) {
      expect((await readFile(join(dir, place, 'weights.bin'))).equals(weights)).toBe(true);
    }
    const other = await elsewhere();
    expect((await other.registry.verify('m@1.0.0')).problems).toMatchObject([{ code: 'CORRUPT' }]);
    expect(await code(other.registry.download('m@1.0.0', join(dir, 'other')))).toBe('CORRUPT');
    expect(await readdir(dir)).not.toContain('other');
    // Here too: the version is flagged, whoever found it.
    expect(await code(platform.registry.download('m@1.0.0', join(dir, 'third')))).toBe('CORRUPT');
    const healed = await other.registry.register({ ...registering, version: '1.0.0' });
    expect([healed.id, healed.status]).toEqual([version.id, 'READY']);
    await other.registry.download('m@1.0.0', join(dir, 'other'));
    expect((await readFile(join(dir, 'other/weights.bin'))).equals(weights)).toBe(true);
  },
);

test('content that lies there damaged, and nobody knows, is mended by registering it', async () => {
  const { source, platform, flip } = await openWorld(false);
  const registering = { from: { file: source }, format: 'CUSTOM' } as const;
  const first = await platform.registry.register({ model: 'first', ...registering });
  await flip(first.files[0]?.sha256 ?? '', 12_345);
  await platform.registry.register({ model: 'second', ...registering });
  expect((await platform.registry.verify('second@1.0.0')).problems).toEqual([]);
  expect((await platform.registry.verify('first@1.0.0')).version.status).toBe('READY');
});
