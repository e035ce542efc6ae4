import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ArtifactSpace, ByteSource } from '@keelson/core';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { S3ArtifactStore } from '../src/s3-artifact-store.ts';
import { newBucket } from './s3-harness.ts';
import { FaultProxy } from './server/fault-proxy.ts';
import { S3Gateway } from './server/gateway.ts';

const mebibyte = 2 ** 20;

let gateway: S3Gateway;
let proxy: FaultProxy;
let space: ArtifactSpace;
let cutShort: (sha256: string) => Promise<void>;
beforeAll(async () => {
  gateway = await S3Gateway.start();
  proxy = await FaultProxy.start(gateway.endpoint);
});
afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]();
  await gateway?.stop();
});
beforeEach(async () => {
  const place = { ...(await newBucket(gateway)), endpoint: proxy.endpoint };
  const store = await S3ArtifactStore.open({ ...place, partBytes: 5 * mebibyte });
  onTestFinished(() => store.close());
  space = store.space('home');
  cutShort = async (sha256) => {
    const key = store.uri('home', sha256).slice('s3://'.length);
    await truncate(join(gateway.directory, key), 1_000);
  };
  // The first put of a store looks for what dead processes of this host have left.
  await space.put(new Uint8Array([0]));
  await store.collectLeftovers(0);
});

/** What an act asks of the service, such as `PUT chunks`, and how many bytes of bodies it sends. */
async function asked(
  act: () => Promise<unknown>,
): Promise<{ readonly requests: readonly string[]; readonly sentBytes: number }> {
  proxy.faults = () => undefined;
  await act();
  const sentBytes = proxy.headers.reduce(
    (sum, { headers }) => sum + Number(headers['content-length'] ?? 0),
    0,
  );
  return { requests: proxy.requests.map(named), sentBytes };
}

function named(line: string): string {
  const [method = '', url = ''] = line.split(' ');
  const { pathname, searchParams } = new URL(url, 'http://host');
  if (searchParams.has('partNumber')) return `${method} part`;
  if (searchParams.has('uploads') || searchParams.has('uploadId')) return `${method} upload`;
  if (searchParams.has('list-type')) return 'LIST';
  const key = pathname.split('/').slice(2).join('/');
  if (key.startsWith('incoming/')) return `${method} incoming`;
  return `${method} ${key.split('.')[1] ?? 'content'}`;
}

async function readAll(sha256: string, range = {}): Promise<void> {
  for await (const _ of await space.open(sha256, range));
}

/** As few requests as there can be: each one costs money and a round trip. */
describe('a put', () => {
  test.each([
    ['of 64 KiB', 64 * 1024, ['PUT content', 'LIST'], ['PUT content', 'LIST']],
    ['of 1 MiB', mebibyte, ['LIST', 'PUT content', 'LIST'], ['LIST', 'PUT kept', 'LIST']],
    [
      'of 4 MiB',
      4 * mebibyte,
      ['LIST', 'PUT chunks', 'PUT content', 'LIST'],
      ['LIST', 'PUT chunks', 'LIST'],
    ],
    [
      'of 12 MiB',
      12 * mebibyte,
      [
        ...['LIST', 'PUT chunks', 'GET upload', 'POST upload'],
        ...['PUT part', 'PUT part', 'PUT part', 'POST upload', 'LIST'],
      ],
      ['LIST', 'PUT chunks', 'LIST'],
    ],
  ])('%s: so many requests, and no body of what is there', async (_, sizeBytes, first, again) => {
    const bytes = randomBytes(sizeBytes);
    const put = await asked(() => space.put(bytes));
    expect(put.requests).toEqual(first);
    expect(put.sentBytes).toBeGreaterThanOrEqual(sizeBytes);
    expect(put.sentBytes).toBeLessThan(sizeBytes + 2_000);
    const second = await asked(() => space.put(bytes));
    expect(second.requests).toEqual(again);
    if (sizeBytes > 64 * 1024) expect(second.sentBytes).toBeLessThan(1_000);
    await space.verify(createHash('sha256').update(bytes).digest('hex'));
  });

  test('of a file of 12 MiB that is there sends nothing of it', async () => {
    const bytes = randomBytes(12 * mebibyte);
    await space.put(bytes);
    const dir = await mkdtemp(join(tmpdir(), 'keelson-s3-requests-'));
    onTestFinished(() => rm(dir, { recursive: true }));
    await writeFile(join(dir, 'file'), bytes);
    const { requests, sentBytes } = await asked(() => space.put({ path: join(dir, 'file') }));
    expect(requests).toEqual(['LIST', 'PUT chunks', 'LIST']);
    expect(sentBytes).toBeLessThan(1_000);
  });

  describe('of a stream of 12 MiB', () => {
    const bytes = randomBytes(12 * mebibyte);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const stream = (): ByteSource => ReadableStream.from([bytes]);

    test('goes up under a name of its own and is copied within the service', async () => {
      const { requests } = await asked(() => space.put(stream()));
      expect(requests).toEqual([
        ...['POST upload', 'PUT part', 'PUT part', 'PUT part', 'POST upload'],
        ...['LIST', 'PUT chunks', 'PUT content', 'LIST', 'DELETE incoming'],
      ]);
    });

    test('whose digest is announced and there is read, and not sent', async () => {
      await space.put(bytes);
      const { requests, sentBytes } = await asked(() => space.put(stream(), { sha256 }));
      expect(requests).toEqual([
        ...['LIST', 'LIST', 'PUT kept', 'LIST'],
        ...['LIST', 'PUT chunks', 'LIST'],
      ]);
      expect(sentBytes).toBeLessThan(1_000);
    });

    test('that is another than announced is CORRUPT, though that is there', async () => {
      await space.put(bytes);
      const other = ReadableStream.from([randomBytes(12 * mebibyte)]);
      await expect(space.put(other, { sha256 })).rejects.toMatchObject({ code: 'CORRUPT' });
      await space.verify(sha256);
    });

    test('that finds a content of another size in its place has the next one mend it', async () => {
      await space.put(bytes);
      await cutShort(sha256);
      await expect(space.put(stream(), { sha256 })).rejects.toMatchObject({ code: 'CORRUPT' });
      await space.put(stream(), { sha256 });
      await space.verify(sha256);
    });
  });

  test('of what was found damaged sends it again', async () => {
    const bytes = randomBytes(mebibyte);
    const { sha256 } = await space.put(bytes);
    await cutShort(sha256);
    await expect(space.verify(sha256)).rejects.toMatchObject({ code: 'CORRUPT' });
    const { requests } = await asked(() => space.put(bytes));
    expect(requests).toEqual(['LIST', 'PUT content', 'LIST', 'DELETE damaged']);
    await space.verify(sha256);
  });
});

describe('reading', () => {
  test.each([
    ['1 MiB', mebibyte, ['GET content']],
    ['12 MiB', 12 * mebibyte, ['GET content', 'GET chunks']],
  ])(
    '%s, all of it or a range, asks for the bytes and their digests',
    async (_, size, requests) => {
      const { sha256 } = await space.put(randomBytes(size));
      expect((await asked(() => readAll(sha256))).requests).toEqual(requests);
      expect((await asked(() => space.verify(sha256))).requests).toEqual(requests);
      const range = { start: size - 10, end: size - 1 };
      expect((await asked(() => readAll(sha256, range))).requests).toEqual(requests);
    },
  );

  test('find, keep and remove', async () => {
    const { sha256 } = await space.put(randomBytes(2 * mebibyte));
    const of = async (act: () => Promise<unknown>) => (await asked(act)).requests;
    expect(await of(() => space.find(sha256))).toEqual(['LIST']);
    expect(await of(() => space.keep(sha256))).toEqual(['LIST', 'PUT kept', 'LIST']);
    expect(await of(() => space.remove(sha256))).toEqual([
      ...['LIST', 'DELETE content', 'DELETE chunks', 'DELETE kept'],
    ]);
    expect(await of(() => space.keep(sha256))).toEqual(['LIST']);
  });
});
