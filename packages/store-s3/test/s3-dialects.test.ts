import { createHash, randomBytes } from 'node:crypto';
import { artifactStoreSuite, runCase } from '@keelson/core/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { S3ArtifactStore } from '../src/s3-artifact-store.ts';
import type { S3Options } from '../src/s3-options.ts';
import { newBucket, openS3Harness } from './s3-harness.ts';
import { FaultProxy } from './server/fault-proxy.ts';
import { S3Gateway } from './server/gateway.ts';
import { overlooked, refusing } from './server/older-dialects.ts';

let gateway: S3Gateway;
let proxy: FaultProxy;
beforeAll(async () => {
  gateway = await S3Gateway.start();
  proxy = await FaultProxy.start(gateway.endpoint);
});
afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]();
  await gateway?.stop();
});
beforeEach(() => {
  proxy.faults = () => undefined;
});

const dialects: readonly [string, () => Partial<S3Options>][] = [
  [
    'refuses checksums and conditions with 501 NotImplemented',
    () => {
      proxy.faults = refusing(501, 'NotImplemented');
      return { endpoint: proxy.endpoint };
    },
  ],
  [
    'refuses them with 400 InvalidArgument',
    () => {
      proxy.faults = refusing(400, 'InvalidArgument');
      return { endpoint: proxy.endpoint };
    },
  ],
  [
    'overlooks them',
    () => {
      const client = overlooked(proxy.endpoint);
      onTestFinished(() => client.destroy());
      return { client };
    },
  ],
];

describe.each(dialects)('a service that %s', (_, speak) => {
  for (const one of artifactStoreSuite.cases) {
    test(one.name, () => runCase(one, () => openS3Harness(gateway, speak())));
  }

  test('large contents too, of which each part was verified by its MD5', async () => {
    const place = { ...(await newBucket(gateway)), partBytes: 5 * 2 ** 20, ...speak() };
    await using store = await S3ArtifactStore.open(place);
    const space = store.space('home');
    const large = randomBytes(13 * 2 ** 20 + 5);
    const { sha256 } = await space.put(large);
    await space.put(ReadableStream.from(pieces(randomBytes(12 * 2 ** 20))));
    await space.put(new Uint8Array([1, 2, 3]));
    const read = createHash('sha256');
    for await (const piece of await space.open(sha256)) read.update(piece);
    expect(read.digest('hex')).toBe(sha256);
    const parts = proxy.headers.filter(({ line }) => /^PUT .*partNumber=/.test(line));
    const verified = parts.filter(({ headers }) => headers['content-md5'] !== undefined);
    expect(verified.length).toBe(3 + 3);
    // Asked once: after the first refusal no checksum is tried any more.
    const tried = proxy.headers.filter(({ headers }) => 'x-amz-checksum-crc32' in headers);
    expect(tried.length).toBeLessThanOrEqual(1);
  });

  test('a part that was changed on its way is refused, and sent again', async () => {
    const place = { ...(await newBucket(gateway)), ...speak() };
    await using store = await S3ArtifactStore.open(place);
    const space = store.space('home');
    await space.put(new Uint8Array([1]));
    let harmed = 0;
    const dialect = proxy.faults;
    proxy.faults = (request) => {
      const fault = dialect(request);
      const { method, url } = request;
      if (fault !== undefined || method !== 'PUT' || !/[0-9a-f]{64}$/.test(pathOf(url)))
        return fault;
      harmed += 1;
      return harmed === 1 ? { changeRequestAt: 700_000 } : undefined;
    };
    const { sha256 } = await space.put(randomBytes(2 ** 20));
    expect(harmed).toBe(2);
    await space.verify(sha256);
  });
});

function pathOf(url: string): string {
  return url.split('?')[0] ?? '';
}

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 100_000) yield bytes.subarray(at, at + 100_000);
}
