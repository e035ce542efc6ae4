import { createHash, randomFillSync } from 'node:crypto';
import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { S3ArtifactStore } from '../packages/store-s3/src/s3-artifact-store.ts';
import { credentials, S3Gateway } from '../packages/store-s3/test/server/gateway.ts';
import { PlainSdk } from '../packages/store-s3/test/server/plain-sdk.ts';
import type { BenchContext } from './benchmark.ts';
import { elapsedMs, inTurns } from './rounds.ts';
import { type Row, rowOf } from './row.ts';

const sizes = {
  smallest: { rounds: 1, mebibytes: 12 },
  usual: { rounds: 5, mebibytes: 128 },
  full: { rounds: 7, mebibytes: 512 },
};
const mebibyte = 1024 * 1024;
const partBytes = 8 * mebibyte;
const parallelParts = 3;
const bucket = 'bench';

/**
 * A file up to S3-compatible storage and down again, beside the plain SDK with equal parts, as many at
 * once, which computes the SHA-256 of what it sends and receives, as whoever addresses by content must.
 */
export async function benchS3Artifacts(context: BenchContext): Promise<Row[]> {
  const { rounds, mebibytes } = sizes[context.scale];
  const dir = join(context.dir, 's3');
  await mkdir(dir);
  const path = join(dir, 'source');
  const sha256 = await writeRandom(path, mebibytes);
  await using gateway = await S3Gateway.start(dir);
  const { endpoint } = gateway;
  const place = { endpoint, region: 'us-east-1', forcePathStyle: true, credentials };
  const plain = new PlainSdk(endpoint, {
    bucket,
    path,
    sizeBytes: mebibytes * mebibyte,
    partBytes,
    parallelParts,
  });
  await plain.createBucket();
  await using store = await S3ArtifactStore.open({ ...place, bucket, partBytes, parallelParts });
  const space = store.space('bench');
  const times = await inTurns(
    rounds,
    {
      put: async () => {
        await space.remove(sha256);
        return elapsedMs(() => space.put({ path }));
      },
      plainPut: async () => {
        await plain.remove();
        return elapsedMs(() => plain.put());
      },
      read: async () => {
        // Also where its turn comes first.
        await space.put({ path });
        return elapsedMs(async () => {
          for await (const _ of await space.open(sha256));
        });
      },
      plainRead: async () => {
        await plain.put();
        return elapsedMs(() => plain.read());
      },
    },
    (round) => context.tell(`S3: round ${round} of ${rounds}`),
  );
  plain.close();
  await rm(dir, { recursive: true });
  const rates = (all: readonly number[]): number[] => all.map((ms) => (mebibytes / ms) * 1_000);
  const row = (name: string, of: readonly number[], base: readonly number[]): Row => ({
    ...rowOf(`S3: ${name}, ${mebibytes} MiB`, 'MiB/s', rates(of), {
      name: 'plain SDK + SHA-256',
      values: rates(base),
    }),
    goal: { leastRatio: 0.8 },
  });
  return [
    row('put of a file', times.put, times.plainPut),
    row('open and read', times.read, times.plainRead),
  ];
}

async function writeRandom(path: string, mebibytes: number): Promise<string> {
  const hash = createHash('sha256');
  const chunk = Buffer.alloc(mebibyte);
  const handle = await open(path, 'w');
  for (let i = 0; i < mebibytes; i += 1) {
    randomFillSync(chunk);
    hash.update(chunk);
    await handle.writeFile(chunk);
  }
  await handle.close();
  return hash.digest('hex');
}
