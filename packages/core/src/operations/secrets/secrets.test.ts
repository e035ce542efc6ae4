import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import { temporaryDirectory } from '../../../test/open-test-platform.ts';
import type { SecretProvider } from '../../contracts/ports.ts';
import { KeelsonError } from '../../errors.ts';
import { environmentSecrets } from './environment-secrets.ts';
import { fileSecrets } from './file-secrets.ts';
import { derivedKeys, secretKeys } from './keys.ts';
import { secretFrom, withSecret } from './secret-source.ts';

describe('environmentSecrets', () => {
  test('finds variables by name, as they are now', async () => {
    process.env['KEELSON_TEST_SLACK_URL'] = 'one';
    onTestFinished(() => {
      delete process.env['KEELSON_TEST_SLACK_URL'];
    });
    const provider = environmentSecrets({ prefix: 'KEELSON_TEST_' });
    expect(await provider.secret('slack-url')).toBe('one');
    process.env['KEELSON_TEST_SLACK_URL'] = 'two';
    expect(await provider.secret('slack-url')).toBe('two');
    process.env['KEELSON_TEST_SLACK_URL'] = '';
    expect(await provider.secret('slack-url')).toBeUndefined();
    expect(() => environmentSecrets({ prefix: 'a b' })).toThrow(/letters, digits/);
  });
});

describe('fileSecrets', () => {
  test('reads what is there now, also when Kubernetes swaps the directory', async () => {
    const dir = await temporaryDirectory();
    const turn = async (n: number): Promise<void> => {
      await mkdir(join(dir, `..v${n}`));
      await writeFile(join(dir, `..v${n}`, 'token'), `value ${n}\n`);
      await symlink(`..v${n}`, join(dir, '..tmp'));
      await rename(join(dir, '..tmp'), join(dir, '..data'));
    };
    await turn(1);
    await symlink('..data/token', join(dir, 'token'));
    const provider = fileSecrets({ dir });
    expect(await provider.secret('token')).toBe('value 1');
    await turn(2);
    await rm(join(dir, '..v1'), { recursive: true });
    expect(await provider.secret('token')).toBe('value 2');
    expect(await provider.secret('none')).toBeUndefined();
  });

  test('names outside the directory, files that are none, too large or no text are refused', async () => {
    const dir = await temporaryDirectory();
    await writeFile(join(dir, 'large'), 'x'.repeat(70_000));
    await writeFile(join(dir, 'binary'), Buffer.from([0xff, 0xfe, 0x00]));
    await mkdir(join(dir, 'folder'));
    const provider = fileSecrets({ dir });
    for (const name of ['../etc/passwd', '/etc/passwd', '..', '', 'a\u0000b', 'large', 'binary']) {
      await expect(provider.secret(name)).rejects.toMatchObject({ code: 'INVALID' });
    }
    await expect(provider.secret('folder')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });
});

describe('a secret that is refused', () => {
  test('is asked for past the caches, and the call done once more; only where it changed', async () => {
    const asked: unknown[] = [];
    let current = 'old';
    const provider: SecretProvider = {
      async secret(name, options) {
        asked.push([name, options?.fresh]);
        return options?.fresh === true ? current : 'old';
      },
    };
    const source = secretFrom(provider, 'token');
    const used: string[] = [];
    const work = (secret: string): Promise<string> => {
      used.push(secret);
      if (secret === 'new') return Promise.resolve('done');
      return Promise.reject(new KeelsonError('FORBIDDEN', 'no'));
    };
    await expect(withSecret(source, work)).rejects.toMatchObject({ code: 'FORBIDDEN' });
    expect(used).toEqual(['old']);
    current = 'new';
    expect(await withSecret(source, work)).toBe('done');
    expect(used).toEqual(['old', 'old', 'new']);
    expect(asked.at(-1)).toEqual(['token', true]);
    const missing = secretFrom({ secret: async () => undefined }, 'token');
    await expect(withSecret(missing, work)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('keys', () => {
  const bytes = (fill: number): string => Buffer.alloc(32, fill).toString('base64');
  const ringOf = (...entries: string[]): SecretProvider => ({
    secret: async () => entries.join('\n'),
  });

  test('the first is current, the others are found by their ids', async () => {
    const entries = [`b:${bytes(2)}`, `a:${bytes(1)}`];
    for (const keys of [secretKeys(ringOf(...entries)), derivedKeys(ringOf(...entries))]) {
      const current = await keys.key('sign');
      expect(current.id).toBe('b');
      expect(await keys.key('sign', 'b')).toEqual(current);
      expect((await keys.key('sign', 'a')).bytes).not.toEqual(current.bytes);
      await expect(keys.key('sign', 'c')).rejects.toMatchObject({ code: 'NOT_FOUND' });
      await expect(keys.key('paint' as 'sign')).rejects.toMatchObject({ code: 'INVALID' });
    }
    await expect(secretKeys(ringOf()).key('encrypt')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('old work is read after a rotation, with the same bytes', async () => {
    let ring = `a:${bytes(1)}`;
    const keys = derivedKeys({ secret: async () => ring });
    const before = await keys.key('pseudonymise');
    ring = `b:${bytes(2)}\n${ring}`;
    expect((await keys.key('pseudonymise')).id).toBe('b');
    expect(await keys.key('pseudonymise', before.id)).toEqual(before);
  });

  test('one master gives unlike keys for unlike purposes, by HKDF of RFC 5869', async () => {
    const keys = derivedKeys(ringOf(`a:${bytes(1)}`));
    const [sign, encrypt] = [await keys.key('sign'), await keys.key('encrypt')];
    expect(Buffer.from(sign.bytes)).not.toEqual(Buffer.from(encrypt.bytes));
    const { createHmac } = await import('node:crypto');
    const extracted = createHmac('sha256', Buffer.alloc(32)).update(Buffer.alloc(32, 1)).digest();
    const expanded = createHmac('sha256', extracted).update('keelson:sign\u0001').digest();
    expect(Buffer.from(sign.bytes)).toEqual(expanded);
  });

  test('what cannot be read is told of without what is in it', async () => {
    for (const entry of ['hidden', `x:${Buffer.from('hidden').toString('base64')}`, `hidden:`]) {
      const keys = secretKeys(ringOf(`a:${bytes(1)}`, entry));
      const error = await keys.key('sign').catch((reason: unknown) => reason);
      expect(error).toMatchObject({
        code: 'INVALID',
        message: expect.stringContaining('Key 2') as string,
      });
      expect(inspect(error, { showHidden: true, depth: 9 })).not.toMatch(/hidden|aGlkZGVu/);
    }
  });
});
