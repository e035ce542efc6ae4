import { execFileSync } from 'node:child_process';
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openTestPlatform, temporaryDirectory } from '../../../test/open-test-platform.ts';
import type { SecretProvider } from '../../contracts/ports.ts';
import { type ErrorCode, isKeelsonError } from '../../errors.ts';
import type { Platform } from '../../open-platform.ts';
import { secretKeys } from '../../operations/secrets/keys.ts';
import type { ModelVersion } from '../model-version.ts';
import { keyFromSeed, publicPem, publicText, signEd25519, versionKey } from './ed25519.ts';
import { versionManifest } from './version-manifest.ts';
import { problemOfSignature } from './version-signature.ts';

const first = randomBytes(32);
const second = randomBytes(32);

/** A ring of keys that can be changed. */
function ringOf(
  ...keys: readonly (readonly [string, Buffer])[]
): { ring: string } & SecretProvider {
  return {
    ring: keys.map(([id, bytes]) => `${id}:${bytes.toString('base64')}`).join('\n'),
    async secret(name) {
      return name === 'sign-keys' ? this.ring : undefined;
    },
  };
}

async function open(
  more: object = {},
): Promise<{ platform: Platform; dir: string; version: ModelVersion }> {
  const keys = secretKeys(ringOf(['k1', first], ['k0', second]));
  const { platform, dir } = await openTestPlatform({ keys, ...more });
  return { platform, dir, version: await register(platform, 'a') };
}

function register(platform: Platform, text: string, more: object = {}): Promise<ModelVersion> {
  const files = { 'model.bin': Buffer.from(text), 'b/c.txt': Buffer.from('c') };
  return platform.registry.register({ model: 'm', from: { files }, format: 'CUSTOM', ...more });
}

async function refusal(work: Promise<unknown>): Promise<{ code: ErrorCode; message: string }> {
  try {
    await work;
  } catch (error) {
    if (isKeelsonError(error)) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error('It was not refused.');
}

const publicOf = (secret: Uint8Array): string => publicText(versionKey(secret));

describe('signing', () => {
  test('with the current key and with another; again is the same; it is told', async () => {
    const { platform, version } = await open();
    const { registry } = platform;
    const one = await registry.sign('m@1.0.0');
    expect(one).toMatchObject({
      versionId: version.id,
      keyId: 'k1',
      sha256: version.sha256,
      publicKey: publicOf(first),
    });
    const other = await registry.sign(version.id, { keyId: 'k0' });
    expect(await registry.sign(version.id)).toEqual(one);
    expect(await registry.signatures(version.id)).toEqual([other, one]);
    expect(await registry.verifySignatures(version.id)).toEqual([
      { ...other, valid: true, trusted: true },
      { ...one, valid: true, trusted: true },
    ]);
    const events = await Array.fromAsync(platform.events.each({ types: ['model.signed'] }));
    expect(events.map(({ payload }) => payload['keyId'])).toEqual(['k1', 'k0']);
  });

  test('ten at once make one signature', async () => {
    const { platform, version } = await open();
    const all = await Promise.all(
      Array.from({ length: 10 }, () => platform.registry.sign(version.id)),
    );
    expect(new Set(all.map(({ signature }) => signature)).size).toBe(1);
    expect(await platform.registry.signatures(version.id)).toHaveLength(1);
  });

  test('without keys, with a key that is not there, with one that has changed under its name', async () => {
    const { platform: bare } = await openTestPlatform();
    await register(bare, 'a');
    expect((await refusal(bare.registry.sign('m@1.0.0'))).code).toBe('UNSUPPORTED');
    const secrets = ringOf(['k1', first]);
    const { platform } = await open({ keys: secretKeys(secrets) });
    expect((await refusal(platform.registry.sign('m@1.0.0', { keyId: 'k9' }))).code).toBe(
      'NOT_FOUND',
    );
    await platform.registry.sign('m@1.0.0');
    secrets.ring = `k1:${second.toString('base64')}`;
    expect((await refusal(platform.registry.sign('m@1.0.0'))).code).toBe('CONFLICT');
    // What the changed key has not signed is no longer trusted.
    expect(await platform.registry.verifySignatures('m@1.0.0')).toMatchObject([
      { valid: true, trusted: false },
    ]);
  });

  test('wrong options are refused by name', async () => {
    const { platform } = await open();
    const codes = [];
    for (const work of [
      platform.registry.sign('m@1.0.0', { key: 'k1' } as never),
      platform.registry.verifySignatures('m@1.0.0', { trusted: ['nonsense'] }),
      platform.registry.download('m@1.0.0', 'x', { requireSignature: 'yes' as never }),
      openTestPlatform({ trustedKeys: ['nonsense'] }),
    ]) {
      codes.push((await refusal(work)).code);
    }
    expect(codes).toEqual(['INVALID', 'INVALID', 'INVALID', 'INVALID']);
  });
});

describe('verifying', () => {
  test('whose key counts: those given, those of the platform, those of its provider', async () => {
    const { platform, dir, version } = await open();
    await platform.registry.sign(version.id);
    const trust = async (trusted: readonly string[]): Promise<boolean[]> => {
      const found = await platform.registry.verifySignatures(version.id, { trusted });
      return found.map((each) => each.trusted);
    };
    expect(await trust([publicOf(first)])).toEqual([true]);
    expect(await trust([publicPem(publicOf(first))])).toEqual([true]);
    expect(await trust([publicOf(second)])).toEqual([false]);
    expect(await trust([])).toEqual([false]);
    await platform.close();
    const stood = async (more: object): Promise<boolean[]> => {
      const { platform: other } = await openTestPlatform({ dir, ...more });
      const found = await other.registry.verifySignatures(version.id);
      await other.close();
      return found.map((each) => each.trusted);
    };
    expect(await stood({})).toEqual([false]);
    expect(await stood({ trustedKeys: [publicOf(second)] })).toEqual([false]);
    expect(await stood({ trustedKeys: [publicOf(second), publicOf(first)] })).toEqual([true]);
    expect(await stood({ keys: secretKeys(ringOf(['k1', second])) })).toEqual([false]);
  });

  const signed = (version: ModelVersion) => {
    const key = versionKey(first);
    const signature = Buffer.from(signEd25519(key, versionManifest(version))).toString('base64');
    return { sha256: version.sha256, publicKey: publicText(key), signature };
  };

  test('a signature is of one version alone, and of every bit of its manifest', async () => {
    const { platform, version } = await open();
    const good = signed(version);
    expect(problemOfSignature(version, good)).toBeUndefined();
    // The same content under another number, name or semver is another version.
    const again = await register(platform, 'a', { version: '3.0.0' });
    expect(again.sha256).toBe(version.sha256);
    expect(problemOfSignature(again, good)).toContain('not of this version');
    const elsewhere = await register(platform, 'a', { model: 'n' });
    expect(problemOfSignature(elsewhere, good)).toContain('not of this version');
    const other = await register(platform, 'b');
    expect(problemOfSignature(other, good)).toContain('made for the content');
    const [file, ...files] = version.files;
    if (file === undefined) throw new Error('no file');
    for (const tampered of [
      { ...version, files },
      { ...version, files: [{ ...file, path: 'other' }, ...files] },
      { ...version, files: [{ ...file, sizeBytes: 2 }, ...files] },
      { ...version, files: [...files, file] },
      { ...version, sha256: other.sha256 },
    ]) {
      expect(problemOfSignature(tampered, good)).toContain('not those of its digest');
    }
    // A whole manifest of one's own needs the key.
    const forged = { ...version, files: other.files, sha256: other.sha256 };
    expect(problemOfSignature(forged, { ...good, sha256: other.sha256 })).toContain(
      'not of this version',
    );
    const { publicKey } = generateKeyPairSync('ed25519');
    const foreign = { ...good, publicKey: publicText(publicKey) };
    expect(problemOfSignature(version, foreign)).toContain('not by its key');
    expect(problemOfSignature(version, { ...good, publicKey: 'x' })).toContain('cannot be read');
    expect(problemOfSignature(version, { ...good, signature: '' })).toContain('not of this');
  });

  test('the manifest is JSON that everybody makes the same, under a domain of its own', async () => {
    const { version } = await open();
    const text = Buffer.from(versionManifest(version)).toString();
    expect(text).toMatch(/^\{"domain":"keelson\.model-version\/1","files":\[\{"path":"b\/c\.txt",/);
    expect(JSON.parse(text)).toMatchObject({ model: 'm', number: 1, version: '1.0.0' });
    const plain = versionManifest(version);
    const key = keyFromSeed(first);
    expect(signEd25519(key, plain)).toEqual(signEd25519(key, Buffer.from(text)));
  });
});

describe('what asks for a signature', () => {
  test('a download', async () => {
    const { platform, version } = await open();
    const dir = await temporaryDirectory();
    const download = (requireSignature: boolean | { trusted: readonly string[] }) =>
      platform.registry.download(version.id, join(dir, 'model'), { requireSignature });
    const refused = await refusal(download(true));
    expect([refused.code, refused.message]).toEqual([
      'FORBIDDEN',
      expect.stringContaining('nobody has signed it'),
    ]);
    await platform.registry.sign(version.id);
    expect((await refusal(download({ trusted: [publicOf(second)] }))).message).toContain(
      'by nobody who is trusted',
    );
    expect(await readdir(dir)).toEqual([]);
    await download({ trusted: [publicOf(first)] });
    await download(true);
    expect(await readdir(join(dir, 'model'))).toEqual(['b', 'model.bin']);
  });

  test('a policy, of anybody who is trusted or of one key', async () => {
    const { platform, version } = await open();
    const model = await platform.registry.getModel('m');
    const policy = (keys?: readonly string[]) => ({
      ...model.policy,
      transitions: [
        {
          ...{ from: 'DEVELOPMENT', to: 'STAGING', approvals: 0, approverRoles: [] },
          checks: [{ check: 'signed', ...(keys === undefined ? {} : { keys }) }],
        },
      ],
    });
    const ask = async () => {
      const request = { model: 'm', version: '1.0.0', to: 'STAGING', reason: 'r' } as const;
      const { status, checks } = await platform.registry.requestTransition(request);
      return [status, checks[0]?.detail];
    };
    await platform.registry.setPolicy('m', policy([publicOf(second)]) as never);
    expect(await ask()).toEqual(['FAILED', 'nobody has signed it']);
    await platform.registry.sign(version.id);
    expect(await ask()).toEqual(['FAILED', 'that of key k1 is by nobody who is trusted']);
    await platform.registry.setPolicy('m', policy() as never);
    expect(await ask()).toEqual(['DONE', 'by k1']);
    expect((await refusal(platform.registry.setPolicy('m', policy(['x']) as never))).code).toBe(
      'INVALID',
    );
  });
});

describe('for other programs', () => {
  test('OpenSSL verifies the exported signature, and refuses a manifest that was changed', async () => {
    const { platform, version } = await open();
    await platform.registry.sign(version.id);
    const dir = await temporaryDirectory();
    const paths = await platform.registry.exportSignatures(version.id, dir);
    expect(paths.map((path) => path.slice(dir.length + 1))).toEqual([
      ...['manifest.json', 'manifest.k1.sig', 'manifest.k1.pem'],
    ]);
    const verify = (): string =>
      execFileSync(
        'openssl',
        [
          ...['pkeyutl', '-verify', '-pubin', '-inkey', 'manifest.k1.pem', '-rawin'],
          ...['-in', 'manifest.json', '-sigfile', 'manifest.k1.sig'],
        ],
        { cwd: dir, encoding: 'utf8', stdio: 'pipe' },
      );
    expect(verify()).toContain('Signature Verified Successfully');
    const manifest = JSON.parse(await readFile(join(dir, 'manifest.json'), 'utf8'));
    expect(manifest.files[1]).toEqual({
      ...{ path: 'model.bin', sizeBytes: 1 },
      sha256: createHash('sha256').update('a').digest('hex'),
    });
    const text = await readFile(join(dir, 'manifest.json'), 'utf8');
    await writeFile(join(dir, 'manifest.json'), text.replace('"number":1', '"number":2'));
    expect(verify).toThrow();
  });
});
