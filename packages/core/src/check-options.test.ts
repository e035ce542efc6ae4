import { expect, test } from 'vitest';
import { z } from 'zod';
import { checkOptions } from './check-options.ts';

const shape: z.ZodObject = z.strictObject({ reason: z.string(), force: z.boolean().optional() });

test.each([
  ['what is missing', {}, 'reason is missing (string)'],
  ['what is missing where nothing was given', undefined, 'reason is missing (string)'],
  ['what is unknown', { reason: 'r', forc: true }, 'Unrecognized key: "forc"'],
  ['what is of another type', { reason: 1 }, 'reason: Invalid input: expected string'],
  ['no object', 'r', 'expected object, received string'],
])('names %s', (_, options, problem) => {
  expect(() => checkOptions(shape, options, 'Deleting')).toThrow(
    expect.objectContaining({ code: 'INVALID', message: expect.stringContaining(problem) }),
  );
});

test('gives back what is right', () => {
  const options = { reason: 'r' };
  expect(checkOptions(shape, options, 'Deleting')).toBe(options);
});
