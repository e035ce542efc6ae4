import { expect, test } from 'vitest';
import type { JsonObject } from '../../json.ts';
import { assertKeptSuite, namesOfTests } from './check-suite.ts';

const sha256 = 'a'.repeat(64);
const kept: JsonObject = {
  description: '',
  data: {
    'cases of golden': { sha256, sizeBytes: 10, format: 'jsonl', rows: 1 },
    fresh: 'given',
  },
  tests: [
    { test: 'golden', name: 'golden', data: 'cases of golden' },
    { test: 'metrics', name: 'm', data: 'fresh', label: 'y', limits: [{ metric: 'f1', min: 0 }] },
  ],
  batchRows: 64,
  predictTimeoutMs: 1000,
  loadTimeoutMs: 1000,
};

test('a suite that comes from elsewhere is what a suite here would be', () => {
  expect(() => assertKeptSuite(kept)).not.toThrow();
});

test.each([
  ['a test of no kind', { tests: [{ test: 'magic', name: 'x' }] }, 'suite.tests.0.test'],
  ['a test without a name', { tests: [{ test: 'replay', maxDifferentShare: 0 }] }, 'no names'],
  ['no tests', { tests: 'none' }, 'suite.tests'],
  ['data that is no digest', { data: { fresh: { sha256: '../x' } } }, 'suite.data.fresh'],
  ['a field too many', { run: 'rm -rf' }, 'run'],
  ['a time without end', { predictTimeoutMs: 1e12 }, 'suite.predictTimeoutMs'],
])('%s is refused', (_, other, said) => {
  expect(() => assertKeptSuite({ ...kept, ...other } as JsonObject)).toThrow(said);
});

test('tests without a name are called by their kind, and numbered', () => {
  const replay = { test: 'replay', maxDifferentShare: 0 } as const;
  const speed = { test: 'performance', limits: {} } as const;
  expect(namesOfTests([replay, speed, replay, { ...replay, name: 'last' }, replay])).toEqual([
    'replay',
    'performance',
    'replay 2',
    'last',
    'replay 3',
  ]);
});
