import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openPlatform, type Platform } from '@keelson/core';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { JavaScriptRuntime } from './runtimes/replica-runtime.ts';
import { weatherSignature } from './testing/serving-bed.ts';

let dir: string;
let platform: Platform;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'keelson-validation-'));
  platform = await openPlatform({ dir: join(dir, '.keelson') });
});

afterEach(async () => {
  await platform.close();
  await rm(dir, { recursive: true, force: true });
});

/** By the first wind: 1 never yields, 2 ends its thread, others are answered. */
const source = `
export function load() {
  return {
    predict({ x }, { rowCount }) {
      if (x.data[0] === 1) for (;;);
      if (x.data[0] === 2) process.exit(3);
      const label = [], probabilities = [];
      for (let row = 0; row < rowCount; row += 1) {
        const isRain = x.data[2 * row + 1] > 0.5;
        label.push(isRain ? 'rain' : 'sun');
        probabilities.push(isRain ? [0.9, 0.1] : [0.2, 0.8]);
      }
      return { label, probabilities };
    },
  };
}
`;

test('a suite runs on the runtime that serves; a model that blocks or ends its thread fails that test only', async () => {
  const { registry } = platform;
  const version = await registry.register({
    model: 'weather',
    from: { files: { 'model.mjs': Buffer.from(source) } },
    format: 'JS',
    signature: weatherSignature,
  });
  const golden = (name: string, wind: number) => ({
    ...({ test: 'golden', name } as const),
    cases: [{ inputs: { wind, cloud: 1 }, expected: { label: 'rain' } }],
  });
  const rows = Array.from({ length: 40 }, (_, i) => ({
    ...{ wind: 0, cloud: i % 2 },
    label: i % 2 ? 'rain' : 'sun',
  }));
  await registry.setValidationSuite('weather', {
    name: 'release',
    predictTimeoutMs: 2_000,
    data: { rows: { rows } },
    tests: [
      golden('answers', 0),
      golden('blocks', 1),
      golden('ends', 2),
      {
        ...{ test: 'metrics', data: 'rows', label: 'label' },
        limits: [
          { metric: 'accuracy', min: 1 },
          { metric: 'auc', min: 1 },
          { metric: 'logLoss', max: 0.2 },
        ],
      },
      {
        ...{ test: 'performance', data: 'rows', concurrency: 4, requests: 100 },
        limits: { maxP99Ms: 2_000, minRequestsPerSecond: 1, maxMemoryBytes: 2e9 },
      },
    ],
  });
  const report = await registry.validate(version.id, 'release', {
    runtime: new JavaScriptRuntime(),
    config: { replicas: 2, hungAfterMs: 500 },
  });
  expect(report.tests.map(({ name, outcome }) => [name, outcome])).toEqual([
    ['answers', 'PASSED'],
    ['blocks', 'FAILED'],
    ['ends', 'FAILED'],
    ['metrics', 'PASSED'],
    ['performance', 'PASSED'],
  ]);
  expect(report.tests[1]?.detail).toMatch(/^the model (did not answer|failed on) row 1/);
  expect(report.tests[2]?.detail).toMatch(/^the model failed on row 1/);
  expect(report.environment).toMatchObject({ runtime: 'javascript', isolation: 'thread' });
}, 60_000);
