import { randomUUID } from 'node:crypto';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import type { ArtifactStoreHarness } from '@keelson/core/testing';
import { S3ArtifactStore } from '../src/s3-artifact-store.ts';
import type { S3Options } from '../src/s3-options.ts';
import { credentials, type S3Gateway } from './server/gateway.ts';

/** A new, empty bucket on a gateway; how to reach it. */
export async function newBucket(
  gateway: S3Gateway,
): Promise<Required<Pick<S3Options, 'bucket' | 'endpoint' | 'credentials'>>> {
  const bucket = `test-${randomUUID()}`;
  const client = new S3Client({
    endpoint: gateway.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials,
  });
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  client.destroy();
  return { bucket, endpoint: gateway.endpoint, credentials };
}

/** A harness of S3 artifact stores on a bucket of its own. */
export async function openS3Harness(
  gateway: S3Gateway,
  options: Partial<S3Options> = {},
): Promise<ArtifactStoreHarness> {
  const place = { ...(await newBucket(gateway)), ...options };
  const handles: S3ArtifactStore[] = [];
  async function another(): Promise<S3ArtifactStore> {
    const store = await S3ArtifactStore.open(place);
    handles.push(store);
    return store;
  }
  const store = await another();
  return {
    store,
    reopen: another,
    clockStepMs: 1_000,
    async damage(workspace, sha256, offset) {
      const key = store.uri(workspace, sha256).slice(`s3://${place.bucket}/`.length);
      const suffix = options.keys === undefined ? '' : '.sealed';
      await flipByte(join(gateway.directory, place.bucket, key + suffix), offset);
    },
    async [Symbol.asyncDispose]() {
      for (const handle of handles) await handle.close();
    },
  };
}

/** Changes one byte of a file in place. */
export async function flipByte(path: string, offset: number): Promise<void> {
  const handle = await open(path, 'r+');
  try {
    const byte = Buffer.alloc(1);
    await handle.read(byte, 0, 1, offset);
    byte[0] = (byte[0] ?? 0) ^ 0x40;
    await handle.write(byte, 0, 1, offset);
  } finally {
    await handle.close();
  }
}
