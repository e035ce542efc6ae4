import { pathToFileURL } from 'node:url';
import type { MetadataBackend, SeriesBackend } from '../src/contracts/backend.ts';

/** What stores tests of the services have, in place of the embedded ones. */
export interface TestBackends {
  readonly metadata?: MetadataBackend;
  readonly series?: SeriesBackend;
}

/**
 * The backends of the stores that belong to a directory: none, so that the stores are embedded there, unless
 * KEELSON_TEST_BACKENDS names a file that exports `testBackends(dir)`. With it the tests of the services
 * are run on other stores.
 */
export async function testBackends(dir: string): Promise<TestBackends> {
  const file = process.env['KEELSON_TEST_BACKENDS'];
  if (file === undefined || file === '') return {};
  const module = (await import(pathToFileURL(file).href)) as {
    testBackends(dir: string): TestBackends;
  };
  return module.testBackends(dir);
}
