import { modelRuntimeSuite, runCase } from '@keelson/core/testing';
import { describe, test } from 'vitest';
import { runtimeHarness } from '../testing/runtime-models.ts';

for (const name of ['javascript', 'onnx', 'tfjs'] as const) {
  describe.each(['none', 'thread', 'process'] as const)(
    `the runtime ${name}, isolation %s, keeps the promises of ModelRuntime:`,
    (isolation) => {
      for (const suiteCase of modelRuntimeSuite.cases) {
        test(suiteCase.name, () => runCase(suiteCase, () => runtimeHarness(name, isolation)));
      }
    },
  );
}
