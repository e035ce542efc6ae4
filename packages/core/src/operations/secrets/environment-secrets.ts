import { z } from 'zod';
import { checkOptions } from '../../check-options.ts';
import type { SecretProvider } from '../../contracts/ports.ts';
import { assertText } from '../../json.ts';
import { noteSecret } from '../../redaction.ts';

/** Which variables are secrets. */
export interface EnvironmentSecretsOptions {
  /** Goes before each name; nothing when left out. */
  readonly prefix?: string;
}

const shape = z.strictObject({
  prefix: z
    .string()
    .regex(/^[A-Za-z0-9_]*$/, 'must be letters, digits and underscores')
    .optional(),
} satisfies Record<keyof EnvironmentSecretsOptions, z.ZodType>);

/**
 * Secrets in variables of the environment, looked up at each use: `slack-url` is `SLACK_URL`, behind the
 * prefix. An empty variable is none.
 */
export function environmentSecrets(options: EnvironmentSecretsOptions = {}): SecretProvider {
  const { prefix = '' } = checkOptions(shape, options, 'environmentSecrets');
  return {
    async secret(name) {
      assertText(name, 'The name of a secret', 1000);
      const variable = prefix + name.toUpperCase().replace(/[^A-Z0-9]/g, '_');
      const value = process.env[variable];
      if (value === undefined || value === '') return undefined;
      noteSecret(value);
      return value;
    },
  };
}
