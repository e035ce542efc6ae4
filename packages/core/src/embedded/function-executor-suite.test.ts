import { describe, test } from 'vitest';
import type { ExecutorHarness, Work } from '../testing/executor-suite.ts';
import { executorSuite } from '../testing/executor-suite.ts';
import { runCase } from '../testing/suite.ts';
import { FunctionExecutor } from './function-executor.ts';
import type { TaskContext } from './function-task.ts';

async function perform({ input, signal, console }: TaskContext): Promise<void> {
  const work = input as unknown as Work;
  if (work.does === 'exit' && work.code !== 0) throw new Error(`exit ${work.code}`);
  if (work.does !== 'hang') return;
  console.log('hanging');
  await new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    if (signal.aborted) reject(signal.reason);
  });
}

function functionHarness(): ExecutorHarness {
  const executor = new FunctionExecutor({ functions: { perform } });
  const known = ['exit', 'hang', 'mark'];
  return {
    executor,
    entry: (work) =>
      known.includes(work.does)
        ? { entry: { type: 'function', name: 'perform' }, input: { ...work } as never }
        : undefined,
    directory: async () => undefined,
    another: async () => undefined,
    [Symbol.asyncDispose]: () => executor.close(),
  };
}

describe('functions keep the promises of Executor', () => {
  for (const suiteCase of executorSuite.cases) {
    test(suiteCase.name, () => runCase(suiteCase, functionHarness));
  }
});
