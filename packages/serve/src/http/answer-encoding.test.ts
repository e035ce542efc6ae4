import { expect, test } from 'vitest';
import { acceptedEncoding } from './answer-encoding.ts';

test.each([
  [undefined, undefined],
  ['', undefined],
  ['identity', undefined],
  ['br, zstd', undefined],
  ['gzip', 'gzip'],
  ['GZIP ; q=0.5', 'gzip'],
  ['deflate', 'deflate'],
  ['gzip, deflate, br', 'gzip'],
  ['gzip;q=0.2, deflate;q=0.8', 'deflate'],
  ['gzip;q=0, deflate', 'deflate'],
  ['gzip;q=0', undefined],
  ['*', 'gzip'],
  ['*;q=0.1, gzip;q=0', 'deflate'],
  ['gzip;q=nonsense', undefined],
] as const)('Accept-Encoding %j is answered in %j', (accepts, wanted) => {
  expect(acceptedEncoding(accepts)).toBe(wanted);
});
