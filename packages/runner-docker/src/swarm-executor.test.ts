import { executorSuite, runCase } from '@keelson/core/testing';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { containerHarness } from '../test/docker-harness.ts';
import { TestSwarm } from '../test/server/test-swarm.ts';
import { swarmExecutor } from './swarm-executor.ts';

let swarm: TestSwarm;
beforeAll(async () => {
  swarm = await TestSwarm.start();
}, 300_000);
afterAll(() => swarm?.stop(), 120_000);

describe('keeps the promises of Executor', () => {
  for (const suiteCase of executorSuite.cases) {
    test(suiteCase.name, async () => {
      const options = { host: swarm.manager.host, workRoot: '/var/tmp' };
      await runCase(suiteCase, () => containerHarness(() => swarmExecutor(options)));
    }, 240_000);
  }
});
