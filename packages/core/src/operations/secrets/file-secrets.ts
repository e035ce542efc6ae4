import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { checkOptions } from '../../check-options.ts';
import type { SecretProvider } from '../../contracts/ports.ts';
import { KeelsonError } from '../../errors.ts';
import { assertText } from '../../json.ts';
import { noteSecret } from '../../redaction.ts';

/** Where the files are. */
export interface FileSecretsOptions {
  /** `/run/secrets` of Docker, or where Kubernetes mounts a Secret. */
  readonly dir: string;
}

const shape = z.strictObject({
  dir: z.string().min(1),
} satisfies Record<keyof FileSecretsOptions, z.ZodType>);

const maxBytes = 65_536;

/**
 * Secrets in files, one each, read at each use: what was rotated on disk is what is used next. One line end
 * at the end is not part of the secret. UNAVAILABLE, naming the file, for one that may not be read.
 */
export function fileSecrets(options: FileSecretsOptions): SecretProvider {
  const { dir } = checkOptions(shape, options, 'fileSecrets');
  return {
    async secret(name) {
      assertText(name, 'The name of a secret', 255);
      if (!/^[A-Za-z0-9_.-]+$/.test(name) || /^\.+$/.test(name)) {
        throw new KeelsonError(
          'INVALID',
          `${JSON.stringify(name)} is no name of a secret's file: use letters, digits, dots, dashes and underscores.`,
        );
      }
      const text = await readSecretFile(join(dir, name));
      if (text === undefined || text === '') return undefined;
      noteSecret(text);
      return text;
    },
  };
}

async function readSecretFile(path: string): Promise<string | undefined> {
  try {
    await using file = await open(path, 'r');
    // No more than a secret may have, whatever is there.
    const { bytesRead, buffer } = await file.read(Buffer.alloc(maxBytes + 1), 0, maxBytes + 1, 0);
    if (bytesRead > maxBytes)
      throw new KeelsonError('INVALID', `${path} is too large for a secret.`);
    const bytes = buffer.subarray(0, bytesRead);
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes).replace(/\r?\n$/, '');
  } catch (error) {
    if (error instanceof KeelsonError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    if (code === 'ERR_ENCODING_INVALID_ENCODED_DATA') {
      throw new KeelsonError('INVALID', `${path} is no UTF-8 text.`);
    }
    throw new KeelsonError('UNAVAILABLE', `${path} cannot be read: ${code ?? 'unknown fault'}.`);
  }
}
