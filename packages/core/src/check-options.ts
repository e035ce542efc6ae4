import { z } from 'zod';
import { KeelsonError } from './errors.ts';

/**
 * Refuses, as INVALID and by name, options that are unknown or of the wrong type; gives the others back
 * as they are.
 */
export function checkOptions<T>(shape: z.ZodObject, options: T, what: string): T {
  const checked = shape.safeParse(options);
  if (checked.success) return options;
  // Where there are no options at all, the ones that are missing are the problem.
  const error = options === undefined ? shape.safeParse({}).error : undefined;
  const problems = (error ?? checked.error).issues.map((issue) => {
    const path = issue.path.map(String).join('.');
    const [, kind] =
      /^Invalid input: expected (\w+), received undefined$/.exec(issue.message) ?? [];
    if (path !== '' && kind !== undefined) return `${path} is missing (${kind})`;
    return `${path === '' ? '' : `${path}: `}${issue.message}`;
  });
  throw new KeelsonError(
    'INVALID',
    `${what} was given options that it cannot use: ${problems.join('; ')}. Known options: ${Object.keys(shape.shape).join(', ')}.`,
    { details: { problems } },
  );
}

/** An object with these methods; parts come from other packages, so only the shape counts. */
export function having<T>(what: string, ...methods: readonly string[]): z.ZodType<T> {
  return z.custom<T>(
    (value) =>
      typeof value === 'object' &&
      value !== null &&
      methods.every((m) => typeof (value as Record<string, unknown>)[m] === 'function'),
    `must be ${what} (an object with ${methods.join(', ')})`,
  );
}

/** A signal that ends what waits. */
export const signalOption: z.ZodType<AbortSignal> = z.custom<AbortSignal>(
  (value) => value instanceof AbortSignal,
  'must be an AbortSignal',
);

/** Refuses, as INVALID, what is no object where one of options or facts is meant. */
export function assertObject<T>(value: T, what: string): T {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  const given = value === null ? 'null' : Array.isArray(value) ? 'an array' : `a ${typeof value}`;
  throw new KeelsonError('INVALID', `${what} takes an object, not ${given}.`);
}

/** Refuses, as INVALID, what is no list. */
export function assertList<T>(value: readonly T[], what: string): readonly T[] {
  if (Array.isArray(value)) return value;
  throw new KeelsonError(
    'INVALID',
    `${what} must be an array, not ${value === null ? 'null' : `a ${typeof value}`}.`,
  );
}
