import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openPlatform } from '@keelson/core';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { ChildProgram } from '../../core/test/child-program.ts';
import { s3Backend } from '../src/index.ts';
import { S3ArtifactStore } from '../src/s3-artifact-store.ts';
import { newBucket } from './s3-harness.ts';
import { credentials, S3Gateway } from './server/gateway.ts';

let gateway: S3Gateway;
beforeAll(async () => {
  gateway = await S3Gateway.start();
});
afterAll(() => gateway?.stop());

/** Three directories of files of all sizes; some are in each of them. */
async function directories(at: string): Promise<void> {
  const shared = randomBytes(9 * 2 ** 20);
  for (let n = 0; n < 3; n += 1) {
    await mkdir(join(at, String(n), 'layers'), { recursive: true });
    await writeFile(join(at, String(n), 'layers', 'shared.bin'), shared);
    await writeFile(join(at, String(n), 'config.json'), JSON.stringify({ n: n % 2 }));
    await writeFile(join(at, String(n), 'empty'), '');
    await writeFile(join(at, String(n), 'weights.bin'), randomBytes(200_000 * (n + 1)));
  }
}

test('platforms in several processes share a bucket, garbage is collected beside them by one that is killed: what a record names is whole', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'keelson-s3-platforms-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  const files = join(dir, 'files');
  await directories(files);
  const place = await newBucket(gateway);
  const home = join(dir, '.keelson');
  const program = new URL('./children/share-bucket.ts', import.meta.url);
  const { accessKeyId, secretAccessKey } = credentials;
  const start = (role: string): ChildProgram =>
    new ChildProgram(program, [
      ...[role, home, gateway.endpoint, place.bucket],
      ...[accessKeyId, secretAccessKey, files],
    ]);
  const loggers = [start('log'), start('log')];
  for (const logger of loggers) await logger.line(/^round 1 /);
  const collected: number[] = [];
  for (let kill = 0; kill < 4; kill += 1) {
    const collector = start('collect');
    await collector.line(/^collected .* [1-9]\d*$/);
    await collector.kill();
    expect(collector.errors).toBe('');
    collected.push(...collector.lines.map((line) => Number(line.split(' ').at(-1))));
  }
  for (const logger of loggers) {
    await logger.line(new RegExp(`^round ${logger.lines.length + 1} `));
    await logger.kill();
    expect(logger.errors).toBe('');
  }
  expect(collected.length).toBeGreaterThanOrEqual(4);

  const month = 30 * 86_400_000;
  await using platform = await openPlatform({
    dir: home,
    artifacts: s3Backend(place),
    clock: { now: () => Date.now() + 2 * month },
  });
  await platform.operations.gc({ graceMs: 2 * month });
  expect((await platform.operations.verify({ contents: 'read' })).findings).toEqual([]);
  let looked = 0;
  for await (const { id } of platform.tracking.eachRun()) {
    const { artifacts } = await platform.tracking.listArtifacts(id);
    // One whose process was killed may have none yet.
    if (artifacts.length === 0) continue;
    const back = await platform.tracking.downloadArtifact(id, 'model', join(dir, 'back', id));
    expect(back.length).toBeGreaterThan(0);
    looked += back.length;
  }
  expect(looked).toBeGreaterThan(5);
  await using store = await S3ArtifactStore.open(place);
  await store.collectLeftovers(0);
  const sound = await Array.fromAsync(store.space('default').list());
  for (const { sha256 } of sound) await store.space('default').verify(sha256);
}, 300_000);
