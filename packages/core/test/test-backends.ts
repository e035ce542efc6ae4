import { pathToFileURL } from 'node:url';
import type { MetadataBackend, SeriesBackend } from '../src/contracts/backend.ts';
import type { Principal } from '../src/contracts/ports.ts';
import type { Platform, Services } from '../src/open-platform.ts';
import type { PlatformOptions } from '../src/platform-options.ts';

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

/** Services that reach a platform from outside. */
export interface RemoteFace {
  readonly services: Pick<Services, 'tracking' | 'registry'>;
  close(): Promise<void>;
}

/**
 * What puts a platform behind a wire: nothing, so that tests call it in their own process, unless KEELSON_TEST_REMOTE
 * names a file that exports `remoteFace(…)`. With it the tests of tracking and registry are run over HTTP.
 */
export async function remoteFace(): Promise<
  | ((face: {
      readonly platform: Platform;
      readonly workspace: string;
      readonly principal: Principal;
      readonly options: PlatformOptions;
    }) => RemoteFace)
  | undefined
> {
  const file = process.env['KEELSON_TEST_REMOTE'];
  if (file === undefined || file === '') return undefined;
  const module = (await import(pathToFileURL(file).href)) as {
    remoteFace: NonNullable<Awaited<ReturnType<typeof remoteFace>>>;
  };
  return module.remoteFace;
}
