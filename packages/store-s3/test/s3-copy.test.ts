import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { copyObject } from '../src/copy-object.ts';
import { openBody } from '../src/object-body.ts';
import { putObject } from '../src/putting.ts';
import { mediumOf } from '../src/s3-medium.ts';
import { newBucket } from './s3-harness.ts';
import { FaultProxy } from './server/fault-proxy.ts';
import { S3Gateway } from './server/gateway.ts';

const mebibyte = 2 ** 20;
/** What one request may copy, made small: by the protocol it is 5 GiB. */
const limits = { largestBytes: 6 * mebibyte, partBytes: 5 * mebibyte };
const { signal } = new AbortController();

let gateway: S3Gateway;
beforeAll(async () => {
  gateway = await S3Gateway.start();
});
afterAll(() => gateway?.stop());

test.each([
  ['at once', 6 * mebibyte, 0],
  ['in parts, the last of them short', 12 * mebibyte + 7, 3],
  ['in whole parts', 10 * mebibyte, 2],
])('an object is copied within the service %s', async (_, sizeBytes, parts) => {
  await using proxy = await FaultProxy.start(gateway.endpoint);
  const medium = mediumOf({ ...(await newBucket(gateway)), endpoint: proxy.endpoint });
  const body = randomBytes(sizeBytes);
  const [from, to] = ['incoming/a name with + and %', 'spaces/home/there'];
  await putObject(medium, { key: from, body, metadata: {}, signal });
  proxy.faults = () => undefined;
  const metadata = { 'keelson-key': 'k1' };
  await copyObject(medium, { from, to, sizeBytes, metadata, signal }, limits);
  expect(proxy.requests.filter((line) => line.includes('partNumber=')).length).toBe(parts);
  const copy = await openBody(medium.requests, to, { start: 0 }, signal);
  if (copy === undefined || copy === 'out of range') throw new Error('There is no copy.');
  const bytes = new Uint8Array(copy.sizeBytes);
  expect(await copy.fill(bytes)).toBe(sizeBytes);
  expect(copy.metadata).toEqual(metadata);
  expect(createHash('sha256').update(bytes).digest('hex')).toBe(
    createHash('sha256').update(body).digest('hex'),
  );
  medium.requests.close();
});

test('a copy in parts that fails leaves no upload', async () => {
  await using proxy = await FaultProxy.start(gateway.endpoint);
  const place = { ...(await newBucket(gateway)), endpoint: proxy.endpoint, attempts: 2 };
  const medium = mediumOf(place);
  const sizeBytes = 12 * mebibyte;
  const [from, to] = ['incoming/source', 'spaces/home/there'];
  await putObject(medium, { key: from, body: randomBytes(sizeBytes), metadata: {}, signal });
  proxy.faults = ({ url }) =>
    url.includes('partNumber=2') ? { answer: 503, code: 'SlowDown' } : undefined;
  await expect(
    copyObject(medium, { from, to, sizeBytes, metadata: {}, signal }, limits),
  ).rejects.toMatchObject({ code: 'UNAVAILABLE', message: expect.stringContaining(to) });
  expect(proxy.requests.at(-1)).toMatch(/^DELETE .*uploadId=/);
  expect(medium.uploads.size).toBe(0);
  medium.requests.close();
});
