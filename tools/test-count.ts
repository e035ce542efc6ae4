/** What is read of the JSON report of a test run. */
export interface TestReport {
  readonly testResults: readonly {
    readonly status: string;
    readonly assertionResults: readonly { readonly status: string }[];
  }[];
}

/** Counts the tests of a report; a file that failed without a failing test counts as one failed. */
export function countTests(report: TestReport): {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
} {
  const count = { passed: 0, failed: 0, skipped: 0 };
  for (const { status, assertionResults } of report.testResults) {
    const states = assertionResults.map((test) => test.status);
    const failed = states.filter((state) => state === 'failed').length;
    const passed = states.filter((state) => state === 'passed').length;
    count.passed += passed;
    count.failed += failed === 0 && status === 'failed' ? 1 : failed;
    count.skipped += states.length - passed - failed;
  }
  return count;
}
