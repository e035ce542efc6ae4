import { KeelsonError } from '../../errors.ts';
import { runGolden } from './golden-test.ts';
import { runMetrics } from './metrics-test.ts';
import { runPerformance } from './performance-test.ts';
import { runReplay } from './replay-test.ts';
import type { TestResult } from './report.ts';
import { runSegments } from './segments-test.ts';
import type { KeptTest } from './suite.ts';
import type { TestContext, Verdict } from './test-context.ts';
import { TestFault } from './test-fault.ts';

/** Runs tests one after another. What a test cannot do is its failure, and the others go on. */
export async function runTests(
  context: TestContext,
  tests: readonly KeptTest[],
  on: { readonly signal?: AbortSignal | undefined; onTest(test: KeptTest, done: number): void },
): Promise<readonly TestResult[]> {
  const results: TestResult[] = [];
  for (const [done, test] of tests.entries()) {
    assertGoing(on.signal);
    on.onTest(test, done);
    const startedAt = performance.now();
    const verdict = await verdictOf(context, test);
    const durationMs = performance.now() - startedAt;
    results.push({ name: test.name, test: test.test, ...verdict, durationMs });
  }
  return results;
}

/** Tests that could not even begin. */
export function notRun(tests: readonly KeptTest[], why: string): readonly TestResult[] {
  return tests.map(({ name, test }) => {
    return { name, test, outcome: 'FAILED', detail: why, durationMs: 0 };
  });
}

/** ABORTED where the caller is gone. */
export function assertGoing(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return;
  throw new KeelsonError('ABORTED', 'The validation was aborted by its caller.', {
    cause: signal.reason,
  });
}

async function verdictOf(context: TestContext, test: KeptTest): Promise<Verdict> {
  try {
    return await run(context, test);
  } catch (error) {
    if (error instanceof TestFault) return { outcome: 'FAILED', detail: error.message };
    throw error;
  }
}

async function run(context: TestContext, test: KeptTest): Promise<Verdict> {
  switch (test.test) {
    case 'golden':
      return await runGolden(context, { ...test, data: test.data ?? '' });
    case 'metrics':
      return await runMetrics(context, test);
    case 'segments':
      return await runSegments(context, test);
    case 'performance':
      return await runPerformance(context, test);
    case 'replay':
      return await runReplay(context, test);
  }
}
