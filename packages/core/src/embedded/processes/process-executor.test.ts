import { describe, test } from 'vitest';
import { processHarness } from '../../../test/process-executor-harness.ts';
import { executorSuite } from '../../testing/executor-suite.ts';
import { runCase } from '../../testing/suite.ts';

describe('keeps the promises of Executor', () => {
  for (const suiteCase of executorSuite.cases) {
    test(suiteCase.name, () => runCase(suiteCase, processHarness));
  }
});
