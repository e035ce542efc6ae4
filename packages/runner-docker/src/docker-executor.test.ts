import { executorSuite, runCase } from '@keelson/core/testing';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { containerHarness } from '../test/docker-harness.ts';
import { TestEngine } from '../test/server/test-engine.ts';
import { dockerExecutor } from './docker-executor.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await TestEngine.start();
}, 180_000);
afterAll(() => engine?.stop(), 60_000);

describe('keeps the promises of Executor', () => {
  for (const suiteCase of executorSuite.cases) {
    test(suiteCase.name, async () => {
      await runCase(suiteCase, () => containerHarness(() => dockerExecutor({ host: engine.host })));
    }, 120_000);
  }
});
