import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Files that take a minute or more, the longest first. */
const long: readonly string[] = [
  'packages/store-pg/test/pg-services.test.ts',
  'examples/10-lifecycle/lifecycle.test.ts',
  'packages/core/src/testing/artifact-store-suite.test.ts',
  'bench/bench.test.ts',
  'packages/core/src/tracking/move-killed.test.ts',
  'packages/store-pg/test/pg-contention.test.ts',
  'packages/core/src/testing/metadata-store-suite.test.ts',
  'packages/store-pg/test/pg-series-faults.test.ts',
  'packages/core/src/backups.test.ts',
  'packages/store-s3/src/s3-artifact-store.test.ts',
];

/**
 * Begins with the longest files, so that at the end no worker waits for another: a checkout that has never run
 * knows no durations, and Vitest then goes by the size of a file.
 */
export default class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification): number => {
      const at = long.findIndex((path) => moduleId.replaceAll('\\', '/').endsWith(`/${path}`));
      return at === -1 ? long.length : at;
    };
    return (await super.sort(files)).toSorted((a, b) => place(a) - place(b));
  }
}
