import { KeelsonError, type KeyProvider } from '@keelson/core';
import { artifactStoreSuite, runCase } from '@keelson/core/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openS3Harness } from '../test/s3-harness.ts';
import { S3Gateway } from '../test/server/gateway.ts';
import { checkTransport, verifiesService } from './transport.ts';

let gateway: S3Gateway;
beforeAll(async () => {
  gateway = await S3Gateway.start();
});
afterAll(() => gateway?.stop());

const keys: KeyProvider = {
  key: async (_purpose, id = 'second') => {
    const bytes = { first: 1, second: 2 }[id];
    if (bytes === undefined) throw new KeelsonError('NOT_FOUND', `There is no key ${id}.`);
    return { id, bytes: new Uint8Array(32).fill(bytes) };
  },
};

describe('keeps the promises of ArtifactStore', () => {
  for (const one of artifactStoreSuite.cases) {
    test(one.name, () => runCase(one, () => openS3Harness(gateway)));
  }
});

describe('keeps them below a prefix, encrypted before it leaves the process', () => {
  for (const one of artifactStoreSuite.cases) {
    test(one.name, () => runCase(one, () => openS3Harness(gateway, { prefix: 'a/b/', keys })));
  }
});

test('beyond this machine contents are encrypted and the service verified, unless that was said twice', () => {
  const plain = { endpoint: 'http://minio:9000' };
  expect(() => checkTransport(plain)).toThrow(/plain text/);
  for (const fine of [
    { ...plain, insecure: true },
    { endpoint: 'https://minio:9000' },
    { endpoint: 'http://127.0.0.1:9000' },
    { endpoint: 'http://[::1]:9000' },
    {},
  ])
    expect(() => checkTransport(fine)).not.toThrow();
  const off = { NODE_TLS_REJECT_UNAUTHORIZED: '0' };
  const endpoint = 'https://minio:9000';
  expect(verifiesService({ endpoint }, off)).toBe(true);
  expect(verifiesService({ endpoint, insecure: true }, {})).toBe(true);
  expect(verifiesService({ endpoint, insecure: true }, off)).toBe(false);
});
