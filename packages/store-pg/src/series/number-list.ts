import { KeelsonError } from '@keelson/core';

/** Numbers as an array literal of PostgreSQL, for statements that take no values. */
export function numberList(numbers: readonly number[], type: 'bigint' | 'float8'): string {
  for (const number of numbers) {
    const fits = type === 'bigint' ? Number.isSafeInteger(number) : Number.isFinite(number);
    if (!fits) throw new KeelsonError('INTERNAL', `${number} is not a number of a series.`);
  }
  return `'{${numbers.join(',')}}'::${type}[]`;
}
