import { hkdfSync } from 'node:crypto';
import { z } from 'zod';
import { having } from '../../check-options.ts';
import type { KeyProvider, SecretProvider } from '../../contracts/ports.ts';
import { KeelsonError } from '../../errors.ts';
import { assertText } from '../../json.ts';

/** What a key is for. */
type Purpose = Parameters<KeyProvider['key']>[0];

const purposes: readonly Purpose[] = ['sign', 'encrypt', 'pseudonymise'];

interface Key {
  readonly id: string;
  readonly bytes: Uint8Array;
}

const providerShape = z.strictObject({
  provider: having<SecretProvider>('a SecretProvider', 'secret'),
});

/**
 * Keys out of secrets: `sign-keys`, `encrypt-keys` and `pseudonymise-keys` of the provider, each a ring of
 * lines (or words) `id:base64`, 32 bytes or more. The first is the current one, the others are for what was
 * made with them: to rotate, put a new one in front. With {@link environmentSecrets}, {@link fileSecrets}
 * or any other provider. INVALID, without the key, for a ring that cannot be read.
 */
export function secretKeys(provider: SecretProvider): KeyProvider {
  assertProvider(provider, 'secretKeys');
  return {
    async key(purpose, id) {
      assertPurpose(purpose);
      return choose(await readRing(provider, `${purpose}-keys`), `${purpose}-keys`, purpose, id);
    },
  };
}

/**
 * Keys for all purposes, derived (HKDF-SHA-256) from the ring of masters in one secret, `master-keys` when
 * its name is left out: one thing to keep and to rotate. A key has its master's id.
 */
export function derivedKeys(provider: SecretProvider, name: string = 'master-keys'): KeyProvider {
  assertProvider(provider, 'derivedKeys');
  assertText(name, 'The name of a secret', 1000);
  return {
    async key(purpose, id) {
      assertPurpose(purpose);
      const master = choose(await readRing(provider, name), name, purpose, id);
      const bytes = hkdfSync('sha256', master.bytes, '', `keelson:${purpose}`, 32);
      return { id: master.id, bytes: new Uint8Array(bytes) };
    },
  };
}

async function readRing(provider: SecretProvider, name: string): Promise<readonly Key[]> {
  const text = (await provider.secret(name)) ?? '';
  return text
    .split(/\s+/)
    .filter((entry) => entry !== '')
    .map((entry, index) => readKey(entry, `Key ${index + 1} of the secret ${name}`));
}

function readKey(entry: string, where: string): Key {
  const [, id, base64] = /^([A-Za-z0-9._-]{1,100}):([A-Za-z0-9+/_-]+={0,2})$/.exec(entry) ?? [];
  if (id === undefined || base64 === undefined) {
    throw new KeelsonError('INVALID', `${where} is not written as id:base64.`);
  }
  const bytes = new Uint8Array(Buffer.from(base64, 'base64'));
  if (bytes.length >= 32) return { id, bytes };
  throw new KeelsonError('INVALID', `${where} has ${bytes.length} bytes; it needs 32 or more.`);
}

function choose(
  ring: readonly Key[],
  secret: string,
  purpose: Purpose,
  id: string | undefined,
): Key {
  if (id !== undefined) assertText(id, 'The id of a key', 1000);
  const key = id === undefined ? ring[0] : ring.find((each) => each.id === id);
  if (key !== undefined) return key;
  const which = id === undefined ? 'no key' : `no key ${JSON.stringify(id)}`;
  throw new KeelsonError(
    'NOT_FOUND',
    `There is ${which} to ${purpose} with; the secret ${secret} holds them, as id:base64 of 32 bytes or more.`,
    {
      details: { purpose, ...(id === undefined ? {} : { id }) },
    },
  );
}

function assertPurpose(purpose: unknown): asserts purpose is Purpose {
  if (purposes.includes(purpose as Purpose)) return;
  throw new KeelsonError('INVALID', `A key is for one of ${purposes.join(', ')}.`);
}

function assertProvider(provider: unknown, what: string): void {
  if (providerShape.safeParse({ provider }).success) return;
  throw new KeelsonError('INVALID', `${what} takes a SecretProvider (an object with secret).`);
}
