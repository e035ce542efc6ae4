import { z } from 'zod';
import { KeelsonError } from '../../errors.ts';

/** The name of a notifier, as its records carry it. */
export const notifierName: z.ZodType<string> = z
  .string()
  .regex(
    /^[A-Za-z0-9._-]{1,100}$/,
    'must be 1 to 100 letters, digits, dots, dashes or underscores',
  );

/** How long one attempt may take, in ms. */
export const notifierTimeout: z.ZodType<number> = z.number().int().min(1).max(600_000);

/** The default of {@link notifierTimeout}. */
export const timeoutMs = 10_000;

/** An `http:` or `https:` URL out of text that may be a secret: what is wrong is told without it. */
export function httpUrl(text: string, whose: string): URL {
  const url = URL.parse(text);
  if (url !== null && (url.protocol === 'https:' || url.protocol === 'http:')) return url;
  throw new KeelsonError('INVALID', `The URL of ${whose} must begin with https:// or http://.`);
}
