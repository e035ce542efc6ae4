import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cachedArtifacts, KeelsonError, type KeyProvider, openPlatform } from '@keelson/core';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { s3Backend } from '../src/index.ts';
import { S3ArtifactStore } from '../src/s3-artifact-store.ts';
import type { S3Options } from '../src/s3-options.ts';
import { flipByte, newBucket } from './s3-harness.ts';
import { FaultProxy } from './server/fault-proxy.ts';
import { S3Gateway } from './server/gateway.ts';

let gateway: S3Gateway;
beforeAll(async () => {
  gateway = await S3Gateway.start();
});
afterAll(() => gateway?.stop());

async function openStore(options: Partial<S3Options> = {}) {
  const place: S3Options = { ...(await newBucket(gateway)), ...options };
  const open = async (more: Partial<S3Options> = {}): Promise<S3ArtifactStore> => {
    const store = await S3ArtifactStore.open({ ...place, ...more });
    onTestFinished(() => store.close());
    return store;
  };
  return { place, open, store: await open() };
}

/** Keys by id; new content takes `now`. */
const ring = (now: string, ...known: readonly string[]): KeyProvider => ({
  async key(_purpose, id = now) {
    if (!known.includes(id)) throw new KeelsonError('NOT_FOUND', `There is no key ${id}.`);
    return { id, bytes: createHash('sha256').update(`secret ${id}`).digest() };
  },
});

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

async function textOf(stream: ReadableStream<Uint8Array>): Promise<string> {
  return await new Response(stream).text();
}

describe('signed addresses', () => {
  test('give the bytes under the name asked for, until they end', async () => {
    const { store } = await openStore();
    const space = store.space('default');
    const { sha256 } = await space.put(bytes('content'));
    const fileName = 'bericht "vom"\\ 3. Mai – ü.csv';
    const url = await space.signedUrl?.(sha256, {
      ...{ expiresMs: 1_000, fileName, contentType: 'text/csv' },
    });
    const answer = await fetch(url as string);
    expect(await answer.text()).toBe('content');
    expect(answer.headers.get('content-type')).toBe('text/csv');
    const said = answer.headers.get('content-disposition') ?? '';
    expect(said).toMatch(/^attachment; filename="bericht _vom__ 3\. Mai _ _\.csv"; filename\*=/);
    expect(decodeURIComponent(said.split("''")[1] ?? '')).toBe(fileName);
    const refused = async (): Promise<boolean> => (await fetch(url as string)).status === 403;
    await expect.poll(refused, { timeout: 10_000, interval: 200 }).toBe(true);
  });

  test('nobody can make another of one', async () => {
    const { store } = await openStore();
    const mine = await store.space('mine').put(bytes('mine'));
    const theirs = await store.space('theirs').put(bytes('theirs'));
    const url = (await store.space('mine').signedUrl?.(mine.sha256, { expiresMs: 60_000 })) ?? '';
    const at = store.uri('theirs', theirs.sha256).split('/').slice(3).join('/');
    const own = store.uri('mine', mine.sha256).split('/').slice(3).join('/');
    expect(url).toContain(own);
    for (const forged of [url.replace(own, at), url.replace('Expires=60', 'Expires=6000')]) {
      expect(forged).not.toBe(url);
      expect((await fetch(forged)).status).toBe(403);
    }
    await expect(
      store.space('theirs').signedUrl?.(mine.sha256, { expiresMs: 60_000 }),
    ).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('what cannot be is refused by name', async () => {
    const { open, store } = await openStore();
    const space = store.space('default');
    const { sha256 } = await space.put(bytes('content'));
    for (const options of [
      { expiresMs: 999 },
      { expiresMs: 604_801_000 },
      { expiresMs: Number.NaN },
      { expiresMs: 1_000, fileName: 'a\r\nset-cookie: b' },
      { expiresMs: 1_000, contentType: 'text/html\n' },
    ]) {
      await expect(space.signedUrl?.(sha256, options)).rejects.toMatchObject({ code: 'INVALID' });
    }
    const sealing = (await open({ keys: ring('a', 'a') })).space('default');
    const sealed = await sealing.put(bytes('secret'));
    await expect(sealing.signedUrl?.(sealed.sha256, { expiresMs: 1_000 })).rejects.toMatchObject({
      code: 'UNSUPPORTED',
    });
  });

  test('by the platform, also behind a cache; a platform on files says that it cannot', async () => {
    const { place } = await openStore();
    for (const artifacts of [s3Backend(place), cachedArtifacts(s3Backend(place)), undefined]) {
      const dir = await mkdtemp(join(tmpdir(), 'keelson-signed-'));
      const platform = await openPlatform({
        dir,
        ...(artifacts === undefined ? {} : { artifacts }),
      });
      onTestFinished(async () => {
        await platform.close();
        await rm(dir, { recursive: true, force: true });
      });
      const run = await platform.tracking.startRun({ experiment: 'e' });
      await run.logArtifact('plots/loss.svg', bytes('<svg/>'));
      await run.finish();
      const signing = platform.tracking.signedArtifactUrl(run.id, 'plots/loss.svg', {
        expiresMs: 60_000,
      });
      if (artifacts === undefined) {
        await expect(signing).rejects.toMatchObject({
          code: 'UNSUPPORTED',
          message: expect.stringContaining('store-s3'),
        });
        continue;
      }
      const answer = await fetch(await signing);
      expect(await answer.text()).toBe('<svg/>');
      expect(answer.headers.get('content-type')).toContain('image/svg');
      expect(answer.headers.get('content-disposition')).toContain('loss.svg');
    }
  });
});

describe('keys that turn', () => {
  test('older content is read by its own key, new content takes the new one', async () => {
    const { open, place } = await openStore();
    const before = (await open({ keys: ring('a', 'a') })).space('default');
    const old = await before.put(bytes('sealed by a'));
    const after = (await open({ keys: ring('b', 'a', 'b') })).space('default');
    const fresh = await after.put(bytes('sealed by b'));
    expect(await textOf(await after.open(old.sha256))).toBe('sealed by a');
    expect(await textOf(await after.open(fresh.sha256))).toBe('sealed by b');
    await expect(before.open(fresh.sha256).then(textOf)).rejects.toMatchObject({
      message: expect.stringContaining('key b'),
    });
    const without = (await open({ keys: ring('b', 'b') })).space('default');
    await expect(without.open(old.sha256).then(textOf)).rejects.toMatchObject({
      message: expect.stringContaining('key a'),
    });
    expect(place.bucket).not.toBe('');
  });

  test('under the wrong bytes of a key, and with any byte flipped, nothing is handed over', async () => {
    const { open, place } = await openStore();
    const keys = ring('a', 'a');
    const store = await open({ keys });
    const { sha256 } = await store.space('default').put(bytes('a secret of some length'));
    const wrong: KeyProvider = {
      key: async () => ({ id: 'a', bytes: new Uint8Array(32).fill(7) }),
    };
    const blind = (await open({ keys: wrong })).space('default');
    await expect(blind.open(sha256).then(textOf)).rejects.toBeInstanceOf(KeelsonError);
    for (let offset = 0; offset < 60; offset += 7) {
      const content = await store.space('default').put(bytes(`a secret of some length ${offset}`));
      const key = store.uri('default', content.sha256).slice(`s3://${place.bucket}/`.length);
      await flipByte(join(gateway.directory, place.bucket, `${key}.sealed`), offset);
      const reading = (await open({ keys })).space('default').open(content.sha256).then(textOf);
      await expect(reading, `byte ${offset}`).rejects.toBeInstanceOf(KeelsonError);
    }
    expect(await textOf(await store.space('default').open(sha256))).toBe('a secret of some length');
  });
});

describe('encryption by the service', () => {
  test.each([
    [{ type: 'AES256' } as const, 'AES256', undefined],
    [{ type: 'aws:kms', keyId: 'key-7' } as const, 'aws:kms', 'key-7'],
  ])('%o is asked for at each object that is made, and at no part', async (wanted, name, keyId) => {
    await using proxy = await FaultProxy.start(gateway.endpoint);
    const { open } = await openStore();
    const store = await open({
      ...{ endpoint: proxy.endpoint, serverSideEncryption: wanted, partBytes: 5 * 2 ** 20 },
    });
    const space = store.space('default');
    await space.put(bytes('small'));
    await space.put(new Uint8Array(12 * 2 ** 20).fill(3));
    const made = proxy.headers.filter(({ line }) => {
      return (
        /^POST .*[?&]uploads/.test(line) || (line.startsWith('PUT') && !line.includes('partNumber'))
      );
    });
    const parts = proxy.headers.filter(({ line }) => /^PUT .*partNumber=/.test(line));
    expect(made.length).toBeGreaterThan(1);
    expect(parts.length).toBeGreaterThan(1);
    for (const { line, headers } of made) {
      expect(headers['x-amz-server-side-encryption'], line).toBe(name);
      expect(headers['x-amz-server-side-encryption-aws-kms-key-id'], line).toBe(keyId);
    }
    for (const { line, headers } of parts) {
      expect(headers['x-amz-server-side-encryption'], line).toBeUndefined();
    }
  });
});
