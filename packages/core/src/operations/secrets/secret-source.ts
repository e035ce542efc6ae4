import { z } from 'zod';
import { having } from '../../check-options.ts';
import type { SecretProvider } from '../../contracts/ports.ts';
import { KeelsonError } from '../../errors.ts';
import { assertText } from '../../json.ts';
import { noteSecret } from '../../redaction.ts';

/**
 * A secret as options take it: the text, or a function that is asked at each use (with `fresh` after what
 * it gave was refused). {@link secretFrom} makes one of a provider.
 */
export type SecretSource =
  | string
  | ((options: { readonly fresh: boolean }) => string | Promise<string>);

/** How options check a secret; what they say of it never has the secret in it. */
export const secretOption: z.ZodType<SecretSource> = z.custom<SecretSource>(
  (value) => typeof value === 'function' || (typeof value === 'string' && value !== ''),
  'must be text, or a function that gives it',
);

/**
 * Keeps a secret of your own out of logs, errors and events of this process, wherever it stands. INVALID for
 * what is no text, and for fewer than eight letters: those would be found in words.
 */
export function hideSecret(secret: string): void {
  if (typeof secret !== 'string' || secret.length < 8) {
    throw new KeelsonError('INVALID', 'hideSecret takes a text of eight letters or more.');
  }
  noteSecret(secret);
}

const providers = z.strictObject({
  provider: having<SecretProvider>('a SecretProvider', 'secret'),
});

/** A secret that is asked for by its name at each use. NOT_FOUND, naming it, when the provider has none. */
export function secretFrom(provider: SecretProvider, name: string): SecretSource {
  const checked = providers.safeParse({ provider });
  if (!checked.success) {
    throw new KeelsonError('INVALID', 'secretFrom takes a SecretProvider and a name.');
  }
  assertText(name, 'The name of a secret', 1000);
  return async ({ fresh }) => {
    const secret = await provider.secret(name, { fresh });
    if (secret !== undefined) return secret;
    throw new KeelsonError(
      'NOT_FOUND',
      `There is no secret ${JSON.stringify(name)}; set it where the provider looks.`,
      { details: { secret: name } },
    );
  };
}

/** What a source gives now. INVALID for what is no text. */
export async function readSecret(
  source: SecretSource,
  options: { readonly fresh: boolean } = { fresh: false },
): Promise<string> {
  const secret = typeof source === 'string' ? source : await source(options);
  if (typeof secret === 'string' && secret !== '') {
    noteSecret(secret);
    return secret;
  }
  throw new KeelsonError('INVALID', 'A secret must be text; its function gave something else.');
}

/**
 * Does `work` with the secret; where it was refused (FORBIDDEN) and the source is a function, once more
 * with what that gives past its caches.
 */
export async function withSecret<T>(
  source: SecretSource,
  work: (secret: string) => Promise<T>,
): Promise<T> {
  const first = await readSecret(source);
  try {
    return await work(first);
  } catch (error) {
    if (typeof source === 'string' || !isForbidden(error)) throw error;
    const second = await readSecret(source, { fresh: true });
    if (second === first) throw error;
    return await work(second);
  }
}

function isForbidden(error: unknown): boolean {
  return error instanceof KeelsonError && error.code === 'FORBIDDEN';
}
